//! An issuer without JWT.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ids::UserId;
use crate::oauth::{
    AccessToken, AccessTokenClaims, IssueError, RefreshToken, RefreshTokenClaims, Subject, TokenIssuer, TokenRejected,
};
use crate::system::Timestamp;

/// An issuer whose tokens are `kind.claims.digest`, **for tests only**: it has the key that it is given, and no other.
#[derive(Debug)]
pub struct FakeTokenIssuer {
    key: String,
    without_key: AtomicBool,
}

const ACCESS: &str = "at";
const REFRESH: &str = "rt";

impl FakeTokenIssuer {
    /// An issuer that signs with `key`.
    #[must_use]
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), without_key: AtomicBool::new(false) }
    }

    /// Makes it have no key to sign with, or have it again. It verifies all the same.
    pub fn set_without_key(&self, without_key: bool) {
        self.without_key.store(without_key, Ordering::SeqCst);
    }

    fn sign(&self, kind: &str, claims: &Value) -> Result<String, IssueError> {
        if self.without_key.load(Ordering::SeqCst) {
            return Err(IssueError::NoKey);
        }
        let signed = format!("{kind}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        Ok(format!("{signed}.{}", self.digest(&signed)))
    }

    fn digest(&self, signed: &str) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(&self.key).chain_update("\0").chain_update(signed).finalize())
    }

    fn open(&self, kind: &str, token: &str) -> Option<Claims> {
        let (signed, digest) = token.rsplit_once('.')?;
        if self.digest(signed) != digest {
            return None;
        }
        let payload = signed.strip_prefix(kind)?.strip_prefix('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok().map(Claims)
    }
}

impl Default for FakeTokenIssuer {
    fn default() -> Self {
        Self::new("the only key")
    }
}

/// What both kinds of claims have in common, in the shape of a token's payload.
macro_rules! common_claims {
    ($claims:expr) => {
        json!({
            "iss": $claims.issuer,
            "aud": $claims.audience,
            "sub": match $claims.subject {
                Subject::Application => Value::Null,
                Subject::Person(user) => Value::String(user.to_string()),
            },
            "client_id": $claims.client_id.as_str(),
            "gid": $claims.grant_id.to_string(),
            "jti": $claims.token_id.to_string(),
            "scope": $claims.scope.to_string(),
            "iat": $claims.issued_at.unix_seconds(),
            "exp": $claims.expires_at.unix_seconds(),
        })
    };
}

struct Claims(Value);

impl Claims {
    fn text(&self, name: &str) -> Option<String> {
        self.0[name].as_str().map(str::to_owned)
    }

    fn texts(&self, name: &str) -> Option<Vec<String>> {
        self.0[name].as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        self.0[name].as_str()?.parse().ok()
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.0[name].as_i64().map(Timestamp::from_unix_seconds)
    }

    fn subject(&self) -> Option<Subject> {
        if self.0["sub"].is_null() {
            return Some(Subject::Application);
        }
        self.parsed::<UserId>("sub").map(Subject::Person)
    }

    fn access(&self) -> Option<AccessTokenClaims> {
        Some(AccessTokenClaims {
            issuer: self.text("iss")?,
            audience: self.texts("aud")?,
            subject: self.subject()?,
            client_id: self.parsed("client_id")?,
            grant_id: self.parsed("gid")?,
            token_id: self.parsed("jti")?,
            scope: self.parsed("scope")?,
            issued_at: self.time("iat")?,
            expires_at: self.time("exp")?,
        })
    }

    fn refresh(&self) -> Option<RefreshTokenClaims> {
        let access = self.access()?;
        Some(RefreshTokenClaims {
            issuer: access.issuer,
            audience: access.audience,
            subject: access.subject,
            client_id: access.client_id,
            grant_id: access.grant_id,
            token_id: access.token_id,
            scope: access.scope,
            issued_at: access.issued_at,
            expires_at: access.expires_at,
            grant_expires_at: self.time("gxp")?,
        })
    }
}

impl TokenIssuer for FakeTokenIssuer {
    fn issue_access_token(&self, claims: &AccessTokenClaims) -> Result<AccessToken, IssueError> {
        self.sign(ACCESS, &common_claims!(claims)).map(AccessToken::new)
    }

    fn verify_access_token(&self, token: &str) -> Result<Arc<AccessTokenClaims>, TokenRejected> {
        self.open(ACCESS, token).and_then(|claims| claims.access()).map(Arc::new).ok_or(TokenRejected)
    }

    fn issue_refresh_token(&self, claims: &RefreshTokenClaims) -> Result<RefreshToken, IssueError> {
        let mut payload = common_claims!(claims);
        payload["gxp"] = claims.grant_expires_at.unix_seconds().into();
        self.sign(REFRESH, &payload).map(RefreshToken::new)
    }

    fn verify_refresh_token(&self, token: &str) -> Result<RefreshTokenClaims, TokenRejected> {
        self.open(REFRESH, token).and_then(|claims| claims.refresh()).ok_or(TokenRejected)
    }

    fn published_keys(&self) -> Value {
        json!({ "keys": [{ "kty": "OKP", "kid": self.digest("kid") }] })
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::testing::conformance::Fixture;

    fn fake() -> Fixture<dyn TokenIssuer> {
        Fixture::new(Arc::new(FakeTokenIssuer::default()))
    }

    crate::conformance!(token_issuer, fake());
}
