//! The pure core of memgate: its rules, and the ports through which it reaches the outside world.
//!
//! Nothing here depends on HTTP, SQL, JWT or bcrypt; this crate's manifest allows small pure libraries only, which
//! `tests/architecture.rs` checks.
//!
//! # The map
//!
//! | module | responsibility | its ports |
//! | --- | --- | --- |
//! | [`applications`] | who may ask for tokens, and for what | [`ApplicationRepository`](applications::ApplicationRepository), [`SecretHasher`](applications::SecretHasher) |
//! | [`oauth`] | tokens: issuing, rotation, revocation, validation; the keys that sign them | [`TokenIssuer`](oauth::TokenIssuer), [`GrantStore`](oauth::GrantStore), [`SigningKeyStore`](oauth::SigningKeyStore), [`KeyVault`](oauth::KeyVault), [`AuthorizationStore`](oauth::AuthorizationStore), [`ClientDocumentSource`](oauth::ClientDocumentSource) |
//! | [`people`] | who signs in, and how | [`PersonRepository`](people::PersonRepository), [`SessionStore`](people::SessionStore), [`PasswordLinkStore`](people::PasswordLinkStore), [`PersonAuthorizations`](people::PersonAuthorizations), [`PasswordHasher`](people::PasswordHasher), [`IdentityProvider`](people::IdentityProvider), [`PasskeyRepository`](people::PasskeyRepository), [`PasskeyVerifier`](people::PasskeyVerifier), [`Mailer`](people::Mailer) |
//! | [`memories`] | memories and who reaches which | [`MemoryBank`](memories::MemoryBank), [`WriteQueue`](memories::WriteQueue), [`TenantRegistry`](memories::TenantRegistry), [`DeliveryWorker`](memories::DeliveryWorker), [`Embedder`](memories::Embedder) |
//! | [`limits`] | rate limits and throttling of failed attempts | none: it counts in memory |
//! | [`audit`] | who did what | [`AuditLog`](audit::AuditLog) |
//! | [`system`] | time, randomness, and storage errors | [`Clock`](system::Clock), [`Entropy`](system::Entropy) |
//!
//! # To add a port
//!
//! 1. Write the trait beside the rules that need it. Its documentation is its contract: what must hold, under concurrency
//!    too, and every error. It uses domain types only.
//! 2. Give it an in-memory adapter and a conformance suite in `testing`, and run the suite against that adapter.
//! 3. Write the adapter in `src/adapters`, run the same suite against it in `tests/`, and connect both in `src/app`.

pub mod applications;
pub mod audit;
pub mod ids;
pub mod limits;
pub mod memories;
pub mod oauth;
pub mod people;
pub mod system;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod validation;
