//! The delivery worker: carries accepted writes to the bank, during requests and in the background.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::timeout;

use crate::domain::ids::RequestId;
use crate::domain::memories::{Attempted, Claim, Delivery, DeliveryWorker, MemoryBankError, QueuedWrite, WriteState};
use crate::domain::system::{ErrorChain, StorageError};

/// Interval at which the queue is polled for writes that another instance left behind, and for due retries.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time allowed for deliveries in progress at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Options of the delivery worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryWorkerOptions {
    /// How long a request waits for the bank.
    pub wait: Duration,
    /// Maximum number of concurrent deliveries in the background, and of immediate ones for new writes.
    pub concurrency: u32,
}

/// Delivers writes in separate tasks: a delivery continues when its request has ended or was cancelled.
#[derive(Clone)]
pub struct TokioDeliveryWorker(Arc<WorkerState>);

struct WorkerState {
    delivery: Arc<Delivery>,
    options: DeliveryWorkerOptions,
    /// Slots for new writes, which are not held up by the backlog.
    first: Arc<Semaphore>,
    /// Slots for all others.
    background: Arc<Semaphore>,
    /// Notified when something may be due.
    due: Notify,
    stopping: AtomicBool,
    waiting: Mutex<HashMap<RequestId, WaitingCallers>>,
}

/// Callers that wait for a write.
struct WaitingCallers {
    tenant: String,
    callers: Vec<oneshot::Sender<WriteState>>,
}

impl TokioDeliveryWorker {
    /// An idle delivery worker; it looks for work when it [runs](Self::run).
    #[must_use]
    pub fn new(delivery: Arc<Delivery>, options: DeliveryWorkerOptions) -> Self {
        let slots = || Arc::new(Semaphore::new(usize::try_from(options.concurrency).unwrap_or(1)));
        Self(Arc::new(WorkerState {
            delivery,
            options,
            first: slots(),
            background: slots(),
            due: Notify::new(),
            stopping: AtomicBool::new(false),
            waiting: Mutex::default(),
        }))
    }

    /// Delivers whatever is due until `stopped`, and then finishes the deliveries in progress.
    pub async fn run(self, mut stopped: watch::Receiver<bool>) {
        let worker = self.0;
        loop {
            worker.take_what_is_due().await;
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                () = worker.due.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        worker.stopping.store(true, Ordering::SeqCst);
        // Nobody is notified any more; the writes are safe in the queue.
        worker.waiting().clear();
        let all = worker.options.concurrency;
        let idle = async { tokio::join!(worker.first.acquire_many(all), worker.background.acquire_many(all)) };
        if timeout(SHUTDOWN_TIMEOUT, idle).await.is_err() {
            tracing::warn!("shutdown timed out with deliveries in progress; they are retried when their leases expire");
        }
    }

    /// Waits for deliveries in progress, and delivers whatever is due until nothing is.
    pub async fn deliver_due(&self) {
        let Self(worker) = self;
        let all = worker.options.concurrency;
        // With all slots taken nobody else delivers meanwhile.
        let slots = tokio::join!(worker.first.acquire_many(all), worker.background.acquire_many(all));
        loop {
            let claims = match worker.delivery.claim(all).await {
                Ok(claims) => claims,
                Err(error) => {
                    tracing::warn!(error = %ErrorChain(&error), "failed to read the write queue");
                    break;
                }
            };
            if claims.is_empty() {
                break;
            }
            for claim in claims {
                worker.deliver_claim(&claim).await;
            }
        }
        drop(slots);
        worker.due.notify_one();
    }
}

impl WorkerState {
    /// Claims as many writes as there are free slots.
    async fn take_what_is_due(self: &Arc<Self>) {
        let mut free = Vec::new();
        while let Ok(slot) = Arc::clone(&self.background).try_acquire_owned() {
            free.push(slot);
        }
        if free.is_empty() {
            return;
        }
        match self.delivery.claim(u32::try_from(free.len()).unwrap_or(u32::MAX)).await {
            Ok(claims) => {
                for (claim, slot) in claims.into_iter().zip(free) {
                    self.start(claim, slot);
                }
            }
            Err(error) => tracing::warn!(error = %ErrorChain(&error), "failed to read the write queue"),
        }
    }

    fn start(self: &Arc<Self>, claim: Claim, slot: OwnedSemaphorePermit) {
        let worker = Arc::clone(self);
        tokio::spawn(async move {
            worker.deliver_claim(&claim).await;
            drop(slot);
            // The next write of the same scope may be due now, and a slot is free.
            worker.due.notify_one();
        });
    }

