//! What of an error goes into the log.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use poem::http::StatusCode;
use tokio::time::Instant;

use super::kinds::ApiError;
use crate::adapters::http::server::repeated::Repeated;
use crate::domain::applications::HasherError;
use crate::domain::ids::RequestId;
use crate::domain::oauth::{AccessError, OAuthError, Unavailable};
use crate::domain::system::{ErrorChain, causes};

/// The failures because something is unavailable, by kind.
static UNAVAILABLE: Mutex<BTreeMap<&'static str, Repeated>> = Mutex::new(BTreeMap::new());

/// Logs an error that is answered with `status`. Of each kind of unavailability, one request a second is logged as a warning,
/// with the number of those that were not.
pub(crate) fn log(status: StatusCode, kind: &'static str, error: &(dyn Error + 'static), request_id: RequestId) {
    let (code, status) = (status, status.as_u16());
    if code.is_client_error() {
        // Other texts are left out: they may name what a caller made up.
        let error = names_resources(error).then(|| error.to_string());
        tracing::debug!(request.id = %request_id, status, kind, error, "refused a request");
    } else if is_overload(error) {
        // Anybody can cause it as often as they like; the metrics count it.
        tracing::debug!(request.id = %request_id, status, kind, error = %ErrorChain(error), "too many secrets wait to be verified");
    } else if matches!(code, StatusCode::SERVICE_UNAVAILABLE | StatusCode::NOT_IMPLEMENTED) {
        // Whoever reads no answers, or fills a queue, causes it as often as they like.
        let due =
            UNAVAILABLE.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().count(Instant::now());
        match due {
            Some(failed) => {
                tracing::warn!(request.id = %request_id, status, kind, failed, error = %ErrorChain(error), "a request failed because something is unavailable");
            }
            None => {
                tracing::debug!(request.id = %request_id, status, kind, error = %ErrorChain(error), "a request failed because something is unavailable");
            }
        }
    } else {
        tracing::error!(request.id = %request_id, status, kind, error = %ErrorChain(error), "a request failed with an internal error");
    }
}

/// Whether an error says which resource was expected and which one came; these are all ours.
fn names_resources(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ApiError::Access(AccessError::WrongAudience { .. })))
        || matches!(error.downcast_ref(), Some(OAuthError::InvalidTarget(_)))
}

/// Whether an error has come of too many secrets that wait to be verified.
fn is_overload(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        matches!(cause.downcast_ref(), Some(HasherError::Overloaded))
            || matches!(cause.downcast_ref(), Some(Unavailable::Hasher(HasherError::Overloaded)))
    })
}
