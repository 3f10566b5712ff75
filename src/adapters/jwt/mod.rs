//! Tokens as JSON Web Tokens, signed with keys from the key vault.

mod claims;
mod ring;
mod vault;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jwt_simple::token::Token;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

pub use vault::SealingKeyVault;

use self::claims::{AccessClaims, RefreshClaims};
use self::ring::KeyRing;
use crate::domain::oauth::{
    AccessToken, AccessTokenClaims, IssueError, KeyPurpose, RefreshToken, RefreshTokenClaims, SigningKey, TokenIssuer,
    TokenRejected, VaultError,
};
use crate::domain::system::Timestamp;

/// Our own tokens are shorter than 1,000 bytes; anything longer than this is rejected without decoding.
const LONGEST_TOKEN: usize = 4096;
/// Maximum number of cached access tokens, about 700 bytes each.
const CACHED_TOKENS: usize = 20_000;

/// Signs and verifies tokens with the keys loaded last.
///
/// A verified access token is cached by its digest, so that its signature is checked once. The cache is cleared when the
/// keys change.
pub struct JwtTokenIssuer {
    vault: Arc<SealingKeyVault>,
    loaded: RwLock<LoadedKeys>,
    /// Whether the latest keys could be opened.
    up_to_date: AtomicBool,
}

#[derive(Clone)]
struct LoadedKeys {
    keys: Arc<Vec<SigningKey>>,
    ring: Arc<KeyRing>,
    verified: Arc<Cache<[u8; 32], Arc<AccessTokenClaims>>>,
}

impl JwtTokenIssuer {
    /// An issuer with these keys.
    ///
    /// # Errors
    /// [`VaultError::WrongMasterKey`] if a key cannot be opened.
    pub fn new(vault: Arc<SealingKeyVault>, keys: Vec<SigningKey>) -> Result<Self, VaultError> {
        let loaded = RwLock::new(LoadedKeys::open(&vault, keys)?);
        Ok(Self { vault, loaded, up_to_date: AtomicBool::new(true) })
    }

    /// Replaces the keys, if they have changed.
    ///
    /// # Errors
    /// [`VaultError::WrongMasterKey`] if a key cannot be opened; the old keys stay in use.
    pub fn load(&self, keys: Vec<SigningKey>) -> Result<(), VaultError> {
        if *self.loaded().keys != keys {
            let loaded = LoadedKeys::open(&self.vault, keys);
            self.up_to_date.store(loaded.is_ok(), Ordering::Release);
            *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded?;
        }
        self.up_to_date.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether the keys given last are the ones in use.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.up_to_date.load(Ordering::Acquire)
    }

    /// When its keys become active. Before that, the oldest ones sign nevertheless: the clock was ahead when they were
    /// created.
    #[must_use]
    pub fn keys_active_from(&self) -> Option<Timestamp> {
        self.loaded().ring.active_from()
    }

    fn loaded(&self) -> LoadedKeys {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl LoadedKeys {
    fn open(vault: &SealingKeyVault, keys: Vec<SigningKey>) -> Result<Self, VaultError> {
        let ring = Arc::new(KeyRing::open(vault, &keys)?);
        Ok(Self { keys: Arc::new(keys), ring, verified: Arc::new(Cache::new(CACHED_TOKENS)) })
    }
}

impl TokenIssuer for JwtTokenIssuer {
    fn issue_access_token(&self, claims: &AccessTokenClaims) -> Result<AccessToken, IssueError> {
        let loaded = self.loaded();
        let key = loaded.ring.signing_at(KeyPurpose::AccessToken, claims.issued_at).ok_or(IssueError::NoKey)?;
        let token = key.sign(AccessClaims::to_jwt(claims));
        token.map(AccessToken::new).map_err(|error| IssueError::Failed(error.into()))
    }

    fn verify_access_token(&self, token: &str) -> Result<Arc<AccessTokenClaims>, TokenRejected> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenRejected);
        }
        let loaded = self.loaded();
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(claims) = loaded.verified.get(&digest) {
            return Ok(claims);
        }
        let key = key_of(&loaded.ring, token, KeyPurpose::AccessToken)?;
        let claims = key.verify(token).and_then(AccessClaims::from_jwt).ok_or(TokenRejected)?;
        let claims = Arc::new(claims);
        loaded.verified.insert(digest, Arc::clone(&claims));
        Ok(claims)
    }

    fn issue_refresh_token(&self, claims: &RefreshTokenClaims) -> Result<RefreshToken, IssueError> {
        let loaded = self.loaded();
        let key = loaded.ring.signing_at(KeyPurpose::RefreshToken, claims.issued_at).ok_or(IssueError::NoKey)?;
        let token = key.sign(RefreshClaims::to_jwt(claims));
        token.map(RefreshToken::new).map_err(|error| IssueError::Failed(error.into()))
    }

    fn verify_refresh_token(&self, token: &str) -> Result<RefreshTokenClaims, TokenRejected> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenRejected);
        }
        let loaded = self.loaded();
        let key = key_of(&loaded.ring, token, KeyPurpose::RefreshToken)?;
        key.verify(token).and_then(RefreshClaims::from_jwt).ok_or(TokenRejected)
    }

    fn published_keys(&self) -> serde_json::Value {
        self.loaded().ring.published()
    }
}

/// The key that a token names. The name is only looked up among the loaded keys.
fn key_of<'a>(ring: &'a KeyRing, token: &str, purpose: KeyPurpose) -> Result<&'a ring::OpenKey, TokenRejected> {
    let metadata = Token::decode_metadata(token).map_err(|_| TokenRejected)?;
    ring.find(metadata.key_id().ok_or(TokenRejected)?, purpose).ok_or(TokenRejected)
}

#[cfg(test)]
mod tests;
