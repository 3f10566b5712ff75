//! What happened to memories, and memories that supersede others.

use super::*;
use crate::memories::{HistoryEvent, MemoryMember, WriteQueue as _};
use crate::testing::{categories, now, queued_write, space};

fn keyed(text: &str, key: &str) -> CreateMemory {
    CreateMemory { idempotency_key: Some(key.to_owned().try_into().unwrap()), ..create(text) }
}

fn superseding(older: &Memory, create: CreateMemory) -> CreateMemory {
    CreateMemory { supersedes: Some(older.id.clone()), ..create }
}

async fn history(harness: &Harness, caller: &Caller, id: &MemoryId) -> Result<MemoryHistory, MemoryError> {
    harness.service.history(&Authorized::unguarded(caller), request(), id).await
}

async fn events(harness: &Harness, id: &MemoryId) -> Vec<HistoryEvent> {
    let history = history(harness, &harness.caller, id).await.unwrap();
    history.entries.into_iter().map(|entry| entry.event).collect()
}

/// What the queue keeps.
fn kept(harness: &Harness) -> Vec<String> {
    harness.queue.writes().into_iter().map(|(write, _)| write.memory.content.into_string()).collect()
}

#[tokio::test]
async fn a_change_is_kept_with_the_application_that_made_it() {
    let harness = Harness::new();
    let owner = harness.caller_with(|application| application.space = space("shared"));
    let other = caller(&Application { space: space("shared"), ..application() });
    let created = harness.service.create(&Authorized::unguarded(&owner), request(), create("x")).await.unwrap();
    let Created::Stored(stored) = created else { panic!("it is stored") };
    harness.clock.advance(Duration::from_secs(1));
    let changes = MemoryChanges { content: Some(content("y")), ..MemoryChanges::default() };
    let id = &stored.memory.id;
    harness.service.update(&Authorized::unguarded(&other), request(), id, &changes).await.unwrap();
    let MemoryHistory { memory, entries } = history(&harness, &owner, id).await.unwrap();
    assert_eq!(memory.created_by, Some(Actor::Application(owner.application.id)));
    let [entry] = &entries[..] else { panic!("one entry") };
    assert_eq!((entry.at, entry.by), (harness.clock.now(), Some(Actor::Application(other.application.id))));
    assert_eq!(entry.event, HistoryEvent::Updated(vec![MemoryMember::Content]));
    assert_eq!(harness.audit.kinds().last(), Some(&AuditKind::MemoryRead));
}

#[tokio::test]
async fn a_history_is_for_those_who_see_the_memory_and_goes_when_it_is_forgotten() {
    let harness = Harness::new();
    let memory = harness.created("x").await;
    let newer = harness.create(superseding(&memory, create("y"))).await.unwrap().memory;
    let stranger = caller(&application());
    let limited = harness.caller_with(|application| {
        application.categories = crate::applications::CategoryAccess::Only(categories(&["food"]).into_iter().collect());
    });
    for caller in [&stranger, &limited] {
        assert!(matches!(history(&harness, caller, &newer.id).await, Err(MemoryError::NotFound)));
        let refused = harness.service.forget_history(&Authorized::unguarded(caller), request(), &newer.id).await;
        assert!(matches!(refused, Err(MemoryError::NotFound)));
    }
    assert!(matches!(history(&harness, &harness.caller, &memory.id).await, Err(MemoryError::NotFound)));
    assert_eq!(events(&harness, &newer.id).await, [HistoryEvent::Superseded(Box::new(memory))]);
    let caller = Authorized::unguarded(&harness.caller);
    harness.service.forget_history(&caller, request(), &newer.id).await.unwrap();
    assert_eq!(events(&harness, &newer.id).await, []);
    assert_eq!(harness.bank.len(), 1);
}

#[tokio::test]
async fn a_superseded_memory_is_only_in_the_history_of_the_new_one_and_so_is_its_request() {
    let harness = Harness::new();
    let older = harness.create(keyed("a secret", "k-1")).await.unwrap();
    let newer = harness.create(superseding(&older.memory, create("b"))).await.unwrap();
    assert_eq!(kept(&harness), ["b"], "nothing of it is left in the queue");
    let outcome = harness.service.outcome(&Authorized::unguarded(&harness.caller), older.request_id).await;
    assert!(matches!(outcome, Err(MemoryError::RequestNotFound)));
    let expected = HistoryEvent::Superseded(Box::new(older.memory.clone()));
    assert_eq!(events(&harness, &newer.memory.id).await, [expected]);
    // Its key stores anew, as after a deletion.
    let again = harness.create(keyed("a secret", "k-1")).await.unwrap();
    assert_ne!(again.memory.id, older.memory.id);
}

