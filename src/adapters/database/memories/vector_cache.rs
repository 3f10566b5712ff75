//! Keeps the vectors of the scopes that are searched in memory, and up to date.
//!
//! As with the [indexes](super::index_cache), the database is the only truth. A search reads two numbers with the counts of the
//! scope: that of the newest transaction that changed its memories, and that of the newest that wrote vectors. Vectors with
//! the same numbers are up to date. With older ones, what has changed since is read first, if that is known, and else all of them.

use std::collections::{HashMap, HashSet};
use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memgate_domain::memories::{Embedding, EmbeddingModel, similarity};
use sea_orm::{ConnectionTrait, QueryResult};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::timeout;

use super::failure::MemoryStoreError;
use super::index_cache::changed_since;
use super::read::ScopeRow;
use super::sets::unsigned;
use super::sql::Sql;
use super::vector_rows::vectors_of;
use crate::adapters::database::connections::ConnectionPool;

/// Maximum size of all vectors in memory together. Those that were not used for longest make room.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// What a scope takes beside its vectors, which bounds how many scopes are kept.
const SCOPE_BYTES: u64 = 16 * 1024;
/// How many places may be free in a scope of few vectors.
const LEAST_FREE: usize = 1_024;
/// What a vector takes beside its values: a scale, a row number, and its place.
const REST_BYTES: usize = size_of::<f32>() + size_of::<i64>() + 24;
/// Maximum time that a search waits until the vectors of its scope are read. Later searches have them.
const WAIT: Duration = Duration::from_secs(2);
/// Number of vectors read per statement.
const READ_AT_A_TIME: i64 = 2_000;

/// The vectors of a scope, up to date for as long as they are held.
pub(super) type CurrentVectors = OwnedRwLockReadGuard<Option<ScopeVectors>, ScopeVectors>;

type VectorSlot = Arc<RwLock<Option<ScopeVectors>>>;

/// The vectors of all scopes that are searched, of one model.
#[derive(Debug)]
pub(super) struct VectorCache {
    connection: ConnectionPool,
    model: EmbeddingModel,
    shelf: Mutex<HashMap<i64, ShelvedVectors>>,
    clock: AtomicU64,
}

#[derive(Debug)]
struct ShelvedVectors {
    slot: VectorSlot,
    bytes: u64,
    used: u64,
}

impl VectorCache {
    /// Reads whole scopes through `connection`.
    pub(super) fn new(connection: ConnectionPool, model: EmbeddingModel) -> Self {
        Self { connection, model, shelf: Mutex::default(), clock: AtomicU64::new(0) }
    }

