//! The outermost bound: no work for a call continues after its deadline.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::adapters::remote_bank::failure::{BankFailure, Cause};

/// How much later the outer timeout fires than the inner ones. Those report and record what happened; this one is only a
/// safety net.
const DEADLINE_MARGIN: Duration = Duration::from_millis(20);

/// The deadline of a call.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline `time` from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The remaining time.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Cancels `work` at the deadline.
    ///
    /// # Errors
    /// Those of `work`, and [`Cause::DeadlineExceeded`].
    pub async fn bound<T>(self, work: impl Future<Output = Result<T, BankFailure>>) -> Result<T, BankFailure> {
        timeout_at(self.0 + DEADLINE_MARGIN, work)
            .await
            .unwrap_or_else(|_| Err(BankFailure::new(Cause::DeadlineExceeded)))
    }
}
