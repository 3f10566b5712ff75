//! `memgate queue`: queued memories, and dead letters.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::confirm::Confirmation;
use super::{CliError, open, output};
use crate::app::Backend;
use crate::config::Config;
use crate::domain::ids::RequestId;
use crate::domain::memories::{Dropped, QueueOperations, TrackedWrite, Undelivered, WriteState};

/// Manage memories that wait for the memory bank, and those that it refused.
///
/// An accepted memory (201 or 202) stays in the queue until the memory bank has stored it: delivery is retried while the
/// bank is unavailable. One that the bank refuses, or at which it fails again and again while it stores others, becomes a
/// dead letter: it is kept for MEMGATE_QUEUE_DEAD_LETTER_RETENTION, and only an operator can retry or drop it. The contents
/// of memories are never shown here.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  memgate queue list                  how many wait and since when, and the dead letters with their reasons
  memgate queue list --pending        the memories that wait, oldest first, and why the last attempt failed
  memgate queue retry REQUEST_ID      send a dead letter again, or what waits at once
  memgate queue retry --all           send all dead letters again, after the bank was repaired
  memgate queue drop REQUEST_ID       delete a dead letter, or what waits, for good")]
pub(super) enum QueueCommand {
    /// Show the state of the queue, and list the dead letters, oldest first
    List(ListWrites),
    /// Retry a dead letter, at the end of its application's queue, or deliver a waiting memory now
    Retry(Retry),
    /// Delete a dead letter, or a waiting memory, permanently
    Drop {
        /// Request ID, as shown by `queue list`
        #[arg(value_name = "REQUEST_ID")]
        id: RequestId,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

#[derive(Debug, Args)]
pub(super) struct ListWrites {
    /// List waiting memories instead of dead letters
    #[arg(long)]
    pending: bool,
    /// Maximum number
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object: the statistics, and the list
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Retry {
    /// Request ID, as shown by `queue list`
    #[arg(value_name = "REQUEST_ID", required_unless_present = "all", conflicts_with = "all")]
    id: Option<RequestId>,
    /// All current dead letters
    #[arg(long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Interval between attempts to drop a write that is being delivered.
const DROP_INTERVAL: Duration = Duration::from_millis(250);

impl QueueCommand {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open(config).await?;
        match self {
            Self::List(list) => list.run(&backend).await,
            Self::Retry(Retry { id: Some(id), json, .. }) => {
                if !backend.queue_operations().retry(id).await.map_err(CliError::failed)? {
                    return Err(nothing_waits(id));
                }
                answer(json, &json!({ "retried": [id.to_string()] }), &format!("{id} is retried."))
            }
            Self::Retry(Retry { id: None, json, .. }) => retry_all(&backend, json).await,
            Self::Drop { id, json, confirmation } => {
                confirmation.ask(&format!("This deletes the memory that was accepted with the request {id}."))?;
                let dropped = drop_write(&backend.queue_operations(), id, config.queue_lease).await?;
                let may_be_stored = dropped.may_have_arrived();
                let mut text = format!("{id} is deleted.");
                if may_be_stored {
                    text += " It was sent without a confirmation before, so the memory bank may have stored it all the same.";
                }
                answer(json, &json!({ "dropped": id.to_string(), "may_be_stored": may_be_stored }), &text)
            }
        }
    }
}

impl ListWrites {
    async fn run(self, backend: &Backend) -> Result<(), CliError> {
        let queue = backend.queue();
        let statistics = queue.statistics().await.map_err(CliError::failed)?;
        let which = if self.pending { Undelivered::Pending } else { Undelivered::Failed };
        let writes = queue.list(which, self.limit).await.map_err(CliError::failed)?;
        if self.json {
            return output::json(&json!({
                "pending": statistics.pending,
                "dead_letters": statistics.failed,
                "oldest_pending_at": statistics.oldest_pending.map(|at| at.to_string()),
                "writes": writes.iter().map(describe).collect::<Vec<_>>(),
            }));
        }
        let since = statistics.oldest_pending.map(|at| format!(", the oldest since {at}")).unwrap_or_default();
        output::line(format!("{} wait{since}; {} dead letters.", statistics.pending, statistics.failed))?;
        if writes.is_empty() {
            return Ok(());
        }
        let rows = writes.iter().map(|tracked| {
            let write = &tracked.write;
            vec![
                write.request_id.to_string(),
                write.application_id.to_string(),
                write.accepted_at.to_string(),
                tracked.attempts.to_string(),
                reason(tracked).unwrap_or_default().to_owned(),
            ]
        });
        output::table(&["request_id", "client_id", "accepted_at", "attempts", "reason"], &rows.collect::<Vec<_>>())
    }
}

/// Drops a write; one that is being delivered when that attempt has ended, which it has when its lease runs out.
async fn drop_write(
    operations: &QueueOperations,
    id: RequestId,
    lease: Duration,
) -> Result<Box<TrackedWrite>, CliError> {
    let deadline = Instant::now() + lease + DROP_INTERVAL;
    loop {
        match operations.drop(id).await.map_err(CliError::failed)? {
            Dropped::Dropped(write) => return Ok(write),
            Dropped::NotFound => return Err(nothing_waits(id)),
            Dropped::BeingDelivered if Instant::now() < deadline => tokio::time::sleep(DROP_INTERVAL).await,
            Dropped::BeingDelivered => {
                return Err(CliError::failed(format!("{id} is being delivered all the time; try again in a moment")));
            }
        }
    }
}

async fn retry_all(backend: &Backend, json: bool) -> Result<(), CliError> {
    let retried = backend.queue_operations().retry_all().await.map_err(CliError::failed)?;
    let ids: Vec<String> = retried.iter().map(ToString::to_string).collect();
    answer(json, &json!({ "retried": ids }), &format!("{} dead letters are sent again.", ids.len()))
}

fn answer(as_json: bool, value: &Value, text: &str) -> Result<(), CliError> {
    if as_json { output::json(value) } else { output::line(text) }
}

fn nothing_waits(id: RequestId) -> CliError {
    CliError::failed(format!(
        "no memory of the request {id} waits or was refused; `memgate queue list` and `memgate queue list --pending` show which \
         there are"
    ))
}

fn describe(tracked: &TrackedWrite) -> Value {
    let write = &tracked.write;
    json!({
        "request_id": write.request_id.to_string(),
        "client_id": write.application_id.to_string(),
        "space": write.scope.space().as_str(),
        "accepted_at": write.accepted_at.to_string(),
        "attempts": tracked.attempts,
        "set_aside": tracked.set_aside,
        "next_attempt_at": (tracked.state == WriteState::Pending).then(|| tracked.next_attempt_at.to_string()),
        "reason": reason(tracked),
    })
}

/// Why it is a dead letter, or why the last attempt failed.
fn reason(tracked: &TrackedWrite) -> Option<&str> {
    match &tracked.state {
        WriteState::Failed(reason) => Some(reason),
        WriteState::Pending | WriteState::Stored(_) => tracked.last_error.as_deref(),
    }
}
