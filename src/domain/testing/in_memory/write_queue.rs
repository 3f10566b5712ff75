//! Accepted writes in memory.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Outage, at_most, lock};
use crate::ids::{ApplicationId, MemoryId, RequestId, UserId};
use crate::memories::{
    Acceptance, Claim, DeliveryFailures, DeliveryOrder, Dispatch, IdempotencyKey, Lease, MAX_SET_ASIDE, Memory,
    MemoryScope, NewMemory, QueueStatistics, QueuedWrite, Tenant, TenantGroup, TrackedWrite, Undelivered, WriteQueue,
    WriteState,
};
use crate::system::{StorageError, Timestamp};

/// Keeps accepted writes in memory.
#[derive(Debug, Default)]
pub struct InMemoryWriteQueue {
    /// In the order of their scopes' lines.
    writes: Mutex<Vec<StoredWrite>>,
    outage: Outage,
}

#[derive(Clone, Debug)]
struct StoredWrite {
    tracked: TrackedWrite,
    lease: Option<Lease>,
    failures: DeliveryFailures,
    /// When the last failure was, or since when it is pending.
    failed_at: Timestamp,
    stored_at: Option<Timestamp>,
}

impl StoredWrite {
    fn is_pending(&self) -> bool {
        self.tracked.state == WriteState::Pending
    }

    /// Whether the later writes of its scope wait for it.
    fn is_in_line(&self) -> bool {
        self.is_pending() && !self.tracked.set_aside
    }

    /// The id of its memory, or the one that it proposes.
    fn memory_id(&self) -> &MemoryId {
        match &self.tracked.state {
            WriteState::Stored(memory) => &memory.id,
            WriteState::Pending | WriteState::Failed(_) => &self.tracked.write.memory.id,
        }
    }

    fn is_of(&self, tenant: &str) -> bool {
        self.tracked.write.scope.tenant() == tenant
    }
}

impl InMemoryWriteQueue {
    /// Every write that is stored, oldest first, and how far it has come.
    #[must_use]
    pub fn writes(&self) -> Vec<(QueuedWrite, WriteState)> {
        lock(&self.writes).iter().map(|entry| (entry.tracked.write.clone(), entry.tracked.state.clone())).collect()
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }

    fn change(&self, request: RequestId, change: impl FnOnce(&mut StoredWrite)) {
        if let Some(entry) = lock(&self.writes).iter_mut().find(|entry| entry.tracked.write.request_id == request) {
            change(entry);
        }
    }
}

/// Whether `write` may be pending too.
fn has_room(writes: &[StoredWrite], capacity: u32, write: &QueuedWrite) -> bool {
    let pending: Vec<&QueuedWrite> =
        writes.iter().filter(|entry| entry.is_pending()).map(|entry| &entry.tracked.write).collect();
    let (own, others): (Vec<&QueuedWrite>, Vec<_>) =
        pending.iter().partition(|each| each.application_id == write.application_id);
    let mut people: HashMap<UserId, usize> = HashMap::new();
    for person in own.iter().filter_map(|each| each.scope.person()) {
        *people.entry(person).or_default() += 1;
    }
    let of_person = write.scope.person().map(|person| people.get(&person).copied().unwrap_or_default());
    let person_has_less_than = |places: usize| of_person.is_none_or(|number| number < places.div_ceil(2));
    if pending.len() < at_most(capacity) {
        return person_has_less_than(at_most(capacity));
    }
    let applications: HashSet<ApplicationId> = others.iter().map(|each| each.application_id).collect();
    let share = at_most(capacity) / (applications.len() + 1);
    let beyond: usize = people.values().map(|number| number.saturating_sub(share.div_ceil(2))).sum();
    own.len() - beyond < share && person_has_less_than(share)
}

fn is_same_write(one: &QueuedWrite, other: &QueuedWrite) -> bool {
    one.request_id == other.request_id
        || one.idempotency_key.is_some()
            && one.idempotency_key == other.idempotency_key
            && one.application_id == other.application_id
            && one.scope.tenant() == other.scope.tenant()
}

