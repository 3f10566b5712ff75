//! The connections of a pool: opens, keeps and closes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use sea_orm::{DbBackend, DbErr, RuntimeErr, sqlx};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::connection::{ConnectionTarget, DriverConnection, is_transient_refusal, server_is_full, within};
use super::writes::WriteHealth;

/// How much later our timeout for a statement is than the server's, whose error is more specific.
const DEADLINE_MARGIN: Duration = Duration::from_secs(1);
/// A server connection that was idle for longer is pinged before it is used.
const TRUSTED_IDLE_TIME: Duration = Duration::from_secs(10);
/// A server connection that was idle for longer is closed.
const MAX_IDLE_TIME: Duration = Duration::from_mins(10);
/// A server connection is replaced at this age, so that its memory on the server does not grow forever.
const MAX_AGE: Duration = Duration::from_mins(30);
/// Minimum delay between failed attempts to connect.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// The purpose of a pool's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Read only.
    Read,
    /// Write, and read along the way.
    Write,
}

/// Options of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Maximum number of open connections.
    pub size: u32,
    /// Maximum time to wait for a connection, and the server's statement timeout.
    pub timeout: Duration,
}

/// The connections of a pool, lent and idle.
pub(super) struct PoolState {
    target: ConnectionTarget,
    options: PoolOptions,
    permits: Arc<Semaphore>,
    shelf: Mutex<Shelf>,
    /// Number of open connections, lent and idle.
    open: Arc<AtomicU32>,
    closed: AtomicBool,
    writes: WriteHealth,
    statements: AtomicU64,
    /// Another pool on the same server, which shares what the server allows.
    neighbor: OnceLock<Weak<PoolState>>,
    /// Whether the neighbor waits for one of our connections to be closed.
    neighbor_waits: AtomicBool,
}

#[derive(Default)]
struct Shelf {
    /// Last in, first out, so that surplus connections stay idle and are closed.
    idle: Vec<PooledConnection>,
    /// Callers that may have a connection, though the server accepts no more: they get the next one returned.
    waiting: VecDeque<oneshot::Sender<PooledConnection>>,
    failure: Option<ConnectFailure>,
}

/// Recent attempts to connect have failed.
struct ConnectFailure {
    since: Instant,
    next_attempt: Instant,
    reason: String,
}

/// A connection that counts as open until it is dropped.
pub(super) struct PooledConnection {
    driver: DriverConnection,
    opened: Instant,
    idle_since: Instant,
    counted: OpenConnection,
}

struct OpenConnection(Arc<AtomicU32>);

