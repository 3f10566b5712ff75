//! Passkeys: credentials of Web Authentication, with which people sign in by unlocking a device.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::session::PasskeyCeremony;
use crate::ids::{PasskeyId, UserId};
use crate::system::{Entropy, Timestamp};
use crate::validation::{self, InvalidValue};

/// A passkey, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// Its ID here.
    pub id: PasskeyId,
    /// Whom it signs in.
    pub person: UserId,
    /// Its ID at the authenticator.
    pub credential_id: CredentialId,
    /// What the person calls it.
    pub name: PasskeyName,
    /// What verifies its signatures.
    pub credential: StoredCredential,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last signed the person in.
    pub last_used_at: Option<Timestamp>,
}

impl Passkey {
    /// Maximum number of passkeys per person.
    pub const MAX_PER_PERSON: u32 = 10;
}

/// The ID that an authenticator gave to a credential: 1 to 1023 bytes (Web Authentication §5.8.3). It is unique, and not secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CredentialId(Vec<u8>);

impl CredentialId {
    const MAX: usize = 1023;

    /// The ID as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for CredentialId {
    type Error = InvalidValue;

    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidValue> {
        if (1..=Self::MAX).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(InvalidValue::new("credential_id", "must have 1 to 1023 bytes"))
        }
    }
}

/// The public key of a passkey with its counter, in the form that the verifier wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredCredential(String);

impl StoredCredential {
    /// Maximum length in bytes. A key has a few hundred; a verifier may keep more of what an authenticator sent.
    pub const MAX: usize = 16 * 1024;

    /// Accepts what the verifier wrote.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is longer than [`MAX`](Self::MAX).
    pub fn new(text: String) -> Result<Self, InvalidValue> {
        if text.len() <= Self::MAX { Ok(Self(text)) } else { Err(InvalidValue::new("credential", "is too long")) }
    }

    /// What the verifier wrote.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StoredCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredCredential(…)")
    }
}

/// What a person calls a passkey: 1 to 50 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyName(String);

impl PasskeyName {
    /// Maximum length in characters.
    pub const MAX: usize = 50;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PasskeyName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        validation::name("name", text.trim().to_owned(), Self::MAX).map(Self)
    }
}

impl fmt::Display for PasskeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key that seals challenges. All instances of a service have the same one.
pub struct ChallengeKey(SecretBox<[u8; 32]>);

impl ChallengeKey {
    /// A key of 256 secret bits.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(SecretBox::new(Box::new(bytes)))
    }

    /// A new challenge for this ceremony.
    #[must_use]
    pub fn issue(&self, ceremony: &PasskeyCeremony, entropy: &dyn Entropy, now: Timestamp) -> PasskeyChallenge {
        let nonce: [u8; PasskeyChallenge::NONCE] = entropy.bytes();
        let head = [now.unix_millis().to_be_bytes().as_slice(), &nonce].concat();
        let seal = self.seal(ceremony, &head);
        PasskeyChallenge { issued_at: now, bytes: [head.as_slice(), &seal].concat() }
    }

    /// The challenge that was `presented`, if this key issued it for this ceremony, at most [`PasskeyChallenge::LIFETIME`] ago.
    #[must_use]
    pub fn open(&self, presented: &[u8], ceremony: &PasskeyCeremony, now: Timestamp) -> Option<PasskeyChallenge> {
        if presented.len() != PasskeyChallenge::LENGTH {
            return None;
        }
        let (head, seal) = presented.split_at_checked(PasskeyChallenge::TIME + PasskeyChallenge::NONCE)?;
        if !bool::from(self.seal(ceremony, head).as_slice().ct_eq(seal)) {
            return None;
        }
        let (millis, _) = head.split_first_chunk::<{ PasskeyChallenge::TIME }>()?;
        let issued_at = Timestamp::from_unix_millis(i64::from_be_bytes(*millis));
        let challenge = PasskeyChallenge { issued_at, bytes: presented.to_owned() };
        (now < challenge.expires_at()).then_some(challenge)
    }

    /// All parts have a fixed length, so nothing can be moved from one to another or appended.
    fn seal(&self, ceremony: &PasskeyCeremony, head: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update("memgate passkey challenge\0")
            .chain_update(self.0.expose_secret())
            .chain_update(ceremony.as_bytes())
            .chain_update(head)
            .finalize()
            .into()
    }
}

impl fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeKey(…)")
    }
}

