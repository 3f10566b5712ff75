//! The provider's metadata and keys, cached.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::CoreProviderMetadata;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::warn;

use super::config::Issuer;
use super::failure::{ProviderFailure, ProviderProblem, ProviderRequest};
use super::http::HttpClient;
use crate::domain::system::{Clock, Timestamp};

/// Maximum age of metadata and keys. A key that the provider withdrew is trusted for at most this long.
const LIFETIME: Duration = Duration::from_hours(1);
/// Delay after a failure before the next attempt, so that queued callers do not time out one after the other.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Metadata and keys of one provider, fetched when first needed, by one caller for all.
pub(super) struct Directory {
    issuer: Issuer,
    timeout: Duration,
    http: Arc<HttpClient>,
    clock: Arc<dyn Clock>,
    state: Mutex<ProviderState>,
}

#[derive(Default)]
struct ProviderState {
    known: Option<(Arc<CoreProviderMetadata>, Timestamp)>,
    failed: Option<(ProviderFailure, Timestamp)>,
}

impl Directory {
    pub(super) fn new(issuer: Issuer, timeout: Duration, http: Arc<HttpClient>, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, timeout, http, clock, state: Mutex::default() }
    }

    /// The provider's metadata. A stale copy is used while the provider is unavailable.
    pub(super) async fn current(&self) -> Result<Arc<CoreProviderMetadata>, ProviderFailure> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        // A clock that jumped back must not extend any lifetime.
        let is_within = |at: Timestamp, time: Duration| at <= now && now.since(at) < time;
        let failure = match (&state.known, &state.failed) {
            (Some((known, at)), _) if is_within(*at, LIFETIME) => return Ok(Arc::clone(known)),
            (_, Some((failure, at))) if is_within(*at, RETRY_INTERVAL) => *failure,
            _ => match self.fetch(&mut state).await {
                Ok(known) => return Ok(known),
                Err(failure) => {
                    warn!(error = %failure, "failed to fetch the metadata of the identity provider");
                    failure
                }
            },
        };
        state.known.as_ref().map(|(known, _)| Arc::clone(known)).ok_or(failure)
    }

    /// Metadata newer than `seen`, which lacked a key.
    pub(super) async fn newer_than(
        &self,
        seen: &Arc<CoreProviderMetadata>,
    ) -> Result<Arc<CoreProviderMetadata>, ProviderFailure> {
        let mut state = self.state.lock().await;
        match &state.known {
            Some((known, _)) if !Arc::ptr_eq(known, seen) => Ok(Arc::clone(known)),
            _ => self.fetch(&mut state).await,
        }
    }

    async fn fetch(&self, state: &mut ProviderState) -> Result<Arc<CoreProviderMetadata>, ProviderFailure> {
        let discovery = CoreProviderMetadata::discover_async(self.issuer.url().clone(), &*self.http);
        let fetched = match timeout(self.timeout, discovery).await {
            Ok(Ok(metadata)) => self.http.check(metadata.authorization_endpoint().url()).map(|()| metadata),
            Ok(Err(error)) => Err(ProviderProblem::from(error)),
            Err(_) => Err(ProviderProblem::Slow),
        };
        match fetched {
            Ok(metadata) => {
                let known = Arc::new(metadata);
                *state = ProviderState { known: Some((Arc::clone(&known), self.clock.now())), failed: None };
                Ok(known)
            }
            Err(problem) => {
                let failure = ProviderFailure::new(ProviderRequest::Discovery, problem);
                state.failed = Some((failure, self.clock.now()));
                Err(failure)
            }
        }
    }
}
