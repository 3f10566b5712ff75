//! Additional terms of a text besides its words: whole tokens with their signs, compounds joined or split, numbers in other
//! notations.

use super::english::is_stop_word;
use super::fold::fold;
use super::words::{Token, is_date, is_unspaced};

/// Longer tokens, in characters, are found only by their parts.
const MAX_TOKEN: usize = 64;
/// Maximum number of parts of a token that is split where its letters change.
const MAX_PARTS: usize = 4;
/// Maximum number of neighbouring groups of digits that are read as one number.
const MAX_GROUPS: usize = 12;
/// A number with fewer digits that is written in groups counts as one if they are groups of thousands.
const LONG_NUMBER: usize = 7;

/// The names of signs beside a number.
const SIGNS: [(char, &str); 6] = [
    ('$', "dollar"),
    ('\u{20ac}', "euro"),
    ('\u{a3}', "pound"),
    ('\u{a5}', "yen"),
    ('\u{20b9}', "rupee"),
    ('%', "percent"),
];

/// Further tokens of `text`, which is clean.
pub(super) fn compounds(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut groups = Groups::default();
    let mut begins = true;
    for raw in text.split_whitespace() {
        let core = trim(raw);
        let began = std::mem::replace(&mut begins, raw.ends_with(['.', '?', '!', ':', '\u{2026}']));
        groups.add(core, &mut tokens);
        if core.bytes().all(|b| b.is_ascii_lowercase()) || core.chars().count() > MAX_TOKEN {
            continue;
        }
        let folded = fold(core);
        if folded.chars().any(is_unspaced) || is_date(&folded) {
            continue;
        }
        if !began && is_capitalized(core) && is_stop_word(&folded) && folded != "i" {
            // The name of a band or a film, perhaps.
            tokens.push(Token::Whole(folded.clone()));
        }
        umlauts(core, &mut tokens);
        number(&folded, &mut tokens);
        joined(&folded, &mut tokens);
        changes_of_letters(core, &mut tokens);
    }
    groups.flush(&mut tokens);
    tokens
}

/// Without surrounding punctuation. Significant signs are kept: C++, O-, .NET, $10, 10%.
fn trim(raw: &str) -> &str {
    let core = raw.trim_matches(|c: char| !c.is_alphanumeric() && !is_sign(c) && !matches!(c, '+' | '#' | '-' | '.'));
    let core = core.trim_end_matches(|c: char| !c.is_alphanumeric() && !is_sign(c) && !matches!(c, '+' | '#' | '-'));
    let inner = core.trim_start_matches(|c: char| !c.is_alphanumeric());
    let before = &core[..core.len() - inner.len()];
    if before.chars().last().is_some_and(|c| is_sign(c) || matches!(c, '.' | '+' | '#')) {
        let sign = before.chars().last().map_or(0, char::len_utf8);
        &core[before.len() - sign..]
    } else {
        inner
    }
}

fn is_sign(c: char) -> bool {
    SIGNS.iter().any(|(sign, _)| *sign == c)
}

fn is_capitalized(core: &str) -> bool {
    core.starts_with(char::is_uppercase) && core.chars().all(char::is_alphabetic)
}

/// A text with its signs as letters and digits, so that it can be in the index.
fn spelled(text: &str) -> String {
    let spell = |c: char| if c.is_alphanumeric() { c.to_string() } else { format!("_{:x}", u32::from(c)) };
    text.chars().map(spell).collect()
}

/// Mueller is M\u{fc}ller, who is Muller elsewhere.
fn umlauts(core: &str, tokens: &mut Vec<Token>) {
    if core.is_ascii() || !core.chars().all(char::is_alphabetic) {
        return;
    }
    let lower = core.to_lowercase();
    let spelled_out = lower.replace('\u{e4}', "ae").replace('\u{f6}', "oe").replace('\u{fc}', "ue");
    if spelled_out != lower {
        tokens.push(Token::Word(fold(&spelled_out)));
    }
}

/// A number without its groups, and its sign in words.
fn number(folded: &str, tokens: &mut Vec<Token>) {
    if !folded.contains(|c: char| c.is_ascii_digit()) {
        return;
    }
    let digits = folded.trim_matches(|c: char| is_sign(c) || matches!(c, '+' | '-' | '#' | '.'));
    if let Some((_, name)) = SIGNS.iter().find(|(sign, _)| folded.contains(*sign)) {
        tokens.push(Token::Word((*name).to_owned()));
    }
    if let Some(plain) = plain_number(digits).filter(|plain| plain != digits) {
        tokens.push(Token::Whole(plain));
    }
}