    /// The vectors of a scope as of `row`, which was read in the same transaction; `None` if they do not fit into memory, or it
    /// would take too long to read them.
    pub(super) async fn current(
        &self,
        transaction: &impl ConnectionTrait,
        row: &ScopeRow,
    ) -> Result<Option<CurrentVectors>, MemoryStoreError> {
        let bytes = unsigned(row.memories) * (self.model.dimensions + REST_BYTES) as u64;
        if bytes > MAX_BYTES {
            self.shelved().remove(&row.id);
            return Ok(None);
        }
        let slot = self.slot(row.id, SCOPE_BYTES + bytes);
        let newest = newest_revision(transaction, row.id).await?;
        // Whoever reads them first may take long.
        let Ok(held) = timeout(WAIT, Arc::clone(&slot).read_owned()).await else { return Ok(None) };
        if held.as_ref().is_some_and(|vectors| vectors.are_current(row, newest)) {
            return Ok(only_vectors(held));
        }
        drop(held);
        let Ok(mut held) = timeout(WAIT, Arc::clone(&slot).write_owned()).await else { return Ok(None) };
        if let Some(vectors) = held.as_mut()
            && (vectors.are_current(row, newest) || self.update(transaction, vectors, row, newest).await?)
        {
            return Ok(only_vectors(held.downgrade()));
        }
        let reading = build(self.connection.clone(), self.model.clone(), row.id, held);
        match timeout(WAIT, tokio::spawn(reading)).await {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(_)) => return Err(MemoryStoreError::WriterEnded),
            Err(_) => return Ok(None),
        }
        Ok(only_vectors(slot.read_owned().await))
    }

    /// Brings vectors up to date. Returns whether that was possible.
    async fn update(
        &self,
        transaction: &impl ConnectionTrait,
        vectors: &mut ScopeVectors,
        row: &ScopeRow,
        newest: i64,
    ) -> Result<bool, MemoryStoreError> {
        if vectors.free.len() > vectors.places.len().max(LEAST_FREE) {
            // Read anew, they take less memory.
            return Ok(false);
        }
        let changed = if vectors.revision < row.revision {
            match changed_since(transaction, row, vectors.revision).await? {
                Some(changed) => changed,
                None => return Ok(false),
            }
        } else {
            HashSet::new()
        };
        let rows = Sql::new(transaction, "SELECT seq, vector FROM memory_vectors WHERE scope_id = ")
            .value(row.id)
            .then(" AND model = ")
            .value(self.model.id.as_str())
            .then(" AND revision > ")
            .value(vectors.newest)
            .all(transaction)
            .await?;
        let unchanged = vectors_of(transaction, &self.model.id, row.id, changed.iter().copied()).await?;
        for seq in changed {
            vectors.remove(seq);
        }
        for row in rows.iter().chain(&unchanged) {
            vectors.insert_row(row)?;
        }
        (vectors.revision, vectors.newest) = (row.revision.max(vectors.revision), newest.max(vectors.newest));
        Ok(true)
    }

    fn shelved(&self) -> MutexGuard<'_, HashMap<i64, ShelvedVectors>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of a scope whose vectors take so many bytes. Others make room for it.
    fn slot(&self, scope_id: i64, bytes: u64) -> VectorSlot {
        let used = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.shelved();
        let shelved =
            kept.entry(scope_id).or_insert_with(|| ShelvedVectors { slot: VectorSlot::default(), bytes, used });
        (shelved.bytes, shelved.used) = (bytes, used);
        let slot = Arc::clone(&shelved.slot);
        let mut total: u64 = kept.values().map(|shelved| shelved.bytes).sum();
        while total > MAX_BYTES {
            let oldest = kept.iter().filter(|(id, _)| **id != scope_id).min_by_key(|(_, shelved)| shelved.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else { break };
            total -= kept.remove(&oldest).map_or(0, |shelved| shelved.bytes);
        }
        slot
    }
}

fn only_vectors(held: OwnedRwLockReadGuard<Option<ScopeVectors>>) -> Option<CurrentVectors> {
    OwnedRwLockReadGuard::try_map(held, Option::as_ref).ok()
}

/// The number of the newest transaction that wrote vectors of a scope.
async fn newest_revision(connection: &impl ConnectionTrait, scope_id: i64) -> Result<i64, MemoryStoreError> {
    let row = Sql::new(connection, "SELECT revision FROM memory_vector_scopes WHERE scope_id = ")
        .value(scope_id)
        .one(connection)
        .await?;
    Ok(row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0))
}

/// Reads the vectors of a whole scope into `held`. Of what is written meanwhile some may be missing: it has a higher number.
async fn build(
    connection: ConnectionPool,
    model: EmbeddingModel,
    scope_id: i64,
    mut held: OwnedRwLockWriteGuard<Option<ScopeVectors>>,
) -> Result<(), MemoryStoreError> {
    let row = Sql::new(&connection, "SELECT revision, memories FROM memory_scopes WHERE id = ")
        .value(scope_id)
        .one(&connection)
        .await?;
    let (revision, memories): (i64, i64) = match row {
        Some(row) => (row.try_get_by_index(0)?, row.try_get_by_index(1)?),
        None => (0, 0),
    };
    let newest = newest_revision(&connection, scope_id).await?;
    let most = MAX_BYTES / (model.dimensions + REST_BYTES) as u64;
    let count = usize::try_from(unsigned(memories).min(most)).unwrap_or(0);
    let mut vectors = ScopeVectors::new(revision, newest, model.dimensions, count);
    let mut after = (i64::MIN, i64::MIN);
    loop {
        let rows = Sql::new(&connection, "SELECT seq, vector, revision FROM memory_vectors WHERE scope_id = ")
            .value(scope_id)
            .then(" AND model = ")
            .value(model.id.as_str())
            .then(" AND (revision, seq) > (")
            .value(after.0)
            .then(", ")
            .value(after.1)
            .then(") ORDER BY revision, seq LIMIT ")
            .value(READ_AT_A_TIME)
            .all(&connection)
            .await?;
        let Some(last) = rows.last() else { break };
        after = (last.try_get_by_index(2)?, last.try_get_by_index(0)?);
        for row in &rows {
            vectors.insert_row(row)?;
        }
        tokio::task::yield_now().await;
    }
    *held = Some(vectors);
    Ok(())
}

