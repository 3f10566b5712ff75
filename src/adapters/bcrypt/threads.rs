//! The thread pool that runs bcrypt, and its queue.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::applications::HasherError;

/// The purpose of a hash. Each kind of work has its own share of the threads and of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashKind {
    /// A secret whose first characters match one of its application's secrets, or a new secret.
    Secret,
    /// A password, whether or not its account exists: serving them differently would reveal which accounts exist.
    Password,
    /// A secret that cannot match, since no secret of its application has its first characters, or the application is unknown.
    Decoy,
}

impl HashKind {
    const ALL: [Self; 3] = [Self::Secret, Self::Password, Self::Decoy];

    /// Maximum number of waiting callers per thread. At cost 12, on the threads reserved for each kind, the last of them waits
    /// about 10, 5 and 2.5 seconds under full load.
    pub(super) fn places(self) -> usize {
        match self {
            Self::Secret => 16,
            Self::Password => 8,
            Self::Decoy => 2,
        }
    }
}

/// The schedule, repeated in a cycle. A slot of a kind that nobody waits for goes to the next one.
const TURNS: [HashKind; 5] =
    [HashKind::Secret, HashKind::Password, HashKind::Secret, HashKind::Password, HashKind::Decoy];

/// Threads that hash, fewer than processors, because at cost 12 one hash takes a quarter of a second of one. Clones share
/// the threads and the queue.
#[derive(Clone)]
pub struct BcryptThreads {
    cost: u32,
    threads: usize,
    queue: Arc<Mutex<WorkQueue>>,
}

struct WorkQueue {
    free: usize,
    turn: usize,
    waiting: [WaitingWork; HashKind::ALL.len()],
}

/// The waiting callers of one kind of work. Those from different addresses take turns.
#[derive(Default)]
struct WaitingWork {
    /// In the order of their turns; none is empty.
    addresses: VecDeque<(Option<IpAddr>, VecDeque<oneshot::Sender<Thread>>)>,
}

impl WaitingWork {
    fn len(&self) -> usize {
        self.addresses.iter().map(|(_, callers)| callers.len()).sum()
    }

    /// The turn of a caller, if one of `places` is free. An address gets at most half of them, so that it cannot turn the others
    /// away.
    fn take_place(&mut self, address: Option<IpAddr>, places: usize) -> Option<oneshot::Receiver<Thread>> {
        for (_, callers) in &mut self.addresses {
            callers.retain(|caller| !caller.is_closed());
        }
        self.addresses.retain(|(_, callers)| !callers.is_empty());
        let own = self.addresses.iter().find(|(known, _)| *known == address).map_or(0, |(_, callers)| callers.len());
        if self.len() >= places || (address.is_some() && own >= places.div_ceil(2)) {
            return None;
        }
        let (caller, turn) = oneshot::channel();
        match self.addresses.iter_mut().find(|(known, _)| *known == address) {
            Some((_, callers)) => callers.push_back(caller),
            None => self.addresses.push_back((address, [caller].into())),
        }
        Some(turn)
    }

    fn next(&mut self) -> Option<oneshot::Sender<Thread>> {
        let (address, mut callers) = self.addresses.pop_front()?;
        let caller = callers.pop_front();
        if !callers.is_empty() {
            self.addresses.push_back((address, callers));
        }
        caller
    }
}

impl BcryptThreads {
    /// At most `threads` threads that hash at this cost (4 to 31: the base-2 logarithm of the number of rounds).
    #[must_use]
    pub fn new(cost: u32, threads: usize) -> Self {
        let threads = threads.max(1);
        let queue = WorkQueue { free: threads, turn: 0, waiting: Default::default() };
        Self { cost, threads, queue: Arc::new(Mutex::new(queue)) }
    }

    pub(super) fn cost(&self) -> u32 {
        self.cost
    }

    /// Runs `work` when a thread is free and its kind is scheduled.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        kind: HashKind,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, HasherError> {
        self.run_for(kind, None, work).await
    }

    /// As [`run`](Self::run), in turn with callers from other addresses.
    pub(super) async fn run_for<T: Send + 'static>(
        &self,
        kind: HashKind,
        address: Option<IpAddr>,
        work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static,
    ) -> Result<T, HasherError> {
        let thread = self.thread(kind, address).await?;
        // The thread is held until the work ends: it cannot be interrupted, even if its caller is cancelled.
        let result = tokio::task::spawn_blocking(move || {
            let _thread = thread;
            work()
        });
        result.await.map_err(|e| HasherError::Failed(e.into()))?.map_err(|e| HasherError::Failed(e.into()))
    }

    async fn thread(&self, kind: HashKind, address: Option<IpAddr>) -> Result<Thread, HasherError> {
        let turn = {
            let mut queue = self.lock();
            if queue.free > 0 {
                queue.free -= 1;
                return Ok(Thread { of: Some(self.clone()) });
            }
            let places = self.threads * kind.places();
            queue.waiting[kind as usize].take_place(address, places).ok_or(HasherError::Overloaded)?
        };
        turn.await.map_err(|error| HasherError::Failed(error.into()))
    }

    /// Hands a free thread to the next caller.
    fn release(&self) {
        loop {
            let Some(caller) = self.lock().next_caller() else { return };
            let Err(mut unwanted) = caller.send(Thread { of: Some(self.clone()) }) else { return };
            // Its caller was cancelled; the thread must not be released twice.
            unwanted.of = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, WorkQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WorkQueue {
    /// Picks the next caller; if nobody waits, the thread becomes free.
    fn next_caller(&mut self) -> Option<oneshot::Sender<Thread>> {
        for _ in TURNS {
            let kind = TURNS[self.turn];
            self.turn = (self.turn + 1) % TURNS.len();
            if let Some(caller) = self.waiting[kind as usize].next() {
                return Some(caller);
            }
        }
        self.free += 1;
        None
    }
}

/// One of the threads, for as long as this is held.
pub(super) struct Thread {
    of: Option<BcryptThreads>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(threads) = self.of.take() {
            threads.release();
        }
    }
}

#[cfg(test)]
impl BcryptThreads {
    /// Takes one thread for as long as this is held.
    pub(super) async fn occupy(&self) -> Thread {
        self.thread(HashKind::Secret, None).await.unwrap()
    }

    /// Number of callers that wait for this kind of work.
    pub(super) fn waiting(&self, kind: HashKind) -> usize {
        self.lock().waiting[kind as usize].len()
    }
}
