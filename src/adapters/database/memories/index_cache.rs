//! Keeps the indexes of the scopes that are searched in memory, and up to date.
//!
//! The database is the only truth. It numbers the transactions that change a scope, whoever writes (a trigger does, so that
//! another program or an older version counts too), and each notes which memories it changed. A search reads the number with
//! the counts of the scope, in the transaction in which it reads everything else: an index with the same number is up to
//! date, and one with an older number reads the memories that have changed since. If the notes have a gap, or there is no
//! index yet, the search uses the index in the database, and the one in memory is built meanwhile. Both give the same results.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sea_orm::ConnectionTrait;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore};

use super::failure::MemoryStoreError;
use super::index_shelf::{IndexLimits, IndexShelf, TakenIndex};
use super::read::ScopeRow;
use super::scope_index::{INDEXED_COLUMNS, IndexedMemory, ScopeIndex};
use super::sets::unsigned;
use super::sql::Sql;
use crate::adapters::database::connections::ConnectionPool;
use crate::adapters::database::row::{Row, json_array};

/// Minimum number of memories of a scope with an index in memory; searching fewer in the database is fast enough.
pub(super) const LEAST_MEMORIES: i64 = 1_000;
/// Maximum sizes of the indexes that are kept; one that is being built comes on top. A scope with a million memories needs some
/// 70 MiB.
const LIMITS: IndexLimits = IndexLimits { small: 24 * 1024 * 1024, large: 128 * 1024 * 1024 };
/// Number of newest transactions of a scope whose changes are noted.
pub(super) const NOTED: i64 = 1_024;
/// Maximum number of memories that an index reads to be up to date, and how many of them it may have already: those are
/// looked for in every term.
const MAX_CHANGED: usize = 4_096;
const MAX_REPLACED: usize = 32;
/// Number of memories read per statement when an index is built.
const READ_AT_A_TIME: usize = 500;

/// An index that is up to date for as long as it is held.
pub(super) type CurrentIndex = OwnedRwLockReadGuard<NumberedIndex, ScopeIndex>;

/// The indexes. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct IndexCache {
    connection: ConnectionPool,
    shelf: Arc<Mutex<IndexShelf<SharedIndex>>>,
    /// One index is built at a time.
    building: Arc<Semaphore>,
}

type SharedIndex = Arc<RwLock<NumberedIndex>>;

/// An index, and the number of the newest transaction whose changes it has.
#[derive(Debug)]
pub(super) struct NumberedIndex {
    revision: i64,
    index: ScopeIndex,
}

impl IndexCache {
    /// Builds indexes through `connection`.
    pub(super) fn new(connection: ConnectionPool) -> Self {
        let shelf = Arc::new(Mutex::new(IndexShelf::new(LIMITS)));
        Self { connection, shelf, building: Arc::new(Semaphore::new(1)) }
    }

    /// The index of a scope as of `row`, which was read in the same transaction; `None` if it has to be searched in the
    /// database.
    pub(super) async fn current(
        &self,
        transaction: &impl ConnectionTrait,
        row: &ScopeRow,
    ) -> Result<Option<CurrentIndex>, MemoryStoreError> {
        let estimate = ScopeIndex::estimated_bytes(unsigned(row.memories), unsigned(row.total_length));
        if row.memories < LEAST_MEMORIES || estimate > LIMITS.large {
            self.shelf().drop_index(row.id);
            return Ok(None);
        }
        let taken = self.shelf().take(row.id, row.memories, estimate);
        let index = match taken {
            TakenIndex::Ready(index) => index,
            TakenIndex::Due => {
                self.build(row);
                return Ok(None);
            }
            TakenIndex::Absent => return Ok(None),
        };
        let held = Arc::clone(&index).read_owned().await;
        if held.revision >= row.revision {
            // One that is ahead has been brought up to date by a later transaction.
            return Ok((held.revision == row.revision).then(|| only_index(held)));
        }
        let since = held.revision;
        drop(held);
        let Some(changed) = changed_since(transaction, row, since).await? else {
            self.rebuild(row);
            return Ok(None);
        };
        let found = read(transaction, row.id, changed.iter().copied()).await?;
        let mut held = index.write_owned().await;
        if held.revision != since {
            return Ok((held.revision == row.revision).then(|| only_index(held.downgrade())));
        }
        if held.index.known(&changed) > MAX_REPLACED || !held.index.update(&changed, found) {
            drop(held);
            self.rebuild(row);
            return Ok(None);
        }
        held.revision = row.revision;
        self.shelf().weigh(row.id, held.index.bytes() as u64);
        Ok(Some(only_index(held.downgrade())))
    }

