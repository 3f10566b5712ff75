//! Fakes of the ports that keep nothing.

mod courier;
mod key_vault;
mod rate_limiter;
mod secret_hasher;
mod token_issuer;

pub use courier::InlineCourier;
pub use key_vault::FakeKeyVault;
pub use rate_limiter::FakeRateLimiter;
pub use secret_hasher::FakeSecretHasher;
pub use token_issuer::FakeTokenIssuer;
