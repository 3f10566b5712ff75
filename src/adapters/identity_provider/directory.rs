//! What the provider says of itself: its endpoints and its keys, remembered for a while.

use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::CoreProviderMetadata;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::warn;

use super::config::Issuer;
use super::failure::{Failure, Problem, Question};
use super::http::HttpClient;
use crate::domain::system::{Clock, Timestamp};

/// For how long metadata and keys are good. A key that the provider has withdrawn is trusted for this long.
const LIFETIME: Duration = Duration::from_hours(1);
/// For how long after a failure the provider is left alone, so that a queue of people does not wait one after the other.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Metadata and keys of one provider. They are fetched when they are first needed, by one caller for all.
pub(super) struct Directory {
    issuer: Issuer,
    timeout: Duration,
    http: Arc<HttpClient>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<(Arc<CoreProviderMetadata>, Timestamp)>,
    failed: Option<(Failure, Timestamp)>,
}

impl Directory {
    pub(super) fn new(issuer: Issuer, timeout: Duration, http: Arc<HttpClient>, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, timeout, http, clock, state: Mutex::default() }
    }

    /// What is known of the provider. What has become old serves on while the provider is away.
    pub(super) async fn current(&self) -> Result<Arc<CoreProviderMetadata>, Failure> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        // A clock that jumped back must not make anything last longer.
        let is_within = |at: Timestamp, time: Duration| at <= now && now.since(at) < time;
        let failure = match (&state.known, &state.failed) {
            (Some((known, at)), _) if is_within(*at, LIFETIME) => return Ok(Arc::clone(known)),
            (_, Some((failure, at))) if is_within(*at, RETRY_INTERVAL) => *failure,
            _ => match self.fetch(&mut state).await {
                Ok(known) => return Ok(known),
                Err(failure) => {
                    warn!(error = %failure, "the identity provider does not say what it is like");
                    failure
                }
            },
        };
        state.known.as_ref().map(|(known, _)| Arc::clone(known)).ok_or(failure)
    }

    /// What is known after `seen`, which lacked a key.
    pub(super) async fn newer_than(
        &self,
        seen: &Arc<CoreProviderMetadata>,
    ) -> Result<Arc<CoreProviderMetadata>, Failure> {
        let mut state = self.state.lock().await;
        match &state.known {
            Some((known, _)) if !Arc::ptr_eq(known, seen) => Ok(Arc::clone(known)),
            _ => self.fetch(&mut state).await,
        }
    }

    async fn fetch(&self, state: &mut State) -> Result<Arc<CoreProviderMetadata>, Failure> {
        let discovery = CoreProviderMetadata::discover_async(self.issuer.url().clone(), &*self.http);
        let fetched = match timeout(self.timeout, discovery).await {
            Ok(Ok(metadata)) => self.http.check(metadata.authorization_endpoint().url()).map(|()| metadata),
            Ok(Err(error)) => Err(Problem::from(error)),
            Err(_) => Err(Problem::Slow),
        };
        match fetched {
            Ok(metadata) => {
                let known = Arc::new(metadata);
                *state = State { known: Some((Arc::clone(&known), self.clock.now())), failed: None };
                Ok(known)
            }
            Err(problem) => {
                let failure = Failure::new(Question::Discovery, problem);
                state.failed = Some((failure, self.clock.now()));
                Err(failure)
            }
        }
    }
}