/// The vectors of one scope, one behind the other.
#[derive(Debug)]
pub(super) struct ScopeVectors {
    revision: i64,
    newest: i64,
    dimensions: usize,
    places: HashMap<i64, usize>,
    /// The memory of each place; `None` if the place is free.
    seqs: Vec<Option<i64>>,
    scales: Vec<f32>,
    values: Vec<i8>,
    free: Vec<usize>,
}

impl ScopeVectors {
    fn new(revision: i64, newest: i64, dimensions: usize, count: usize) -> Self {
        Self {
            revision,
            newest,
            dimensions,
            places: HashMap::with_capacity(count),
            seqs: Vec::with_capacity(count),
            scales: Vec::with_capacity(count),
            values: Vec::with_capacity(count * dimensions),
            free: Vec::new(),
        }
    }

    /// No vectors, for those that a search reads itself.
    pub(super) fn empty(dimensions: usize) -> Self {
        Self::new(0, 0, dimensions, 0)
    }

    /// Whether a search that has read these numbers may use them. Those that are ahead have been brought up to date by a later
    /// transaction; the search reads each memory that it returns in its own.
    fn are_current(&self, row: &ScopeRow, newest: i64) -> bool {
        self.revision >= row.revision && self.newest >= newest
    }

    /// Reads a memory's row number and its vector. A vector that is not one of the model is left out.
    pub(super) fn insert_row(&mut self, row: &QueryResult) -> Result<(), MemoryStoreError> {
        let (seq, vector): (i64, Vec<u8>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        self.remove(seq);
        let Some((scale, values)) = vector.split_first_chunk::<4>() else { return Ok(()) };
        let (scale, values) = (f32::from_le_bytes(*scale), values.iter().map(|byte| byte.cast_signed()));
        let is_valid = values.len() == self.dimensions && scale > 0.0 && scale <= 1.0;
        if !is_valid {
            return Ok(());
        }
        if let Some(place) = self.free.pop() {
            self.seqs[place] = Some(seq);
            self.scales[place] = scale;
            let range = place * self.dimensions..(place + 1) * self.dimensions;
            self.values[range].iter_mut().zip(values).for_each(|(kept, value)| *kept = value);
            self.places.insert(seq, place);
        } else {
            self.places.insert(seq, self.seqs.len());
            self.seqs.push(Some(seq));
            self.scales.push(scale);
            self.values.extend(values);
        }
        Ok(())
    }

    fn remove(&mut self, seq: i64) {
        if let Some(place) = self.places.remove(&seq) {
            self.seqs[place] = None;
            self.free.push(place);
        }
    }

    /// How similar each memory is to `query`, in no particular order.
    pub(super) fn similarities<'a>(&'a self, query: &'a Embedding) -> impl Iterator<Item = (i64, i32)> + 'a {
        let vectors = self.scales.iter().zip(self.values.chunks_exact(self.dimensions.max(1)));
        self.seqs.iter().zip(vectors).filter_map(|(seq, (scale, values))| {
            Some(((*seq)?, similarity(query.scale(), query.values(), *scale, values)))
        })
    }

    /// How similar the memory `seq` is to `query`; `None` if it has no vector.
    pub(super) fn similarity(&self, query: &Embedding, seq: i64) -> Option<i32> {
        let place = *self.places.get(&seq)?;
        let values = &self.values[place * self.dimensions..(place + 1) * self.dimensions];
        Some(similarity(query.scale(), query.values(), self.scales[place], values))
    }
}
