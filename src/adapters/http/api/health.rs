//! `/health`: liveness and readiness.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::system::ErrorChain;

/// Timeout of a check.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a result is reused after the check began; not shorter than [`TIMEOUT`], so that one runs at a time.
const FRESH_FOR: Duration = Duration::from_secs(2);

#[derive(ApiResponse)]
enum Readiness {
    /// The service is ready.
    #[oai(status = 200)]
    Ready(Json<ReadyAnswer>),
    /// The service is not ready; the checks say why.
    #[oai(status = 503)]
    NotReady(Json<ReadyAnswer>),
}

#[derive(Default)]
pub(crate) struct HealthApi {
    database: SharedCheck,
    bank: SharedCheck,
}

/// The result of a check, shared by concurrent callers: anybody may call as often as they like, without putting load on what
/// is checked.
#[derive(Default)]
struct SharedCheck(Mutex<Option<(Instant, CheckOutcome)>>);

/// The reason of a failure.
type CheckOutcome = Shared<BoxFuture<'static, Option<String>>>;

impl SharedCheck {
    async fn outcome<E: std::error::Error + Send + 'static>(
        &self,
        name: &'static str,
        check: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> CheckAnswer {
        let reason = self.share(name, check).await;
        let status = if reason.is_none() { "ok" } else { "failed" };
        CheckAnswer { name: name.to_owned(), status: status.to_owned(), reason }
    }

    fn share<E: std::error::Error + Send + 'static>(
        &self,
        name: &'static str,
        check: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> CheckOutcome {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((began, outcome)) = &*latest
            && began.elapsed() < FRESH_FOR
        {
            return outcome.clone();
        }
        // In its own task: it continues for the others when the first caller is cancelled.
        let task = tokio::spawn(async move { reason_of(name, tokio::time::timeout(TIMEOUT, check).await) });
        let outcome = async move { task.await.unwrap_or_else(|_| Some("the check was not finished".to_owned())) };
        let outcome = outcome.boxed().shared();
        *latest = Some((Instant::now(), outcome.clone()));
        outcome
    }
}

#[OpenApi(prefix_path = "/health", tag = "Tag::Health")]
impl HealthApi {
    /// Check liveness
    #[oai(path = "/live", method = "get", operation_id = "getLiveness")]
    async fn live(&self) -> Json<LiveAnswer> {
        Json(LiveAnswer { status: "alive".to_owned() })
    }

    /// Check readiness
    ///
    /// Checks the database and the memory bank. If the last write to the database failed, one is tried. The result is
    /// reused for two seconds.
    #[oai(path = "/ready", method = "get", operation_id = "getReadiness")]
    async fn ready(&self, exchange: &Exchange) -> Readiness {
        let services = &exchange.services;
        if *services.draining.borrow() {
            let reason = Some("the service is stopping; send requests elsewhere".to_owned());
            let check = CheckAnswer { name: "shutdown".to_owned(), status: "failed".to_owned(), reason };
            return Readiness::NotReady(Json(ReadyAnswer { status: "not_ready".to_owned(), checks: vec![check] }));
        }
        let database = Arc::clone(&services.database);
        let memories = services.memories.clone();
        let (database, bank) = tokio::join!(
            self.database.outcome("database", async move { database.check().await }),
            self.bank.outcome("memory_bank", async move { memories.check_health().await }),
        );
        let mut checks = vec![database, bank];
        let ready = checks.iter().all(|check| check.reason.is_none());
        if let Some(reason) = services.signing_clock.warning() {
            let (name, status) = ("clock".to_owned(), "warning".to_owned());
            checks.push(CheckAnswer { name, status, reason: Some(reason) });
        }
        let status = if ready { "ready" } else { "not_ready" }.to_owned();
        let answer = Json(ReadyAnswer { status, checks });
        if ready { Readiness::Ready(answer) } else { Readiness::NotReady(answer) }
    }
}

/// The reason is the error's own text, which contains no address or secret; its sources, which may, are logged.
fn reason_of<E: std::error::Error + 'static>(name: &str, result: Result<Result<(), E>, Elapsed>) -> Option<String> {
    match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(check = name, error = %ErrorChain(&error), "a health check failed");
            Some(error.to_string())
        }
        Err(_) => Some(format!("no response within {} seconds", TIMEOUT.as_secs())),
    }
}

/// Liveness.
#[derive(Object, Serialize)]
struct LiveAnswer {
    /// Always `alive`.
    status: String,
}

/// Readiness.
#[derive(Object, Serialize)]
struct ReadyAnswer {
    /// `ready` or `not_ready`.
    status: String,
    /// The individual checks.
    checks: Vec<CheckAnswer>,
}

/// The result of one check.
#[derive(Object, Serialize)]
#[oai(rename = "Check")]
struct CheckAnswer {
    /// Its name: `database`, `memory_bank`, `clock` if it is wrong, or `shutdown` while the service stops.
    name: String,
    /// `ok`, `failed` or `warning`, which does not affect readiness.
    status: String,
    /// Why it is not `ok`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::domain::system::StorageError;

    #[derive(Clone, Default)]
    struct Counted(Arc<AtomicU32>);

    impl Counted {
        fn check(&self) -> impl Future<Output = Result<(), StorageError>> + Send + 'static {
            let count = Arc::clone(&self.0);
            async move {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(300)).await;
                if number == 0 { Ok(()) } else { Err(StorageError::Unavailable("no answer".into())) }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_any_number_of_callers_one_check_is_made_every_two_seconds() {
        let (shared, counted) = (SharedCheck::default(), Counted::default());
        for _ in 0..400 {
            // Nobody waits for its end.
            drop(shared.share("bank", counted.check()));
        }
        assert_eq!(shared.share("bank", counted.check()).await, None);
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        assert_eq!(shared.share("bank", counted.check()).await, None);
        assert_eq!(counted.0.load(Ordering::SeqCst), 1);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(shared.share("bank", counted.check()).await.is_some(), "a later outcome is another");
        assert_eq!(counted.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_has_failed_for_all() {
        let shared = SharedCheck::default();
        let hanging = || std::future::pending::<Result<(), StorageError>>();
        let (first, second) = tokio::join!(shared.share("bank", hanging()), shared.share("bank", hanging()));
        assert_eq!(first.as_deref(), Some("no response within 2 seconds"));
        assert_eq!(first, second);
    }
}
