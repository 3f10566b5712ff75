//! The port to the memory bank.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};

use super::history::HistoryEntry;
use super::model::{Memory, MemoryScope, MemoryUpdate};
use super::new_memory::NewMemory;
use super::query::{Limit, ListQuery, MemoryFilter, MemoryQuery, Page, SearchAnswer, SearchResults, StaleAllowed};
use super::statistics::MemoryStatistics;
use super::tenants::{Admitted, NotAdmitted};
use crate::ids::MemoryId;
use crate::system::{BoxError, StorageError, Timestamp};

/// Maximum number of memories of one [`MemoryBank::create_all`].
pub const MAX_AT_ONCE: usize = 2_048;

/// Whether a memory is new: the outcome of each of a [`MemoryBank::create_all`].
pub type IsNew = Result<bool, MemoryBankError>;

/// Number of memories that a bank without a way to create many at once creates concurrently: few beside what one person may
/// have under way at a remote bank by default, so that none of them waits long.
const CONCURRENT_CREATIONS: usize = 8;

/// Stores and searches memories, each within a scope. Nothing outside the scope, and nothing in a category that the scope
/// does not allow, is ever returned, changed or deleted: it is treated as nonexistent.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait MemoryBank: Send + Sync {
    /// Creates a memory. It is idempotent: the same [`NewMemory::id`] in the same scope creates one memory, and later calls
    /// return the existing one. When it returns, the memory is durable.
    ///
    /// If the memory is new and [supersedes](NewMemory::supersedes) another one that the scope contains, then it takes its
    /// place in the same step: the older memory, as it was, and what had happened to it are in the history of the new one, and
    /// nowhere else. If there is no such memory any more, the new one is stored all the same: a write is never lost. Of several
    /// that supersede one memory, one does.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them if it supersedes another one.
    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError>;

    /// As [`create`](Self::create), for a write that was just accepted and cannot have been sent before: a bank that would
    /// have to look it up first need not.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn create_first(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.create(scope, memory).await
    }

    /// Creates many memories, each as [`create`](Self::create) does. Returns for each, in order, whether it is new; one that
    /// an earlier write created is left as it is. A memory that the bank rejects does not affect the others. Callers pass at
    /// most [`MAX_AT_ONCE`], so that other writers get their turn.
    ///
    /// # Errors
    /// [`MemoryBankError`] if nothing is known of any. Some may have been created; the same call can be repeated.
    async fn create_all(&self, scope: &Admitted, memories: Vec<NewMemory>) -> Result<Vec<IsNew>, MemoryBankError> {
        let create = |memory: NewMemory| async move {
            if self.find_written(scope, &memory).await?.is_some() {
                return Ok(false);
            }
            self.create_first(scope, &memory).await.map(|_| true)
        };
        Ok(stream::iter(memories.into_iter().map(create)).buffered(CONCURRENT_CREATIONS).collect().await)
    }

    /// The best matches, best first.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn search(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, MemoryBankError>;

    /// As [`search`](Self::search). While the bank is unavailable, an earlier answer may stand in, if there is one that
    /// `allowed` allows: to the same search, by the same application, in the same scope, since when no memory of the scope was
    /// changed or deleted through this bank. Memories that have expired since are left out of it.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn search_allowing_stale(
        &self,
        scope: &MemoryScope,
        query: &MemoryQuery,
        allowed: StaleAllowed,
    ) -> Result<SearchAnswer, MemoryBankError> {
        let _ = allowed;
        Ok(SearchAnswer { results: self.search(scope, query).await?, stale_for: None })
    }

    /// The memories of the scope, newest first.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError>;

    /// One memory; `None` if the scope does not contain it, or it has expired at `now`.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn get(&self, scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> Result<Option<Memory>, MemoryBankError>;

    /// Updates a memory and returns it; `None` if the scope does not contain it, or the update does not
    /// [apply](MemoryUpdate::applies_to) to it: then nothing is changed. Concurrent updates of different members are all kept by
    /// a bank that supports it. A bank that keeps histories notes which members got another value.
    ///
    /// A [local](Capabilities::local) bank checks the [condition](MemoryUpdate::if_updated_at) and changes the memory in one
    /// step: of concurrent updates with the same condition one is carried out. Another bank may have no such step. It checks as
    /// late as it can, and serializes the callers of this process; what another one writes in between is overwritten.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        update: &MemoryUpdate,
    ) -> Result<Option<Memory>, MemoryBankError>;

    /// The histories of memories of the scope that have not expired at `now`. Superseded memories that the scope does not allow,
    /// or that have expired, are left out.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn histories(
        &self,
        scope: &MemoryScope,
        ids: &[MemoryId],
        now: Timestamp,
    ) -> Result<Histories, MemoryBankError> {
        let _ = (scope, ids, now);
        Err(MemoryBankError::Unsupported(Capability::History))
    }

    /// Forgets the history of a memory, all of it. Returns whether the scope contains the memory, and it has not expired at
    /// `now`.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn forget_history(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        now: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        let _ = (scope, id, now);
        Err(MemoryBankError::Unsupported(Capability::History))
    }

    /// Deletes a memory, and its history. Returns whether the scope contained it.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn delete(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, MemoryBankError>;

    /// As [`delete`](Self::delete), if [`Memory::updated_at`] is still `updated_at`: nothing has changed the memory since it was
    /// read. Otherwise it returns false and deletes nothing. A [local](Capabilities::local) bank checks and deletes in one step;
    /// another one as [`update`](Self::update) does.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn delete_unchanged(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        updated_at: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        let memory = self.get(scope, id, Timestamp::from_unix_millis(i64::MIN)).await?;
        let is_unchanged = memory.is_some_and(|memory| memory.updated_at == updated_at);
        if is_unchanged { self.delete(scope, id).await } else { Ok(false) }
    }

    /// The capabilities of the bank.
    fn capabilities(&self) -> Capabilities;

    /// The IDs of some memories of the scope, including expired ones, at most `limit`, in no particular order; empty only if
    /// there are none. Unlike a list it has no upper bound on the scope: deleting what it returns and calling again eventually
    /// covers all of them.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn sample(&self, scope: &MemoryScope, limit: Limit) -> Result<Vec<MemoryId>, MemoryBankError> {
        // At the beginning of time nothing has expired yet.
        let now = Timestamp::from_unix_millis(i64::MIN);
        let page = self.list(scope, &ListQuery::new(limit, now)).await?;
        Ok(page.memories.into_iter().map(|memory| memory.id).collect())
    }

    /// The statistics of the memories that have not expired at `now`. What other callers change meanwhile may be counted or not.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn statistics(&self, scope: &MemoryScope, now: Timestamp) -> Result<MemoryStatistics, MemoryBankError> {
        let (mut statistics, mut query) = (MemoryStatistics::default(), ListQuery::new(Limit::LARGEST, now));
        loop {
            let page = self.list(scope, &query).await?;
            for memory in &page.memories {
                statistics.count(memory);
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(statistics),
            }
        }
    }

    /// The memory that an earlier [`create`](Self::create) of this write created, if it arrived; expired or not.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn find_written(&self, scope: &MemoryScope, write: &NewMemory) -> Result<Option<Memory>, MemoryBankError> {
        self.get(scope, &write.id, Timestamp::from_unix_millis(i64::MIN)).await
    }

    /// The [`NewMemory::id`] of the write that created this memory, if the memory exists and that is known.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn write_of(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<MemoryId>, MemoryBankError> {
        let memory = self.get(scope, id, Timestamp::from_unix_millis(i64::MIN)).await?;
        Ok(memory.map(|memory| memory.id))
    }

    /// Checks that the bank responds, and works within the limits that [`capabilities`](Self::capabilities) states.
    ///
    /// # Errors
    /// [`MemoryBankError`] with the reason.
    async fn check_health(&self) -> Result<(), MemoryBankError>;
}

