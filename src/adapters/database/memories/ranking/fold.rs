//! Folds spelling variants of letters.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;

/// Maps each traditional Chinese character to the simplified one, where they differ.
static SIMPLIFIED: LazyLock<HashMap<char, char>> = LazyLock::new(|| {
    let pairs = include_str!("han.txt").split_whitespace().map(|pair| pair.chars());
    pairs.filter_map(|mut pair| pair.next().zip(pair.next())).collect()
});

/// Removes invisible characters, and straightens apostrophes.
pub(super) fn clean(text: &str) -> String {
    // A soft hyphen says where a word may be broken, a tatweel makes it longer.
    let visible = text.chars().filter(|c| !matches!(c, '\u{ad}' | '\u{640}' | '\u{2060}' | '\u{feff}'));
    visible.map(|c| if matches!(c, '\u{2019}' | '\u{2bc}' | '\u{ff07}') { '\'' } else { c }).collect()
}

/// Lower case, in compatibility form, without accents.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = with_one_nasal(&text.nfkd().collect::<String>().to_lowercase());
    // Composing restores the syllables of Hangul, which the decomposition split.
    let unaccented = lower.chars().filter(|&c| canonical_combining_class(c) == 0 || is_thai_or_lao(c)).nfc();
    let mut folded = String::with_capacity(text.len());
    for c in unaccented {
        push_letter(c, &mut folded);
    }
    folded
}

/// Pushes what `c` is written as where it is not at hand; Unicode decomposes none of these.
fn push_letter(c: char, folded: &mut String) {
    let one = match c {
        '\u{142}' => 'l',
        '\u{f8}' => 'o',
        '\u{111}' | '\u{f0}' => 'd',
        '\u{127}' => 'h',
        '\u{131}' => 'i',
        '\u{14b}' => 'n',
        '\u{167}' => 't',
        '\u{3c2}' => '\u{3c3}', // the sigma at the end of a word
        '\u{df}' => return folded.push_str("ss"),
        '\u{e6}' => return folded.push_str("ae"),
        '\u{153}' => return folded.push_str("oe"),
        '\u{fe}' => return folded.push_str("th"),
        '\u{629}' => '\u{647}',             // teh marbuta, heh
        '\u{649}' | '\u{6cc}' => '\u{64a}', // alef maksura and Persian yeh, yeh
        '\u{6a9}' => '\u{643}',             // Persian kaf, kaf
        // Katakana, hiragana
        '\u{30a1}'..='\u{30f6}' => char::from_u32(u32::from(c) - 0x60).unwrap_or(c),
        '\u{3400}'..='\u{9fff}' => SIMPLIFIED.get(&c).copied().unwrap_or(c),
        c => c,
    };
    folded.push(one);
}

/// Tone marks and vowels below are letters there, though they combine.
fn is_thai_or_lao(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}')
}

/// Devanagari writes a nasal before a consonant as a letter or as a dot above: here as the dot.
fn with_one_nasal(text: &str) -> String {
    const VIRAMA: char = '\u{94d}';
    if !text.contains(VIRAMA) {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let mut folded = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let is_nasal = matches!(characters[at], '\u{919}' | '\u{91e}' | '\u{923}' | '\u{928}' | '\u{92e}');
        let next = (characters.get(at + 1), characters.get(at + 2));
        if is_nasal && matches!(next, (Some(&VIRAMA), Some('\u{915}'..='\u{939}'))) {
            folded.push('\u{902}');
            at += 2;
        } else {
            folded.push(characters[at]);
            at += 1;
        }
    }
    folded
}
