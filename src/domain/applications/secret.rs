//! Client secrets: how they look, how they are made, and what is kept of them.

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

    /// Reads a presented secret; `None` if it is mistyped, which its checksum tells without any hashing by bcrypt.
    #[must_use]
    pub fn parse(presented: &str) -> Option<Self> {
        let body = presented.strip_prefix(PREFIX)?;
        if !body.is_ascii() || body.len() != RANDOM_LENGTH + CHECKSUM_LENGTH {
            return None;
        }
        let (random, sum) = body.split_at(RANDOM_LENGTH);
        (checksum(random) == sum).then(|| Self(SecretString::from(presented.to_owned())))
    }

    /// The secret itself, for the hasher and for the one moment in which it is shown to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its first characters after the prefix, which tell secrets apart and are stored in plain text. They are 36 of its
    /// 256 bits, so the rest is still far out of reach.
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

/// The checksum guards against typing mistakes, not against attackers: it needs no key.
fn checksum(random: &str) -> String {
    let digest = Sha256::new().chain_update("memgate client secret").chain_update(random).finalize();
    let mut text = URL_SAFE_NO_PAD.encode(&digest[..5]);
    text.truncate(CHECKSUM_LENGTH);
    text
}

/// The start of a secret, by which its owner and the verification recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHint(String);

impl SecretHint {
    /// Takes a hint that was stored.
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

/// The hash of a secret or of a password, as [`SecretHasher`](super::SecretHasher) made it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// Takes what a hasher returned, or what was stored.
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

/// What is kept of a client secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSecret {
    /// Its name.
    pub id: SecretId,
    /// Its first characters.
    pub hint: SecretHint,
    /// Its hash.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used. It lags behind by up to ten minutes, since not every use is written down.
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
