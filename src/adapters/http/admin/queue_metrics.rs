//! Metrics of the write queue. They are read on demand, since any number of instances share it.

use std::time::Duration;

use tokio::time::timeout;

use crate::domain::memories::{QueueStatistics, WriteQueue};
use crate::domain::system::Timestamp;

/// A slow database must not hold up the other metrics.
const STATISTICS_TIMEOUT: Duration = Duration::from_secs(2);

/// The metrics of the queue in the Prometheus text format; empty if they cannot be read, so that a stale value is not taken
/// for a current one.
pub(crate) async fn render(queue: &dyn WriteQueue, now: Timestamp) -> String {
    match timeout(STATISTICS_TIMEOUT, queue.statistics()).await {
        Ok(Ok(statistics)) => text(&statistics, now),
        Ok(Err(error)) => {
            tracing::warn!(error = %error, "failed to read the write queue for the metrics");
            String::new()
        }
        Err(_) => {
            tracing::warn!("reading the write queue for the metrics timed out");
            String::new()
        }
    }
}

fn text(statistics: &QueueStatistics, now: Timestamp) -> String {
    let gauge =
        |name: &str, help: &str, value: u64| format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    [
        gauge("memgate_queue_pending", "Memories that wait for the memory bank.", statistics.pending),
        gauge(
            "memgate_queue_oldest_pending_age_seconds",
            "Age of the oldest of them in seconds; 0 if none waits.",
            statistics.oldest_pending_age(now).as_secs(),
        ),
        gauge("memgate_queue_dead_letters", "Memories that the memory bank refused.", statistics.failed),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::memories::MockWriteQueue;
    use crate::domain::system::StorageError;

    #[tokio::test]
    async fn a_queue_that_cannot_be_looked_at_has_no_figures() {
        let mut queue = MockWriteQueue::new();
        queue.expect_statistics().returning(|| Err(StorageError::Unavailable("the database is unavailable".into())));
        assert_eq!(render(&queue, Timestamp::from_unix_seconds(0)).await, "");
    }
}
