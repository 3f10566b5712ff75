//! Creating, updating and deleting.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::RemoteMemoryBank;
use super::drivers::Added;
use super::exchange::{BankResponse, Precondition, Request};
use super::failure::{BankFailure, Cause};
use super::resilience::Deadline;
use super::stored::{BankTenant, NotAMemory};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{Memory, MemoryScope, MemoryUpdate, NewMemory};
use crate::domain::system::Timestamp;

impl RemoteMemoryBank {
    /// Creates a memory unless its write was stored already. That is checked before every retry, and with `look_first` before
    /// the first attempt too. Concurrent callers with the same write are serialized.
    pub(super) async fn create_unless_there(
        &self,
        scope: &MemoryScope,
        write: &NewMemory,
        look_first: bool,
    ) -> Result<Memory, BankFailure> {
        let (deadline, tenant) = (self.deadline(), BankTenant::of(scope));
        let key = format!("write {} {}", tenant.as_str(), write.id);
        let _turn = deadline.bound(async { Ok(self.locks.lock(key).await) }).await?;
        let mut request = self.driver.add(&tenant, write);
        request.precondition = Some(self.precondition(&tenant, write, look_first));
        let sent = self.exchange(&tenant, request, deadline).await;
        // Even a failed one may have arrived.
        self.pipeline.note_write();
        let exchanged = sent?;
        if exchanged.was_there {
            return self
                .written(&exchanged.response, &tenant, write)?
                .ok_or(BankFailure::inconsistent("a write was found and then missing"));
        }
        let memory = self.added(&exchanged.response, &tenant, write, deadline).await?;
        self.pipeline.note_write();
        Ok(memory)
    }

    /// The check that must precede another attempt of the write.
    fn precondition(&self, tenant: &BankTenant, write: &NewMemory, look_first: bool) -> Precondition {
        let request = Arc::new(self.driver.find_write(tenant, write));
        let (driver, tenant, id) = (Arc::clone(&self.driver), tenant.clone(), write.id.clone());
        let is_there = move |response: &BankResponse| {
            driver.read_items(response.clone()).is_ok_and(|items| {
                items.items.iter().any(|item| item.write_id() == Some(id.as_str()) && item.is_of(&tenant))
            })
        };
        Precondition { request, is_there: Arc::new(is_there), look_first }
    }

    /// The memory of the write, if the response contains it.
    fn written(
        &self,
        response: &BankResponse,
        tenant: &BankTenant,
        write: &NewMemory,
    ) -> Result<Option<Memory>, BankFailure> {
        let items = self.driver.read_items(response.clone())?.items;
        let own = |item: &&super::Item| item.write_id() == Some(write.id.as_str()) && item.is_of(tenant);
        items.iter().find(own).map(|item| item.to_memory(tenant).map_err(|reason| broken(&reason))).transpose()
    }

    /// Reads the status of the write, and polls while the bank is still processing it.
    async fn added(
        &self,
        response: &BankResponse,
        tenant: &BankTenant,
        write: &NewMemory,
        deadline: Deadline,
    ) -> Result<Memory, BankFailure> {
        let mut added = self.driver.read_added(response)?;
        let mut wait = self.config.event_interval;
        loop {
            match added {
                Added::Stored(id) => {
                    let id = id.parse().map_err(|_| BankFailure::inconsistent("an invalid memory ID"))?;
                    return Ok(Memory { id, ..write.clone().into_memory() });
                }
                Added::Duplicate => {
                    let found = self.look_up(tenant, write, deadline).await?;
                    return found.ok_or(BankFailure::inconsistent("it reports a duplicate, but does not return it"));
                }
                Added::Discarded => {
                    return Err(BankFailure::new(Cause::Rejected).detail("the memory bank did not store the memory"));
                }
                Added::Failed => return Err(BankFailure::new(Cause::Declined)),
                Added::Pending(event) => {
                    if wait >= deadline.left() {
                        let failure =
                            BankFailure::new(Cause::DeadlineExceeded).detail("the write is still being processed");
                        return Err(failure.retry_after(Some(wait)));
                    }
                    sleep(wait).await;
                    wait = wait.mul_f64(1.5).min(Duration::from_secs(5));
                    added = self.event(*event, tenant, write, deadline).await?;
                }
            }
        }
    }

