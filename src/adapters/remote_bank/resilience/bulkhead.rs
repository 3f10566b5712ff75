//! The bulkhead: limits how many requests are in flight, and how many wait; and of both, how many of one space and person.

use std::time::Duration;

use super::deadline::Deadline;
use crate::adapters::remote_bank::config::ResilienceConfig;
use crate::adapters::remote_bank::failure::{BankFailure, Cause};
use crate::adapters::remote_bank::stored::BankTenant;
use crate::fair_slots::{FairSlot, FairSlots, Shares};

/// A limited number of slots, and a bounded queue for them. A space has at most seven eighths of the slots and half of the
/// queue, a person of it half of the slots and a quarter of the queue.
#[derive(Debug)]
pub struct Bulkhead {
    slots: FairSlots,
    max_wait: Duration,
}

impl Bulkhead {
    /// All slots are free.
    #[must_use]
    pub fn new(config: &ResilienceConfig) -> Self {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let (running, waiting) = (count(config.max_concurrent), count(config.max_waiting));
        let space = running - running.div_ceil(8);
        let running = Shares { total: running, space, person: space.min(running.div_ceil(2)) };
        let waiting = Shares { total: waiting, space: waiting.div_ceil(2), person: waiting.div_ceil(4) };
        Self { slots: FairSlots::new(running, waiting), max_wait: config.max_wait }
    }

    /// Acquires a slot for a request of this tenant, waiting for one if necessary.
    ///
    /// # Errors
    /// [`Cause::BulkheadFull`], immediately if the queue is full, or after the maximum wait.
    pub async fn enter(&self, tenant: &BankTenant, deadline: Deadline) -> Result<FairSlot, BankFailure> {
        let slot = self.slots.take(tenant.space(), tenant.person(), self.max_wait.min(deadline.left())).await;
        slot.map_err(|_| BankFailure::new(Cause::BulkheadFull).retry_after(Some(self.max_wait)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::{scope, scope_of_person};

    /// How many slots the tenants get one after the other, as long as none is given back.
    async fn taken(max_concurrent: u32, wanted: &[&BankTenant]) -> Vec<usize> {
        let config = ResilienceConfig { max_concurrent, max_waiting: 0, ..ResilienceConfig::default() };
        let (bulkhead, mut held, mut taken) = (Bulkhead::new(&config), Vec::new(), Vec::new());
        for tenant in wanted {
            let before = held.len();
            while let Ok(slot) = bulkhead.enter(tenant, Deadline::after(Duration::from_secs(1))).await {
                held.push(slot);
                assert!(held.len() <= max_concurrent as usize, "more than all slots are taken");
            }
            taken.push(held.len() - before);
        }
        taken
    }

    #[tokio::test]
    async fn neither_an_application_nor_one_person_of_it_takes_every_slot() {
        let (own, other) = (scope(), scope());
        let [own, marta, nils, other] =
            [&own, &scope_of_person(&own), &scope_of_person(&own), &other].map(|scope| BankTenant::of(scope));
        assert_eq!(taken(64, &[&own, &other]).await, [56, 8]);
        assert_eq!(taken(64, &[&marta, &nils, &other]).await, [32, 24, 8]);
        assert_eq!(taken(4, &[&marta, &nils, &own, &other]).await, [2, 1, 0, 1]);
        for few in [1, 2] {
            assert_eq!(taken(few, &[&marta]).await, [1], "everybody is served");
        }
    }
}