impl OpenConnection {
    fn count(open: &Arc<AtomicU32>) -> Self {
        open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl PooledConnection {
    pub(super) fn driver(&mut self) -> &mut DriverConnection {
        &mut self.driver
    }

    /// Closes it gracefully, within `timeout`.
    async fn close(self, timeout: Duration) {
        let Self { driver, counted, .. } = self;
        if let Err(error) = within(Some(timeout), driver.close()).await {
            tracing::debug!(error = %error, "a connection to the database was not closed gracefully");
        }
        drop(counted);
    }
}

/// What to do when no connection is idle.
enum NextStep {
    Connect,
    WaitUntil(Instant),
    GiveUp(String),
}

impl PoolState {
    /// No connection is open yet.
    pub(super) fn new(target: ConnectionTarget, options: PoolOptions) -> Self {
        let options = PoolOptions { size: options.size.max(1), ..options };
        Self {
            target,
            options,
            permits: Arc::new(Semaphore::new(options.size as usize)),
            shelf: Mutex::default(),
            open: Arc::default(),
            closed: AtomicBool::new(false),
            writes: WriteHealth::default(),
            statements: AtomicU64::new(0),
            neighbor: OnceLock::new(),
            neighbor_waits: AtomicBool::new(false),
        }
    }

    /// Shares what the server allows with `neighbor`.
    pub(super) fn share_with(&self, neighbor: &Arc<Self>) {
        let _already_shared = self.neighbor.set(Arc::downgrade(neighbor));
    }

    /// Opens a connection and keeps it.
    pub(super) async fn open_first(&self) -> Result<(), DbErr> {
        let connection = self.connect(self.options.timeout).await.map_err(connect_error)?;
        self.put_back(connection);
        Ok(())
    }

    pub(super) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    pub(super) fn writes(&self) -> &WriteHealth {
        &self.writes
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.target.backend()
    }

    /// The timeout of a statement. SQLite involves no network.
    pub(super) fn statement_deadline(&self) -> Option<Duration> {
        match self.backend() {
            DbBackend::Postgres => Some(self.timeout()),
            _ => None,
        }
    }

    pub(super) fn count_statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    fn timeout(&self) -> Duration {
        self.options.timeout + DEADLINE_MARGIN
    }

    pub(super) fn note_write(&self, purpose: Purpose, outcome: Result<(), &sqlx::Error>) {
        match (purpose, outcome) {
            (Purpose::Read, _) => {}
            (Purpose::Write, Ok(())) => self.writes.succeeded(),
            (Purpose::Write, Err(error)) => self.writes.failed(error),
        }
    }

    fn shelved(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back a clean connection.
    pub(super) fn put_back(&self, mut connection: PooledConnection) {
        connection.idle_since = Instant::now();
        if self.open.load(Ordering::Acquire) > 1 && self.neighbor_waits.swap(false, Ordering::AcqRel) {
            self.retire(connection);
            return;
        }
        let mut kept = self.shelved();
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        while let Some(next) = kept.waiting.pop_front() {
            match next.send(connection) {
                Ok(()) => return,
                Err(returned) => connection = returned,
            }
        }
        kept.idle.push(connection);
        let stale = kept.idle.iter().take_while(|idle| self.is_beyond(idle.idle_since, MAX_IDLE_TIME)).count();
        let stale: Vec<_> = kept.idle.drain(..stale).collect();
        drop(kept);
        for connection in stale {
            self.retire(connection);
        }
    }

    /// Closes a connection, so that the neighbor can open its first one: an idle one now, or the next that is returned. The
    /// last one is kept.
    fn give_way(&self) {
        if self.open.load(Ordering::Acquire) <= 1 {
            return;
        }
        let mut kept = self.shelved();
        if kept.idle.is_empty() {
            self.neighbor_waits.store(true, Ordering::Release);
            return;
        }
        let longest_idle = kept.idle.remove(0);
        drop(kept);
        self.retire(longest_idle);
    }

    fn retire(&self, connection: PooledConnection) {
        // Outside of a runtime it is dropped, which closes it too.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(connection.close(self.timeout()));
        }
    }

    /// Whether a server connection has exceeded an age. A file connection does not go stale, and a new one would have to
    /// prepare its statements again.
    fn is_beyond(&self, since: Instant, limit: Duration) -> bool {
        self.backend() == DbBackend::Postgres && since.elapsed() > limit
    }

    /// A connection, and the permit to use it.
    pub(super) async fn acquire(&self) -> Result<(PooledConnection, OwnedSemaphorePermit), DbErr> {
        let deadline = Instant::now() + self.options.timeout;
        self.refuse_if_hopeless()?;
        let permit = tokio::time::timeout_at(deadline, Arc::clone(&self.permits).acquire_owned()).await;
        let permit: OwnedSemaphorePermit = match permit {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(is_closed()),
            Err(_) => return Err(self.no_connection(&format!("all {} are in use", self.options.size))),
        };
        Ok((self.obtain(deadline).await?, permit))
    }

    /// Fails fast if recent callers have waited long enough to know.
    fn refuse_if_hopeless(&self) -> Result<(), DbErr> {
        let kept = self.shelved();
        match &kept.failure {
            Some(failure) if kept.idle.is_empty() && self.is_hopeless(failure) => Err(unreachable(&failure.reason)),
            _ => Ok(()),
        }
    }

    fn is_hopeless(&self, failure: &ConnectFailure) -> bool {
        let nothing_to_wait_for = self.open.load(Ordering::Acquire) == 0;
        nothing_to_wait_for && failure.since.elapsed() >= self.options.timeout && Instant::now() < failure.next_attempt
    }

    async fn obtain(&self, deadline: Instant) -> Result<PooledConnection, DbErr> {
        loop {
            if self.closed.load(Ordering::Acquire) {
                return Err(is_closed());
            }
            if let Some(connection) = self.take_idle().await {
                return Ok(connection);
            }
            match self.turn() {
                NextStep::GiveUp(reason) => return Err(unreachable(&reason)),
                NextStep::Connect => match self.connect(deadline.saturating_duration_since(Instant::now())).await {
                    Ok(connection) => return Ok(connection),
                    Err(error) if is_transient_refusal(&error) && Instant::now() < deadline => {}
                    Err(error) => return Err(connect_error(error)),
                },
                NextStep::WaitUntil(moment) => {
                    if let Some(connection) = self.wait_for_returned(moment.min(deadline)).await {
                        return Ok(connection);
                    }
                    if Instant::now() >= deadline {
                        let reason = self.shelved().failure.as_ref().map(|failure| failure.reason.clone());
                        return Err(self.no_connection(&reason.unwrap_or_else(|| "none was free".to_owned())));
                    }
                }
            }
        }
    }

    /// A healthy idle connection.
    async fn take_idle(&self) -> Option<PooledConnection> {
        loop {
            let mut connection = self.shelved().idle.pop()?;
            if self.is_beyond(connection.opened, MAX_AGE) {
                self.retire(connection);
                continue;
            }
            if !self.is_beyond(connection.idle_since, TRUSTED_IDLE_TIME) {
                return Some(connection);
            }
            match within(Some(DEADLINE_MARGIN), connection.driver.ping()).await {
                Ok(()) => return Some(connection),
                Err(error) => tracing::debug!(error = %error, "an idle connection to the database is lost"),
            }
        }
    }

    /// While the server refuses connections, one caller at a time tries.
    fn turn(&self) -> NextStep {
        let mut kept = self.shelved();
        let now = Instant::now();
        let Some(failure) = &mut kept.failure else { return NextStep::Connect };
        if now >= failure.next_attempt {
            failure.next_attempt = now + self.options.timeout;
            NextStep::Connect
        } else if self.is_hopeless(failure) {
            NextStep::GiveUp(failure.reason.clone())
        } else {
            NextStep::WaitUntil(failure.next_attempt)
        }
    }

    async fn connect(&self, timeout: Duration) -> Result<PooledConnection, sqlx::Error> {
        let connected = within(Some(timeout), Box::pin(self.target.connect())).await;
        let now = Instant::now();
        let mut kept = self.shelved();
        // Waiting callers re-evaluate what to wait for.
        kept.waiting.clear();
        match connected {
            Ok(driver) => {
                kept.failure = None;
                let counted = OpenConnection::count(&self.open);
                Ok(PooledConnection { driver, opened: now, idle_since: now, counted })
            }
            Err(error) => {
                if server_is_full(&error)
                    && self.open.load(Ordering::Acquire) == 0
                    && let Some(neighbor) = self.neighbor.get().and_then(Weak::upgrade)
                {
                    neighbor.give_way();
                }
                let since = kept.failure.as_ref().map_or(now, |failure| failure.since);
                let (next_attempt, reason) = (now + RETRY_INTERVAL, error.to_string());
                kept.failure = Some(ConnectFailure { since, next_attempt, reason });
                Err(error)
            }
        }
    }

    async fn wait_for_returned(&self, until: Instant) -> Option<PooledConnection> {
        let (sender, mut receiver) = oneshot::channel();
        {
            let mut kept = self.shelved();
            if let Some(connection) = kept.idle.pop() {
                return Some(connection);
            }
            kept.waiting.push_back(sender);
        }
        if let Ok(returned) = tokio::time::timeout_at(until, &mut receiver).await {
            return returned.ok();
        }
        receiver.close();
        receiver.try_recv().ok()
    }

    fn no_connection(&self, reason: &str) -> DbErr {
        let waited = self.options.timeout.as_millis();
        unreachable(&format!("none became free within {waited} ms: {reason}"))
    }

    /// Waits for statements in progress and closes every connection, in bounded time.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.shelved().waiting.clear();
        // Waiting callers get the connection in turn, and learn that there is none.
        let all = tokio::time::timeout(self.timeout(), self.permits.acquire_many(self.options.size)).await;
        if all.is_err() {
            tracing::warn!("some statements were still in progress when the database was closed");
        }
        self.permits.close();
        let idle = std::mem::take(&mut self.shelved().idle);
        futures_util::future::join_all(idle.into_iter().map(|connection| connection.close(self.timeout()))).await;
    }
}

fn unreachable(reason: &str) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("no connection to the database: {reason}")))
}

fn connect_error(error: sqlx::Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(error.into()))
}

fn is_closed() -> DbErr {
    DbErr::Conn(RuntimeErr::Internal("the connections to the database are closed".to_owned()))
}
