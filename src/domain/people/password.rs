//! Passwords of people.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::validation::InvalidValue;

/// A password as somebody typed it: at most 256 characters, none of them a control character.
#[derive(Clone)]
pub struct Password(SecretString);

impl Password {
    /// The shortest that may be chosen (NIST SP 800-63B wants 8 with a throttle, and no rules about its characters).
    pub const MIN: usize = 10;
    /// The longest.
    pub const MAX: usize = 256;

    /// Takes a password that is to be set.
    ///
    /// # Errors
    /// [`InvalidValue`], which says nothing of the password itself.
    pub fn choose(text: &str) -> Result<Self, InvalidValue> {
        if text.chars().count() < Self::MIN {
            return Err(InvalidValue::new("password", format!("must have at least {} characters", Self::MIN)));
        }
        Self::parse(text).ok_or_else(|| {
            InvalidValue::new("password", format!("must have at most {} characters on one line", Self::MAX))
        })
    }

    /// Reads a password that is presented; `None` if nobody can have it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let possible = !text.is_empty() && text.chars().count() <= Self::MAX && !text.chars().any(char::is_control);
        possible.then(|| Self(SecretString::from(text.to_owned())))
    }

    /// The password itself, for the hasher.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
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
    fn what_is_presented_may_be_short_and_never_empty() {
        assert_eq!(Password::parse("x").unwrap().expose(), "x");
        assert!(Password::parse("").is_none());
        assert!(Password::parse(&"x".repeat(257)).is_none());
    }
}
