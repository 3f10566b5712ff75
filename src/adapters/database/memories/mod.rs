//! The embedded memory bank: memories in memgate's own database, SQLite or PostgreSQL.
//!
//! Both databases store the same rows and a full-text index over the same entries (FTS5, `tsvector`), and leave the order
//! to [`ranking`], so both return the same results.

mod candidates;
mod changes;
mod counts;
mod creation;
mod embedding;
mod failure;
mod history;
mod index;
mod index_cache;
mod index_shelf;
mod meaning;
mod operations;
mod pool;
mod pool_rows;
mod postings;
mod ranking;
mod read;
mod reindex;
mod row;
mod scope_index;
mod scope_search;
mod search;
mod sets;
mod spelling;
mod sql;
mod statistics;
mod stored;
mod term_map;
mod term_statistics;
mod vector_cache;
mod vector_rows;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memgate_domain::applications::CategoryAccess;
use memgate_domain::ids::MemoryId;
use memgate_domain::memories::{
    Admitted, Capabilities, Embedder, EmbeddingModel, Histories, IsNew, ListQuery, Memory, MemoryBank, MemoryBankError,
    MemoryQuery, MemoryScope, MemoryStatistics, MemoryUpdate, NewMemory, Page, SearchResults,
};
use memgate_domain::system::Timestamp;
use sea_orm::QueryResult;

use embedding::EmbeddingRun;
use failure::MemoryStoreError;
use index_cache::IndexCache;
use meaning::Meaning;
use operations::{Change, Prepared, WriteOp, WriteOutcome};
use sql::Sql;
pub use vector_rows::VectorCounts;
use writer::Writer;

use super::connections::ConnectionPool;
use crate::fair_slots::{FairSlots, Shares};

/// Number of concurrent searches and lists; each has a connection. A space never has all of them, a person never all that a
/// space can have.
const SEARCHES: usize = 4;
const SEARCHES_RUNNING: Shares = Shares { total: SEARCHES, space: SEARCHES - 1, person: SEARCHES - 2 };
/// Number of those that wait for a slot, and for how long.
const SEARCHES_WAITING: Shares = Shares { total: 1_024, space: 64, person: 16 };
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Maximum duration of one, from when it gets its slot.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of vectors deleted per transaction, so that no write waits long.
const VECTORS_DELETED: i64 = 5_000;

/// The terms by which a text is found, with repetitions, for comparing other rankings with this one.
#[must_use]
pub fn terms_of_text(text: &str) -> Vec<String> {
    ranking::terms_of_text(text)
}

/// Stores memories in memgate's own database.
#[derive(Debug)]
pub struct EmbeddedMemoryBank {
    reader: ConnectionPool,
    searcher: ConnectionPool,
    slots: FairSlots,
    indexes: IndexCache,
    writer: Writer,
    meaning: Option<Meaning>,
}

impl EmbeddedMemoryBank {
    /// A bank on these connections, to a migrated database. Searches and lists only use those of `searcher`, so that nothing
    /// else waits for them. On SQLite, `writer` must have one connection that syncs each commit; on PostgreSQL `reader` and
    /// `writer` may be the same pool. Starts tasks on the current runtime, which end with the bank.
    #[must_use]
    pub fn new(reader: ConnectionPool, searcher: ConnectionPool, writer: &ConnectionPool) -> Self {
        let indexes = IndexCache::new(reader.clone());
        Self {
            reader,
            searcher,
            slots: FairSlots::new(SEARCHES_RUNNING, SEARCHES_WAITING),
            indexes,
            writer: Writer::start(writer),
            meaning: None,
        }
    }

    /// The same, with the vectors of a model. Those are written through `writer`, as everything else is.
    #[must_use]
    pub fn with_embedder(self, embedder: Arc<dyn Embedder>, writer: &ConnectionPool) -> Self {
        let meaning = Meaning::new(embedder, self.reader.clone(), writer.clone());
        Self { meaning: Some(meaning), ..self }
    }

