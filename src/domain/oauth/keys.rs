//! Signing keys: when one is published, when it signs, and when it goes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::token::{LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::system::{BoxError, Clock, Entropy, StorageError, Timestamp};
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
    /// HMAC with SHA-256.
    Hs256,
}

impl KeyAlgorithm {
    /// The value of `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }
}

impl FromStr for KeyAlgorithm {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        [Self::EdDsa, Self::Es256, Self::Hs256]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| InvalidValue::new("algorithm", "must be EdDSA, ES256 or HS256"))
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

/// Stores signing keys.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait SigningKeyStore: Send + Sync {
    /// Every key, in the order of purpose and generation.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn list(&self) -> Result<Vec<SigningKey>, StorageError>;

    /// Adds a key, unless there is one of its purpose and generation: of concurrent callers exactly one succeeds. Returns
    /// whether it was added.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn add(&self, key: &SigningKey) -> Result<bool, StorageError>;

    /// Takes a key out of use. Returns whether there is one that was in use.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn retire(&self, id: &KeyId, at: Timestamp) -> Result<bool, StorageError>;

    /// Replaces the sealed form of all these keys, or of none: it fails if one is not as it is given first.
    /// Returns whether they were replaced.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn rewrap(&self, keys: &[(SigningKey, SealedKey)]) -> Result<bool, StorageError>;

    /// Deletes a key.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn delete(&self, id: &KeyId) -> Result<(), StorageError>;
}

/// Makes keys and keeps them secret. The master key never leaves it.
#[cfg_attr(feature = "testing", mockall::automock)]
pub trait KeyVault: Send + Sync {
    /// Makes a key for `algorithm` and seals it. The id is derived from the key or random, and new.
    ///
    /// # Errors
    /// [`VaultError::Failed`].
    fn generate(&self, purpose: KeyPurpose, algorithm: KeyAlgorithm) -> Result<(KeyId, SealedKey), VaultError>;

    /// Seals a key anew, for `new_master`.
    ///
    /// # Errors
    /// [`VaultError`].
    fn reseal(&self, key: &SigningKey, new_master: &MasterKey) -> Result<SealedKey, VaultError>;
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

/// Why a vault could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key is not the one with which the key was sealed, or the row was tampered with.
    #[error("the signing key {0} cannot be opened with this master key")]
    WrongMasterKey(KeyId),
    /// The cryptography failed.
    #[error("a signing key could not be made or sealed")]
    Failed(#[source] BoxError),
}

/// When keys change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// What signs access tokens.
    pub access_token_algorithm: KeyAlgorithm,
    /// A key that has signed for this long is followed by a new one.
    pub rotate_after: Duration,
    /// For how long a new key is published before it signs, so that everybody who caches the key set has it in time.
    pub publish_before: Duration,
}

/// Looks after the signing keys.
#[derive(Clone)]
pub struct KeyService {
    store: Arc<dyn SigningKeyStore>,
    vault: Arc<dyn KeyVault>,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    policy: KeyPolicy,
}