#[async_trait]
impl WriteQueue for InMemoryWriteQueue {
    async fn accept(
        &self,
        write: &QueuedWrite,
        order: DeliveryOrder,
        lease: Lease,
    ) -> Result<Acceptance, StorageError> {
        self.outage.check()?;
        let mut writes = lock(&self.writes);
        if let Some(StoredWrite { tracked, .. }) =
            writes.iter().find(|entry| is_same_write(&entry.tracked.write, write))
        {
            return Ok(Acceptance::Duplicate { write: Box::new(tracked.write.clone()), state: tracked.state.clone() });
        }
        let tenant = write.scope.tenant();
        let head = writes.iter().find(|entry| entry.is_in_line() && entry.is_of(&tenant));
        let dispatch = match (order, head) {
            (DeliveryOrder::Fifo { capacity }, _) if !has_room(&writes, capacity, write) => {
                return Ok(Acceptance::Full);
            }
            (DeliveryOrder::Unordered, _) | (DeliveryOrder::Fifo { .. }, None) => Dispatch::Claimed,
            (_, Some(head)) if head.tracked.next_attempt_at > write.accepted_at => Dispatch::Deferred,
            (_, Some(_)) => Dispatch::Queued,
        };
        let mut write = write.clone();
        write.scope = MemoryScope::from_stored(write.scope.space().clone(), write.scope.person());
        let is_leased = dispatch == Dispatch::Claimed;
        let next_attempt_at = write.accepted_at;
        let (state, last_error) = (WriteState::Pending, None);
        let (attempts, set_aside) = (u32::from(is_leased), false);
        let tracked = TrackedWrite { write, state, attempts, next_attempt_at, last_error, set_aside };
        let lease = is_leased.then_some(lease);
        writes.push(StoredWrite {
            tracked,
            lease,
            failures: DeliveryFailures::default(),
            failed_at: next_attempt_at,
            stored_at: None,
        });
        Ok(Acceptance::Accepted(dispatch))
    }

    async fn claim(&self, now: Timestamp, lease: Lease, limit: u32) -> Result<Vec<Claim>, StorageError> {
        self.outage.check()?;
        let mut writes = lock(&self.writes);
        let mut seen = std::collections::HashSet::new();
        let mut due: Vec<&mut StoredWrite> = writes
            .iter_mut()
            .filter(|entry| {
                entry.is_pending() && (entry.tracked.set_aside || seen.insert(entry.tracked.write.scope.tenant()))
            })
            .filter(|entry| entry.tracked.next_attempt_at <= now && entry.lease.is_none_or(|held| held.until <= now))
            .collect();
        due.sort_by_key(|entry| entry.tracked.next_attempt_at);
        Ok(due
            .into_iter()
            .take(at_most(limit))
            .map(|entry| {
                entry.lease = Some(lease);
                entry.tracked.attempts += 1;
                Claim { write: entry.tracked.write.clone(), lease, attempt: entry.tracked.attempts }
            })
            .collect())
    }

    async fn release_leases(&self) -> Result<(), StorageError> {
        self.outage.check()?;
        lock(&self.writes).iter_mut().for_each(|entry| entry.lease = None);
        Ok(())
    }

