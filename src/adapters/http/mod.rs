//! The HTTP face: poem and poem-openapi, one file a resource.
//!
//! A request goes through [`envelope`] (request id, panics, headers, the shape of errors) to one of the resources. These
//! read it ([`payload`], [`query`], [`bearer`], [`client`]), ask a service of the domain, and write the answer ([`dto`]).
//! Whatever goes wrong becomes an [`error::ApiError`], and only [`error`] knows what that is in HTTP. What people look at,
//! errors included, is in [`pages`].

mod address;
mod admin;
mod answers;
mod assistant;
mod attempt_metrics;
mod bearer;
mod caching;
mod capabilities;
mod client;
mod cors;
mod dto;
mod envelope;
mod error;
mod exchange;
mod health;
mod host;
mod mcp;
mod me;
mod memories;
mod metadata;
mod metrics;
mod openapi;
mod pages;
mod payload;
mod query;
mod queue_metrics;
mod requests;
mod search;
mod table;
mod token;

use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::{EndpointExt, Route};
use tokio::sync::watch;

pub use address::TrustedProxies;
pub use admin::{AdminServices, BreakerMode, BreakerOperation, BreakerSwitch, BreakerView, admin_routes};
pub use answers::AnswerBudget;
pub use attempt_metrics::render_attempts;
pub use cors::CorsOrigins;
pub use envelope::{Compressible, is_compressible};
pub use health::{ClockCheck, DatabaseCheck};
pub use host::refuse_host;
pub use metrics::HttpMetrics;
pub use openapi::{ConfirmWrites, gpt_actions_document, openapi_document};
pub use pages::PrivacyPolicy;

use crate::domain::memories::MemoryService;
use crate::domain::oauth::{AccessGuard, AuthorizationService, TokenPolicy, TokenService};
use crate::domain::people::SignInService;
use crate::domain::system::{Clock, Entropy};

/// The largest body that is read, in bytes. The largest memory fits however its JSON is escaped: 32,768 characters of two
/// `\uXXXX` each are 384 KiB, and 16 KiB of metadata are 96 KiB.
pub const MAX_BODY_BYTES: usize = 512 * 1024;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

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

/// Every route, in its envelope.
#[must_use]
pub fn routes(services: Services) -> BoxEndpoint<'static> {
    let services = Arc::new(services);
    let routes = table::add_to(Route::new(), openapi::api());
    let routes = pages::add_to(routes);
    let routes = mcp::add_to(routes, &services);
    let routes = openapi::add_documents_to(routes, &services.policy.issuer, services.confirm_writes);
    envelope::Envelope::new(routes, services).boxed()
}

/// The public URL without a slash at its end, so that paths can be put behind it.
fn base_url(public_url: &str) -> &str {
    public_url.trim_end_matches('/')
}