/// The histories of the first of some memories.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histories {
    /// How many of the memories, from the first on: all of them, unless their histories are long; at least one.
    pub read: usize,
    /// The entries of those that have any, newest first.
    pub entries: BTreeMap<MemoryId, Vec<HistoryEntry>>,
}

/// What a bank can do beside creating, searching, getting and deleting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent yes-or-no facts")]
pub struct Capabilities {
    /// The name of the kind of bank.
    pub kind: &'static str,
    /// Memories can be updated.
    pub update: bool,
    /// Memories can be listed.
    pub list: bool,
    /// Searches can be filtered by date.
    pub date_filter: bool,
    /// Searches can be filtered by metadata.
    pub metadata_filter: bool,
    /// Memories can expire.
    pub expiry: bool,
    /// Memories have a history.
    pub history: bool,
    /// Memories can supersede others.
    pub supersede: bool,
    /// Memories are stored in memgate's own database, so writes need no queue.
    pub local: bool,
    /// Maximum number of memories of one scope that can be listed; `None` if there is no such limit. A larger scope is not
    /// listed at all, since its list would have gaps.
    pub max_listed: Option<u32>,
    /// Maximum number of results of one search; `None` if there is no such limit. A filtered search finds at most what the
    /// filters leave of them.
    pub max_searched: Option<u32>,
}

