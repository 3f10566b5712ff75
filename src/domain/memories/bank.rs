//! The port to the memory service.

use std::time::Duration;

use async_trait::async_trait;

use super::model::{Memory, MemoryChanges, MemoryScope, NewMemory};
use super::query::{Limit, ListQuery, MemoryQuery, Page, SearchResults};
use crate::ids::MemoryId;
use crate::system::{BoxError, Timestamp};

/// Keeps memories and finds them again, each inside a scope. Nothing outside the scope, and nothing in a category that
/// the scope does not allow, is ever returned, changed or deleted: it is as if it were not there.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait MemoryBank: Send + Sync {
    /// Creates a memory. The same [`NewMemory::id`] in the same scope creates one memory however often it is sent, and
    /// answers with the one there is. When it returns, the memory is kept, whatever happens to the machine's processes.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn create(&self, scope: &MemoryScope, memory: &NewMemory) -> Result<Memory, MemoryBankError>;

    /// As [`create`](Self::create), for a write that was accepted this moment, so that nobody can have sent it before: a bank
    /// that would have to look first whether it has it need not.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn create_first(&self, scope: &MemoryScope, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.create(scope, memory).await
    }

    /// The memories that fit best, best first.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn search(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, MemoryBankError>;

    /// The memories of the scope, newest first.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError>;

    /// One memory; `None` if there is none in the scope, or it has expired at `now`.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn get(&self, scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> Result<Option<Memory>, MemoryBankError>;

    /// Changes a memory and returns it as it is then; `None` if there is none in the scope, or it has expired at `now`.
    /// Concurrent changes of different members are all kept by a bank that can.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        changes: &MemoryChanges,
        now: Timestamp,
    ) -> Result<Option<Memory>, MemoryBankError>;

    /// Deletes a memory. Returns whether there was one in the scope.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn delete(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, MemoryBankError>;

    /// What the bank can do.
    fn capabilities(&self) -> Capabilities;

    /// The ids of some memories of the scope, expired ones included, at most `limit`, in no particular order; none only if
    /// there are none. Unlike a list it has no upper bound on the scope: whoever deletes what it returns and asks again gets
    /// through all of them.
    ///
    /// # Errors
    /// [`MemoryBankError`], [`MemoryBankError::Unsupported`] among them.
    async fn sample(&self, scope: &MemoryScope, limit: Limit) -> Result<Vec<MemoryId>, MemoryBankError> {
        // At the beginning of time nothing has expired yet.
        let now = Timestamp::from_unix_millis(i64::MIN);
        let page = self.list(scope, &ListQuery { limit, after: None, category: None, now }).await?;
        Ok(page.memories.into_iter().map(|memory| memory.id).collect())
    }

    /// The memory that an earlier [`create`](Self::create) of this write made, if it arrived; expired or not.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn find_written(&self, scope: &MemoryScope, write: &NewMemory) -> Result<Option<Memory>, MemoryBankError> {
        self.get(scope, &write.id, Timestamp::from_unix_millis(i64::MIN)).await
    }

    /// The [`NewMemory::id`] of the write that created the memory of this id, if the memory is there and that is known.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    async fn write_of(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<MemoryId>, MemoryBankError> {
        let memory = self.get(scope, id, Timestamp::from_unix_millis(i64::MIN)).await?;
        Ok(memory.map(|memory| memory.id))
    }

    /// Whether the bank answers, and works within the limits that [`capabilities`](Self::capabilities) states.
    ///
    /// # Errors
    /// [`MemoryBankError`] that says why not.
    async fn check_health(&self) -> Result<(), MemoryBankError>;
}

/// What a bank can do beside creating, searching, getting and deleting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent yes-or-no facts")]
pub struct Capabilities {
    /// The name of the kind of bank.
    pub kind: &'static str,
    /// Memories can be changed.
    pub update: bool,
    /// Memories can be listed.
    pub list: bool,
    /// Searches can be narrowed to dates.
    pub date_filter: bool,
    /// Searches can be narrowed by metadata.
    pub metadata_filter: bool,
    /// Memories can expire.
    pub expiry: bool,
    /// A created memory is in memgate's own database, so it needs no queue on its way.
    pub local: bool,
    /// The largest number of memories of one scope that can be listed; `None` if there is no such limit. A larger scope is
    /// not listed at all, since its list would have gaps.
    pub max_listed: Option<u32>,
    /// The largest number of results that one search can ask the bank for; `None` if there is no such limit. What filters
    /// leave of them is all that a filtered search can find.
    pub max_searched: Option<u32>,
}

/// Something that not every bank can do.
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
        }
    }
}

/// Why a bank did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum MemoryBankError {
    /// It is unavailable, overloaded, or does not answer in time. A retry may help, after `retry_after` if that is known.
    /// Unless it is said otherwise, what was asked may have been done nevertheless.
    #[error("the memory bank is not available")]
    Unavailable {
        /// How long to wait.
        retry_after: Option<Duration>,
        /// Whether the bank was given this very request and failed at it, so that the reason may be the request itself.
        reached: bool,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// It refused what was asked; a retry cannot help. The text is for the caller and holds nothing of the bank's secrets.
    #[error("the memory bank refused the request: {0}")]
    Rejected(String),
    /// It cannot do this.
    #[error("the memory bank does not support `{}`", .0.as_str())]
    Unsupported(Capability),
    /// It refuses memgate's own credentials, or is not what the configuration says.
    #[error("the memory bank is not set up correctly")]
    Misconfigured(#[source] BoxError),
    /// It answered with something that cannot be, such as a row that no version of this program writes.
    #[error("the memory bank answered with something that cannot be")]
    Inconsistent(#[source] BoxError),
}

impl MemoryBankError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Whether the reason may be the request itself although the bank did not refuse it. A bank that is down, refuses every
    /// caller, or is not asked at all tells nothing about one request.
    #[must_use]
    pub fn may_be_the_request(&self) -> bool {
        matches!(self, Self::Unavailable { reached: true, .. } | Self::Inconsistent(_))
    }
}

#[cfg(test)]
mod tests;
