//! What tests share, behind the feature `testing`: a clock and a source of ids that obey, builders of valid values, an
//! in-memory adapter or a fake of every port, and a [conformance] suite for each port that keeps something.
//!
//! Nothing here is fit for production: the secrets are hashed fast and the randomness can be foretold.

mod builders;
mod clock;
pub mod conformance;
mod entropy;
mod fakes;
mod in_memory;

pub use builders::{
    application, application_with_secret, authorization, caller, caller_for, categories, category, consumption,
    content, context, external_person, metadata, new_memory, passkey, password_link, person, queued_write, scope,
    scope_limited_to, scope_of_person, session, signing_key, space, stored_secret, update,
};
pub use clock::{FixedClock, now};
pub use entropy::{SeededEntropy, unique};
pub use fakes::{
    FakeDocumentSource, FakeEmbedder, FakeIdentityProvider, FakeKeyVault, FakePasskeyVerifier, FakePasswordHasher,
    FakeResponse, FakeSecretHasher, FakeTokenIssuer, InlineDeliveryWorker,
};
pub use in_memory::{
    InMemoryApplicationRepository, InMemoryAuditLog, InMemoryAuthorizationStore, InMemoryGrantStore,
    InMemoryMemoryBank, InMemoryPasskeyRepository, InMemoryPasswordLinkStore, InMemoryPersonRepository,
    InMemorySessionStore, InMemorySigningKeyStore, InMemoryTenantRegistry, InMemoryWriteQueue, Outage,
    database_unavailable,
};
