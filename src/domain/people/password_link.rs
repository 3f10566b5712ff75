//! One-time links with which people choose a password: an invitation, or a reset.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::model::SignInVersion;
use crate::ids::UserId;
use crate::system::{Entropy, Timestamp};
use crate::validation::InvalidValue;

/// A link, as it is stored. A person has at most one: a new one takes the place of the one before.
///
/// It is good for the [`SignInVersion`] under which it was made. Setting a password starts the next one in the same statement
/// that compares it, so a link works once; a password set in any other way and disabling the person end it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordLink {
    /// Whose password it sets.
    pub person: UserId,
    /// The digest of its secret.
    pub digest: LinkDigest,
    /// Why it was made.
    pub purpose: LinkPurpose,
    /// The version under which it was made.
    pub sign_in_version: SignInVersion,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Why a link was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// The account is new, and has no password yet.
    Invitation,
    /// The password was forgotten.
    Reset,
}

impl LinkPurpose {
    /// The name in storage and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }

    /// Parses the name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Invitation, Self::Reset].into_iter().find(|purpose| purpose.as_str() == name)
    }
}

/// How long a link works: a minute to 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLifetime(Duration);

impl LinkLifetime {
    const MIN: Duration = Duration::from_mins(1);
    const MAX: Duration = Duration::from_hours(30 * 24);

    /// The duration.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<Duration> for LinkLifetime {
    type Error = InvalidValue;

    fn try_from(duration: Duration) -> Result<Self, InvalidValue> {
        if (Self::MIN..=Self::MAX).contains(&duration) {
            Ok(Self(duration))
        } else {
            Err(InvalidValue::new("expires_in", "must be from 1m to 30d"))
        }
    }
}

/// The digest of a link's secret. It does not open anything.
#[derive(Clone, Copy, Debug)]
pub struct LinkDigest([u8; 32]);

impl LinkDigest {
    /// Accepts a stored digest.
    #[must_use]
    pub fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest in stored form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for LinkDigest {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for LinkDigest {}

/// What a link carries: whose it is, and a secret of 256 random bits.
#[derive(Clone)]
pub struct LinkToken {
    person: UserId,
    secret: SecretString,
}

impl LinkToken {
    const PERSON: usize = 22;
    const SECRET: usize = 43;

    /// A new one.
    pub fn generate(person: UserId, entropy: &dyn Entropy) -> Self {
        Self { person, secret: SecretString::from(entropy.url_safe_token()) }
    }

    /// Parses a presented one; `None` if it is malformed.
    #[must_use]
    pub fn parse(presented: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if presented.len() != Self::PERSON + Self::SECRET || !presented.bytes().all(allowed) {
            return None;
        }
        let (person, secret) = presented.split_at(Self::PERSON);
        let person = Uuid::from_slice(&URL_SAFE_NO_PAD.decode(person).ok()?).ok()?;
        Some(Self { person: UserId::from_uuid(person), secret: SecretString::from(secret.to_owned()) })
    }

    /// The person whose link it claims to be.
    #[must_use]
    pub fn person(&self) -> UserId {
        self.person
    }

    /// The token itself, for the link.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{}{}", URL_SAFE_NO_PAD.encode(self.person.as_uuid()), self.secret.expose_secret())
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> LinkDigest {
        let digest = Sha256::new()
            .chain_update("memgate password link\0")
            .chain_update(self.person.as_uuid())
            .chain_update(self.secret.expose_secret());
        LinkDigest(digest.finalize().into())
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SeededEntropy, unique};

    #[test]
    fn a_token_is_read_back_to_the_same_and_belongs_to_one_person() {
        let (person, entropy) = (UserId::from_uuid(unique()), SeededEntropy::default());
        let token = LinkToken::generate(person, &entropy);
        let again = LinkToken::parse(&token.expose()).unwrap();
        assert_eq!((again.person(), again.digest()), (person, token.digest()));
        let of_somebody_else = LinkToken { person: UserId::from_uuid(unique()), ..token.clone() };
        assert_ne!(of_somebody_else.digest(), token.digest());
        assert_ne!(LinkToken::generate(person, &entropy).digest(), token.digest());
        assert!(!format!("{token:?}").contains(&token.expose()[22..]));
    }

    #[test]
    fn garbage_is_no_token() {
        let token = LinkToken::generate(UserId::from_uuid(unique()), &SeededEntropy::default()).expose();
        for garbage in ["", "x", &token[1..], &format!("{token}x"), &token.replace(&token[..1], "!"), &"é".repeat(65)]
        {
            assert!(LinkToken::parse(garbage).is_none(), "{garbage}");
        }
    }

    #[test]
    fn a_lifetime_is_from_a_minute_to_thirty_days_and_a_purpose_has_a_name() {
        for (seconds, accepted) in [(0, false), (59, false), (60, true), (2_592_000, true), (2_592_001, false)] {
            assert_eq!(LinkLifetime::try_from(Duration::from_secs(seconds)).is_ok(), accepted, "{seconds}");
        }
        for purpose in [LinkPurpose::Invitation, LinkPurpose::Reset] {
            assert_eq!(LinkPurpose::from_name(purpose.as_str()), Some(purpose));
        }
        assert_eq!(LinkPurpose::from_name("other"), None);
    }
}
