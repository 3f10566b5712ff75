//! Fakes of the ports that keep nothing.

mod delivery_worker;
mod document_source;
mod embedder;
mod identity_provider;
mod key_vault;
mod passkey_verifier;
mod password_hasher;
mod secret_hasher;
mod token_issuer;

pub use delivery_worker::InlineDeliveryWorker;
pub use document_source::FakeDocumentSource;
pub use embedder::FakeEmbedder;
pub use identity_provider::FakeIdentityProvider;
pub use key_vault::FakeKeyVault;
pub use passkey_verifier::{FakePasskeyVerifier, FakeResponse};
pub use password_hasher::FakePasswordHasher;
pub use secret_hasher::FakeSecretHasher;
pub use token_issuer::FakeTokenIssuer;
