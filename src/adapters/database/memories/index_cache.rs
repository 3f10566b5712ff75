//! Keeps the indexes of the scopes that are searched in memory, and up to date.
//!
//! The database is the only truth. It numbers the transactions that change a scope, whoever writes (a trigger does, so that
//! another program or an older version counts too), and each notes which memories it changed. A search reads the number with
//! the counts of the scope, in the transaction in which it reads everything else: an index with the same number is up to
//! date, and one with an older number reads the memories that have changed since. If the notes have a gap, or there is no
//! index yet, the search uses the index in the database, and the one in memory is built meanwhile. Both give the same results.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sea_orm::ConnectionTrait;
use tokio::sync::{OwnedRwLockReadGuard, RwLock, Semaphore};

use super::failure::MemoryStoreError;
use super::read::ScopeRow;
use super::scope_index::{INDEXED_COLUMNS, IndexedMemory, ScopeIndex};
use super::sets::unsigned;
use super::sql::Sql;
use crate::adapters::database::connections::ConnectionPool;
use crate::adapters::database::row::{Row, json_array};

/// Minimum number of memories of a scope with an index in memory; searching fewer in the database is fast enough.
pub(super) const LEAST_MEMORIES: i64 = 1_000;
/// Maximum size of all indexes together. The one that was not used for longest makes room.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Number of newest transactions of a scope whose changes are noted.
pub(super) const NOTED: i64 = 1_024;
/// Maximum number of memories that an index reads to be up to date, and how many of them it may have already: those are
/// looked for in every term.
const MAX_CHANGED: usize = 4_096;
const MAX_REPLACED: usize = 32;
/// Number of memories read per statement when an index is built.
const READ_AT_A_TIME: i64 = 500;

/// An index that is up to date for as long as it is held.
pub(super) type CurrentIndex = OwnedRwLockReadGuard<NumberedIndex, ScopeIndex>;

/// The indexes. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct IndexCache {
    connection: ConnectionPool,
    shelf: Arc<Mutex<HashMap<i64, ShelvedIndex>>>,
    clock: Arc<AtomicU64>,
    /// One index is built at a time.
    building: Arc<Semaphore>,
}

#[derive(Debug)]
enum ShelvedIndex {
    Building,
    /// A row is invalid, so that there is none.
    Failed,
    Ready {
        index: Arc<RwLock<NumberedIndex>>,
        bytes: u64,
        used: u64,
    },
}

/// An index, and the number of the newest transaction whose changes it has.
#[derive(Debug)]
pub(super) struct NumberedIndex {
    revision: i64,
    index: ScopeIndex,
}

impl IndexCache {
    /// Builds indexes through `connection`.
    pub(super) fn new(connection: ConnectionPool) -> Self {
        Self { connection, shelf: Arc::default(), clock: Arc::default(), building: Arc::new(Semaphore::new(1)) }
    }

    /// The index of a scope as of `row`, which was read in the same transaction; `None` if it has to be searched in the
    /// database.
    pub(super) async fn current(
        &self,
        transaction: &impl ConnectionTrait,
        row: &ScopeRow,
    ) -> Result<Option<CurrentIndex>, MemoryStoreError> {
        let estimate = ScopeIndex::estimated_bytes(unsigned(row.memories), unsigned(row.total_length));
        if row.memories < LEAST_MEMORIES || estimate > MAX_BYTES {
            return Ok(None);
        }
        let Some(index) = self.take(row.id) else { return Ok(None) };
        let held = Arc::clone(&index).read_owned().await;
        if held.revision >= row.revision {
            // One that is ahead has been brought up to date by a later transaction.
            return Ok((held.revision == row.revision).then(|| only_index(held)));
        }
        let since = held.revision;
        drop(held);
        let Some(changed) = changed_since(transaction, row, since).await? else {
            self.build(row.id);
            return Ok(None);
        };
        let found = read(transaction, row.id, &changed).await?;
        let mut held = index.write_owned().await;
        if held.revision != since {
            return Ok((held.revision == row.revision).then(|| only_index(held.downgrade())));
        }
        if held.index.known(&changed) > MAX_REPLACED || !held.index.update(&changed, found) {
            drop(held);
            self.build(row.id);
            return Ok(None);
        }
        held.revision = row.revision;
        Ok(Some(only_index(held.downgrade())))
    }

