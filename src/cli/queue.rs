//! `memgate queue`: memories on their way to the memory bank, and those that it refused.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{CliError, output};
use crate::app::Backend;
use crate::config::Config;
use crate::domain::ids::RequestId;
use crate::domain::memories::{TrackedWrite, Undelivered, WriteState};

/// Look after memories on their way to the memory bank, and those that it refused.
///
/// A memory that was accepted (201 or 202) stays in the queue until the memory bank has it: it is sent again for as long as the
/// bank is away. One that the bank refuses becomes a dead letter: it is kept for MEMGATE_QUEUE_DEAD_LETTER_RETENTION, and only
/// an operator can send it again or drop it. What memories say is never shown here.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  memgate queue list                  how many wait and since when, and the dead letters with their reasons
  memgate queue list --pending        the memories that wait, oldest first, and why the last attempt failed
  memgate queue retry REQUEST_ID      send a dead letter again, after the bank was put right
  memgate queue retry --all           send all of them again
  memgate queue drop REQUEST_ID       delete a dead letter for good")]
pub(super) enum Queue {
    /// Show how the queue does, and list the dead letters, oldest first
    List(List),
    /// Send a dead letter again: it goes to the end of its application's line
    Retry(Retry),
    /// Delete a dead letter for good; what waits and was not refused cannot be dropped
    Drop {
        /// The id of its request, as `queue list` shows it
        #[arg(value_name = "REQUEST_ID")]
        id: RequestId,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// List the memories that wait instead of the dead letters
    #[arg(long)]
    pending: bool,
    /// How many at the most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print one JSON object: the numbers, and the list
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Retry {
    /// The id of its request, as `queue list` shows it
    #[arg(value_name = "REQUEST_ID", required_unless_present = "all", conflicts_with = "all")]
    id: Option<RequestId>,
    /// All dead letters that there are now
    #[arg(long)]
    all: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How many dead letters are sent again in one go.
const RETRY_BATCH: u32 = 1_000;

impl Queue {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = Backend::open(config).await.map_err(CliError::failed)?;
        match self {
            Self::List(list) => list.run(&backend).await,
            Self::Retry(Retry { id: Some(id), json, .. }) => {
                let found = backend.queue().retry(id, backend.now()).await.map_err(CliError::failed)?;
                if !found {
                    return Err(no_dead_letter(id));
                }
                answer(json, &json!({ "retried": [id.to_string()] }), &format!("{id} is sent again."))
            }
            Self::Retry(Retry { id: None, json, .. }) => retry_all(&backend, json).await,
            Self::Drop { id, json } => {
                if !backend.queue().drop_failed(id).await.map_err(CliError::failed)? {
                    return Err(no_dead_letter(id));
                }
                answer(json, &json!({ "dropped": id.to_string() }), &format!("{id} is deleted."))
            }
        }
    }
}

impl List {
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

async fn retry_all(backend: &Backend, json: bool) -> Result<(), CliError> {
    let (queue, mut retried) = (backend.queue(), Vec::new());
    loop {
        let dead = queue.list(Undelivered::Failed, RETRY_BATCH).await.map_err(CliError::failed)?;
        let before = retried.len();
        for tracked in dead {
            let id = tracked.write.request_id;
            // One that the bank refused a second time meanwhile is not sent a third time.
            if !retried.contains(&id) && queue.retry(id, backend.now()).await.map_err(CliError::failed)? {
                retried.push(id);
            }
        }
        if retried.len() == before {
            break;
        }
    }
    let ids: Vec<String> = retried.iter().map(ToString::to_string).collect();
    answer(json, &json!({ "retried": ids }), &format!("{} dead letters are sent again.", ids.len()))
}

fn answer(as_json: bool, value: &Value, text: &str) -> Result<(), CliError> {
    if as_json { output::json(value) } else { output::line(text) }
}

fn no_dead_letter(id: RequestId) -> CliError {
    CliError::failed(format!("there is no dead letter of the request {id}; `memgate queue list` shows which there are"))
}

fn describe(tracked: &TrackedWrite) -> Value {
    let write = &tracked.write;
    json!({
        "request_id": write.request_id.to_string(),
        "client_id": write.application_id.to_string(),
        "space": write.scope.space().as_str(),
        "accepted_at": write.accepted_at.to_string(),
        "attempts": tracked.attempts,
        "next_attempt_at": (tracked.state == WriteState::Pending).then(|| tracked.next_attempt_at.to_string()),
        "reason": reason(tracked),
    })
}

/// Why it is a dead letter, or why the last attempt came to nothing.
fn reason(tracked: &TrackedWrite) -> Option<&str> {
    match &tracked.state {
        WriteState::Failed(reason) => Some(reason),
        WriteState::Pending | WriteState::Stored(_) => tracked.last_error.as_deref(),
    }
}