impl Capabilities {
    /// What the filter asks for must be supported.
    pub(super) fn require_filter(self, filter: &MemoryFilter) -> Result<(), MemoryBankError> {
        if filter.has_dates() && !self.date_filter {
            return Err(MemoryBankError::Unsupported(Capability::DateFilter));
        }
        if filter.reads_metadata() && !self.metadata_filter {
            return Err(MemoryBankError::Unsupported(Capability::MetadataFilter));
        }
        Ok(())
    }
}

/// An optional capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// See [`Capabilities::update`].
    Update,
    /// See [`Capabilities::list`].
    List,
    /// See [`Capabilities::date_filter`].
    DateFilter,
    /// See [`Capabilities::metadata_filter`].
    MetadataFilter,
    /// See [`Capabilities::expiry`].
    Expiry,
    /// See [`Capabilities::history`].
    History,
    /// See [`Capabilities::supersede`].
    Supersede,
}

impl Capability {
    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::List => "list",
            Self::DateFilter => "date_filter",
            Self::MetadataFilter => "metadata_filter",
            Self::Expiry => "expiry",
            Self::History => "history",
            Self::Supersede => "supersede",
        }
    }
}

/// Why a bank failed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryBankError {
    /// It is unavailable, overloaded, or too slow. A retry may succeed, after `retry_after` if that is known. Unless stated
    /// otherwise, the operation may have been carried out nevertheless.
    #[error("the memory bank is not available")]
    Unavailable {
        /// How long to wait.
        retry_after: Option<Duration>,
        /// Whether the bank failed on this very request, so that the request itself may be the reason.
        reached: bool,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// It refused the request; a retry is useless. The text is for the caller and contains none of the bank's secrets.
    #[error("the memory bank refused the request: {0}")]
    Rejected(String),
    /// It does not support this.
    #[error("the memory bank does not support `{}`", .0.as_str())]
    Unsupported(Capability),
    /// It rejects memgate's credentials, or does not match the configuration.
    #[error("the memory bank is misconfigured")]
    Misconfigured(#[source] BoxError),
    /// Its response is invalid, such as a row that no version of this program writes.
    #[error("the memory bank returned an invalid response")]
    Inconsistent(#[source] BoxError),
}

impl From<NotAdmitted> for MemoryBankError {
    fn from(refused: NotAdmitted) -> Self {
        match refused {
            NotAdmitted::Closed => Self::Rejected(refused.to_string()),
            NotAdmitted::Storage(error @ StorageError::Unavailable(_)) => {
                Self::Unavailable { retry_after: None, reached: false, source: error.into() }
            }
            NotAdmitted::Storage(error @ StorageError::InconsistentRow { .. }) => Self::Inconsistent(error.into()),
        }
    }
}

impl MemoryBankError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the request itself may be the reason although the bank did not refuse it. A bank that is down, rejects every
    /// caller, or was not called at all says nothing about one request.
    #[must_use]
    pub fn may_be_the_request(&self) -> bool {
        matches!(self, Self::Unavailable { reached: true, .. } | Self::Inconsistent(_))
    }
}

#[cfg(test)]
mod tests;
