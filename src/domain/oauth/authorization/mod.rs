//! The authorization code grant up to the code: the application's request, and the person's decision (RFC 6749 §4.1, with
//! PKCE of RFC 7636 and the best practice of RFC 9700).

mod model;
mod pkce;
mod request;
mod service;
mod store;

pub use model::{Authorization, AuthorizationCode, CodeDigest};
pub use pkce::{CodeChallenge, CodeVerifier};
pub use request::{AuthorizationRequest, UntrustedRequest};
pub use service::{AuthorizationError, AuthorizationPorts, AuthorizationService, Connection};
pub use store::{AuthorizationStore, Consent, Redeemed, Redemption, UNUSED_APPLICATION, sweep_authorizations};
