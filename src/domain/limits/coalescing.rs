//! Coalesces identical concurrent work.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::{BoxFuture, FutureExt as _, Shared, WeakShared};

/// Shared work: every caller gets its result.
pub type SharedWork<T> = Shared<BoxFuture<'static, T>>;

/// The work in progress, by a digest of its inputs.
pub struct Coalescing<T: Clone> {
    running: Mutex<HashMap<[u8; 32], WeakShared<BoxFuture<'static, T>>>>,
}

impl<T: Clone> Default for Coalescing<T> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl<T: Clone> Coalescing<T> {
    /// Joins the work in progress under `key`, or else starts it. Of concurrent callers exactly one starts it. The work is
    /// cancelled only if all its callers are.
    ///
    /// # Errors
    /// The error of `begin`; nothing is in progress in that case.
    pub fn join_or_begin<E>(
        &self,
        key: [u8; 32],
        begin: impl FnOnce() -> Result<BoxFuture<'static, T>, E>,
    ) -> Result<SharedWork<T>, E> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_running = |work: &SharedWork<T>| work.peek().is_none();
        if let Some(work) = running.get(&key).and_then(WeakShared::upgrade).filter(is_running) {
            return Ok(work);
        }
        // At most as many as run at once, which is bounded by the worker.
        running.retain(|_, work| work.upgrade().as_ref().is_some_and(is_running));
        let work = begin()?.shared();
        running.extend(work.downgrade().map(|work| (key, work)));
        Ok(work)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn work(begun: &Arc<AtomicUsize>) -> BoxFuture<'static, usize> {
        let number = begun.fetch_add(1, Ordering::SeqCst);
        async move {
            tokio::task::yield_now().await;
            number
        }
        .boxed()
    }

    #[tokio::test]
    async fn equal_work_runs_once_at_a_time_and_other_work_beside_it() {
        let (coalescing, begun) = (Coalescing::default(), Arc::new(AtomicUsize::new(0)));
        let join = |key: u8| coalescing.join_or_begin([key; 32], || Ok::<_, Infallible>(work(&begun))).unwrap();
        let (first, second, other) = (join(1), join(1), join(2));
        assert_eq!((first.await, second.await, other.await), (0, 0, 1));
        assert_eq!(join(1).await, 2, "what has ended is done again");
        assert!(coalescing.running.lock().unwrap().len() <= 2);
    }

    #[tokio::test]
    async fn work_whose_callers_all_went_away_is_begun_again_and_what_is_refused_does_not_run() {
        let (coalescing, begun) = (Coalescing::default(), Arc::new(AtomicUsize::new(0)));
        drop(coalescing.join_or_begin([1; 32], || Ok::<_, Infallible>(work(&begun))));
        assert_eq!(coalescing.join_or_begin([1; 32], || Err("no")).map(drop), Err("no"));
        assert_eq!(coalescing.join_or_begin([1; 32], || Ok::<_, Infallible>(work(&begun))).unwrap().await, 1);
    }
}
