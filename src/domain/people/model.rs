//! The account of a person.

use std::fmt;
use std::str::FromStr;

use crate::applications::SecretHash;
use crate::ids::UserId;
use crate::system::Timestamp;
use crate::validation::{self, InvalidValue};

/// Somebody who can sign in and authorize applications to use memories of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The ID inside memgate and in tokens (the claim `sub`); never changes.
    pub id: UserId,
    /// How the person signs in.
    pub account: Account,
    /// A disabled person cannot sign in, and all authorizations are revoked.
    pub enabled: bool,
    /// The version that verifications must match.
    pub sign_in_version: SignInVersion,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Person {
    /// What identifies the account to the person: the login, or the provider's label.
    #[must_use]
    pub fn label(&self) -> &str {
        match &self.account {
            Account::Local { login, .. } => login.as_str(),
            Account::External { label, .. } => label.as_str(),
        }
    }
}

/// Incremented when earlier verifications of a person become invalid: by a new password, and by disabling. Whatever depends
/// on a verification is stored only if the version is still the one that was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignInVersion(u32);

impl SignInVersion {
    /// Accepts a stored version.
    #[must_use]
    pub fn from_stored(number: u32) -> Self {
        Self(number)
    }

    /// The version in stored form.
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
    /// With a password, of which memgate stores a hash.
    Local {
        /// The login; unique.
        login: Login,
        /// The hash of the password.
        password: SecretHash,
    },
    /// Through the identity provider.
    External {
        /// The account at the provider; unique.
        identity: ExternalIdentity,
        /// The displayed label. It may change, and need not be unique.
        label: AccountLabel,
    },
}

/// The login of a person: 1 to 254 of `a-z 0-9 . _ - + @`. Upper case is converted to lower case.
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

/// The displayed label of an external account: an e-mail address, or the provider's ID; 1 to 255 characters on one line, at
/// least one of them visible, and none that changes the text direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLabel(String);

impl AccountLabel {
    const MAX: usize = ExternalIdentity::MAX_SUBJECT;

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Accepts a stored label, which may predate a rule that it violates.
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

/// An account at an identity provider. Its subject never changes and is never reassigned, unlike an e-mail address. Both are
/// ASCII (OpenID Connect Core §2).
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

/// Somebody whom an identity provider has verified, perhaps for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUser {
    /// The ID that the person gets, if new.
    pub id: UserId,
    /// The account.
    pub identity: ExternalIdentity,
    /// The displayed label.
    pub label: AccountLabel,
    /// The current time.
    pub at: Timestamp,
}

/// What an identity provider has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenIdentity {
    /// The account.
    pub identity: ExternalIdentity,
    /// Its e-mail address, if the provider has verified it.
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
