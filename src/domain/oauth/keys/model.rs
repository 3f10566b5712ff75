//! Keys and their states.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::applications::{LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME};
use crate::system::{Entropy, Timestamp};
use crate::validation::InvalidValue;

/// The purpose of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyPurpose {
    /// Signs access tokens. Its public key is published.
    AccessToken,
    /// Signs refresh tokens, which only memgate verifies.
    RefreshToken,
}

impl KeyPurpose {
    /// Both purposes.
    pub const ALL: [Self; 2] = [Self::AccessToken, Self::RefreshToken];

    /// The name in storage and output.
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
    /// RSA with SHA-256 (PKCS #1 v1.5), for verifiers that support nothing else.
    Rs256,
    /// HMAC with SHA-256.
    Hs256,
}

impl KeyAlgorithm {
    /// Whether access tokens can be signed with it: it must be asymmetric.
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

/// A private key, encrypted with the master key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey(Vec<u8>);

impl SealedKey {
    /// Accepts bytes sealed by a vault.
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

/// A signing key to create.
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
    /// Its purpose.
    pub purpose: KeyPurpose,
    /// Its algorithm.
    pub algorithm: KeyAlgorithm,
    /// 1 for the first key of its purpose, and one more for each that follows.
    pub generation: u32,
    /// The sealed key.
    pub sealed: SealedKey,
    /// When it was created and published.
    pub created_at: Timestamp,
    /// When it becomes active.
    pub activates_at: Timestamp,
    /// When an operator retired it; its tokens are rejected.
    pub retired_at: Option<Timestamp>,
}

/// The state of a key at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, but not active yet.
    Published,
    /// It signs and verifies.
    Signing,
    /// A newer key signs; it still verifies what it has signed.
    Verifying,
    /// Every token it signed has expired.
    Expired,
    /// An operator retired it.
    Retired,
}

impl KeyState {
    /// The name in output.
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

    /// Whether tokens signed with the key are accepted.
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

    /// Parses 32 bytes in Base64, with either alphabet, with or without padding.
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

    /// The key in Base64, for a file that only its owner can read.
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
