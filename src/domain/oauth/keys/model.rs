//! Keys and their states.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::oauth::token::{LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME};
use crate::system::{Entropy, Timestamp};
use crate::validation::InvalidValue;

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPurpose {
    /// Access tokens. Its public half is published.
    AccessToken,
    /// Refresh tokens, which nobody but memgate verifies.
    RefreshToken,
}

impl KeyPurpose {
    /// Both purposes.
    pub const ALL: [Self; 2] = [Self::AccessToken, Self::RefreshToken];

    /// The name under which it is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }

    fn longest_token_lifetime(self) -> Duration {
        match self {
            Self::AccessToken => LONGEST_ACCESS_TOKEN_LIFETIME,
            Self::RefreshToken => LONGEST_REFRESH_TOKEN_LIFETIME,
        }
    }
}

impl FromStr for KeyPurpose {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
            .ok_or_else(|| InvalidValue::new("purpose", "must be access_token or refresh_token"))
    }
}

/// The algorithm of a key (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256.
    Es256,
    /// RSA with SHA-256 (PKCS #1 v1.5), for verifiers that know nothing else.
    Rs256,
    /// HMAC with SHA-256.
    Hs256,
}

impl KeyAlgorithm {
    /// Whether access tokens can be signed with it: anybody must be able to verify them without being able to make them.
    #[must_use]
    pub fn is_asymmetric(self) -> bool {
        matches!(self, Self::EdDsa | Self::Es256 | Self::Rs256)
    }

    /// The value of `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }
}

impl FromStr for KeyAlgorithm {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        [Self::EdDsa, Self::Es256, Self::Rs256, Self::Hs256]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| InvalidValue::new("algorithm", "must be EdDSA, ES256, RS256 or HS256"))
    }
}

/// The `kid` of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if text.is_empty() || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(InvalidValue::new("key id", "must be 1 to 64 of A-Z a-z 0-9 - _"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The private half of a key, encrypted with the master key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey(Vec<u8>);

impl SealedKey {
    /// Takes what a vault sealed.
    #[must_use]
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The sealed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedKey(…)")
    }
}

/// A signing key that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSigningKey {
    /// See [`SigningKey::purpose`].
    pub purpose: KeyPurpose,
    /// See [`SigningKey::algorithm`].
    pub algorithm: KeyAlgorithm,
    /// See [`SigningKey::generation`].
    pub generation: u32,
    /// See [`SigningKey::created_at`].
    pub created_at: Timestamp,
    /// See [`SigningKey::activates_at`].
    pub activates_at: Timestamp,
}

/// A signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Its `kid`.
    pub id: KeyId,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// How it signs.
    pub algorithm: KeyAlgorithm,
    /// 1 for the first key of its purpose, and one more for each that follows.
    pub generation: u32,
    /// The key itself.
    pub sealed: SealedKey,
    /// When it was made; from then on it is published.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub activates_at: Timestamp,
    /// When an operator took it out of use; from then on its tokens are refused.
    pub retired_at: Option<Timestamp>,
}

/// What a key is good for at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is published, so that everybody knows it before it signs.
    Published,
    /// It signs and verifies.
    Signing,
    /// A newer one signs; it still verifies what it has signed.
    Verifying,
    /// Every token it signed has expired.
    Expired,
    /// An operator took it out of use.
    Retired,
}

impl KeyState {
    /// The name under which it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Signing => "signing",
            Self::Verifying => "verifying",
            Self::Expired => "expired",
            Self::Retired => "retired",
        }
    }

    /// Whether tokens that the key has signed are accepted.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::Published | Self::Signing | Self::Verifying)
    }
}

/// The state of `key`, which is one of `keys`, at `now`.
#[must_use]
pub fn state_of(key: &SigningKey, keys: &[SigningKey], now: Timestamp) -> KeyState {
    if key.retired_at.is_some_and(|at| at <= now) {
        return KeyState::Retired;
    }
    if now < key.activates_at {
        return KeyState::Published;
    }
    let successor = keys
        .iter()
        .filter(|other| other.purpose == key.purpose && other.generation > key.generation)
        .filter(|other| other.retired_at.is_none())
        .map(|other| other.activates_at)
        .filter(|activates_at| *activates_at <= now)
        .min();
    match successor {
        None => KeyState::Signing,
        Some(at) if now < at.plus(key.purpose.longest_token_lifetime()) => KeyState::Verifying,
        Some(_) => KeyState::Expired,
    }
}

/// The key that encrypts the signing keys: 32 bytes.
#[derive(Clone)]
pub struct MasterKey(SecretSlice<u8>);

impl MasterKey {
    const LENGTH: usize = 32;

    /// A new random key.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(entropy.bytes::<{ Self::LENGTH }>().to_vec().into())
    }

    /// Reads 32 bytes in Base64, of either alphabet, with or without padding.
    ///
    /// # Errors
    /// [`InvalidValue`] that names `field` and repeats nothing of the text.
    pub fn parse(field: &str, text: &str) -> Result<Self, InvalidValue> {
        let bytes = STANDARD_NO_PAD
            .decode(text.trim().trim_end_matches('=').replace('-', "+").replace('_', "/"))
            .ok()
            .filter(|bytes| bytes.len() == Self::LENGTH)
            .ok_or_else(|| {
                InvalidValue::new(field, "must be 32 bytes in Base64; `openssl rand -base64 32` makes such a key")
            })?;
        Ok(Self(bytes.into()))
    }

    /// The bytes, for the cipher.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// The key in Base64, to be stored in a file that only its owner can read.
    #[must_use]
    pub fn to_base64(&self) -> SecretString {
        STANDARD.encode(self.expose()).into()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

#[cfg(test)]
mod tests;
