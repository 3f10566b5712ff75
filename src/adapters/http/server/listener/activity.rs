//! What happens on a connection, so that one on which nothing happens can be closed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection may be open without a request in flight. It counts from the last answer to the next whole head of
/// a request, so sending one slowly gains nothing.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Within this time a client that has an answer to read must read [`MIN_PROGRESS`] bytes or the answer's end.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// See [`STALL_TIMEOUT`].
const MIN_PROGRESS: u64 = 64 * 1024;
/// How long a client may take to read one answer, however it reads. HTTP/2 has windows of its own, so that the socket makes
/// progress while one answer does not.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// How often a connection is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why a connection is closed though its client did not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// No request for [`IDLE_TIMEOUT`].
    Idle,
    /// The client does not read, or too slowly.
    Unread,
}

/// Counts what happens on one connection.
#[derive(Default)]
pub(crate) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Bytes that the socket has taken.
    written: AtomicU64,
    is_http2: AtomicBool,
    /// Whether what the client still sends is to be read before the connection is closed.
    lingers: AtomicBool,
    unread: Mutex<BTreeMap<u64, Instant>>,
}

impl Activity {
    /// A request has begun; it is in flight until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        InFlight { number: self.begun.fetch_add(1, Ordering::Relaxed), activity: Arc::clone(self) }
    }

    /// Whether nothing is in flight and every answer has been read.
    pub(crate) fn is_quiet(&self) -> bool {
        let (begun, ended) = self.requests();
        begun == ended && self.oldest_unread().is_none()
    }

    pub(crate) fn add_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Relaxed)
    }

    pub(crate) fn note_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    fn requests(&self) -> (u64, u64) {
        (self.begun.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed))
    }

    fn unread(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn oldest_unread(&self) -> Option<Instant> {
        self.unread().first_key_value().map(|(_, since)| *since)
    }

    /// Returns when the connection should be closed.
    pub(crate) async fn expired(&self) -> Expired {
        let (mut quiet_since, mut requests) = (Instant::now(), self.requests());
        let (mut window, mut written) = (Instant::now(), 0);
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let now = Instant::now();
            if let Some(oldest) = self.oldest_unread() {
                if now.duration_since(oldest) >= ANSWER_TIMEOUT {
                    return Expired::Unread;
                }
                if now.duration_since(window.max(oldest)) >= STALL_TIMEOUT {
                    let so_far = self.written.load(Ordering::Relaxed);
                    if so_far.saturating_sub(written) < MIN_PROGRESS {
                        return Expired::Unread;
                    }
                    (window, written) = (now, so_far);
                }
                quiet_since = now;
            } else {
                (window, written) = (now, self.written.load(Ordering::Relaxed));
            }
            let so_far = self.requests();
            if so_far.0 != so_far.1 || so_far != requests {
                (quiet_since, requests) = (now, so_far);
            } else if now.duration_since(quiet_since) >= IDLE_TIMEOUT {
                return Expired::Idle;
            }
        }
    }
}

/// A request, from its whole head to its answer, or to the moment when its client goes away.
pub(crate) struct InFlight {
    number: u64,
    activity: Arc<Activity>,
}

impl InFlight {
    /// The answer is there, and is unread until the guard is dropped.
    pub(crate) fn answered(self) -> UnreadAnswer {
        let unread = UnreadAnswer { number: self.number, activity: Arc::clone(&self.activity) };
        self.activity.unread().insert(self.number, Instant::now());
        unread
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer of which the socket has not taken everything.
pub(crate) struct UnreadAnswer {
    number: u64,
    activity: Arc<Activity>,
}

impl Drop for UnreadAnswer {
    fn drop(&mut self) {
        self.activity.unread().remove(&self.number);
    }
}
