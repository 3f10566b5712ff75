//! Tokens as JSON Web Tokens, signed by keys that a vault keeps.

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

/// `typ` of an access token (RFC 9068 §2.1).
const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// `typ` of a refresh token, so that neither is taken for the other (RFC 8725 §3.11).
const REFRESH_TOKEN_TYPE: &str = "rt+jwt";
/// Our own tokens are shorter than 1,000 bytes; whatever is longer than this is not decoded at all.
const LONGEST_TOKEN: usize = 4096;
/// How many verified access tokens are remembered, at about 700 bytes each.
const REMEMBERED_TOKENS: usize = 20_000;

/// Signs and verifies tokens with the keys that were loaded last.
///
/// A verified access token is remembered by its digest, so that its signature is computed once. The memory goes when the
/// keys change.
pub struct JwtTokenIssuer {
    vault: Arc<SealingKeyVault>,
    loaded: RwLock<Loaded>,
    /// Whether the keys that are there could be opened the last time that they were loaded.
    up_to_date: AtomicBool,
}

#[derive(Clone)]
struct Loaded {
    keys: Arc<Vec<SigningKey>>,
    ring: Arc<KeyRing>,
    verified: Arc<Cache<[u8; 32], Arc<AccessTokenClaims>>>,
}

impl JwtTokenIssuer {
    /// An issuer with these keys.
    ///
    /// # Errors
    /// [`VaultError::WrongMasterKey`] if one of them cannot be opened.
    pub fn new(vault: Arc<SealingKeyVault>, keys: Vec<SigningKey>) -> Result<Self, VaultError> {
        let loaded = RwLock::new(Loaded::open(&vault, keys)?);
        Ok(Self { vault, loaded, up_to_date: AtomicBool::new(true) })
    }

    /// Takes over these keys, if they are not the ones that it has.
    ///
    /// # Errors
    /// [`VaultError::WrongMasterKey`] if one of them cannot be opened; the old ones stay then.
    pub fn load(&self, keys: Vec<SigningKey>) -> Result<(), VaultError> {
        if *self.loaded().keys != keys {
            let loaded = Loaded::open(&self.vault, keys);
            self.up_to_date.store(loaded.is_ok(), Ordering::Release);
            *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded?;
        }
        self.up_to_date.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether the keys that were given last are the ones in use.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.up_to_date.load(Ordering::Acquire)
    }

    /// From when on its keys are active. Before that the oldest ones sign all the same; the clock was ahead when they were
    /// made.
    #[must_use]
    pub fn keys_active_from(&self) -> Option<Timestamp> {
        self.loaded().ring.active_from()
    }

    fn loaded(&self) -> Loaded {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Loaded {
    fn open(vault: &SealingKeyVault, keys: Vec<SigningKey>) -> Result<Self, VaultError> {
        let ring = Arc::new(KeyRing::open(vault, &keys)?);
        Ok(Self { keys: Arc::new(keys), ring, verified: Arc::new(Cache::new(REMEMBERED_TOKENS)) })
    }
}

impl TokenIssuer for JwtTokenIssuer {
    fn issue_access_token(&self, claims: &AccessTokenClaims) -> Result<AccessToken, IssueError> {
        let loaded = self.loaded();
        let key = loaded.ring.signing_at(KeyPurpose::AccessToken, claims.issued_at).ok_or(IssueError::NoKey)?;
        let token = key.sign(AccessClaims::to_jwt(claims), ACCESS_TOKEN_TYPE);
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
        let claims = key.verify(token, ACCESS_TOKEN_TYPE).and_then(AccessClaims::from_jwt).ok_or(TokenRejected)?;
        let claims = Arc::new(claims);
        loaded.verified.insert(digest, Arc::clone(&claims));
        Ok(claims)
    }

    fn issue_refresh_token(&self, claims: &RefreshTokenClaims) -> Result<RefreshToken, IssueError> {
        let loaded = self.loaded();
        let key = loaded.ring.signing_at(KeyPurpose::RefreshToken, claims.issued_at).ok_or(IssueError::NoKey)?;
        let token = key.sign(RefreshClaims::to_jwt(claims), REFRESH_TOKEN_TYPE);
        token.map(RefreshToken::new).map_err(|error| IssueError::Failed(error.into()))
    }

    fn verify_refresh_token(&self, token: &str) -> Result<RefreshTokenClaims, TokenRejected> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenRejected);
        }
        let loaded = self.loaded();
        let key = key_of(&loaded.ring, token, KeyPurpose::RefreshToken)?;
        key.verify(token, REFRESH_TOKEN_TYPE).and_then(RefreshClaims::from_jwt).ok_or(TokenRejected)
    }

    fn published_keys(&self) -> serde_json::Value {
        self.loaded().ring.published()
    }
}

/// The key that a token names. The name is only ever looked up among the keys that are there.
fn key_of<'a>(ring: &'a KeyRing, token: &str, purpose: KeyPurpose) -> Result<&'a ring::OpenKey, TokenRejected> {
    let metadata = Token::decode_metadata(token).map_err(|_| TokenRejected)?;
    ring.find(metadata.key_id().ok_or(TokenRejected)?, purpose).ok_or(TokenRejected)
}

#[cfg(test)]
mod tests;
