//! Client secrets: their format, their creation, and what is stored.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::ids::SecretId;
use crate::system::{Entropy, Timestamp};

const PREFIX: &str = "mgs_";
const RANDOM_LENGTH: usize = 43;
const CHECKSUM_LENGTH: usize = 6;
const HINT_LENGTH: usize = 6;

/// A well-formed client secret: `mgs_`, 256 random bits in 43 URL-safe characters, and a checksum of 6.
///
/// At 53 bytes it is shorter than the 72 that bcrypt reads, so no two secrets share a hash.
#[derive(Clone)]
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// A new secret.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let random = entropy.url_safe_token();
        let checksum = checksum(&random);
        Self(SecretString::from(format!("{PREFIX}{random}{checksum}")))
    }

    /// Parses a presented secret; `None` if its checksum is wrong, which detects typing mistakes without hashing.
    #[must_use]
    pub fn parse(presented: &str) -> Option<Self> {
        let body = presented.strip_prefix(PREFIX)?;
        if !body.is_ascii() || body.len() != RANDOM_LENGTH + CHECKSUM_LENGTH {
            return None;
        }
        let (random, sum) = body.split_at(RANDOM_LENGTH);
        (checksum(random) == sum).then(|| Self(SecretString::from(presented.to_owned())))
    }

    /// The secret itself, for the hasher and to show it once to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its first characters after the prefix, which identify it and are stored in plain text. They are 36 of its 256 bits, so
    /// the rest is still infeasible to guess.
    #[must_use]
    pub fn hint(&self) -> SecretHint {
        SecretHint(self.expose().chars().skip(PREFIX.len()).take(HINT_LENGTH).collect())
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

/// The checksum detects typing mistakes, not attacks: it needs no key.
fn checksum(random: &str) -> String {
    let digest = Sha256::new().chain_update("memgate client secret").chain_update(random).finalize();
    let mut text = URL_SAFE_NO_PAD.encode(&digest[..5]);
    text.truncate(CHECKSUM_LENGTH);
    text
}

/// The start of a secret, which identifies it to its owner and speeds up verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHint(String);

impl SecretHint {
    /// Accepts a stored hint.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The characters after `mgs_`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}…", self.0)
    }
}

/// The hash of a secret or of a password, made by [`SecretHasher`](super::SecretHasher).
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// Accepts the result of a hasher, or a stored hash.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The hash as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// What is stored of a client secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    /// Its ID.
    pub id: SecretId,
    /// Its first characters.
    pub hint: SecretHint,
    /// Its hash.
    pub hash: SecretHash,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used. It may be up to ten minutes late, since not every use is recorded.
    pub last_used_at: Option<Timestamp>,
}

impl StoredSecret {
    /// Whether it is accepted at `now`.
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expiry| now < expiry)
    }
}

#[cfg(test)]
mod tests;
