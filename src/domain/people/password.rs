//! Passwords of people.
//!
//! Different keyboards and systems encode the same password differently: an é as one or two code points, a space as a
//! no-break space. So it is normalized when it is set and when it is checked (RFC 8265 §4.2, NIST SP 800-63B §5.1.1.2).

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use crate::validation::InvalidValue;

/// A password: at most 256 characters, no control characters, normalized with the profile `OpaqueString` of RFC 8265.
#[derive(Clone)]
pub struct Password {
    normalized: SecretString,
    /// The original input, where it differs.
    typed: Option<SecretString>,
}

impl Password {
    /// Minimum length (NIST SP 800-63B recommends 8 with a throttle, and no composition rules).
    pub const MIN: usize = 10;
    /// Maximum length.
    pub const MAX: usize = 256;

    /// Validates a new password.
    ///
    /// # Errors
    /// [`InvalidValue`], which reveals nothing of the password itself.
    pub fn choose(text: &str) -> Result<Self, InvalidValue> {
        let too_long =
            || InvalidValue::new("password", format!("must have at most {} characters on one line", Self::MAX));
        if !text.is_empty() && !is_plausible(text) {
            return Err(too_long());
        }
        let length = normalize(text).chars().count();
        if length < Self::MIN {
            return Err(InvalidValue::new("password", format!("must have at least {} characters", Self::MIN)));
        }
        Self::parse(text).filter(|_| length <= Self::MAX).ok_or_else(too_long)
    }

    /// Parses a presented password; `None` if nobody can have it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !is_plausible(text) {
            return None;
        }
        let normalized = normalize(text);
        let fits = |text: &str| text.chars().count() <= Self::MAX;
        // One that was set before passwords were normalized may become longer by it.
        let typed = (normalized != text && fits(text)).then(|| SecretString::from(text.to_owned()));
        let possible = fits(&normalized) || typed.is_some();
        possible.then(|| Self { normalized: SecretString::from(normalized), typed })
    }

    /// The password itself, for the hasher.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.normalized.expose_secret()
    }

    /// The original input, where that differs: before passwords were normalized, it was this that was hashed.
    #[must_use]
    pub fn as_typed(&self) -> Option<Self> {
        self.typed.as_ref().map(|typed| Self { normalized: typed.clone(), typed: None })
    }
}

/// Whether the text is worth normalizing: decomposition makes it at most four times as long, and the limit comes before the
/// work.
fn is_plausible(text: &str) -> bool {
    const MOST: usize = 4 * Password::MAX;
    !text.is_empty() && text.chars().take(MOST + 1).count() <= MOST && !text.chars().any(char::is_control)
}

/// `OpaqueString` of RFC 8265 §4.2.2: spaces become U+0020, and everything is composed (NFC).
fn normalize(text: &str) -> String {
    // Besides white space that is a control character, and therefore rejected, these are Unicode's separators (Zs).
    let is_space = |c: char| c.is_whitespace() && !matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if is_space(c) { ' ' } else { c }).nfc().collect()
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_chosen_has_ten_to_256_characters_on_one_line() {
        for (text, accepted) in [
            ("", false),
            ("nine char", false),
            ("ten chars!", true),
            ("zehn Zeiß…", true),
            (&"x".repeat(256), true),
            (&"x".repeat(257), false),
            ("a line\nand another", false),
            ("with a NUL\0 in it", false),
        ] {
            assert_eq!(Password::choose(text).is_ok(), accepted, "{text:?}");
        }
    }

    #[test]
    fn a_refusal_and_a_debug_print_hold_nothing_of_the_password() {
        let refused = Password::choose("hunter2").unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
        assert_eq!(format!("{:?}", Password::choose("correct horse").unwrap()), "Password(…)");
    }

    #[test]
    fn the_same_password_from_another_keyboard_is_the_same_password() {
        for (set, typed) in [
            ("caf\u{e9} au lait", "cafe\u{301} au lait"),
            ("cafe\u{301} au lait", "caf\u{e9} au lait"),
            ("a\u{a0}no-break space", "a no-break space"),
            ("an ideographic\u{3000}space", "an ideographic space"),
            ("\u{1100}\u{1161} in two jamo", "\u{ac00} in two jamo"),
            ("\u{212b}ngstr\u{f6}m and more", "\u{c5}ngstro\u{308}m and more"),
        ] {
            let (set, typed) = (Password::choose(set).unwrap(), Password::parse(typed).unwrap());
            assert_eq!(set.expose(), typed.expose());
        }
        let wide = Password::choose("\u{ff41} full-width letter").unwrap();
        assert_ne!(wide.expose(), "a full-width letter", "RFC 8265 maps no widths, and no case");
        assert_ne!(Password::choose("Correct Horse").unwrap().expose(), "correct horse");
    }

    #[test]
    fn what_was_typed_is_kept_for_hashes_from_before_where_it_differs() {
        let typed = "cafe\u{301} au lait";
        assert_eq!(Password::parse(typed).unwrap().as_typed().unwrap().expose(), typed);
        assert!(Password::parse("caf\u{e9} au lait").unwrap().as_typed().is_none());
        assert!(Password::parse("correct horse").unwrap().as_typed().is_none());
    }

    #[test]
    fn length_is_that_of_the_normalized_password_and_bounded_before() {
        let decomposed = |count: usize| "e\u{301}".repeat(count);
        assert!(Password::choose(&decomposed(9)).is_err(), "nine characters in eighteen code points");
        assert!(Password::choose(&decomposed(10)).is_ok());
        assert!(Password::choose(&decomposed(256)).is_ok());
        assert!(Password::choose(&decomposed(257)).is_err());
        assert!(Password::parse(&"e".repeat(100_000)).is_none());
        // U+0958 is two characters when normalized: somebody may have chosen 256 of it before.
        let grown = "\u{958}".repeat(256);
        assert!(Password::choose(&grown).is_err());
        assert_eq!(Password::parse(&grown).unwrap().as_typed().unwrap().expose(), grown);
    }

    #[test]
    fn what_is_presented_may_be_short_and_never_empty() {
        assert_eq!(Password::parse("x").unwrap().expose(), "x");
        assert!(Password::parse("").is_none());
        assert!(Password::parse(&"x".repeat(257)).is_none());
    }
}