    async fn mark_stored(
        &self,
        request: RequestId,
        memory: &Memory,
        now: Timestamp,
        keep_until: Timestamp,
    ) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut is_there = false;
        self.change(request, |StoredWrite { tracked, lease, stored_at, .. }| {
            is_there = true;
            *lease = None;
            *stored_at = Some(now);
            tracked.state = WriteState::Stored(Box::new(memory.clone()));
            tracked.last_error = None;
            let keep_until = tracked.write.keep_until.max(keep_until);
            tracked.write.keep_until = memory.expires_at.map_or(keep_until, |expiry| expiry.min(keep_until));
        });
        Ok(is_there)
    }

    async fn mark_failed(&self, request: RequestId, reason: &str, keep_until: Timestamp) -> Result<(), StorageError> {
        self.outage.check()?;
        self.change(request, |StoredWrite { tracked, lease, .. }| {
            if !matches!(tracked.state, WriteState::Stored(_)) {
                *lease = None;
                tracked.state = WriteState::Failed(reason.to_owned());
                tracked.last_error = None;
                tracked.write.keep_until = tracked.write.keep_until.max(keep_until);
            }
        });
        Ok(())
    }

    async fn note_failure(
        &self,
        request: RequestId,
        lease: Uuid,
        now: Timestamp,
    ) -> Result<DeliveryFailures, StorageError> {
        self.outage.check()?;
        let mut writes = lock(&self.writes);
        let stored: Vec<Timestamp> = writes.iter().filter_map(|entry| entry.stored_at).collect();
        let Some(entry) = writes.iter_mut().find(|entry| {
            entry.tracked.write.request_id == request
                && entry.is_pending()
                && entry.lease.is_some_and(|held| held.id == lease)
        }) else {
            return Ok(DeliveryFailures::default());
        };
        entry.failures.total += 1;
        entry.failures.outvoted += u32::from(stored.iter().any(|at| *at >= entry.failed_at));
        entry.failed_at = now;
        Ok(entry.failures)
    }

    async fn reschedule(
        &self,
        request: RequestId,
        lease: Uuid,
        next_attempt_at: Timestamp,
        reason: &str,
        set_aside: bool,
    ) -> Result<(), StorageError> {
        self.outage.check()?;
        let aside = |entry: &&StoredWrite| entry.is_pending() && entry.tracked.set_aside;
        let tenants: Vec<String> =
            lock(&self.writes).iter().filter(aside).map(|entry| entry.tracked.write.scope.tenant()).collect();
        self.change(request, |entry| {
            if entry.is_pending() && entry.lease.is_some_and(|held| held.id == lease) {
                let tenant = entry.tracked.write.scope.tenant();
                let has_room = tenants.iter().filter(|each| **each == tenant).count() < at_most(MAX_SET_ASIDE);
                entry.tracked.set_aside |= set_aside && has_room;
                entry.lease = None;
                entry.tracked.next_attempt_at = next_attempt_at;
                entry.tracked.last_error = Some(reason.to_owned());
            }
        });
        Ok(())
    }

    async fn find(&self, application: ApplicationId, request: RequestId) -> Result<Option<TrackedWrite>, StorageError> {
        self.outage.check()?;
        let writes = lock(&self.writes);
        let mut tracked = writes.iter().map(|entry| &entry.tracked);
        Ok(tracked
            .find(|tracked| tracked.write.request_id == request && tracked.write.application_id == application)
            .cloned())
    }

    async fn find_undelivered(&self, request: RequestId) -> Result<Option<TrackedWrite>, StorageError> {
        self.outage.check()?;
        let writes = lock(&self.writes);
        let mut undelivered = writes
            .iter()
            .map(|entry| &entry.tracked)
            .filter(|tracked| tracked.write.request_id == request && !matches!(tracked.state, WriteState::Stored(_)));
        Ok(undelivered.next().cloned())
    }

    async fn find_by_memory(&self, scope: &MemoryScope, id: &MemoryId) -> Result<Option<TrackedWrite>, StorageError> {
        self.outage.check()?;
        let (writes, tenant) = (lock(&self.writes), scope.tenant());
        let found = writes.iter().find(|entry| entry.is_of(&tenant) && entry.memory_id() == id);
        Ok(found.map(|entry| entry.tracked.clone()))
    }

    async fn find_by_request(
        &self,
        scope: &MemoryScope,
        request: RequestId,
    ) -> Result<Option<TrackedWrite>, StorageError> {
        self.outage.check()?;
        let (writes, tenant) = (lock(&self.writes), scope.tenant());
        let found = writes.iter().find(|entry| entry.is_of(&tenant) && entry.tracked.write.request_id == request);
        Ok(found.map(|entry| entry.tracked.clone()))
    }

    async fn find_by_key(
        &self,
        application: ApplicationId,
        scope: &MemoryScope,
        key: &IdempotencyKey,
    ) -> Result<Option<TrackedWrite>, StorageError> {
        self.outage.check()?;
        let (writes, tenant) = (lock(&self.writes), scope.tenant());
        let found = writes.iter().map(|entry| &entry.tracked).find(|TrackedWrite { write, .. }| {
            write.application_id == application
                && write.scope.tenant() == tenant
                && write.idempotency_key.as_ref() == Some(key)
        });
        Ok(found.cloned())
    }

    async fn remove(&self, found: &TrackedWrite, now: Timestamp) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut writes = lock(&self.writes);
        let before = writes.len();
        writes.retain(|StoredWrite { tracked, lease, .. }| {
            let is_free = lease.is_none_or(|lease| lease.until <= now);
            let is_as_found = tracked.attempts == found.attempts
                && std::mem::discriminant(&tracked.state) == std::mem::discriminant(&found.state);
            !(tracked.write.request_id == found.write.request_id && is_free && is_as_found)
        });
        Ok(writes.len() < before)
    }

    async fn replace_memory(&self, scope: &MemoryScope, memory: &Memory) -> Result<(), StorageError> {
        self.outage.check()?;
        let tenant = scope.tenant();
        for entry in lock(&self.writes).iter_mut() {
            if entry.is_of(&tenant) && entry.stored_at.is_some() && *entry.memory_id() == memory.id {
                entry.tracked.state = WriteState::Stored(Box::new(memory.clone()));
                entry.tracked.write.memory = NewMemory::from(memory.clone());
                let keep_until = entry.tracked.write.keep_until;
                entry.tracked.write.keep_until = memory.expires_at.map_or(keep_until, |expiry| expiry.min(keep_until));
            }
        }
        Ok(())
    }

    async fn forget_scope(&self, scope: &MemoryScope) -> Result<u64, StorageError> {
        self.outage.check()?;
        let (mut writes, tenant) = (lock(&self.writes), scope.tenant());
        let before = writes.len();
        writes.retain(|entry| entry.is_pending() || !entry.is_of(&tenant));
        Ok(u64::try_from(before - writes.len()).unwrap_or(u64::MAX))
    }

    async fn pending(&self, scope: &MemoryScope, limit: u32) -> Result<Vec<QueuedWrite>, StorageError> {
        self.outage.check()?;
        let (writes, tenant) = (lock(&self.writes), scope.tenant());
        let newest_first = writes.iter().rev().filter(|entry| entry.is_pending() && entry.is_of(&tenant));
        Ok(newest_first.take(at_most(limit)).map(|entry| entry.tracked.write.clone()).collect())
    }

    async fn list(&self, which: Undelivered, limit: u32) -> Result<Vec<TrackedWrite>, StorageError> {
        self.outage.check()?;
        let writes = lock(&self.writes);
        let is_one = |tracked: &&TrackedWrite| match which {
            Undelivered::Pending => tracked.state == WriteState::Pending,
            Undelivered::Failed => matches!(tracked.state, WriteState::Failed(_)),
        };
        let mut listed: Vec<TrackedWrite> = writes.iter().map(|entry| &entry.tracked).filter(is_one).cloned().collect();
        // Of the same moment those first that are first in line.
        listed.sort_by_key(|tracked| tracked.write.accepted_at);
        listed.truncate(at_most(limit));
        Ok(listed)
    }

    async fn retry(&self, request: RequestId, now: Timestamp) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut writes = lock(&self.writes);
        let Some(index) = writes.iter().position(|entry| {
            entry.tracked.write.request_id == request && !matches!(entry.tracked.state, WriteState::Stored(_))
        }) else {
            return Ok(false);
        };
        let entry = &mut writes[index];
        (entry.failures, entry.failed_at) = (DeliveryFailures::default(), now);
        entry.tracked.next_attempt_at = now;
        if !entry.is_pending() {
            let mut entry = writes.remove(index);
            entry.tracked.state = WriteState::Pending;
            entry.tracked.attempts = 1;
            entry.tracked.set_aside = false;
            writes.push(entry);
        }
        Ok(true)
    }

    async fn drop_failed(&self, request: RequestId) -> Result<bool, StorageError> {
        self.outage.check()?;
        let mut writes = lock(&self.writes);
        let before = writes.len();
        writes.retain(|entry| {
            entry.tracked.write.request_id != request || !matches!(entry.tracked.state, WriteState::Failed(_))
        });
        Ok(writes.len() < before)
    }

    async fn erase(&self, group: &TenantGroup) -> Result<u64, StorageError> {
        self.outage.check()?;
        let mut writes = lock(&self.writes);
        let before = writes.len();
        writes.retain(|entry| !group.contains(&Tenant::from(&entry.tracked.write.scope)));
        Ok((before - writes.len()) as u64)
    }

    async fn statistics(&self) -> Result<QueueStatistics, StorageError> {
        self.outage.check()?;
        let writes = lock(&self.writes);
        let mut statistics = QueueStatistics::default();
        for StoredWrite { tracked, .. } in writes.iter() {
            match tracked.state {
                WriteState::Pending => {
                    statistics.pending += 1;
                    let accepted_at = tracked.write.accepted_at;
                    let oldest = statistics.oldest_pending.map_or(accepted_at, |oldest| oldest.min(accepted_at));
                    statistics.oldest_pending = Some(oldest);
                }
                WriteState::Failed(_) => statistics.failed += 1,
                WriteState::Stored(_) => {}
            }
        }
        Ok(statistics)
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        let mut swept = 0;
        lock(&self.writes).retain(|entry| {
            let is_over = !entry.is_pending() && entry.tracked.write.keep_until < now && swept < at_most(limit);
            swept += usize::from(is_over);
            !is_over
        });
        Ok(u64::try_from(swept).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn in_memory() -> Fixture<dyn WriteQueue> {
        Fixture::new(Arc::new(InMemoryWriteQueue::default()))
    }

    crate::conformance!(write_queue, in_memory());
}