    fn shelf(&self) -> MutexGuard<'_, IndexShelf<SharedIndex>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rebuild(&self, row: &ScopeRow) {
        let is_due = self.shelf().rebuild(row.id);
        if is_due {
            self.build(row);
        }
    }

    /// Builds the index of a scope in the background.
    fn build(&self, row: &ScopeRow) {
        let (this, scope_id, memories) = (self.clone(), row.id, row.memories);
        tokio::spawn(async move {
            let Ok(_turn) = this.building.acquire().await else { return };
            // Those that were built meanwhile may have taken the room.
            if !this.shelf().has_room(scope_id) {
                return this.shelf().give_up(scope_id);
            }
            match build(&this.connection, scope_id).await {
                Ok(Some(index)) => {
                    let bytes = index.index.bytes() as u64;
                    this.shelf().put(scope_id, Arc::new(RwLock::new(index)), bytes);
                }
                Ok(None) => this.shelf().fail(scope_id, memories),
                Err(failure) if failure.is_about_one_row() => this.shelf().fail(scope_id, memories),
                // The next search tries again.
                Err(_) => this.shelf().give_up(scope_id),
            }
        });
    }
}

fn only_index(held: OwnedRwLockReadGuard<NumberedIndex>) -> CurrentIndex {
    OwnedRwLockReadGuard::map(held, |numbered| &numbered.index)
}

/// The memories that the transactions after number `since` have changed; `None` if not all of these are noted, or they have
/// changed too many.
pub(super) async fn changed_since(
    transaction: &impl ConnectionTrait,
    row: &ScopeRow,
    since: i64,
) -> Result<Option<HashSet<i64>>, MemoryStoreError> {
    let expected = row.revision - since;
    if expected > NOTED {
        return Ok(None);
    }
    let rows = Sql::new(transaction, "SELECT seqs FROM memory_changes WHERE scope_id = ")
        .value(row.id)
        .then(" AND revision > ")
        .value(since)
        .then(" AND revision <= ")
        .value(row.revision)
        .all(transaction)
        .await?;
    if i64::try_from(rows.len()) != Ok(expected) {
        return Ok(None);
    }
    let mut changed = HashSet::new();
    for changes in rows {
        let seqs: String = changes.try_get_by_index(0)?;
        let seqs: Vec<i64> = serde_json::from_str(&seqs).map_err(|_| {
            Row::new("memory_changes", row.id).inconsistent("column seqs is not a JSON array of numbers")
        })?;
        changed.extend(seqs);
        if changed.len() > MAX_CHANGED {
            return Ok(None);
        }
    }
    Ok(Some(changed))
}

/// Those of the memories `seqs` that exist, in ascending order.
async fn read(
    connection: &impl ConnectionTrait,
    scope_id: i64,
    seqs: impl IntoIterator<Item = i64>,
) -> Result<Vec<IndexedMemory>, MemoryStoreError> {
    let rows = Sql::new(connection, &format!("SELECT {INDEXED_COLUMNS} FROM "))
        .elements(json_array(seqs))
        .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
        .value(scope_id)
        .all(connection)
        .await?;
    let mut memories = rows.iter().map(IndexedMemory::of_row).collect::<Result<Vec<_>, _>>()?;
    // SQLite would write that many terms to a temporary file in order to sort them.
    memories.sort_unstable_by_key(|memory| memory.seq);
    Ok(memories)
}

/// Reads a whole scope, a part at a time. What is written meanwhile may be missing: it has a higher number. `None` if the index
/// does not fit.
async fn build(connection: &ConnectionPool, scope_id: i64) -> Result<Option<NumberedIndex>, MemoryStoreError> {
    let row =
        Sql::new(connection, "SELECT revision FROM memory_scopes WHERE id = ").value(scope_id).one(connection).await?;
    let revision: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    let all = Sql::new(connection, "SELECT string_agg(CAST(m.seq AS text), ',') FROM memories m WHERE m.scope_id = ");
    let mut seqs = all.value(scope_id).numbers(connection).await?;
    seqs.sort_unstable();
    let mut index = ScopeIndex::default();
    for part in seqs.chunks(READ_AT_A_TIME) {
        let memories = read(connection, scope_id, part.iter().copied()).await?;
        let inserted = tokio::task::spawn_blocking(move || {
            let is_complete = memories.into_iter().all(|memory| index.insert(memory));
            if index.bytes() as u64 > LIMITS.large {
                index.shrink();
            }
            (is_complete && index.bytes() as u64 <= LIMITS.large).then_some(index)
        });
        match inserted.await.map_err(|_| MemoryStoreError::WriterEnded)? {
            Some(inserted) => index = inserted,
            None => return Ok(None),
        }
    }
    let shrunk = tokio::task::spawn_blocking(move || {
        index.shrink();
        index
    });
    let index = shrunk.await.map_err(|_| MemoryStoreError::WriterEnded)?;
    Ok(Some(NumberedIndex { revision, index }))
}