/// `12,500.00`, `12.500` or `12'500` as `12500`, `007` as `7`. `None` if it is not a number, or has a fraction.
fn plain_number(text: &str) -> Option<String> {
    let is_separator = |c: char| matches!(c, ',' | '.' | '\'');
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit() || is_separator(c)) {
        return None;
    }
    let mut groups: Vec<&str> = text.split(is_separator).collect();
    let separators: Vec<char> = text.chars().filter(|c| is_separator(*c)).collect();
    let last = groups.last()?;
    let is_fraction = match separators.as_slice() {
        [] => false,
        [_] => last.len() != 3,
        [first, .., fraction] => fraction != first,
    };
    if is_fraction {
        if last.bytes().any(|b| b != b'0') {
            return None;
        }
        groups.pop();
    }
    let grouped = groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
    if groups.iter().any(|group| group.is_empty()) || (groups.len() > 1 && !grouped) {
        return None;
    }
    let plain = groups.concat();
    let stripped = plain.trim_start_matches('0');
    Some(if stripped.is_empty() { "0".to_owned() } else { stripped.to_owned() })
}

/// The token as one word, or with its signs where they are significant.
fn joined(folded: &str, tokens: &mut Vec<Token>) {
    let parts: Vec<&str> =
        folded.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|p| !p.is_empty()).collect();
    let marked = folded.contains(['+', '#']) || folded.ends_with('-') || folded.starts_with('.');
    if marked && !parts.is_empty() {
        tokens.push(Token::Whole(spelled(folded)));
    }
    if parts.len() < 2 || parts.iter().any(|part| part.contains('\'')) {
        return;
    }
    let whole = parts.concat();
    let only_hyphens = folded.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '+'));
    if parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit())) {
        if only_hyphens {
            if folded.starts_with('+') {
                tokens.push(Token::Whole(parts[1..].concat()));
            }
            tokens.push(Token::Whole(whole));
        } else {
            tokens.push(Token::Whole(spelled(folded.trim_matches(|c: char| !c.is_alphanumeric()))));
        }
    } else if is_stop_word(&whole) {
        tokens.push(Token::Whole(whole));
    } else if only_hyphens || parts.iter().all(|part| part.chars().count() <= 2) {
        tokens.push(Token::Word(whole));
    } else {
        tokens.push(Token::Whole(whole));
    }
}

/// The parts of `getUserName`, `5kg` and `iPhone15`, and `ba0117` as `ba117`.
fn changes_of_letters(core: &str, tokens: &mut Vec<Token>) {
    for run in core.split(|c: char| !c.is_alphanumeric()) {
        let mut parts: Vec<String> = Vec::new();
        let mut before: Option<char> = None;
        for c in run.chars() {
            let changes = before.is_none_or(|before| {
                before.is_numeric() != c.is_numeric() || (before.is_lowercase() && c.is_uppercase())
            });
            match parts.last_mut() {
                Some(part) if !changes => part.push(c),
                _ => parts.push(c.to_string()),
            }
            before = Some(c);
        }
        if !(2..=MAX_PARTS).contains(&parts.len()) || is_ordinal(&parts) {
            continue;
        }
        let stripped: Vec<String> = parts
            .iter()
            .map(|part| part.trim_start_matches('0').to_owned())
            .map(|part| if part.is_empty() { "0".to_owned() } else { part })
            .collect();
        if stripped != parts {
            tokens.push(Token::Whole(fold(&stripped.concat())));
        }
        tokens.extend(parts.iter().map(|part| Token::Word(fold(part))));
    }
}

/// Whether these are the parts of `3rd`, which is a word.
fn is_ordinal(parts: &[String]) -> bool {
    matches!(parts, [_, ending] if matches!(ending.as_str(), "st" | "nd" | "rd" | "th"))
}

/// Neighbouring groups of digits: `12 500`, `+1 202 555 0143`, `4111 1111 1111 1111`, `DE89 3704 0044`.
#[derive(Default)]
struct Groups {
    groups: Vec<String>,
    international: bool,
}

impl Groups {
    fn add(&mut self, core: &str, tokens: &mut Vec<Token>) {
        if !core.bytes().any(|b| b.is_ascii_digit()) {
            return self.flush(tokens);
        }
        let folded = core.to_ascii_lowercase();
        let digits = folded.strip_suffix(",00").or(folded.strip_suffix(".00")).unwrap_or(&folded);
        let digits: String =
            digits.chars().filter(|c| !matches!(c, '-' | '(' | ')' | '+' | '$' | '\u{20ac}')).collect();
        let account = digits.len() == 4
            && digits.bytes().take(2).all(|b| b.is_ascii_lowercase())
            && digits.bytes().skip(2).all(|b| b.is_ascii_digit());
        if (self.groups.is_empty() && account) || (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
            if self.groups.is_empty() {
                self.international = core.starts_with('+');
            }
            self.groups.push(digits);
            if self.groups.len() < MAX_GROUPS {
                return;
            }
        }
        self.flush(tokens);
    }

    fn flush(&mut self, tokens: &mut Vec<Token>) {
        let groups = std::mem::take(&mut self.groups);
        if groups.len() < 2 {
            return;
        }
        let thousands = groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
        let whole = groups.concat();
        if thousands || whole.len() >= LONG_NUMBER {
            if self.international {
                tokens.push(Token::Whole(groups[1..].concat()));
            }
            tokens.push(Token::Whole(whole.chars().take(MAX_TOKEN).collect()));
        }
    }
}
