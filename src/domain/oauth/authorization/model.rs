//! An authorization: a person's consent, and the code that represents it for a minute.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::pkce::CodeChallenge;
use crate::applications::Permissions;
use crate::ids::{ApplicationId, GrantId, UserId};
use crate::oauth::audience::Audience;
use crate::system::{Entropy, Timestamp};

/// What a person has authorized an application to do. The tokens that descend from it carry its grant ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The grant.
    pub grant_id: GrantId,
    /// The application that may act.
    pub application_id: ApplicationId,
    /// On whose behalf.
    pub person: UserId,
    /// What it may do.
    pub scope: Permissions,
    /// Where its tokens open something.
    pub audience: Audience,
    /// The redirect URI that the code was sent to, exactly.
    pub redirect_uri: String,
    /// The challenge that the code verifier must match, if there was one.
    pub challenge: Option<CodeChallenge>,
    /// The digest of the code.
    pub code: CodeDigest,
    /// When the person consented.
    pub created_at: Timestamp,
    /// When the code expires.
    pub code_expires_at: Timestamp,
    /// When the code was exchanged for tokens.
    pub redeemed_at: Option<Timestamp>,
    /// How long the record must be kept: as long as a token can descend from it, or, before the code is exchanged, as long
    /// as somebody may try.
    pub keep_until: Timestamp,
}

impl Authorization {
    /// Maximum number of authorizations of one application per person: codes that were not exchanged yet, and connections that
    /// have neither been ended nor expired.
    pub const MAX_PER_CONNECTION: u32 = 100;
}

/// An authorization code: 256 random bits in 43 URL-safe characters.
pub struct AuthorizationCode(SecretString);

impl AuthorizationCode {
    /// Lifetime of a code.
    pub const LIFETIME: Duration = Duration::from_mins(1);
    /// How long a code that was never exchanged is kept.
    pub const KEPT_FOR: Duration = Duration::from_hours(24);

    /// A new code.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(SecretString::from(entropy.url_safe_token()))
    }

    /// The code itself, for the one redirect that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its digest, which is stored.
    #[must_use]
    pub fn digest(&self) -> CodeDigest {
        CodeDigest::of(self.expose())
    }
}

impl fmt::Debug for AuthorizationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorizationCode(…)")
    }
}

/// The digest of a code. It cannot be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeDigest([u8; 32]);

impl CodeDigest {
    /// The digest of a presented code, which may be anything.
    #[must_use]
    pub fn of(presented: &str) -> Self {
        Self(Sha256::new().chain_update("memgate authorization code\0").chain_update(presented).finalize().into())
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SeededEntropy;

    #[test]
    fn a_code_is_not_printed_and_its_digest_is_not_it() {
        let code = AuthorizationCode::generate(&SeededEntropy::default());
        assert_eq!(format!("{code:?}"), "AuthorizationCode(…)");
        assert_eq!(code.digest(), CodeDigest::of(code.expose()));
        assert_eq!(CodeDigest::from_stored(*code.digest().as_bytes()), code.digest());
        assert_ne!(CodeDigest::of("another"), code.digest());
    }
}
