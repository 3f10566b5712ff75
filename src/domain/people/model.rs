//! Who a person is.

use std::fmt;
use std::str::FromStr;

use crate::applications::SecretHash;
use crate::ids::UserId;
use crate::system::Timestamp;
use crate::validation::{self, InvalidValue};

/// Somebody who can sign in and let applications use memories of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name inside memgate and in tokens (the claim `sub`); never changes.
    pub id: UserId,
    /// How the person signs in.
    pub account: Account,
    /// A disabled person cannot sign in, and what was granted has stopped.
    pub enabled: bool,
    /// Which of the person's proofs still count.
    pub sign_in_version: SignInVersion,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Person {
    /// What tells the person which account this is: the login, or what the identity provider calls it.
    #[must_use]
    pub fn label(&self) -> &str {
        match &self.account {
            Account::Local { login, .. } => login.as_str(),
            Account::External { label, .. } => label.as_str(),
        }
    }
}

/// Counts the moments from which on earlier proofs of a person count no longer: a new password, and being disabled. Whatever
/// is stored on the strength of a proof is stored only while the version is the one under which the proof was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignInVersion(u32);

impl SignInVersion {
    /// Takes a version that was stored.
    #[must_use]
    pub fn from_stored(number: u32) -> Self {
        Self(number)
    }

    /// The version as it is stored.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    /// The version that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// How a person signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// With a password that memgate keeps as a hash.
    Local {
        /// What is typed; nobody else has it.
        login: Login,
        /// The hash of the password.
        password: SecretHash,
    },
    /// Through the identity provider.
    External {
        /// Who the provider says it is; nobody else is.
        identity: ExternalIdentity,
        /// What is shown. It may change, and two people may have the same.
        label: AccountLabel,
    },
}

/// What somebody types to sign in: 1 to 254 of `a-z 0-9 . _ - + @`. Capital letters are read as small ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Login(String);

impl Login {
    const MAX: usize = 254;

    /// The login as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Login {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let text = text.trim().to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-+@".contains(&b);
        if text.is_empty() || text.len() > Self::MAX || !text.bytes().all(allowed) {
            return Err(InvalidValue::new(
                "login",
                "must be 1 to 254 letters, digits and . _ - + @, such as marta or marta@example.com",
            ));
        }
        Ok(Self(text))
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an account of an identity provider is shown as: an e-mail address, or the provider's name for it; 1 to 255
/// characters on one line, of which some can be seen and none changes the direction of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLabel(String);

impl AccountLabel {
    const MAX: usize = ExternalIdentity::MAX_SUBJECT;

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a label that was stored, perhaps before there was a rule that it breaks.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is empty, too long, or not on one line.
    pub fn from_stored(text: &str) -> Result<Self, InvalidValue> {
        validation::line("label", text.to_owned(), Self::MAX).map(Self)
    }
}

impl FromStr for AccountLabel {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        validation::name("label", text.to_owned(), Self::MAX).map(Self)
    }
}

impl From<&ExternalIdentity> for AccountLabel {
    /// The subject: every subject is a label.
    fn from(identity: &ExternalIdentity) -> Self {
        Self(identity.subject.clone())
    }
}

/// An account at an identity provider. Its subject never changes, unlike an e-mail address, and never goes to somebody
/// else. Both are ASCII (OpenID Connect Core §2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExternalIdentity {
    issuer: String,
    subject: String,
}

impl ExternalIdentity {
    const MAX_ISSUER: usize = 2048;
    const MAX_SUBJECT: usize = 255;

    /// The account `subject` at `issuer`.
    ///
    /// # Errors
    /// [`InvalidValue`] if either is empty, longer than 2048 and 255 characters, not ASCII, or not on one line.
    pub fn new(issuer: &str, subject: &str) -> Result<Self, InvalidValue> {
        Ok(Self {
            issuer: Self::part("issuer", issuer, Self::MAX_ISSUER)?,
            subject: Self::part("subject", subject, Self::MAX_SUBJECT)?,
        })
    }

    fn part(field: &str, text: &str, max: usize) -> Result<String, InvalidValue> {
        if !text.is_ascii() {
            return Err(InvalidValue::new(field, "must not contain other characters than ASCII"));
        }
        validation::line(field, text.to_owned(), max)
    }

    /// The issuer of the ID token.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The claim `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// Somebody whom an identity provider has proven, and who may be here for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUser {
    /// The id that the person gets, if new.
    pub id: UserId,
    /// Who it is.
    pub identity: ExternalIdentity,
    /// What to show.
    pub label: AccountLabel,
    /// The present moment.
    pub at: Timestamp,
}

/// What an identity provider has proven of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenIdentity {
    /// The account.
    pub identity: ExternalIdentity,
    /// Its e-mail address, if the provider says that it has verified it.
    pub verified_email: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_read_without_regard_to_case_and_outer_white_space() {
        for (text, expected) in [
            ("marta", Some("marta")),
            (" Marta@Example.COM ", Some("marta@example.com")),
            ("m.a_r-t+a@x", Some("m.a_r-t+a@x")),
            ("", None),
            ("   ", None),
            ("mar ta", None),
            ("märta", None),
            ("marta\0", None),
            ("<marta>", None),
            (&"x".repeat(254), Some(&"x".repeat(254)[..])),
            (&"x".repeat(255), None),
        ] {
            assert_eq!(text.parse::<Login>().ok().as_ref().map(Login::as_str), expected, "{text:?}");
        }
    }

    #[test]
    fn an_external_identity_has_an_issuer_and_a_subject_of_ascii_on_one_line() {
        assert!(ExternalIdentity::new("https://id.example", "248289761001").is_ok());
        for (issuer, subject) in [
            ("", "x"),
            ("https://id.example", ""),
            ("https://id.example", "a\nb"),
            ("https://id.example\0", "x"),
            ("https://märta.example", "x"),
            ("https://id.example", "märta"),
            (&"x".repeat(2049), "x"),
            ("https://id.example", &"x".repeat(256)),
        ] {
            assert!(ExternalIdentity::new(issuer, subject).is_err(), "{issuer:?} {subject:?}");
        }
    }
}
