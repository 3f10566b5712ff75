//! The threads on which bcrypt runs, and the queue for them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::applications::HasherError;

/// How many callers may wait for a thread, for each thread there is. At cost 12 the last of them waits for about 4 seconds.
pub(super) const WAITING_PER_THREAD: usize = 16;

/// Threads that hash, of which there are fewer than processors, because at cost 12 one hash takes a quarter of a second of
/// one. Clones are the same threads with the same queue.
///
/// Only so many callers wait, and no more than half of them for a password: a flood of wrong passwords does not keep
/// applications from their tokens.
#[derive(Clone)]
pub struct BcryptThreads {
    cost: u32,
    threads: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    waiting_for_passwords: Arc<Semaphore>,
}

/// A place in the queue.
pub(super) struct Place(#[expect(dead_code, reason = "held to be dropped")] Vec<OwnedSemaphorePermit>);

impl BcryptThreads {
    /// At most `threads` threads, which hash at this cost (4 to 31: 2 to the power of it rounds).
    #[must_use]
    pub fn new(cost: u32, threads: usize) -> Self {
        let threads = threads.max(1);
        let places = threads * (1 + WAITING_PER_THREAD);
        Self {
            cost,
            threads: Arc::new(Semaphore::new(threads)),
            waiting: Arc::new(Semaphore::new(places)),
            waiting_for_passwords: Arc::new(Semaphore::new(places / 2)),
        }
    }

    pub(super) fn cost(&self) -> u32 {
        self.cost
    }

    /// A place for a secret of an application.
    pub(super) fn place(&self) -> Result<Place, HasherError> {
        Ok(Place(vec![permit(&self.waiting)?]))
    }

    /// A place for a password.
    pub(super) fn place_for_password(&self) -> Result<Place, HasherError> {
        Ok(Place(vec![permit(&self.waiting_for_passwords)?, permit(&self.waiting)?]))
    }

    /// Runs `work` as soon as a thread is free.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, HasherError> {
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|e| HasherError::Failed(e.into()))?;
        // Place and thread go with the work: it cannot be interrupted, even if its caller goes away.
        let result = tokio::task::spawn_blocking(move || {
            let _permits = (place, thread);
            work()
        });
        result.await.map_err(|e| HasherError::Failed(e.into()))?.map_err(|e| HasherError::Failed(e.into()))
    }
}

fn permit(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, HasherError> {
    Arc::clone(of).try_acquire_owned().map_err(|_| HasherError::Overloaded)
}

#[cfg(test)]
impl BcryptThreads {
    /// Takes one thread for as long as this is held.
    pub(super) async fn occupy(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.threads).acquire_owned().await.unwrap()
    }

    pub(super) fn free_places(&self) -> usize {
        self.waiting.available_permits()
    }
}
