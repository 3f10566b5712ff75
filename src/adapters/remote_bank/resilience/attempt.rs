//! One attempt: its timeout, and the classification of its response.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::retry_after::wait_of;
use crate::adapters::remote_bank::exchange::{BankResponse, RawResponse, Request};
use crate::adapters::remote_bank::failure::{BankFailure, Cause};
use crate::adapters::remote_bank::transport::Transport;
use crate::domain::system::Timestamp;

/// The codes with which mem0 reports in a 502 that one of its dependencies is unavailable, whatever the request.
const OUTAGES: [&str; 4] =
    ["provider_auth_failed", "provider_unavailable", "datastore_unavailable", "vector_store_unavailable"];

/// Maximum number of characters of a bank's message that are passed on.
const LONGEST_MESSAGE: usize = 200;

/// Sends the request and reads the complete response, within `time`.
///
/// # Errors
/// [`Cause::TimedOut`], and those of the transport.
pub async fn send(transport: &dyn Transport, request: &Request, time: Duration) -> Result<RawResponse, BankFailure> {
    timeout(time, transport.send(request)).await.unwrap_or_else(|_| Err(BankFailure::new(Cause::TimedOut)))
}

/// Classifies a response: 2xx with JSON is a success, and so is 404 where it is allowed; everything else is a failure.
///
/// # Errors
/// [`BankFailure`].
pub fn classify(request: &Request, raw: &RawResponse, now: Timestamp) -> Result<BankResponse, BankFailure> {
    let fail = |cause: Cause| BankFailure {
        cause,
        status: Some(raw.status),
        retry_after: wait_of(raw, now),
        request_id: raw.request_id.as_deref().and_then(readable_id),
        detail: None,
        is_outage: false,
    };
    match raw.status {
        200..=299 => {
            let body = if raw.body.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&raw.body).map_err(|_| fail(Cause::InvalidBody))?
            };
            if (request.is_failure)(&body) {
                Err(fail(Cause::Declined))
            } else {
                Ok(BankResponse { status: raw.status, body, room: raw.room.clone() })
            }
        }
        404 if request.may_be_missing => {
            Ok(BankResponse { status: raw.status, body: Value::Null, room: raw.room.clone() })
        }
        429 => Err(fail(Cause::Throttled)),
        408 | 425 => Err(fail(Cause::ServerError)),
        401 | 403 => Err(fail(Cause::Misconfigured).detail("check the key and how it is sent")),
        300..=399 | 404 | 405 | 501 | 505 => {
            Err(fail(Cause::Misconfigured).detail("check the URL and the kind of bank"))
        }
        400..=499 => Err(refusal(fail(Cause::Rejected), &raw.body)),
        500..=599 => {
            let body: Value = serde_json::from_slice(&raw.body).unwrap_or_default();
            let code = body["code"].as_str().unwrap_or_default();
            Err(match code {
                // Its model refuses this particular text, for example because of its length, and will do so every time.
                "provider_bad_request" => refusal(with_body_id(fail(Cause::Rejected), &body), &raw.body),
                "provider_rate_limited" => with_body_id(fail(Cause::Throttled), &body),
                _ => with_body_id(fail(Cause::ServerError), &body),
            }
            .outage(raw.status == 503 || OUTAGES.contains(&code)))
        }
        _ => Err(fail(Cause::InvalidBody)),
    }
}

/// Adds the bank's message to the failure.
fn refusal(failure: BankFailure, body: &[u8]) -> BankFailure {
    match message(body) {
        Some(message) => failure.detail(message),
        None => failure,
    }
}

/// The bank's message, in one of the known error formats: `{"detail"}`, `{"error"}`, `{"message"}`,
/// `{"error","details":{"message"}}`, `{"detail":[{"loc","msg"}]}`, `{"detail":{"error","error_description"}}`,
/// `{"error","error_description"}`. Of a list of problems only location and rule are used, never the refused value.
fn message(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = body["details"]["message"]
        .as_str()
        .or_else(|| body["detail"]["error_description"].as_str())
        .or_else(|| body["detail"]["error"].as_str())
        .or_else(|| body["detail"].as_str())
        .or_else(|| body["error_description"].as_str())
        .or_else(|| body["error"].as_str())
        .or_else(|| body["message"].as_str())
        .map(str::to_owned)
        .or_else(|| problems(body["detail"].as_array()?))?;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MESSAGE).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

fn problems(list: &[Value]) -> Option<String> {
    let texts: Vec<String> = list
        .iter()
        .filter_map(|problem| {
            let place: Vec<String> = problem["loc"].as_array()?.iter().filter_map(part_of_a_place).collect();
            Some(format!("{}: {}", place.join("."), problem["msg"].as_str()?))
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn part_of_a_place(part: &Value) -> Option<String> {
    part.as_str().map(str::to_owned).or_else(|| part.as_u64().map(|index| index.to_string()))
}

/// mem0 includes the request ID in the body of a 502 too.
fn with_body_id(mut failure: BankFailure, body: &Value) -> BankFailure {
    if failure.request_id.is_none() {
        failure.request_id = body["request_id"].as_str().and_then(readable_id);
    }
    failure
}

/// An ID that is safe to show: at most 64 unambiguous characters.
fn readable_id(id: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    (!id.is_empty() && id.len() <= 64 && id.chars().all(allowed)).then(|| id.to_owned())
}
