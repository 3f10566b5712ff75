//! Tokens and their claims, and the port that signs and verifies them.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::applications::{GrantType, Permissions};
use crate::ids::{ClientId, GrantId, TokenId, UserId};
use crate::system::{BoxError, Timestamp};

/// Whose memories a token is about (the claim `sub`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The application itself (`sub` is its client id).
    Application,
    /// A person who authorized the application.
    Person(UserId),
}

impl Subject {
    /// The person, if it is one.
    #[must_use]
    pub fn person(&self) -> Option<UserId> {
        match self {
            Self::Application => None,
            Self::Person(person) => Some(*person),
        }
    }

    /// The grant type that issues the first tokens of this subject. If an application lacks it, its existing tokens are
    /// rejected too.
    #[must_use]
    pub fn grant_type(&self) -> GrantType {
        match self {
            Self::Application => GrantType::ClientCredentials,
            Self::Person(_) => GrantType::AuthorizationCode,
        }
    }
}

/// The claims of an access token (RFC 9068 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenClaims {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: Vec<String>,
    /// `sub`.
    pub subject: Subject,
    /// `client_id`.
    pub client_id: ClientId,
    /// `gid`, our own: the grant that the token descends from.
    pub grant_id: GrantId,
    /// `jti`.
    pub token_id: TokenId,
    /// `scope`.
    pub scope: Permissions,
    /// `iat`, in whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, in whole seconds.
    pub expires_at: Timestamp,
}

/// The claims of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokenClaims {
    /// `iss`.
    pub issuer: String,
    /// `aud`: the audience of the access tokens that it yields.
    pub audience: Vec<String>,
    /// `sub`.
    pub subject: Subject,
    /// `client_id`.
    pub client_id: ClientId,
    /// `gid`: the grant that the token descends from.
    pub grant_id: GrantId,
    /// `jti`.
    pub token_id: TokenId,
    /// `scope`: the scope of the whole grant.
    pub scope: Permissions,
    /// `iat`, in whole seconds.
    pub issued_at: Timestamp,
    /// `exp`, in whole seconds: it must be used before.
    pub expires_at: Timestamp,
    /// `gxp`, in whole seconds: no descendant outlives it.
    pub grant_expires_at: Timestamp,
}

macro_rules! token_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Accepts a signed token of an issuer.
            #[must_use]
            pub fn new(token: String) -> Self {
                Self(SecretString::from(token))
            }

            /// The token, for the response to its owner.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

token_text!(
    /// A signed access token.
    AccessToken
);
token_text!(
    /// A signed refresh token.
    RefreshToken
);

/// Signs and verifies tokens. It only knows keys: whether a token is expired, revoked or issued to somebody else is checked
/// by the services.
#[cfg_attr(feature = "testing", mockall::automock)]
pub trait TokenIssuer: Send + Sync {
    /// Signs an access token with the key that signs at `claims.issued_at`.
    ///
    /// # Errors
    /// [`IssueError`].
    fn issue_access_token(&self, claims: &AccessTokenClaims) -> Result<AccessToken, IssueError>;

    /// Verifies the type (`at+jwt`), the algorithm, the key and the signature. A refresh token is rejected, and so is
    /// every header that refers to a key elsewhere. No input causes a network request.
    ///
    /// # Errors
    /// [`TokenRejected`].
    fn verify_access_token(&self, token: &str) -> Result<Arc<AccessTokenClaims>, TokenRejected>;

    /// Signs a refresh token with the key that signs at `claims.issued_at`. The same claims yield the same token.
    ///
    /// # Errors
    /// [`IssueError`].
    fn issue_refresh_token(&self, claims: &RefreshTokenClaims) -> Result<RefreshToken, IssueError>;

    /// Verifies the type (`rt+jwt`), the algorithm, the key and the signature. An access token is rejected.
    ///
    /// # Errors
    /// [`TokenRejected`].
    fn verify_refresh_token(&self, token: &str) -> Result<RefreshTokenClaims, TokenRejected>;

    /// The JSON Web Key Set (RFC 7517) of the public keys of access tokens, including those that will sign soon.
    fn published_keys(&self) -> serde_json::Value;
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No key is active at that time.
    #[error("there is no signing key that is active")]
    NoKey,
    /// The signature failed.
    #[error("the token could not be signed")]
    Failed(#[source] BoxError),
}

/// A token was not signed by this service, or has another type. Deliberately without details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token was not issued by this service for this use")]
pub struct TokenRejected;
