//! Many memories in one request.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest, Sha256};

use super::bank::Capability;
use super::model::MemoryScope;
use super::near_duplicates::{CreatedBeside, OnNearDuplicate};
use super::query::{Limit, ListQuery, MemoryFilter};
use super::requests::{CreateMemory, Created, MemoryError};
use super::service::{MemoryService, require};
use super::shingles::NearDuplicate;
use crate::audit::AuditKind;
use crate::ids::{MemoryId, RequestId};
use crate::oauth::{Authorized, ReadAndDelete, Write};
use crate::system::Timestamp;
use crate::validation::InvalidValue;

/// Number of memories of one request that are written at the same time.
const AT_A_TIME: usize = 16;

/// The outcome of one of several creates.
#[derive(Clone, Debug, PartialEq)]
pub struct EachCreated {
    /// What was created, or had been.
    pub created: Created,
    /// Whether an earlier create with the same idempotency key had created it.
    pub is_duplicate: bool,
    /// See [`CreatedBeside::near_duplicates`].
    pub near_duplicates: Option<Vec<NearDuplicate>>,
}

/// The outcome of a deletion by a filter.
#[derive(Debug)]
pub enum Deletion {
    /// Nothing was deleted.
    Planned {
        /// How many memories match.
        matching: u64,
        /// What confirms the deletion of exactly these.
        confirmation: String,
    },
    /// The memories were deleted.
    Done {
        /// How many.
        deleted: u64,
        /// How many were not.
        failed: u64,
        /// Why the first of those was not.
        reason: Option<MemoryError>,
    },
}

impl MemoryService {
    /// Maximum number of memories created in one request.
    pub const MAX_CREATED: usize = 100;
    /// Maximum number of memories deleted in one request.
    pub const MAX_DELETED: usize = 10_000;

    /// Stores memories, each by itself and under its own request ID, as [`create_beside`](Self::create_beside). The outcomes are in the
    /// same order. Needs `memory:write`.
    pub async fn create_each(
        &self,
        caller: &Authorized<Write>,
        creates: Vec<(RequestId, CreateMemory, OnNearDuplicate)>,
    ) -> Vec<Result<EachCreated, MemoryError>> {
        let creates: Vec<_> =
            creates.into_iter().map(|(request, create, on)| self.create_one(caller, request, create, on)).collect();
        stream::iter(creates).buffered(AT_A_TIME).collect().await
    }

    async fn create_one(
        &self,
        caller: &Authorized<Write>,
        request: RequestId,
        create: CreateMemory,
        on_near_duplicate: OnNearDuplicate,
    ) -> Result<EachCreated, MemoryError> {
        let CreatedBeside { created, near_duplicates } =
            self.create_beside(caller, request, create, on_near_duplicate).await?;
        let is_duplicate = created.is_repetition(request);
        Ok(EachCreated { created, is_duplicate, near_duplicates })
    }

    /// Deletes the memories that pass `filter` if `confirmation` is that of exactly these memories as they are now; without a
    /// confirmation it only says how many there are. What is still on its way to the bank is not among them. Needs `memory:read`
    /// and `memory:delete`.
    ///
    /// # Errors
    /// [`MemoryError`], [`MemoryError::SelectionChanged`] among them.
    pub async fn delete_matching(
        &self,
        caller: &Authorized<ReadAndDelete>,
        request: RequestId,
        filter: MemoryFilter,
        confirmation: Option<&str>,
    ) -> Result<Deletion, MemoryError> {
        if filter.is_empty() {
            return Err(InvalidValue::new("filters", "must have at least one condition").into());
        }
        let scope = MemoryScope::of(caller);
        let selected = self.select(&scope, filter).await?;
        let matching = u64::try_from(selected.len()).unwrap_or(u64::MAX);
        let expected = confirmation_of(&scope, &selected);
        match confirmation {
            None => {
                self.record(AuditKind::MemoryRead, caller, request).await;
                return Ok(Deletion::Planned { matching, confirmation: expected });
            }
            Some(confirmation) if confirmation != expected => return Err(MemoryError::SelectionChanged { matching }),
            Some(_) => {}
        }
        let deletions: Vec<_> = selected.iter().map(|(id, at)| self.delete_in(&scope, id, Some(*at))).collect();
        let mut outcomes = stream::iter(deletions).buffered(AT_A_TIME);
        let (mut deleted, mut failed, mut reason) = (0, 0, None);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(true) => deleted += 1,
                // Somebody else changed or deleted it first.
                Ok(false) | Err(MemoryError::NotFound) => {}
                Err(error) => {
                    failed += 1;
                    reason.get_or_insert(error);
                }
            }
        }
        self.audit.record(&self.event(AuditKind::MemoryDeleted, caller, request).times(deleted)).await;
        match reason {
            Some(error) if deleted == 0 => Err(error),
            reason => Ok(Deletion::Done { deleted, failed, reason }),
        }
    }

    /// The memories that pass `filter`, and when each was last changed.
    async fn select(
        &self,
        scope: &MemoryScope,
        filter: MemoryFilter,
    ) -> Result<Vec<(MemoryId, Timestamp)>, MemoryError> {
        require(self.bank().capabilities().list, Capability::List)?;
        self.bank().capabilities().require_filter(&filter)?;
        let mut query = ListQuery { filter, ..ListQuery::new(Limit::LARGEST, self.clock.now()) };
        let mut selected = Vec::new();
        loop {
            let page = self.bank().list(scope, &query).await?;
            selected.extend(page.memories.into_iter().map(|memory| (memory.id, memory.updated_at)));
            if selected.len() > Self::MAX_DELETED {
                let problem = format!("match more than {} memories; narrow them", Self::MAX_DELETED);
                return Err(InvalidValue::new("filters", problem).into());
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        selected.sort_unstable();
        Ok(selected)
    }
}

/// Changes with every memory that is added, removed or changed. Not a secret: whoever can forge it may delete the memories
/// anyway. It detects that they are not those that were looked at.
fn confirmation_of(scope: &MemoryScope, selected: &[(MemoryId, Timestamp)]) -> String {
    let mut digest = Sha256::new().chain_update("memgate deletion\0").chain_update(scope.tenant());
    for (id, updated_at) in selected {
        digest.update(format!("\0{id}\0{}", updated_at.unix_millis()));
    }
    URL_SAFE_NO_PAD.encode(&digest.finalize()[..18])
}