    fn shelved(&self) -> MutexGuard<'_, HashMap<i64, ShelvedIndex>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of a scope. If there is none it is built.
    fn take(&self, scope_id: i64) -> Option<Arc<RwLock<NumberedIndex>>> {
        match self.shelved().get_mut(&scope_id) {
            Some(ShelvedIndex::Ready { index, used, .. }) => {
                *used = self.clock.fetch_add(1, Ordering::Relaxed);
                return Some(Arc::clone(index));
            }
            Some(ShelvedIndex::Building | ShelvedIndex::Failed) => return None,
            None => {}
        }
        self.build(scope_id);
        None
    }

    /// Builds the index of a scope in the background.
    fn build(&self, scope_id: i64) {
        if matches!(self.shelved().insert(scope_id, ShelvedIndex::Building), Some(ShelvedIndex::Building)) {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let built = match this.building.acquire().await {
                Ok(_turn) => build(&this.connection, scope_id).await,
                Err(_) => return,
            };
            match built {
                Ok(index) => this.put(scope_id, index),
                Err(failure) if failure.is_about_one_row() => {
                    drop(this.shelved().insert(scope_id, ShelvedIndex::Failed));
                }
                // The next search tries again.
                Err(_) => drop(this.shelved().remove(&scope_id)),
            }
        });
    }

    fn put(&self, scope_id: i64, index: NumberedIndex) {
        let (bytes, used) = (index.index.bytes() as u64, self.clock.fetch_add(1, Ordering::Relaxed));
        let mut kept = self.shelved();
        kept.insert(scope_id, ShelvedIndex::Ready { index: Arc::new(RwLock::new(index)), bytes, used });
        loop {
            let ready = kept.iter().filter_map(|(scope, shelved)| match shelved {
                ShelvedIndex::Ready { bytes, used, .. } => Some((*used, *scope, *bytes)),
                ShelvedIndex::Building | ShelvedIndex::Failed => None,
            });
            let (total, oldest) = ready.fold((0, None::<(u64, i64)>), |(total, oldest), (used, scope, bytes)| {
                (total + bytes, Some(oldest.map_or((used, scope), |oldest| oldest.min((used, scope)))))
            });
            match oldest {
                Some((_, scope)) if total > MAX_BYTES => drop(kept.remove(&scope)),
                _ => return,
            }
        }
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
    transaction: &impl ConnectionTrait,
    scope_id: i64,
    seqs: &HashSet<i64>,
) -> Result<Vec<IndexedMemory>, MemoryStoreError> {
    let rows = Sql::new(transaction, &format!("SELECT {INDEXED_COLUMNS} FROM "))
        .elements(json_array(seqs.iter().copied()))
        .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
        .value(scope_id)
        .then(" ORDER BY m.seq")
        .all(transaction)
        .await?;
    rows.iter().map(IndexedMemory::of_row).collect()
}

/// Reads a whole scope. What is written meanwhile may be missing: it has a higher number.
async fn build(connection: &ConnectionPool, scope_id: i64) -> Result<NumberedIndex, MemoryStoreError> {
    let row =
        Sql::new(connection, "SELECT revision FROM memory_scopes WHERE id = ").value(scope_id).one(connection).await?;
    let revision: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    let mut memories = Vec::new();
    let mut after: Option<(i64, String)> = None;
    loop {
        let mut sql =
            Sql::new(connection, &format!("SELECT {INDEXED_COLUMNS}, m.id FROM memories m WHERE m.scope_id = "));
        sql = sql.value(scope_id);
        if let Some((created_at, id)) = after.take() {
            sql = sql.then(" AND (m.created_at, m.id) > (").value(created_at).then(", ").value(id).then(")");
        }
        let rows = sql.then(" ORDER BY m.created_at, m.id LIMIT ").value(READ_AT_A_TIME).all(connection).await?;
        let Some(last) = rows.last() else { break };
        after = Some((last.try_get_by_index(2)?, last.try_get_by_index(10)?));
        for row in &rows {
            memories.push(IndexedMemory::of_row(row)?);
        }
        tokio::task::yield_now().await;
    }
    memories.sort_unstable_by_key(|memory: &IndexedMemory| memory.seq);
    let index = tokio::task::spawn_blocking(move || {
        let mut index = ScopeIndex::default();
        let complete = memories.into_iter().all(|memory| index.insert(memory));
        index.shrink();
        complete.then_some(index)
    });
    let index = index.await.ok().flatten().ok_or(MemoryStoreError::WriterEnded)?;
    Ok(NumberedIndex { revision, index })
}
