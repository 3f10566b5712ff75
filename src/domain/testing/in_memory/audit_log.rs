//! Audit events in memory.

use std::sync::Mutex;

use async_trait::async_trait;

use super::{Outage, at_most, lock};
use crate::audit::{AuditEvent, AuditKind, AuditLog, Context, Storage};
use crate::ids::UserId;
use crate::system::{StorageError, Timestamp};

/// Keeps audit events in memory.
#[derive(Debug, Default)]
pub struct InMemoryAuditLog {
    events: Mutex<Vec<AuditEvent>>,
    outage: Outage,
}

impl InMemoryAuditLog {
    /// Everything that was recorded, oldest first: what a database would not keep as well, and with its context.
    #[must_use]
    pub fn recorded(&self) -> Vec<AuditEvent> {
        lock(&self.events).clone()
    }

    /// The kinds of what was recorded, oldest first.
    #[must_use]
    pub fn kinds(&self) -> Vec<AuditKind> {
        lock(&self.events).iter().map(|event| event.kind).collect()
    }

    fn newest(
        &self,
        skip: u32,
        limit: u32,
        concerned: impl Fn(&AuditEvent) -> bool,
    ) -> Result<Vec<AuditEvent>, StorageError> {
        self.outage.check()?;
        let mut kept: Vec<AuditEvent> = Vec::new();
        for event in lock(&self.events).iter().filter(|event| concerned(event)) {
            let counted = match event.storage() {
                Storage::Nothing => continue,
                Storage::Event => None,
                Storage::DailyCount => kept.iter_mut().find(|known| is_counted_with(event, known)),
            };
            match counted {
                Some(known) => (known.times, known.at) = (known.times + event.times, known.at.max(event.at)),
                None if event.storage() == Storage::DailyCount => {
                    kept.push(AuditEvent { grant_id: None, request_id: None, ..event.clone() });
                }
                None => kept.push(event.clone()),
            }
        }
        kept.sort_by_key(|event| event.at);
        let newest = kept.into_iter().rev().skip(at_most(skip)).take(at_most(limit));
        Ok(newest.map(|event| event.context(Context::default())).collect())
    }

    /// The switch that makes it fail.
    #[must_use]
    pub fn outage(&self) -> Outage {
        self.outage.clone()
    }
}

#[async_trait]
impl AuditLog for InMemoryAuditLog {
    async fn record(&self, event: &AuditEvent) {
        if !self.outage.is_on() {
            lock(&self.events).push(event.clone());
        }
    }

    async fn recent(&self, limit: u32) -> Result<Vec<AuditEvent>, StorageError> {
        self.newest(0, limit, |event| event.storage() == Storage::Event)
    }

    async fn recent_of_person(&self, person: UserId, skip: u32, limit: u32) -> Result<Vec<AuditEvent>, StorageError> {
        self.newest(skip, limit, |event| event.person_id == Some(person))
    }

    async fn sweep(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.outage.check()?;
        let mut swept = 0;
        lock(&self.events).retain(|event| {
            let goes = swept < limit && event.storage() != Storage::Nothing && event.at < before;
            swept += u32::from(goes);
            !goes
        });
        Ok(u64::from(swept))
    }
}

/// Whether two events are one daily count.
fn is_counted_with(one: &AuditEvent, other: &AuditEvent) -> bool {
    let key = |event: &AuditEvent| (event.kind, event.at.utc_day(), event.application_id, event.person_id);
    key(one) == key(other)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::testing::conformance::Fixture;

    fn in_memory() -> Fixture<dyn AuditLog> {
        Fixture::new(Arc::new(InMemoryAuditLog::default()))
    }

    crate::conformance!(audit_log, in_memory());
}
