//! Request bodies: bounds their memory, and drains unread ones.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};

/// Maximum number of bytes of an unread body that are drained, so that the connection can be reused.
const DRAIN_BYTES: usize = 1 << 20;
/// Time allowed for draining.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds the total size of all request bodies in memory.
///
/// When the limit is reached, the body that has been arriving for the longest time is aborted: a slow sender cannot block
/// others, and one that sends at once is served.
pub(crate) struct BodyBudget {
    limit: usize,
    numbers: AtomicU64,
    held: Mutex<HeldBytes>,
}

#[derive(Default)]
struct HeldBytes {
    bytes: usize,
    /// Incomplete bodies, oldest first.
    arriving: BTreeMap<u64, Arc<BodySlot>>,
}

/// The share of one body.
struct BodySlot {
    number: u64,
    bytes: Mutex<usize>,
    is_broken_off: AtomicBool,
    reader: AtomicWaker,
}

impl BodyBudget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, numbers: AtomicU64::new(0), held: Mutex::default() }
    }

    /// Splits the body of a request: one half for the handler, the other for draining after the response.
    pub(crate) fn receive(self: &Arc<Self>, body: BoxBody<Bytes, io::Error>) -> (poem::Body, Arrival) {
        if body.is_end_stream() {
            return (poem::Body::empty(), Arrival(None));
        }
        let slot = BodySlot {
            number: self.numbers.fetch_add(1, Ordering::Relaxed),
            bytes: Mutex::new(0),
            is_broken_off: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        };
        let incoming = Arc::new(Incoming {
            body: Mutex::new(body),
            budget: Arc::clone(self),
            slot: Arc::new(slot),
            is_wanted: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_piecewise: AtomicBool::new(false),
        });
        let read = poem::Body::from(BoxBody::new(ArrivingBody(Arc::clone(&incoming))));
        (read, Arrival(Some(incoming)))
    }

    /// Adds received bytes. Returns whether the body may continue.
    fn grow(&self, slot: &Arc<BodySlot>, bytes: usize) -> bool {
        let mut held = lock(&self.held);
        if slot.is_broken_off.load(Ordering::Relaxed) {
            return false;
        }
        *lock(&slot.bytes) += bytes;
        held.bytes += bytes;
        held.arriving.entry(slot.number).or_insert_with(|| Arc::clone(slot));
        while held.bytes > self.limit {
            let oldest = held.arriving.values().find(|other| other.number != slot.number);
            let broken_off = Arc::clone(oldest.unwrap_or(slot));
            held.give_back(&broken_off);
            broken_off.is_broken_off.store(true, Ordering::Relaxed);
            broken_off.reader.wake();
            if broken_off.number == slot.number {
                return false;
            }
        }
        true
    }

    /// The body is complete; it can no longer be aborted.
    fn complete(&self, slot: &BodySlot) {
        lock(&self.held).arriving.remove(&slot.number);
    }

    fn release(&self, slot: &BodySlot) {
        lock(&self.held).give_back(slot);
    }
}

impl HeldBytes {
    fn give_back(&mut self, slot: &BodySlot) {
        self.arriving.remove(&slot.number);
        self.bytes -= std::mem::take(&mut *lock(&slot.bytes));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Incoming {
    body: Mutex<BoxBody<Bytes, io::Error>>,
    budget: Arc<BodyBudget>,
    slot: Arc<BodySlot>,
    is_wanted: AtomicBool,
    has_ended: AtomicBool,
    is_piecewise: AtomicBool,
}

impl Incoming {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut body = lock(&self.body);
        let frame = Pin::new(&mut *body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || (frame.is_ready() && body.is_end_stream()) {
            self.has_ended.store(true, Ordering::Relaxed);
        }
        frame
    }
}

/// The handler's half.
struct ArrivingBody(Arc<Incoming>);

impl Body for ArrivingBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let incoming = &self.0;
        let slot = &incoming.slot;
        let broken_off = || Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::ResourceBusy, "too many bodies"))));
        incoming.is_wanted.store(true, Ordering::Relaxed);
        slot.reader.register(cx.waker());
        if slot.is_broken_off.load(Ordering::Relaxed) {
            return broken_off();
        }
        let is_piecewise = incoming.is_piecewise.load(Ordering::Relaxed);
        if is_piecewise {
            // The handler is done with the piece before.
            incoming.budget.release(slot);
        }
        let frame = incoming.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
            && !incoming.budget.grow(slot, data.len())
        {
            return broken_off();
        }
        if is_piecewise || incoming.has_ended.load(Ordering::Relaxed) {
            incoming.budget.complete(slot);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0.body).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0.body).size_hint()
    }
}

/// Switches a body to being read piece by piece, for a handler that keeps no piece after it asks for the next: one piece at a
/// time counts, and the body is never aborted for another one.
#[derive(Clone)]
pub(crate) struct PiecewiseBody(Option<Arc<Incoming>>);

impl PiecewiseBody {
    /// From now on.
    pub(crate) fn begin(&self) {
        if let Some(incoming) = &self.0 {
            incoming.is_piecewise.store(true, Ordering::Relaxed);
        }
    }
}

/// The connection's half. Its bytes count until this is dropped.
pub(crate) struct Arrival(Option<Arc<Incoming>>);

impl Arrival {
    /// The switch to reading piece by piece.
    pub(crate) fn piecewise(&self) -> PiecewiseBody {
        PiecewiseBody(self.0.clone())
    }

    /// Drains what the handler left unread, if it is little. Returns whether the body has ended, so that the next request can
    /// follow. `is_expected`: the client waits for `100 Continue` (RFC 9110 §10.1.1).
    pub(crate) async fn drain(&self, is_expected: bool) -> bool {
        let Some(incoming) = &self.0 else { return true };
        if incoming.has_ended.load(Ordering::Relaxed) {
            return true;
        }
        let declared = lock(&incoming.body).size_hint().lower();
        if (is_expected && !incoming.is_wanted.load(Ordering::Relaxed)) || declared > DRAIN_BYTES as u64 {
            return false;
        }
        let to_its_end = async {
            let mut left = DRAIN_BYTES;
            while !incoming.has_ended.load(Ordering::Relaxed) {
                match std::future::poll_fn(|cx| incoming.poll_frame(cx)).await {
                    Some(Ok(frame)) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        let Some(fewer) = left.checked_sub(bytes) else { return false };
                        left = fewer;
                    }
                    Some(Err(_)) => return false,
                    None => return true,
                }
            }
            true
        };
        tokio::time::timeout(DRAIN_TIMEOUT, to_its_end).await.unwrap_or(false)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(incoming) = &self.0 {
            incoming.budget.release(&incoming.slot);
        }
    }
}