/// Why an operator's request about keys was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such key, or it is retired already.
    #[error("there is no key of that id that is in use")]
    NotFound,
    /// Without this key nothing could be signed.
    #[error("this key signs at present, and no other could take its place; run `memgate keys rotate --now` first")]
    StillNeeded,
    /// The keys were changed by somebody else at the same time.
    #[error("the keys have just been changed by another process; look at them and try again")]
    Conflict,
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl KeyService {
    /// Puts the service together.
    pub fn new(
        store: Arc<dyn SigningKeyStore>,
        vault: Arc<dyn KeyVault>,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
        policy: KeyPolicy,
    ) -> Self {
        Self { store, vault, audit, clock, policy }
    }

    /// Every key with its state.
    ///
    /// # Errors
    /// [`KeyError::Storage`].
    pub async fn list(&self) -> Result<Vec<(SigningKey, KeyState)>, KeyError> {
        let (keys, now) = (self.store.list().await?, self.clock.now());
        let states: Vec<KeyState> = keys.iter().map(|key| state_of(key, &keys, now)).collect();
        Ok(keys.into_iter().zip(states).collect())
    }

    /// Makes the first keys where there are none, the next ones where the present ones are due, and deletes those that
    /// no token needs any more. Any number of instances may do this at the same time. Returns the keys as they are then.
    ///
    /// # Errors
    /// [`KeyError::Vault`], [`KeyError::Storage`].
    pub async fn maintain(&self) -> Result<Vec<SigningKey>, KeyError> {
        let now = self.clock.now();
        let keys = self.store.list().await?;
        for purpose in KeyPurpose::ALL {
            let newest = newest(&keys, purpose);
            let algorithm = self.algorithm(purpose);
            let next = match newest {
                None => Some(now),
                Some(key) if key.retired_at.is_some() => Some(now),
                Some(key) => {
                    let ages = key.activates_at.plus(self.policy.rotate_after) <= now.plus(self.policy.publish_before);
                    (ages || key.algorithm != algorithm).then(|| now.plus(self.policy.publish_before))
                }
            };
            if let Some(activates_at) = next {
                self.add(purpose, newest.map_or(1, |key| key.generation + 1), now, activates_at).await?;
            }
        }
        for key in keys.iter().filter(|key| state_of(key, &keys, now) == KeyState::Expired) {
            self.store.delete(&key.id).await?;
        }
        Ok(self.store.list().await?)
    }

    /// Makes a new key for each purpose, which signs after the stated time, or at once if `immediately`.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if another process does the same, and a port's errors.
    pub async fn rotate(&self, immediately: bool) -> Result<Vec<SigningKey>, KeyError> {
        let now = self.clock.now();
        let keys = self.store.list().await?;
        let activates_at = if immediately { now } else { now.plus(self.policy.publish_before) };
        let mut made = Vec::new();
        for purpose in KeyPurpose::ALL {
            let generation = newest(&keys, purpose).map_or(1, |key| key.generation + 1);
            made.push(self.add(purpose, generation, now, activates_at).await?.ok_or(KeyError::Conflict)?);
        }
        Ok(made)
    }

    /// Takes a key out of use at once, because it may be known to somebody: the tokens that it signed are refused.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::StillNeeded`], [`KeyError::Storage`].
    pub async fn retire(&self, id: &KeyId) -> Result<(), KeyError> {
        let now = self.clock.now();
        let keys = self.store.list().await?;
        let key = keys.iter().find(|key| key.id == *id && key.retired_at.is_none()).ok_or(KeyError::NotFound)?;
        let another_signs = keys.iter().any(|other| {
            other.id != *id
                && other.purpose == key.purpose
                && other.retired_at.is_none()
                && other.activates_at <= now
                && state_of(other, &keys, now) != KeyState::Expired
        });
        if state_of(key, &keys, now) == KeyState::Signing && !another_signs {
            return Err(KeyError::StillNeeded);
        }
        if !self.store.retire(id, now).await? {
            return Err(KeyError::NotFound);
        }
        self.audit.record(&AuditEvent::new(AuditKind::SigningKeyRetired, now)).await;
        Ok(())
    }

    /// Seals every key for another master key. Returns how many there are.
    ///
    /// # Errors
    /// [`KeyError::Conflict`] if a key was changed meanwhile (nothing is changed then), and a port's errors.
    pub async fn rewrap(&self, new_master: &MasterKey) -> Result<usize, KeyError> {
        let mut resealed = Vec::new();
        for key in self.store.list().await? {
            let sealed = self.vault.reseal(&key, new_master)?;
            resealed.push((key, sealed));
        }
        if !self.store.rewrap(&resealed).await? {
            return Err(KeyError::Conflict);
        }
        self.audit.record(&AuditEvent::new(AuditKind::SigningKeysRewrapped, self.clock.now())).await;
        Ok(resealed.len())
    }

    fn algorithm(&self, purpose: KeyPurpose) -> KeyAlgorithm {
        match purpose {
            KeyPurpose::AccessToken => self.policy.access_token_algorithm,
            KeyPurpose::RefreshToken => KeyAlgorithm::Hs256,
        }
    }

    /// `None` if another process was faster, which is as good.
    async fn add(
        &self,
        purpose: KeyPurpose,
        generation: u32,
        now: Timestamp,
        activates_at: Timestamp,
    ) -> Result<Option<SigningKey>, KeyError> {
        let algorithm = self.algorithm(purpose);
        let (id, sealed) = self.vault.generate(purpose, algorithm)?;
        // Tokens count in whole seconds: one that is issued within this second must find the key active.
        let activates_at = activates_at.truncated_to_seconds();
        let key =
            SigningKey { id, purpose, algorithm, generation, sealed, created_at: now, activates_at, retired_at: None };
        if !self.store.add(&key).await? {
            return Ok(None);
        }
        self.audit.record(&AuditEvent::new(AuditKind::SigningKeyCreated, now)).await;
        Ok(Some(key))
    }
}

fn newest(keys: &[SigningKey], purpose: KeyPurpose) -> Option<&SigningKey> {
    keys.iter().filter(|key| key.purpose == purpose).max_by_key(|key| key.generation)
}
