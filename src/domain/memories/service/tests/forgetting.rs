//! Deletions and updates reach every copy; writes that can never be stored block nobody.

use super::*;
use crate::memories::WriteQueue as _;
use crate::testing::{categories, now};

fn keyed(text: &str) -> CreateMemory {
    CreateMemory { idempotency_key: Some("k".to_owned().try_into().unwrap()), ..create(text) }
}

async fn delete(harness: &Harness, id: &MemoryId) -> Result<(), MemoryError> {
    harness.service.delete(&Authorized::unguarded(&harness.caller), request(), id).await
}

async fn outcome(harness: &Harness, request: RequestId) -> Result<RequestState, MemoryError> {
    harness.service.outcome(&Authorized::unguarded(&harness.caller), request).await.map(|outcome| outcome.state)
}

fn stored(memory: &Memory) -> RequestState {
    RequestState::Stored { id: memory.id.clone(), memory: Some(Box::new(memory.clone())) }
}

/// Everything that the queue keeps, as text.
fn kept(harness: &Harness) -> String {
    let texts = |(write, state): &(QueuedWrite, WriteState)| {
        let stored = match state {
            WriteState::Stored(memory) => memory.content.as_str(),
            WriteState::Pending | WriteState::Failed(_) => "",
        };
        format!("{} {stored}", write.memory.content.as_str())
    };
    harness.queue.writes().iter().map(texts).collect()
}

#[tokio::test]
async fn a_deleted_memory_is_gone_from_its_request_and_its_key_stores_anew() {
    for harness in [Harness::new(), Harness::remote()] {
        let first = harness.create(keyed("a secret")).await.unwrap();
        delete(&harness, &first.memory.id).await.unwrap();
        let gone = outcome(&harness, first.request_id).await;
        assert!(matches!(gone, Err(MemoryError::RequestNotFound)), "{gone:?}");
        assert_eq!(kept(&harness), "");
        let again = harness.create(keyed("a secret")).await.unwrap();
        assert_ne!(again.request_id, first.request_id);
        assert_eq!(harness.bank.len(), 1, "it is stored, and not only said to be");
    }
}

#[tokio::test]
async fn a_memory_that_another_application_of_the_space_deletes_is_gone_from_the_request_too() {
    let harness = Harness::new();
    let stored = harness.create(keyed("a secret")).await.unwrap();
    let other = caller(&Application { space: harness.caller.application.space.clone(), ..application() });
    harness.service.delete(&Authorized::unguarded(&other), request(), &stored.memory.id).await.unwrap();
    assert!(outcome(&harness, stored.request_id).await.is_err());
    assert_eq!(kept(&harness), "");
}

#[tokio::test]
async fn a_key_whose_memory_went_in_another_way_stores_anew() {
    let harness = Harness::new();
    let first = harness.create(keyed("x")).await.unwrap();
    harness.bank.delete(&MemoryScope::of(&harness.caller), &first.memory.id).await.unwrap();
    let again = harness.create(keyed("x")).await.unwrap();
    assert_ne!(again.request_id, first.request_id);
    assert_eq!(harness.bank.len(), 1);
    // A bank that does not answer proves nothing.
    harness.bank.outage().begin();
    assert_eq!(harness.create(keyed("x")).await.unwrap().request_id, again.request_id);
}

/// A bank that assigns its own memory IDs.
struct Naming(Arc<InMemoryMemoryBank>);

impl Naming {
    fn own_name(id: &MemoryId) -> MemoryId {
        format!("own-{id}").parse().unwrap()
    }
}

#[async_trait]
impl MemoryBankDecorator for Naming {
    fn inner(&self) -> &dyn MemoryBank {
        &*self.0
    }

    async fn create_first(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        MemoryBankDecorator::create(self, scope, memory).await
    }

    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.0.create(scope, &NewMemory { id: Self::own_name(&memory.id), ..memory.clone() }).await
    }

    async fn write_of(&self, _scope: &MemoryScope, id: &MemoryId) -> Result<Option<MemoryId>, MemoryBankError> {
        Ok(id.as_str().strip_prefix("own-").map(|id| id.parse().unwrap()))
    }

    async fn find_written(&self, scope: &MemoryScope, write: &NewMemory) -> Result<Option<Memory>, MemoryBankError> {
        self.0.find_written(scope, &NewMemory { id: Self::own_name(&write.id), ..write.clone() }).await
    }
}

