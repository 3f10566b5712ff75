//! The outermost bound: nothing that is done for a call goes on after its deadline.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::adapters::remote_bank::failure::{BankFailure, Cause};

/// How much later the outer bound cuts than the inner ones. Those report and record what happened; this one only makes
/// sure.
const DEADLINE_MARGIN: Duration = Duration::from_millis(20);

/// When a call has to be over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// What is left until then.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Drops `work` when the time is over.
    ///
    /// # Errors
    /// Those of `work`, and [`Cause::DeadlineExceeded`].
    pub async fn bound<T>(self, work: impl Future<Output = Result<T, BankFailure>>) -> Result<T, BankFailure> {
        timeout_at(self.0 + DEADLINE_MARGIN, work)
            .await
            .unwrap_or_else(|_| Err(BankFailure::new(Cause::DeadlineExceeded)))
    }
}
