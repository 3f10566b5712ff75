//! `/health`: whether the process runs, and whether it can answer.

#![expect(clippy::unused_async, reason = "poem-openapi wants every operation to be async")]

use std::fmt::Display;
use std::time::Duration;

use async_trait::async_trait;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::health::{CheckAnswer, LiveAnswer, ReadyAnswer};
use super::error::Chain;
use super::exchange::Exchange;
use super::openapi::Tag;
use super::payload::Json;
use crate::domain::system::StorageError;

/// A check that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the database can be used.
#[async_trait]
pub trait DatabaseCheck: Send + Sync {
    /// Asks the database something small.
    ///
    /// # Errors
    /// [`StorageError`] if it does not answer.
    async fn check(&self) -> Result<(), StorageError>;
}

/// Whether the clock can be right.
pub trait ClockCheck: Send + Sync {
    /// What is wrong with it, if something is. Requests are answered all the same.
    fn warning(&self) -> Option<String>;
}

#[derive(ApiResponse)]
enum Readiness {
    /// Requests can be answered.
    #[oai(status = 200)]
    Ready(Json<ReadyAnswer>),
    /// Requests cannot be answered now; the checks say why.
    #[oai(status = 503)]
    NotReady(Json<ReadyAnswer>),
}

pub(super) struct HealthApi;

#[OpenApi(prefix_path = "/health", tag = "Tag::Health")]
impl HealthApi {
    /// Say whether the process runs
    #[oai(path = "/live", method = "get", operation_id = "getLiveness")]
    async fn live(&self) -> Json<LiveAnswer> {
        Json(LiveAnswer { status: "alive".to_owned() })
    }

    /// Say whether requests can be answered
    ///
    /// Looks at the database and the memory bank. If the last write to the database failed, one is tried.
    #[oai(path = "/ready", method = "get", operation_id = "getReadiness")]
    async fn ready(&self, exchange: &Exchange) -> Readiness {
        let services = &exchange.services;
        if *services.draining.borrow() {
            let reason = Some("the service is stopping; send requests elsewhere".to_owned());
            let check = CheckAnswer { name: "shutdown".to_owned(), status: "failed".to_owned(), reason };
            return Readiness::NotReady(Json(ReadyAnswer { status: "not_ready".to_owned(), checks: vec![check] }));
        }
        let (database, bank) = tokio::join!(
            tokio::time::timeout(PATIENCE, services.database.check()),
            tokio::time::timeout(PATIENCE, services.memories.check_health()),
        );
        let mut checks = vec![outcome("database", database), outcome("memory_bank", bank)];
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

/// The reason is the error's own text, which names no address and no secret; its sources, which may, go to the log.
fn outcome<E: std::error::Error + 'static>(name: &str, result: Result<Result<(), E>, impl Display>) -> CheckAnswer {
    let reason = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            tracing::warn!(check = name, error = %Chain(&error), "a health check failed");
            Some(error.to_string())
        }
        Err(_) => Some(format!("no answer within {} seconds", PATIENCE.as_secs())),
    };
    let status = if reason.is_none() { "ok" } else { "failed" };
    CheckAnswer { name: name.to_owned(), status: status.to_owned(), reason }
}