    /// Waits for a slot of the space, and then for `work`, whose duration is bounded.
    async fn in_turn<T>(
        &self,
        scope: &MemoryScope,
        work: impl Future<Output = Result<T, MemoryStoreError>>,
    ) -> Result<T, MemoryBankError> {
        let slot = self.slots.take(scope.space().as_str(), scope.person(), LONGEST_WAIT).await;
        let _slot = slot.map_err(|_| MemoryStoreError::Busy)?;
        let in_time = tokio::time::timeout(SEARCH_TIMEOUT, work).await;
        Ok(in_time.unwrap_or(Err(MemoryStoreError::TooSlow(SEARCH_TIMEOUT)))?)
    }

    /// Deletes at most `limit` memories that have expired at `now`, and as many that others superseded. Returns how many. Must be called periodically: expired
    /// memories are hidden at once, but they take space.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, MemoryBankError> {
        let rows =
            Sql::new(&self.reader, "SELECT s.tenant, m.seq FROM memories m, memory_scopes s WHERE m.expires_at <= ")
                .value(now.unix_millis())
                .then(" AND s.id = m.scope_id ORDER BY m.expires_at LIMIT ")
                .value(i64::from(limit))
                .all(&self.reader)
                .await
                .map_err(MemoryStoreError::from)?;
        let expire = |row: &QueryResult| {
            let change = Change::Expire { seq: row.try_get_by_index(1)?, now };
            Ok(WriteOp { tenant: row.try_get_by_index(0)?, access: CategoryAccess::All, change })
        };
        let mut ops = rows.iter().map(expire).collect::<Result<Vec<_>, MemoryStoreError>>()?;
        for (tenant, id) in history::expired(&self.reader, now, limit).await? {
            ops.push(WriteOp { tenant, access: CategoryAccess::All, change: Change::ExpireEntry { id, now } });
        }
        let mut removed = 0;
        for outcome in self.writer.submit_all(ops).await? {
            removed += u64::from(matches!(outcome?, WriteOutcome::Removed));
        }
        Ok(removed)
    }

    /// Reindexes all memories that an older version has indexed, a few at a time. Returns how many there were. Must be called
    /// periodically, because another instance may run an older version. Until it has finished, searches find the rest by the
    /// older version's entries.
    ///
    /// # Errors
    /// [`MemoryBankError`]; completed work is kept.
    pub async fn reindex(&self) -> Result<u64, MemoryBankError> {
        Ok(reindex::reindex(&self.reader, &self.writer).await?)
    }

    /// The model of the bank, if it has one.
    #[must_use]
    pub fn model(&self) -> Option<&EmbeddingModel> {
        self.meaning.as_ref().map(|meaning| meaning.embedder.model())
    }

    /// Makes the bank's model the one that vectors are made with, instead of that of any other instance.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub async fn adopt_model(&self) -> Result<(), MemoryBankError> {
        match &self.meaning {
            Some(meaning) => {
                meaning.prepare().await;
                Ok(vector_rows::adopt(&meaning.writer, meaning.embedder.model()).await?)
            }
            None => Ok(()),
        }
    }

    /// Makes the vectors of all memories that have none of the bank's model, a few at a time. Returns of how many. Any number of
    /// instances may do so at the same time. Must be called periodically, because others write memories too.
    ///
    /// # Errors
    /// [`MemoryBankError`]; completed work is kept.
    pub async fn embed(&self) -> Result<u64, MemoryBankError> {
        let Some(Meaning { embedder, writer, .. }) = &self.meaning else { return Ok(0) };
        Ok(EmbeddingRun { embedder: &**embedder, reader: &self.reader, writer }.run().await?)
    }

    /// Returns when this bank has changed memories since the last call; never, if it has no model.
    pub async fn changed(&self) {
        match &self.meaning {
            Some(meaning) => meaning.changed.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Deletes all vectors, of any model, a few at a time. Their memories get new ones, also meanwhile.
    ///
    /// # Errors
    /// [`MemoryBankError`]; some may be deleted.
    pub async fn delete_vectors(&self) -> Result<(), MemoryBankError> {
        let Some(meaning) = &self.meaning else { return Ok(()) };
        let mut after = i64::MIN;
        while let Some(last) = vector_rows::delete_after(&meaning.writer, after, VECTORS_DELETED).await? {
            after = last;
        }
        Ok(())
    }

    /// How many memories have vectors.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub async fn vector_counts(&self) -> Result<VectorCounts, MemoryBankError> {
        Ok(vector_rows::counts(&self.reader).await?)
    }

    async fn change(&self, scope: &MemoryScope, change: Change) -> Result<WriteOutcome, MemoryStoreError> {
        let op = WriteOp { tenant: scope.tenant(), access: scope.categories().clone(), change };
        let outcome = self.writer.submit(op).await;
        self.note_change();
        outcome
    }

    fn note_change(&self) {
        if let Some(meaning) = &self.meaning {
            meaning.changed.notify_one();
        }
    }
}

