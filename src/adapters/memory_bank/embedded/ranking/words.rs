//! Text to words, for any language.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;

/// No word is longer, in characters.
const MAX_WORD: usize = 64;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A word, or a part of a text that is written without spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A word between spaces or punctuation, or an emoji.
    Word(String),
    /// Two neighbouring characters of a script that does not separate words, or one that stands alone.
    Pair(String),
    /// One character of such a script that can be a word by itself. Texts are indexed by these too, so that a query of
    /// one character finds them.
    Single(String),
}

/// The tokens of `text`, in its order.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let text = spell_out_dates(&fold(text));
    let mut tokens = Vec::new();
    let mut run = String::new();
    let mut script = Script::None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let joins =
            c == '\'' && script == Script::Spaced && characters.peek().is_some_and(|&c| Script::of(c) == script);
        let next = if joins { script } else { Script::of(c) };
        if next != script || next == Script::Emoji {
            flush(&mut tokens, &mut run, script);
            script = next;
        }
        if next != Script::None {
            run.push(c);
        }
    }
    flush(&mut tokens, &mut run, script);
    tokens
}

fn flush(tokens: &mut Vec<Token>, run: &mut String, script: Script) {
    match script {
        Script::None => {}
        Script::Emoji => tokens.push(Token::Word(run.clone())),
        Script::Spaced => tokens.extend(word(run).map(Token::Word)),
        Script::Unspaced => pairs(run, tokens),
    }
    run.clear();
}

/// `run` without possession, contraction and ordinal endings.
fn word(run: &str) -> Option<String> {
    const ENDINGS: [&str; 6] = ["'s", "'m", "'re", "'ve", "'ll", "'d"];
    let run = ENDINGS.iter().find_map(|ending| run.strip_suffix(ending)).unwrap_or(run);
    let joined = run.replace('\'', "");
    let number = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|ending| joined.strip_suffix(ending))
        .filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    let word: String = number.unwrap_or(&joined).chars().take(MAX_WORD).collect();
    (!word.is_empty()).then_some(word)
}

fn pairs(run: &str, tokens: &mut Vec<Token>) {
    let characters: Vec<char> = run.chars().collect();
    if let [alone] = characters[..] {
        tokens.push(Token::Pair(alone.to_string()));
        return;
    }
    for (index, &c) in characters.iter().enumerate() {
        if let Some(&next) = characters.get(index + 1) {
            tokens.push(Token::Pair([c, next].iter().collect()));
        }
        if is_word_by_itself(c) {
            tokens.push(Token::Single(c.to_string()));
        }
    }
}

/// Lower case, in compatibility form, without accents, with straight apostrophes.
fn fold(text: &str) -> String {
    let straight = text.chars().map(|c| if matches!(c, '\u{2019}' | '\u{2bc}') { '\'' } else { c });
    let lower = straight.nfkd().collect::<String>().to_lowercase();
    // Composing again puts the syllables of Hangul back together, which the decomposition took apart.
    lower.chars().filter(|&c| canonical_combining_class(c) == 0).nfc().collect()
}

/// Writes dates such as 2031-04-09 as people say them: 9 april 2031.
fn spell_out_dates(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut spelled = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        let starts_a_number = bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit());
        let Some((day, month, year)) = starts_a_number.then(|| date_at(bytes, at)).flatten() else {
            at += 1;
            continue;
        };
        spelled.push_str(&text[copied..at]);
        spelled.extend([" ", &day.to_string(), " ", month, " ", &format!("{year:04}"), " "]);
        at += ISO_DATE;
        copied = at;
    }
    spelled.push_str(&text[copied..]);
    spelled
}

const ISO_DATE: usize = "2031-04-09".len();

fn date_at(bytes: &[u8], at: usize) -> Option<(u32, &'static str, u32)> {
    let date = bytes.get(at..at + ISO_DATE)?;
    if date[4] != b'-' || date[7] != b'-' || bytes.get(at + ISO_DATE).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    let month = usize::try_from(month).ok()?.checked_sub(1).and_then(|index| MONTHS.get(index))?;
    (1..=31).contains(&day).then_some((day, month, year))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// Not part of a word.
    None,
    /// Words have spaces between them.
    Spaced,
    /// They have not; or, as in Korean, they carry endings that a search does not repeat.
    Unspaced,
    Emoji,
}

impl Script {
    fn of(c: char) -> Self {
        match u32::from(c) {
            0x0E00..=0x0EFF // Thai, Lao
            | 0x1000..=0x109F // Myanmar
            | 0x1780..=0x17FF // Khmer
            | 0x3040..=0x30FF // Hiragana, Katakana
            | 0x31F0..=0x31FF
            | 0xAC00..=0xD7A3 // Hangul
                if c.is_alphanumeric() => Self::Unspaced,
            _ if is_ideograph(c) => Self::Unspaced,
            _ if c.is_alphanumeric() => Self::Spaced,
            // The skin tones among them only colour the emoji before them.
            0x1F3FB..=0x1F3FF => Self::None,
            0x203C | 0x2049 | 0x2300..=0x23FF | 0x25A0..=0x27BF | 0x2B00..=0x2BFF | 0x1F000..=0x1FAFF => Self::Emoji,
            _ => Self::None,
        }
    }
}

fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c), 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x323AF | 0x3005 | 0x3007)
}

fn is_word_by_itself(c: char) -> bool {
    is_ideograph(c) || matches!(u32::from(c), 0xAC00..=0xD7A3)
}
