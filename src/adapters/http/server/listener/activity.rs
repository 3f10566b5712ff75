//! Activity on a connection, to close idle and stalled ones.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Maximum time without a request in flight. It counts from the last response to the next complete request head, so sending
/// a head slowly gains nothing.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// Within this time a client with a pending response must read [`MIN_PROGRESS`] bytes or the rest of it.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// See [`STALL_TIMEOUT`].
const MIN_PROGRESS: u64 = 64 * 1024;
/// Maximum time for reading one response, at any pace. HTTP/2 has its own flow control, so the socket may make progress
/// while one response does not.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Interval between checks of a connection.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Why the server closes a connection.
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
    /// Bytes written to the socket.
    written: AtomicU64,
    is_http2: AtomicBool,
    /// Whether remaining input is read before the connection is closed.
    lingers: AtomicBool,
    unread: Mutex<BTreeMap<u64, Instant>>,
}

impl Activity {
    /// A request has started; it is in flight until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        InFlight { number: self.begun.fetch_add(1, Ordering::Relaxed), activity: Arc::clone(self) }
    }

    /// Whether nothing is in flight and every response has been read.
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

/// A request, from its complete head to its response, or until it is cancelled.
pub(crate) struct InFlight {
    number: u64,
    activity: Arc<Activity>,
}

impl InFlight {
    /// The response is ready, and counts as unread until the guard is dropped.
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

/// A response that is not written to the socket completely.
pub(crate) struct UnreadAnswer {
    number: u64,
    activity: Arc<Activity>,
}

impl Drop for UnreadAnswer {
    fn drop(&mut self) {
        self.activity.unread().remove(&self.number);
    }
}
