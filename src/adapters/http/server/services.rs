//! What the operations of the HTTP API use.

use std::sync::Arc;

use tokio::sync::watch;

use super::address::TrustedProxies;
use super::answers::AnswerBudget;
use super::checks::{ClockCheck, DatabaseCheck};
use super::cors::CorsOrigins;
use super::metrics::HttpMetrics;
use crate::adapters::http::openapi::gpt_actions::ConfirmWrites;
use crate::adapters::http::pages::privacy_policy::PrivacyPolicy;
use crate::domain::memories::MemoryService;
use crate::domain::oauth::{AccessGuard, AuthorizationService, TokenPolicy, TokenService};
use crate::domain::people::SignInService;
use crate::domain::system::{Clock, Entropy};

/// What the HTTP face stands on.
pub struct Services {
    /// The token endpoint and its neighbours.
    pub tokens: TokenService,
    /// Judges access tokens.
    pub guard: AccessGuard,
    /// Signs people in.
    pub sign_in: SignInService,
    /// What people allow applications.
    pub authorizations: AuthorizationService,
    /// The memory API.
    pub memories: MemoryService,
    /// What `/privacy` says.
    pub privacy: PrivacyPolicy,
    /// What tokens say; [`TokenPolicy::issuer`] is the public URL, from which every address in an answer is made.
    pub policy: Arc<TokenPolicy>,
    /// Whether the database answers.
    pub database: Arc<dyn DatabaseCheck>,
    /// Whether the clock fits the signing keys.
    pub signing_clock: Arc<dyn ClockCheck>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes request ids.
    pub entropy: Arc<dyn Entropy>,
    /// The proxies whose word about a client's address is believed.
    pub trusted_proxies: TrustedProxies,
    /// The origins whose scripts may call the memory API.
    pub cors_origins: CorsOrigins,
    /// Bounds the answers that are not read yet.
    pub answers: AnswerBudget,
    /// Whether the service is about to stop, so that readiness says no.
    pub draining: watch::Receiver<bool>,
    /// Counts the requests.
    pub metrics: Arc<HttpMetrics>,
    /// Whether ChatGPT asks before it writes, for the document that it imports.
    pub confirm_writes: ConfirmWrites,
}
