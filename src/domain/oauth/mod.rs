//! The OAuth 2.0 server: RFC 6749 with the security best practice of RFC 9700, and JWT access tokens (RFC 9068).

mod access;
mod audience;
mod authorization;
mod client;
mod error;
mod grant_store;
mod grants;
#[cfg(test)]
mod harness;
mod introspection;
mod issuing;
mod keys;
mod parameters;
mod policy;
mod public_url;
mod registration;
mod request;
mod revocation;
mod revoker;
mod scope;
mod service;
mod token;

pub use access::{
    AccessError, AccessGuard, AdmissionError, AnyToken, Authorized, Caller, Delete, LocalAccess, LocalAccessError,
    MissingPermission, Need, Read, ReadAndDelete, Write, bearer_token,
};
pub use audience::{Audience, InvalidTarget, Resources};
pub use authorization::{
    Authorization, AuthorizationCode, AuthorizationError, AuthorizationPorts, AuthorizationRequest,
    AuthorizationService, AuthorizationStore, CodeChallenge, CodeDigest, CodeVerifier, Connection, Consent, Redeemed,
    Redemption, UNUSED_APPLICATION, UntrustedRequest, sweep_authorizations,
};
pub use client::ClientAuthenticator;
pub use error::{OAuthError, Unavailable};
pub use grant_store::{Consumed, Consumption, GrantStore, Revocation, Revoked};
pub use introspection::{ActiveToken, TokenKind};
pub use issuing::TokenResponse;
pub use keys::{
    KeyAlgorithm, KeyError, KeyId, KeyPolicy, KeyPurpose, KeyService, KeyState, KeyVault, MasterKey, NewSigningKey,
    SealedKey, SigningClock, SigningClockChange, SigningKey, SigningKeyStore, VaultError, state_of,
};
pub use parameters::{Parameters, QueryFault, parse_basic};
pub use policy::TokenPolicy;
pub use public_url::PublicUrl;
pub use registration::{
    ClientDocumentSource, DocumentClients, DocumentProblem, DocumentUrl, DroppedRedirectUri, DynamicRegistration,
    FetchedDocument, RegisteredClient, SaveError,
};
pub use request::{CodeExchange, GrantRequest, PresentedCredentials, PresentedToken, TokenRequest};
pub use revocation::TokenInquiry;
pub use scope::{OFFLINE_ACCESS, RequestedScope};
pub use service::{TokenPorts, TokenService};
#[cfg(feature = "testing")]
pub use token::MockTokenIssuer;
pub use token::{
    AccessToken, AccessTokenClaims, IssueError, RefreshToken, RefreshTokenClaims, Subject, TokenIssuer, TokenRejected,
};