    async fn deliver_claim(&self, claim: &Claim) {
        let (write, attempt) = (&claim.write, claim.attempt);
        let attempted = match timeout(self.delivery.policy().longest_attempt(), self.delivery.attempt(claim)).await {
            Ok(attempted) => attempted,
            Err(elapsed) => self.delivery.postpone(claim, unanswered(elapsed.into())).await,
        };
        let state = match attempted {
            Ok(Attempted::Postponed { until, error, set_aside }) => {
                tracing::warn!(
                    request.id = %write.request_id, attempt, next_attempt_at = %until, set_aside, error = %ErrorChain(&error),
                    "failed to deliver a memory; it stays in the queue",
                );
                if set_aside {
                    // Nobody else waits for it.
                    drop(self.waiting().remove(&write.request_id));
                    return;
                }
                return self.tell_scope(&write.scope.tenant());
            }
            Ok(Attempted::Withdrawn { left_behind }) => {
                if let Some(error) = &left_behind {
                    tracing::error!(
                        request.id = %write.request_id, error = %ErrorChain(error),
                        "a memory was deleted during its delivery, but could not be deleted from the memory bank",
                    );
                }
                Attempted::Withdrawn { left_behind }.into()
            }
            Ok(Attempted::Refused(reason)) => {
                tracing::warn!(request.id = %write.request_id, attempt, "the memory bank refused a memory; it is now a dead letter");
                WriteState::Failed(reason)
            }
            Ok(Attempted::Stored(memory)) => {
                tracing::debug!(request.id = %write.request_id, attempt, "delivered a memory");
                WriteState::Stored(Box::new(memory))
            }
            Err(error) => {
                tracing::warn!(request.id = %write.request_id, attempt, error = %ErrorChain(&error), "failed to record the outcome of a delivery");
                return self.tell_scope(&write.scope.tenant());
            }
        };
        if let Some(waiting) = self.waiting().remove(&write.request_id) {
            for caller in waiting.callers {
                // A cancelled caller needs no answer.
                let _gone = caller.send(state.clone());
            }
        }
    }

    /// A write must wait for its next attempt, and all later ones of its scope with it: no caller needs to keep waiting.
    fn tell_scope(&self, tenant: &str) {
        self.waiting().retain(|_, waiting| waiting.tenant != tenant);
    }

    fn watch(&self, write: &QueuedWrite) -> oneshot::Receiver<WriteState> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting();
        let entry = waiting
            .entry(write.request_id)
            .or_insert_with(|| WaitingCallers { tenant: write.scope.tenant(), callers: Vec::new() });
        entry.callers.push(sender);
        receiver
    }

    /// Removes cancelled callers of a write.
    fn unwatch(&self, write: &QueuedWrite) {
        let mut waiting = self.waiting();
        if let Some(entry) = waiting.get_mut(&write.request_id) {
            entry.callers.retain(|caller| !caller.is_closed());
            if entry.callers.is_empty() {
                waiting.remove(&write.request_id);
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, WaitingCallers>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the delivery of a claimed write, or leaves it to the background.
    async fn begin(self: &Arc<Self>, claim: Claim) -> Result<(), StorageError> {
        if !self.stopping.load(Ordering::SeqCst)
            && let Ok(slot) = Arc::clone(&self.first).try_acquire_owned()
        {
            self.start(claim, slot);
            return Ok(());
        }
        self.delivery.release(&claim).await?;
        self.due.notify_one();
        Ok(())
    }
}

#[async_trait]
impl DeliveryWorker for TokioDeliveryWorker {
    async fn deliver(&self, write: &QueuedWrite, claim: Option<Claim>) -> WriteState {
        let worker = &self.0;
        let receiver = worker.watch(write);
        let _unwatch = Unwatch { worker, write };
        if let Some(claim) = claim {
            if let Err(error) = worker.begin(claim).await {
                tracing::warn!(
                    request.id = %write.request_id, error = %ErrorChain(&error), "failed to start a delivery; it waits for its lease to expire",
                );
                return WriteState::Pending;
            }
        } else {
            // It may have been delivered before anybody waited for it.
            match worker.delivery.queue().find(write.application_id, write.request_id).await {
                Ok(Some(tracked)) if tracked.state != WriteState::Pending => return tracked.state,
                Ok(Some(tracked)) if worker.delivery.is_postponed(&tracked) => return WriteState::Pending,
                _ => worker.due.notify_one(),
            }
        }
        if worker.stopping.load(Ordering::SeqCst) {
            return WriteState::Pending;
        }
        match timeout(worker.options.wait, receiver).await {
            Ok(Ok(state)) => state,
            // It was postponed.
            Ok(Err(_)) => WriteState::Pending,
            // Another instance may have delivered it.
            Err(_) => worker.delivery.state(write).await,
        }
    }
}

/// Stops waiting when the request ends for any reason.
struct Unwatch<'a> {
    worker: &'a WorkerState,
    write: &'a QueuedWrite,
}

impl Drop for Unwatch<'_> {
    fn drop(&mut self) {
        self.worker.unwatch(self.write);
    }
}

fn unanswered(source: Box<dyn std::error::Error + Send + Sync>) -> MemoryBankError {
    MemoryBankError::Unavailable { retry_after: None, reached: true, source }
}