#[async_trait]
impl MemoryBank for EmbeddedMemoryBank {
    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        let change = Change::Create(Box::new(Prepared::new(memory.clone())));
        match self.change(scope, change).await? {
            WriteOutcome::Stored(memory) | WriteOutcome::Found(memory) => Ok(*memory),
            WriteOutcome::Removed | WriteOutcome::Missing => Err(MemoryStoreError::WriterEnded.into()),
        }
    }

    async fn create_all(&self, scope: &Admitted, memories: Vec<NewMemory>) -> Result<Vec<IsNew>, MemoryBankError> {
        let (tenant, access) = (scope.tenant(), scope.categories().clone());
        let prepare = move || {
            let op = |memory| {
                let change = Change::Create(Box::new(Prepared::new(memory)));
                WriteOp { tenant: tenant.clone(), access: access.clone(), change }
            };
            memories.into_iter().map(op).collect()
        };
        // Splitting so much text into terms takes long enough to delay other tasks.
        let ops = tokio::task::spawn_blocking(prepare).await.map_err(|_| MemoryStoreError::WriterEnded)?;
        let is_new = |outcome| Ok(matches!(outcome?, WriteOutcome::Stored(_)));
        let outcomes = self.writer.submit_at_once(ops).await?.into_iter().map(is_new).collect();
        self.note_change();
        Ok(outcomes)
    }

    async fn search(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, MemoryBankError> {
        self.in_turn(scope, search::search(&self.searcher, &self.indexes, self.meaning.as_ref(), scope, query)).await
    }

    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError> {
        self.in_turn(scope, read::list(&self.searcher, scope, query)).await
    }

    async fn get(&self, scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> Result<Option<Memory>, MemoryBankError> {
        Ok(read::get(&self.reader, scope, id, now).await?)
    }

    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        update: &MemoryUpdate,
    ) -> Result<Option<Memory>, MemoryBankError> {
        let change = Change::Update { id: id.clone(), update: Box::new(update.clone()) };
        match self.change(scope, change).await? {
            WriteOutcome::Stored(memory) | WriteOutcome::Found(memory) => Ok(Some(*memory)),
            WriteOutcome::Removed | WriteOutcome::Missing => Ok(None),
        }
    }

    async fn histories(
        &self,
        scope: &MemoryScope,
        ids: &[MemoryId],
        now: Timestamp,
    ) -> Result<Histories, MemoryBankError> {
        Ok(history::histories(&self.reader, scope, ids, now).await?)
    }

    async fn forget_history(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        now: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        let outcome = self.change(scope, Change::ForgetHistory { id: id.clone(), now }).await?;
        Ok(matches!(outcome, WriteOutcome::Removed))
    }

    async fn delete(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, MemoryBankError> {
        let outcome = self.change(scope, Change::Delete { id: id.clone(), if_updated_at: None }).await?;
        Ok(matches!(outcome, WriteOutcome::Removed))
    }

    async fn delete_unchanged(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        updated_at: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        let change = Change::Delete { id: id.clone(), if_updated_at: Some(updated_at) };
        Ok(matches!(self.change(scope, change).await?, WriteOutcome::Removed))
    }

    async fn statistics(&self, scope: &MemoryScope, now: Timestamp) -> Result<MemoryStatistics, MemoryBankError> {
        self.in_turn(scope, statistics::statistics(&self.searcher, scope, now)).await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: "embedded",
            update: true,
            list: true,
            date_filter: true,
            metadata_filter: true,
            expiry: true,
            history: true,
            supersede: true,
            local: true,
            max_listed: None,
            max_searched: None,
        }
    }

    async fn check_health(&self) -> Result<(), MemoryBankError> {
        Sql::new(&self.reader, "SELECT id FROM memory_scopes LIMIT 1")
            .one(&self.reader)
            .await
            .map_err(MemoryStoreError::from)?;
        Ok(())
    }
}
