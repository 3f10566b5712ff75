//! A delivery worker that does everything while its caller waits.

use std::sync::Arc;

use async_trait::async_trait;

use crate::memories::{Claim, Delivery, DeliveryWorker, QueuedWrite, WriteState};

/// Makes the first attempt while the caller waits, and does nothing else: whoever wants to see a further attempt makes it
/// with [`work`](Self::work).
#[derive(Clone)]
pub struct InlineDeliveryWorker(Arc<Delivery>);

impl InlineDeliveryWorker {
    /// A delivery worker of this delivery.
    #[must_use]
    pub fn new(delivery: Arc<Delivery>) -> Self {
        Self(delivery)
    }

    /// Delivers what is due, one after the other, until nothing is. Returns how many attempts were made.
    ///
    /// # Panics
    /// When the queue fails.
    pub async fn work(&self) -> usize {
        let mut attempts = 0;
        loop {
            let claims = self.0.claim(1).await.expect("the queue works");
            let Some(claim) = claims.first() else { return attempts };
            self.0.attempt(claim).await.expect("the queue works");
            attempts += 1;
        }
    }
}

#[async_trait]
impl DeliveryWorker for InlineDeliveryWorker {
    async fn deliver(&self, write: &QueuedWrite, claim: Option<Claim>) -> WriteState {
        match claim {
            Some(claim) => self.0.attempt(&claim).await.map_or(WriteState::Pending, WriteState::from),
            None => self.0.state(write).await,
        }
    }
}
