//! Text to words, for any language.

use super::fold::fold;

/// Maximum length of a word, in characters.
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
    /// Two neighbouring characters of a script without word separators, or one that stands alone.
    Pair(String),
    /// One character of such a script that can be a word by itself. Texts are indexed by these too, so that a query of
    /// one character finds them.
    Single(String),
    /// A term by itself.
    Whole(String),
}

/// The words of `text`, which is clean, in order.
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
            // C++ is not C, nor is O- O.
            let sign = matches!(c, '+' | '#') || (c == '-' && characters.peek().is_none_or(|c| !c.is_alphanumeric()));
            if sign && script == Script::Spaced && run.chars().nth(1).is_none() {
                run.clear();
            }
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
        Script::Spaced => tokens.extend(words(run).into_iter().map(Token::Word)),
        Script::Unspaced => pairs(run, tokens),
    }
    run.clear();
}

/// Elided articles before an apostrophe in French and Italian, which are not part of the word.
const ELIDED: [&str; 24] = [
    "c", "d", "j", "l", "m", "n", "qu", "s", "t", "jusqu", "lorsqu", "puisqu", "quoiqu", "all", "coll", "dall", "dell",
    "nell", "sull", "un", "quest", "quell", "sant", "gl",
];

/// `run` without possessive, contraction and ordinal endings, elided articles, and articles that are joined with the word.
/// Several words where both readings are possible.
fn words(run: &str) -> Vec<String> {
    const ENDINGS: [&str; 6] = ["'s", "'m", "'re", "'ve", "'ll", "'d"];
    let run = ENDINGS.iter().find_map(|ending| run.strip_suffix(ending)).unwrap_or(run);
    let run = match run.split_once('\'') {
        Some((before, word)) if ELIDED.contains(&before) && word.len() > 1 => word,
        _ => run,
    };
    let mut words = Vec::new();
    if let Some((name, ending)) = run.split_once('\'') {
        // A name with a Turkish ending, unless it is one word as in Hawai'i.
        let is_ending = ending != "t" && ending.len() <= 6 && ending.bytes().all(|b| b.is_ascii_lowercase());
        if name.len() > 2 && name.is_ascii() && is_ending {
            words.push(name.to_owned());
        }
    }
    let joined = run.replace('\'', "");
    let number = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|ending| joined.strip_suffix(ending))
        .filter(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    let word: String = number.unwrap_or(&joined).chars().take(MAX_WORD).collect();
    if let Some(bare) = without_hebrew_article(&word) {
        words.push(bare.to_owned());
    }
    let word = without_arabic_article(&word).to_owned();
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn without_arabic_article(word: &str) -> &str {
    const ARTICLES: [&str; 6] = [
        "\u{648}\u{627}\u{644}",
        "\u{628}\u{627}\u{644}",
        "\u{643}\u{627}\u{644}",
        "\u{641}\u{627}\u{644}",
        "\u{644}\u{644}",
        "\u{627}\u{644}",
    ];
    let bare = ARTICLES.iter().find_map(|article| word.strip_prefix(article));
    bare.filter(|bare| bare.chars().nth(1).is_some()).unwrap_or(word)
}

/// Words begin with its letter too, so this is one of two readings.
fn without_hebrew_article(word: &str) -> Option<&str> {
    word.strip_prefix('\u{5d4}').filter(|bare| bare.chars().nth(2).is_some())
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

/// Writes dates such as 2031-04-09 and 9.4.2031 in spoken form: 9 april 2031. 09/04/2031 is ambiguous between April and
/// September, so it yields both.
fn spell_out_dates(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut spelled = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        let starts_a_number = bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit());
        let date = starts_a_number.then(|| iso_date_at(bytes, at).or_else(|| written_date_at(bytes, at))).flatten();
        let Some((dates, length)) = date else {
            at += 1;
            continue;
        };
        spelled.push_str(&text[copied..at]);
        for (day, month, year) in dates {
            spelled.extend([" ", &day.to_string(), " ", month, " ", &format!("{year:04}"), " "]);
        }
        at += length;
        copied = at;
    }
    spelled.push_str(&text[copied..]);
    spelled
}

const ISO_DATE: usize = "2031-04-09".len();

/// A day, a month and a year.
type Date = (u32, &'static str, u32);

/// Whether `text` is a date as in ISO 8601 and nothing else.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == ISO_DATE && iso_date_at(text.as_bytes(), 0).is_some()
}

fn iso_date_at(bytes: &[u8], at: usize) -> Option<(Vec<Date>, usize)> {
    let date = bytes.get(at..at + ISO_DATE)?;
    if date[4] != b'-' || date[7] != b'-' || bytes.get(at + ISO_DATE).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let date = date_of(number(&date[8..])?, number(&date[5..7])?, number(&date[..4])?)?;
    Some((vec![date], ISO_DATE))
}

/// The dates that `9.4.2031` or `09/04/2031` can be.
fn written_date_at(bytes: &[u8], at: usize) -> Option<(Vec<Date>, usize)> {
    let rest = &bytes[at..];
    let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let first = digits(0);
    let separator = *rest.get(first).filter(|b| matches!(b, b'/' | b'.'))?;
    let second = digits(first + 1);
    let year_at = first + second + 2;
    if rest.get(year_at - 1) != Some(&separator) || digits(year_at) != 4 || first > 2 || !(1..=2).contains(&second) {
        return None;
    }
    let (first, second) = (number(&rest[..first])?, number(&rest[first + 1..year_at - 1])?);
    let year = number(&rest[year_at..year_at + 4])?;
    let mut dates: Vec<Date> = date_of(first, second, year).into_iter().collect();
    if separator == b'/' && first != second {
        dates.extend(date_of(second, first, year));
    }
    (!dates.is_empty()).then_some((dates, year_at + 4))
}

fn date_of(day: u32, month: u32, year: u32) -> Option<Date> {
    let month = usize::try_from(month).ok()?.checked_sub(1).and_then(|index| MONTHS.get(index))?;
    (1..=31).contains(&day).then_some((day, *month, year))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    /// Not part of a word.
    None,
    /// Words are separated by spaces.
    Spaced,
    /// They are not; or, as in Korean, they carry endings that a search does not repeat.
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
            // Tone marks of Thai and Lao
            0x0E47..=0x0E4E | 0x0EC8..=0x0ECD => Self::Unspaced,
            _ if is_ideograph(c) => Self::Unspaced,
            _ if c.is_alphanumeric() => Self::Spaced,
            // The skin tones among them only colour the emoji before them.
            0x1F3FB..=0x1F3FF => Self::None,
            0x203C | 0x2049 | 0x2300..=0x23FF | 0x25A0..=0x27BF | 0x2B00..=0x2BFF | 0x1F000..=0x1FAFF => Self::Emoji,
            _ => Self::None,
        }
    }
}

/// Whether words of the script of `c` are not separated by spaces.
pub(super) fn is_unspaced(c: char) -> bool {
    Script::of(c) == Script::Unspaced
}

fn is_ideograph(c: char) -> bool {
    matches!(u32::from(c), 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x323AF | 0x3005 | 0x3007)
}

fn is_word_by_itself(c: char) -> bool {
    is_ideograph(c) || matches!(u32::from(c), 0xAC00..=0xD7A3)
}