/// What a passkey signs: when it was issued, 128 random bits, and a seal over both and the ceremony. So nobody else can make
/// one, it is good in one browser for one purpose and a short time, and nothing is stored before it has been signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyChallenge {
    issued_at: Timestamp,
    bytes: Vec<u8>,
}

impl PasskeyChallenge {
    /// How long it is good.
    pub const LIFETIME: Duration = Duration::from_mins(5);
    const TIME: usize = 8;
    const NONCE: usize = 16;
    const LENGTH: usize = Self::TIME + Self::NONCE + 32;

    /// The challenge as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// When it stops being good.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.issued_at.plus(Self::LIFETIME)
    }

    /// What is stored when it was used.
    #[must_use]
    pub fn spent(&self) -> SpentChallenge {
        SpentChallenge { digest: Sha256::digest(&self.bytes).into(), expires_at: self.expires_at() }
    }
}

/// A challenge that was used, and must not be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentChallenge {
    /// Its digest.
    pub digest: [u8; 32],
    /// When it would have stopped being good.
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::{SessionToken, SignInAttempt};
    use crate::testing::{SeededEntropy, now};

    const LAST: Duration = Duration::from_millis(299_999);

    #[test]
    fn a_challenge_is_good_for_its_key_its_ceremony_and_five_minutes() {
        let entropy = SeededEntropy::default();
        let (key, other) = (ChallengeKey::new([1; 32]), ChallengeKey::new([2; 32]));
        let attempt = SignInAttempt::begin(&entropy).passkey_ceremony();
        let challenge = key.issue(&attempt, &entropy, now());
        let bytes = challenge.as_bytes();
        assert_eq!(key.open(bytes, &attempt, now().plus(LAST)), Some(challenge.clone()));
        assert_eq!(key.open(bytes, &attempt, now().plus(PasskeyChallenge::LIFETIME)), None);
        assert_eq!(other.open(bytes, &attempt, now()), None);
        for ceremony in
            [SignInAttempt::begin(&entropy).passkey_ceremony(), SessionToken::generate(&entropy).passkey_ceremony()]
        {
            assert_eq!(key.open(bytes, &ceremony, now()), None);
        }
        assert_ne!(key.issue(&attempt, &entropy, now()), challenge);
        assert!(!format!("{key:?}").contains('1'));
    }

    #[test]
    fn no_bit_of_a_challenge_can_be_changed_and_nothing_appended() {
        let entropy = SeededEntropy::default();
        let key = ChallengeKey::new([1; 32]);
        let ceremony = SignInAttempt::begin(&entropy).passkey_ceremony();
        let challenge = key.issue(&ceremony, &entropy, now());
        for bit in 0..challenge.as_bytes().len() * 8 {
            let mut changed = challenge.as_bytes().to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(&changed, &ceremony, now()), None, "bit {bit}");
        }
        for length in [0, 8, 24, 55] {
            assert_eq!(key.open(&challenge.as_bytes()[..length], &ceremony, now()), None);
        }
        assert_eq!(key.open(&[challenge.as_bytes(), &[0]].concat(), &ceremony, now()), None);
    }

    #[test]
    fn a_same_secret_of_a_session_and_an_attempt_is_for_different_ceremonies() {
        let secret = SignInAttempt::begin(&SeededEntropy::default());
        let session = SessionToken::parse(secret.expose()).unwrap();
        assert_ne!(session.passkey_ceremony().as_bytes(), secret.passkey_ceremony().as_bytes());
    }

    #[test]
    fn what_is_stored_of_a_passkey_has_bounds() {
        for (length, accepted) in [(0, false), (1, true), (1023, true), (1024, false)] {
            assert_eq!(CredentialId::try_from(vec![7; length]).is_ok(), accepted, "{length}");
        }
        assert!(StoredCredential::new("x".repeat(StoredCredential::MAX)).is_ok());
        assert!(StoredCredential::new("x".repeat(StoredCredential::MAX + 1)).is_err());
        assert_eq!("  Marta's phone ".parse::<PasskeyName>().unwrap().as_str(), "Marta's phone");
        assert!("é".repeat(PasskeyName::MAX).parse::<PasskeyName>().is_ok());
        for refused in ["", "  ", "\u{200b}", "a\nb", "a\u{202e}b", &"é".repeat(PasskeyName::MAX + 1)] {
            assert!(refused.parse::<PasskeyName>().is_err(), "{refused:?}");
        }
    }
}
