//! E-mail to people.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use secrecy::SecretString;

use super::admission::EmailDomain;
use super::model::{Account, Person};
use crate::system::BoxError;
use crate::validation::InvalidValue;

/// A plain e-mail address, such as `marta@example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// RFC 5321 §4.5.3.1.3, without the angle brackets.
    const MAX: usize = 254;

    /// The address of somebody whose login is one.
    #[must_use]
    pub fn of(person: &Person) -> Option<Self> {
        match &person.account {
            Account::Local { login, .. } => login.as_str().parse().ok(),
            Account::External { .. } => None,
        }
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.len() > Self::MAX || EmailDomain::of(text).is_none() {
            return Err(InvalidValue::new("email", "must be a plain e-mail address, such as marta@example.com"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message in plain text. Its text is a secret: it contains a link.
#[derive(Debug)]
pub struct Email {
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: SecretString,
}

/// Sends e-mail.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands a message to a mail server, which delivers it.
    ///
    /// # Errors
    /// [`MailError`]. After [`MailError::Unavailable`] the message may have been accepted nevertheless.
    async fn send(&self, to: &EmailAddress, email: &Email) -> Result<(), MailError>;
}

/// Why a message was not sent. No text contains a secret.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The mail server refuses it, or cannot do what its configuration says, and would fail in the same way again.
    #[error("the mail server does not accept the message")]
    Refused(#[source] BoxError),
    /// The mail server cannot be reached, does not answer in time, or asks to try again later.
    #[error("the mail server is temporarily unavailable")]
    Unavailable(#[source] BoxError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_plain() {
        for good in ["marta@example.com", "a.b+c@mail.example.com", "Marta@Example.com"] {
            assert_eq!(good.parse::<EmailAddress>().unwrap().as_str(), good);
        }
        let long = format!("m@{}.com", "x.".repeat(126));
        for bad in [
            "",
            "marta",
            "marta@localhost",
            "Marta <m@example.com>",
            "a@b@example.com",
            "m@example.com\r\nBcc: x@y.z",
            &long,
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad}");
        }
    }
}