    /// The current status of the write. A bank without events is asked for the memory itself.
    async fn event(
        &self,
        event: Request,
        tenant: &BankTenant,
        write: &NewMemory,
        deadline: Deadline,
    ) -> Result<Added, BankFailure> {
        let exchanged = self.exchange(tenant, event.clone().or_missing(), deadline).await?;
        if !exchanged.response.is_missing() {
            return Ok(self.driver.read_added(&exchanged.response)?);
        }
        let found = self.look_up(tenant, write, deadline).await?;
        Ok(found.map_or_else(|| Added::Pending(Box::new(event)), |memory| Added::Stored(memory.id.to_string())))
    }

    pub(super) async fn look_up(
        &self,
        tenant: &BankTenant,
        write: &NewMemory,
        deadline: Deadline,
    ) -> Result<Option<Memory>, BankFailure> {
        let exchanged = self.exchange(tenant, self.driver.find_write(tenant, write), deadline).await?;
        self.written(&exchanged.response, tenant, write)
    }

    /// Reads, modifies and writes back; callers within this process that change the same memory are serialized.
    pub(super) async fn change(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        update: &MemoryUpdate,
    ) -> Result<Option<Memory>, BankFailure> {
        let (deadline, tenant) = (self.deadline(), BankTenant::of(scope));
        let _turn = self.turn(&tenant, id, deadline).await?;
        let Some((item, mut memory)) = self.reach(scope, id, deadline).await? else { return Ok(None) };
        if !update.applies_to(&memory) {
            return Ok(None);
        }
        update.changes.apply_to(&mut memory, update.at);
        let metadata = item.metadata_for(&tenant, &memory);
        let Some(request) = self.driver.replace(id, memory.content.as_str(), &metadata) else {
            return Err(BankFailure::inconsistent("updates are not supported by this bank"));
        };
        let sent = self.exchange(&tenant, request, deadline).await;
        self.pipeline.note_write();
        Ok((!sent?.response.is_missing()).then_some(memory))
    }

    /// With `if_updated_at` only a memory that was last updated then.
    pub(super) async fn remove(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        if_updated_at: Option<Timestamp>,
    ) -> Result<bool, BankFailure> {
        let (deadline, tenant) = (self.deadline(), BankTenant::of(scope));
        let _turn = self.turn(&tenant, id, deadline).await?;
        let is_meant = match if_updated_at {
            None => self.holds(scope, id, deadline).await?,
            Some(at) => self.reach(scope, id, deadline).await?.is_some_and(|(_, memory)| memory.updated_at == at),
        };
        if !is_meant {
            return Ok(false);
        }
        let request = self.driver.delete(&tenant, id);
        let sent = self.exchange(&tenant, request, deadline).await;
        self.pipeline.note_write();
        let exchanged = sent?;
        // It existed: if it is missing after a retry, an earlier attempt succeeded.
        Ok(!exchanged.response.is_missing() || exchanged.attempts > 1)
    }

    async fn turn(
        &self,
        tenant: &BankTenant,
        id: &MemoryId,
        deadline: Deadline,
    ) -> Result<tokio::sync::OwnedMutexGuard<()>, BankFailure> {
        let key = format!("memory {} {id}", tenant.as_str());
        deadline.bound(async { Ok(self.locks.lock(key).await) }).await
    }
}

fn broken(reason: &NotAMemory) -> BankFailure {
    match reason {
        NotAMemory::Foreign => BankFailure::inconsistent("a memory of another tenant"),
        NotAMemory::Unreadable(what) => BankFailure::inconsistent(what),
    }
}