#[tokio::test]
async fn a_memory_that_is_deleted_before_its_delivery_was_noted_does_not_come_back() {
    let mut harness = Harness::remote();
    harness.replace_bank(Arc::new(Naming(harness.bank.clone())));
    harness.bank.outage().begin();
    let waiting = harness.accepted(create("x")).await;
    harness.bank.outage().end();
    harness.clock.advance(Duration::from_mins(1));
    let claims = harness.service.delivery.claim(1).await.unwrap();
    harness.queue.outage().begin();
    assert!(harness.service.delivery.attempt(&claims[0]).await.is_err(), "it is stored, and nobody noted it");
    harness.queue.outage().end();
    let id = Naming::own_name(&MemoryId::for_request(waiting));
    harness.clock.advance(harness.service.delivery.policy().lease);
    delete(&harness, &id).await.unwrap();
    assert_eq!(harness.worker.work().await, 0);
    assert!(harness.bank.is_empty() && harness.queue.writes().is_empty());
}

#[tokio::test]
async fn a_memory_that_is_delivered_before_it_is_deleted_goes_by_the_id_that_it_had_while_it_was_pending() {
    let mut harness = Harness::remote();
    harness.replace_bank(Arc::new(Naming(harness.bank.clone())));
    harness.bank.outage().begin();
    let waiting = MemoryId::for_request(harness.accepted(create("x")).await);
    harness.bank.outage().end();
    harness.clock.advance(Duration::from_mins(1));
    assert_eq!(harness.worker.work().await, 1);
    let limited = harness.caller_with(|application| {
        application.categories =
            crate::applications::CategoryAccess::Only(categories(&["travel"]).into_iter().collect());
    });
    let refused = harness.service.delete(&Authorized::unguarded(&limited), request(), &waiting).await;
    assert!(matches!(refused, Err(MemoryError::NotFound)), "it has none of its categories: {refused:?}");
    delete(&harness, &waiting).await.unwrap();
    assert!(harness.bank.is_empty() && harness.queue.writes().is_empty());
    assert!(matches!(delete(&harness, &waiting).await, Err(MemoryError::NotFound)));
}

#[tokio::test]
async fn a_changed_memory_is_changed_in_its_request_too_and_its_key_is_still_known() {
    for harness in [Harness::new(), Harness::remote()] {
        let first = harness.create(keyed("the old text")).await.unwrap();
        let changes = MemoryChanges { content: Some(content("the new one")), ..MemoryChanges::default() };
        let after = harness
            .service
            .update(&Authorized::unguarded(&harness.caller), request(), &first.memory.id, &changes)
            .await
            .unwrap();
        let after = after.memory.unwrap();
        assert_eq!(outcome(&harness, first.request_id).await.unwrap(), stored(&after));
        assert_eq!(kept(&harness), "the new one the new one");
        let again = harness.create(keyed("the old text")).await.unwrap();
        assert_eq!((again.request_id, again.memory), (first.request_id, after));
    }
}

#[tokio::test]
async fn a_deletion_that_was_interrupted_is_finished_by_the_next_one() {
    let harness = Harness::remote();
    let stored = harness.create(keyed("a secret")).await.unwrap();
    harness.queue.outage().begin();
    assert!(delete(&harness, &stored.memory.id).await.is_err());
    harness.queue.outage().end();
    delete(&harness, &stored.memory.id).await.unwrap();
    assert_eq!(kept(&harness), "");
    assert!(matches!(delete(&harness, &stored.memory.id).await, Err(MemoryError::NotFound)));
}

#[tokio::test]
async fn who_may_not_see_a_memory_forgets_nothing_of_it() {
    let harness = Harness::new();
    let create = CreateMemory { categories: categories(&["health"]), ..keyed("x") };
    let stored = harness.create(create).await.unwrap();
    let limited = harness.caller_with(|application| {
        application.categories =
            crate::applications::CategoryAccess::Only(categories(&["travel"]).into_iter().collect());
    });
    let refused = harness.service.delete(&Authorized::unguarded(&limited), request(), &stored.memory.id).await;
    assert!(matches!(refused, Err(MemoryError::NotFound)));
    assert!(outcome(&harness, stored.request_id).await.is_ok());
}

#[tokio::test]
async fn what_has_expired_is_not_shown_by_its_request() {
    let harness = Harness::remote();
    let expires_at = Some(now().plus(Duration::from_mins(1)));
    let stored = harness.create(CreateMemory { expires_at, ..keyed("a secret") }).await.unwrap();
    harness.clock.advance(Duration::from_mins(1));
    assert!(matches!(outcome(&harness, stored.request_id).await, Err(MemoryError::RequestNotFound)));
    harness.clock.advance(Duration::from_millis(1));
    assert_eq!(harness.queue.sweep(harness.clock.now(), 10).await.unwrap(), 1);
}

