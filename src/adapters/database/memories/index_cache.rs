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
/// Maximum size of all indexes together. The least recently used one makes room.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum size of the indexes each of which is larger than that, as of a scope with a million memories. They take no room
/// from the others.
const MAX_LARGE_BYTES: u64 = 128 * 1024 * 1024;
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
    shelf: Arc<Mutex<HashMap<i64, ShelvedIndex>>>,
    clock: Arc<AtomicU64>,
    /// One index is built at a time.
    building: Arc<Semaphore>,
}

#[derive(Debug)]
enum ShelvedIndex {
    Building,
    /// There is none: a row is invalid, or it does not fit. So many memories the scope had then.
    Failed {
        memories: i64,
    },
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
        if row.memories < LEAST_MEMORIES || estimate > MAX_LARGE_BYTES {
            return Ok(None);
        }
        let Some(index) = self.take(row) else { return Ok(None) };
        let held = Arc::clone(&index).read_owned().await;
        if held.revision >= row.revision {
            // One that is ahead has been brought up to date by a later transaction.
            return Ok((held.revision == row.revision).then(|| only_index(held)));
        }
        let since = held.revision;
        drop(held);
        let Some(changed) = changed_since(transaction, row, since).await? else {
            self.build(row);
            return Ok(None);
        };
        let found = read(transaction, row.id, changed.iter().copied()).await?;
        let mut held = index.write_owned().await;
        if held.revision != since {
            return Ok((held.revision == row.revision).then(|| only_index(held.downgrade())));
        }
        if held.index.known(&changed) > MAX_REPLACED || !held.index.update(&changed, found) {
            drop(held);
            self.build(row);
            return Ok(None);
        }
        held.revision = row.revision;
        self.weigh(row, held.index.bytes() as u64);
        Ok(Some(only_index(held.downgrade())))
    }

    fn shelved(&self) -> MutexGuard<'_, HashMap<i64, ShelvedIndex>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of a scope. If there is none it is built.
    fn take(&self, row: &ScopeRow) -> Option<Arc<RwLock<NumberedIndex>>> {
        match self.shelved().get_mut(&row.id) {
            Some(ShelvedIndex::Ready { index, used, .. }) => {
                *used = self.clock.fetch_add(1, Ordering::Relaxed);
                return Some(Arc::clone(index));
            }
            Some(shelved) if !shelved.may_be_built(row.memories) => return None,
            _ => {}
        }
        self.build(row);
        None
    }

    /// Builds the index of a scope in the background.
    fn build(&self, row: &ScopeRow) {
        let (scope_id, memories) = (row.id, row.memories);
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
                Ok(Some(index)) => this.put(scope_id, index),
                Ok(None) => drop(this.shelved().insert(scope_id, ShelvedIndex::Failed { memories })),
                Err(failure) if failure.is_about_one_row() => {
                    drop(this.shelved().insert(scope_id, ShelvedIndex::Failed { memories }));
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
        make_room(&mut kept);
    }

    /// Notes how large the index of a scope has become.
    fn weigh(&self, row: &ScopeRow, now: u64) {
        let mut kept = self.shelved();
        let Some(ShelvedIndex::Ready { bytes, .. }) = kept.get_mut(&row.id) else { return };
        *bytes = now;
        if now > MAX_LARGE_BYTES {
            // It goes itself, not all others before it.
            kept.insert(row.id, ShelvedIndex::Failed { memories: row.memories });
        }
        make_room(&mut kept);
    }
}

impl ShelvedIndex {
    /// Whether it is worth building the index of a scope that has so many memories now. One that failed is tried again once
    /// the scope has lost a quarter of them.
    fn may_be_built(&self, now: i64) -> bool {
        match self {
            Self::Failed { memories } => now <= memories / 4 * 3,
            Self::Building | Self::Ready { .. } => false,
        }
    }
}

/// Drops the least recently used indexes until the others fit.
fn make_room(kept: &mut HashMap<i64, ShelvedIndex>) {
    make_room_within(kept, MAX_BYTES, |bytes| bytes <= MAX_BYTES);
    make_room_within(kept, MAX_LARGE_BYTES, |bytes| bytes > MAX_BYTES);
}

fn make_room_within(kept: &mut HashMap<i64, ShelvedIndex>, limit: u64, counts: impl Fn(u64) -> bool) {
    loop {
        let ready = kept.iter().filter_map(|(scope, shelved)| match shelved {
            ShelvedIndex::Ready { bytes, used, .. } if counts(*bytes) => Some((*used, *scope, *bytes)),
            _ => None,
        });
        let (total, oldest) = ready.fold((0, None::<(u64, i64)>), |(total, oldest), (used, scope, bytes)| {
            (total + bytes, Some(oldest.map_or((used, scope), |oldest| oldest.min((used, scope)))))
        });
        match oldest {
            Some((_, scope)) if total > limit => drop(kept.remove(&scope)),
            _ => return,
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
    connection: &impl ConnectionTrait,
    scope_id: i64,
    seqs: impl IntoIterator<Item = i64>,
) -> Result<Vec<IndexedMemory>, MemoryStoreError> {
    let rows = Sql::new(connection, &format!("SELECT {INDEXED_COLUMNS} FROM "))
        .elements(json_array(seqs))
        .then(" e CROSS JOIN memories m WHERE m.seq = CAST(e.value AS bigint) AND m.scope_id = ")
        .value(scope_id)
        .then(" ORDER BY m.seq")
        .all(connection)
        .await?;
    rows.iter().map(IndexedMemory::of_row).collect()
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
            let complete = memories.into_iter().all(|memory| index.insert(memory));
            (complete && index.bytes() as u64 <= MAX_LARGE_BYTES).then_some(index)
        });
        match inserted.await.map_err(|_| MemoryStoreError::WriterEnded)? {
            Some(inserted) => index = inserted,
            None => return Ok(None),
        }
    }
    index.shrink();
    Ok(Some(NumberedIndex { revision, index }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// The scopes whose indexes stay, of indexes of these sizes in MiB that were used one after the other.
    fn kept(sizes: &[u64]) -> Vec<i64> {
        let index = || Arc::new(RwLock::new(NumberedIndex { revision: 0, index: ScopeIndex::default() }));
        let ready =
            (0..).zip(sizes).map(|(used, size)| ShelvedIndex::Ready { index: index(), bytes: size * MIB, used });
        let mut shelf: HashMap<i64, ShelvedIndex> = (0..).zip(ready).collect();
        make_room(&mut shelf);
        let mut kept: Vec<i64> = shelf.into_keys().collect();
        kept.sort_unstable();
        kept
    }

    #[test]
    fn the_least_recently_used_makes_room_and_a_large_one_takes_none_from_the_others() {
        assert_eq!(kept(&[32, 16, 16]), [0, 1, 2]);
        assert_eq!(kept(&[32, 16, 16, 1]), [1, 2, 3]);
        assert_eq!(kept(&[32, 70, 32]), [0, 1, 2]);
        assert_eq!(kept(&[70, 32, 100, 32]), [1, 2, 3]);
        assert_eq!(kept(&[129]), [0; 0]);
    }

    #[test]
    fn one_that_failed_is_tried_again_once_the_scope_is_smaller_by_a_quarter() {
        let failed = ShelvedIndex::Failed { memories: 1_000_000 };
        assert!(!failed.may_be_built(1_100_000) && !failed.may_be_built(750_001));
        assert!(failed.may_be_built(750_000));
        assert!(!ShelvedIndex::Building.may_be_built(0));
    }
}