#[tokio::test]
async fn a_repetition_supersedes_once_and_gets_the_same_answer() {
    let harness = Harness::new();
    let older = harness.created("a").await;
    let create = superseding(&older, keyed("b", "k"));
    let first = harness.create(create.clone()).await.unwrap();
    assert_eq!(harness.create(create.clone()).await.unwrap(), first);
    assert_eq!(events(&harness, &first.memory.id).await.len(), 1);
    let other = harness.created("c").await;
    let conflict = harness.create(superseding(&other, keyed("b", "k"))).await;
    assert!(matches!(conflict, Err(MemoryError::IdempotencyConflict)), "{conflict:?}");
    let conflict = harness.create(keyed("b", "k")).await;
    assert!(matches!(conflict, Err(MemoryError::IdempotencyConflict)), "{conflict:?}");
    let elsewhere = superseding(&older, keyed("b", "another key"));
    assert!(matches!(harness.create(elsewhere).await, Err(MemoryError::SupersededNotFound)));
}

#[tokio::test]
async fn what_the_caller_does_not_see_is_not_superseded_and_nothing_is_stored() {
    let harness = Harness::new();
    let secret = harness.create(CreateMemory { categories: categories(&["health"]), ..create("a") }).await.unwrap();
    let expires_at = Some(now().plus(Duration::from_secs(1)));
    let over = harness.create(CreateMemory { expires_at, ..create("over") }).await.unwrap();
    harness.clock.advance(Duration::from_secs(2));
    let limited = harness.caller_with(|application| {
        application.categories = crate::applications::CategoryAccess::Only(categories(&["food"]).into_iter().collect());
    });
    let stranger = caller(&application());
    let food = |older: &Memory| superseding(older, CreateMemory { categories: categories(&["food"]), ..create("b") });
    let before = harness.bank.len();
    let create_as =
        async |caller: &Caller, create| harness.service.create(&Authorized::unguarded(caller), request(), create).await;
    let unknown = Memory { id: "unknown".parse().unwrap(), ..secret.memory.clone() };
    for (caller, older) in [
        (&limited, &secret.memory),
        (&stranger, &secret.memory),
        (&harness.caller, &unknown),
        (&harness.caller, &over.memory),
    ] {
        let refused = create_as(caller, food(older)).await;
        assert!(matches!(refused, Err(MemoryError::SupersededNotFound)), "{refused:?}");
    }
    assert_eq!((harness.bank.len(), harness.queue.writes().len()), (before, 0));
}

#[tokio::test]
async fn a_memory_that_may_be_delivered_again_is_not_superseded_yet() {
    let harness = Harness::new();
    let older = harness.create(keyed("a", "k")).await.unwrap();
    let (write, _) = harness.queue.writes().pop().unwrap();
    let tracked = harness.queue.find_by_memory(&write.scope, &older.memory.id).await.unwrap().unwrap();
    assert!(harness.queue.remove(&tracked, harness.clock.now()).await.unwrap());
    harness.service.delivery.accept(&write).await.unwrap();
    let refused = harness.create(superseding(&older.memory, create("b"))).await;
    assert!(matches!(refused, Err(MemoryError::Bank(MemoryBankError::Unavailable { .. }))), "{refused:?}");
    assert_eq!(harness.bank.len(), 1);
}

#[tokio::test]
async fn a_queued_write_whose_older_memory_is_gone_meanwhile_is_stored() {
    let harness = Harness::new();
    let older = harness.created("a").await;
    let scope = MemoryScope::of(&harness.caller);
    let mut write = QueuedWrite { scope: scope.clone(), ..queued_write() };
    write.memory.supersedes = Some(older.id.clone());
    let (_, claim) = harness.service.delivery.accept(&write).await.unwrap();
    harness.bank.delete(&scope, &older.id).await.unwrap();
    let attempted = harness.service.delivery.attempt(&claim.unwrap()).await.unwrap();
    assert!(matches!(attempted, crate::memories::Attempted::Stored(_)));
    assert_eq!((harness.bank.len(), kept(&harness).len()), (1, 1));
}

#[tokio::test]
async fn a_bank_that_keeps_no_history_supersedes_nothing() {
    let harness = Harness::with_capabilities(|capabilities| {
        capabilities.history = false;
        capabilities.supersede = false;
    });
    let older = harness.created("a").await;
    let refused = harness.create(superseding(&older, create("b"))).await;
    assert!(
        matches!(refused, Err(MemoryError::Bank(MemoryBankError::Unsupported(Capability::Supersede)))),
        "{refused:?}"
    );
    let refused = history(&harness, &harness.caller, &older.id).await;
    assert!(matches!(refused, Err(MemoryError::Bank(MemoryBankError::Unsupported(Capability::History)))));
    let refused = harness.service.forget_history(&Authorized::unguarded(&harness.caller), request(), &older.id).await;
    assert!(matches!(refused, Err(MemoryError::Bank(MemoryBankError::Unsupported(Capability::History)))));
    assert_eq!(harness.bank.len(), 1);
}
