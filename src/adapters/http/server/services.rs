//! The services that the HTTP API uses.

use std::sync::Arc;

use tokio::sync::watch;

use super::address::TrustedProxies;
use super::answers::AnswerBudget;
use super::checks::{ClockCheck, DatabaseCheck};
use super::cors::CorsOrigins;
use super::metrics::HttpMetrics;
use super::streamed::ImportSlots;
use crate::adapters::http::openapi::gpt_actions::ConfirmWrites;
use crate::domain::memories::{MemoryService, OwnerEraser, PersonalMemories};
use crate::domain::oauth::{AccessGuard, AuthorizationService, DynamicRegistration, TokenPolicy, TokenService};
use crate::domain::people::{PasskeyService, PeopleService, SignInService};
use crate::domain::system::{Clock, Entropy};

/// Everything that the HTTP API depends on.
pub struct Services {
    /// The token endpoint and its neighbours.
    pub tokens: TokenService,
    /// Validates access tokens.
    pub guard: AccessGuard,
    /// Signs people in.
    pub sign_in: SignInService,
    /// Passkeys.
    pub passkeys: PasskeyService,
    /// What people have authorized.
    pub authorizations: AuthorizationService,
    /// The memory API.
    pub memories: MemoryService,
    /// What people do with their own memories.
    pub own_memories: PersonalMemories,
    /// Changes accounts.
    pub people: PeopleService,
    /// Deletes accounts.
    pub eraser: OwnerEraser,
    /// The token policy; its issuer is the public URL, the base of every address in a response.
    pub policy: Arc<TokenPolicy>,
    /// Checks the database.
    pub database: Arc<dyn DatabaseCheck>,
    /// Checks the clock against the signing keys.
    pub signing_clock: Arc<dyn ClockCheck>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Generates request IDs.
    pub entropy: Arc<dyn Entropy>,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// The origins that may call the memory API.
    pub cors_origins: CorsOrigins,
    /// Bounds unread responses.
    pub answers: Arc<AnswerBudget>,
    /// Bounds concurrent imports.
    pub imports: Arc<ImportSlots>,
    /// Whether the service is shutting down, so that readiness fails.
    pub draining: watch::Receiver<bool>,
    /// Counts requests.
    pub metrics: Arc<HttpMetrics>,
    /// Registers clients at their own request; `None` if none may.
    pub registration: Option<DynamicRegistration>,
    /// Whether a client ID may be the URL of a document.
    pub client_id_documents: bool,
    /// Whether ChatGPT asks before each write, for the document that it imports.
    pub confirm_writes: ConfirmWrites,
}
