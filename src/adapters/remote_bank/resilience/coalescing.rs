//! Concurrent identical searches share one request.
//!
//! The key is the request itself, and the tenant is part of every request, so nothing is shared between tenants. What is
//! shared is the bank's response; each caller filters it by its own scope.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::time::Instant;

use crate::adapters::remote_bank::exchange::{Exchanged, Request};
use crate::adapters::remote_bank::failure::BankFailure;
use crate::adapters::remote_bank::metrics::BankMetrics;

type SharedSearch = BoxFuture<'static, Result<Exchanged, BankFailure>>;

/// The searches in flight.
#[derive(Debug)]
pub struct SearchCoalescing {
    flights: Arc<Mutex<HashMap<Arc<RequestKey>, Flight>>>,
    /// Counts writes. A search does not join one that began before a write was confirmed, since it would miss the write.
    writes: AtomicU64,
    /// Maximum age of a search that another may join: the joining one only has the remaining time of the first.
    joinable_for: Duration,
    metrics: Arc<BankMetrics>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RequestKey {
    writes: u64,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
}

#[derive(Debug)]
struct Flight {
    work: WeakShared<SharedSearch>,
    began: Instant,
}

impl SearchCoalescing {
    /// A search can be joined until half of `deadline` has passed.
    #[must_use]
    pub fn new(deadline: Duration, metrics: Arc<BankMetrics>) -> Self {
        Self { flights: Arc::default(), writes: AtomicU64::new(0), joinable_for: deadline / 2, metrics }
    }

    /// Records that the bank's contents changed.
    pub fn note_write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// Joins an identical request in flight, or runs `work`, which continues as long as anybody waits for it.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn share(
        &self,
        request: &Request,
        work: impl FnOnce() -> SharedSearch,
    ) -> Result<Exchanged, BankFailure> {
        if !request.shareable {
            return work().await;
        }
        self.join(request, work).await
    }

    fn join(&self, request: &Request, work: impl FnOnce() -> SharedSearch) -> Shared<SharedSearch> {
        let key = Arc::new(RequestKey {
            writes: self.writes.load(Ordering::SeqCst),
            path: request.path.clone(),
            query: request.query.clone(),
            body: request.body.clone(),
        });
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key)
            && flight.began.elapsed() < self.joinable_for
            && let Some(work) = flight.work.upgrade()
        {
            self.metrics.count_coalesced();
            return work;
        }
        let began = Instant::now();
        let end = EndOfFlight { flights: Arc::clone(&self.flights), key: Arc::clone(&key), began };
        let work = work();
        let shared = async move {
            let response = work.await;
            drop(end);
            response
        }
        .boxed()
        .shared();
        if let Some(weak) = shared.downgrade() {
            flights.insert(key, Flight { work: weak, began });
        }
        shared
    }
}

/// Removes the flight when it has finished, or when nobody waits for it any more.
struct EndOfFlight {
    flights: Arc<Mutex<HashMap<Arc<RequestKey>, Flight>>>,
    key: Arc<RequestKey>,
    began: Instant,
}

impl Drop for EndOfFlight {
    fn drop(&mut self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // A later one may have replaced it.
        if flights.get(&self.key).is_some_and(|flight| flight.began == self.began) {
            flights.remove(&self.key);
        }
    }
}