#[tokio::test]
async fn a_memory_on_its_way_is_deleted_by_the_id_that_searches_show_and_does_not_arrive() {
    let harness = Harness::remote();
    harness.bank.outage().begin();
    let waiting = harness.accepted(create("blue boat")).await;
    let id = MemoryId::for_request(waiting);
    let refused = delete(&harness, &id).await;
    assert!(matches!(refused, Err(MemoryError::Bank(MemoryBankError::Unavailable { .. }))), "it may have arrived");
    harness.bank.outage().end();
    delete(&harness, &id).await.unwrap();
    harness.clock.advance(Duration::from_mins(1));
    assert_eq!(harness.worker.work().await, 0);
    assert!(harness.bank.is_empty());
    assert!(matches!(outcome(&harness, waiting).await, Err(MemoryError::RequestNotFound)));
}

#[tokio::test]
async fn a_memory_that_is_being_delivered_is_not_half_deleted() {
    let mut harness = Harness::remote();
    harness.bank.outage().begin();
    let waiting = harness.accepted(create("x")).await;
    harness.bank.outage().end();
    harness.clock.advance(Duration::from_mins(1));
    let claims = harness.service.delivery.claim(1).await.unwrap();
    let refused = delete(&harness, &MemoryId::for_request(waiting)).await;
    assert!(matches!(refused, Err(MemoryError::Bank(MemoryBankError::Unavailable { .. }))), "{refused:?}");
    // Its holder hangs longer than its lease is valid; the memory that it stores after all is deleted as well.
    harness.clock.advance(harness.service.delivery.policy().lease);
    delete(&harness, &MemoryId::for_request(waiting)).await.unwrap();
    let attempted = harness.service.delivery.attempt(&claims[0]).await.unwrap();
    assert!(matches!(attempted, crate::memories::Attempted::Withdrawn { left_behind: None }), "{attempted:?}");
    assert!(harness.bank.is_empty());
    harness.caller = caller(&application());
    harness.created("others go on").await;
}

/// A bank that fails at some texts, each time, without refusing them.
struct Picky(Arc<InMemoryMemoryBank>);

#[async_trait]
impl MemoryBankDecorator for Picky {
    fn inner(&self) -> &dyn MemoryBank {
        &*self.0
    }

    async fn create_first(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        MemoryBankDecorator::create(self, scope, memory).await
    }

    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        if memory.content.as_str().starts_with("poison") {
            let source = "status 500".into();
            return Err(MemoryBankError::Unavailable { retry_after: None, reached: true, source });
        }
        self.0.create(scope, memory).await
    }
}

#[tokio::test]
async fn a_memory_that_the_bank_can_never_take_becomes_a_dead_letter_and_holds_up_nobody_for_long() {
    let mut harness = Harness::remote();
    harness.replace_bank(Arc::new(Picky(harness.bank.clone())));
    let poison = harness.accepted(create("poison")).await;
    let behind = harness.accepted(create("behind it")).await;
    let policy = *harness.service.delivery.policy();
    let pass = async || {
        harness.clock.advance(policy.longest_backoff);
        harness.worker.work().await
    };
    let mut attempts = 1;
    while outcome(&harness, behind).await.unwrap() == RequestState::Pending {
        attempts += pass().await;
        assert!(attempts <= 10, "the one behind it still waits");
    }
    assert_eq!(outcome(&harness, poison).await.unwrap(), RequestState::Pending, "nobody knows yet whose fault it is");
    for number in 0.. {
        harness.created(&format!("meanwhile {number}")).await;
        attempts += pass().await;
        if let RequestState::Failed(reason) = outcome(&harness, poison).await.unwrap() {
            assert!(reason.contains("while it stored others") && reason.contains("status 500"), "{reason}");
            break;
        }
        assert!(number < 30, "it is tried without end");
    }
    assert!(attempts <= 40, "{attempts} attempts");
}

#[tokio::test]
async fn an_outage_makes_no_dead_letters_however_long_it_is_and_changes_no_order() {
    let harness = Harness::remote();
    harness.bank.outage().begin();
    for text in ["1", "2", "3"] {
        harness.accepted(create(text)).await;
    }
    for _ in 0..50 {
        harness.clock.advance(Duration::from_mins(5));
        assert_eq!(harness.worker.work().await, 1, "the first one is tried, and no other");
    }
    harness.bank.outage().end();
    harness.clock.advance(Duration::from_mins(5));
    assert_eq!(harness.worker.work().await, 3);
    let (_, states): (Vec<_>, Vec<_>) = harness.queue.writes().into_iter().unzip();
    assert!(states.iter().all(|state| matches!(state, WriteState::Stored(_))), "{states:?}");
}
