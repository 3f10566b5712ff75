use std::collections::HashSet;

use serde_json::json;

use super::*;
use crate::applications::CategoryAccess;
use crate::ids::UserId;
use crate::oauth::Subject;
use crate::testing::{caller_for, categories, context, metadata, now};

fn keyed(text: &str, key: &str) -> CreateMemory {
    CreateMemory { idempotency_key: Some(key.to_owned().try_into().unwrap()), ..create(text) }
}

fn after(seconds: u64) -> Timestamp {
    now().plus(Duration::from_secs(seconds))
}

#[tokio::test]
async fn a_memory_is_stored_with_all_it_was_given_and_where_it_came_from() {
    for harness in [Harness::new(), Harness::remote()] {
        let request = request();
        let create = CreateMemory {
            categories: categories(&["food"]),
            metadata: metadata(json!({"n": 1})),
            context: context("g-1", "c-1"),
            priority: Priority::High,
            occurred_at: Some(after(7)),
            expires_at: Some(after(1)),
            ..create("Tom is allergic to peanuts.")
        };
        let stored = harness.service.create(&Authorized::unguarded(&harness.caller), request, create).await.unwrap();
        let expected = Memory {
            id: MemoryId::for_request(request),
            content: content("Tom is allergic to peanuts."),
            categories: categories(&["food"]),
            metadata: metadata(json!({"n": 1, "custom_gpt_id": "g-1", "conversation_id": "c-1"})),
            priority: Priority::High,
            created_at: now(),
            occurred_at: Some(after(7)),
            created_by: Some(Actor::Application(harness.caller.application.id)),
            updated_at: now(),
            expires_at: Some(after(1)),
        };
        assert_eq!(stored, Created::stored(request, expected.clone()));
        let scope = MemoryScope::of(&harness.caller);
        assert_eq!(harness.bank.get(&scope, &expected.id, now()).await.unwrap(), Some(expected));
        let event = AuditEvent::new(AuditKind::MemoryCreated, now())
            .application(harness.caller.application.id)
            .request(request)
            .context(context("g-1", "c-1"));
        assert_eq!(harness.audit.recorded(), [event]);
    }
}

#[tokio::test]
async fn only_writes_that_need_it_go_through_the_queue() {
    let (local, remote) = (Harness::new(), Harness::remote());
    local.created("x").await;
    assert_eq!(local.queue.writes(), []);
    local.create(keyed("x", "k")).await.unwrap();
    assert_eq!(local.queue.writes().len(), 1);
    let memory = remote.created("x").await;
    let [(write, state)] = &remote.queue.writes()[..] else { panic!("one write") };
    assert_eq!(*state, WriteState::Stored(Box::new(memory)));
    assert_eq!((write.accepted_at, write.keep_until), (now(), now().plus(IDEMPOTENCY_WINDOW)));
    assert_eq!(write.application_id, remote.caller.application.id);
}

#[tokio::test]
async fn a_memory_must_expire_in_the_future_if_at_all() {
    let harness = Harness::new();
    for at in [now(), now().minus(Duration::from_millis(1))] {
        let refused = harness.create(CreateMemory { expires_at: Some(at), ..create("x") }).await;
        assert!(matches!(&refused, Err(MemoryError::Invalid(error)) if error.field() == "expires_at"), "{refused:?}");
    }
    let soon = now().plus(Duration::from_millis(1));
    harness.create(CreateMemory { expires_at: Some(soon), ..create("x") }).await.unwrap();
}

#[tokio::test]
async fn a_bank_without_expiry_is_not_asked_for_it() {
    let harness = Harness::with_capabilities(|capabilities| capabilities.expiry = false);
    let refused = harness.create(CreateMemory { expires_at: Some(after(1)), ..create("x") }).await;
    let expected = MemoryBankError::Unsupported(Capability::Expiry).to_string();
    assert!(matches!(&refused, Err(MemoryError::Bank(error)) if error.to_string() == expected), "{refused:?}");
    harness.created("x").await;
}

#[tokio::test]
async fn an_application_writes_only_in_the_categories_that_it_was_given() {
    let mut harness = Harness::new();
    let allowed = CategoryAccess::Only(categories(&["food", "guests"]).into_iter().collect());
    harness.caller = harness.caller_with(|application| application.categories = allowed);
    for (names, valid) in [(&["food"][..], true), (&["food", "guests"], true), (&[], false), (&["food", "x"], false)] {
        let answer = harness.create(CreateMemory { categories: categories(names), ..create("x") }).await;
        match answer {
            Ok(_) => assert!(valid, "{names:?}"),
            Err(MemoryError::CategoryNotAllowed) => assert!(!valid, "{names:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_answer() {
    for harness in [Harness::new(), Harness::remote()] {
        let first = harness.create(keyed("x", "k")).await.unwrap();
        harness.clock.advance(Duration::from_hours(1));
        assert_eq!(harness.create(keyed("x", "k")).await.unwrap(), first, "of the first request, and from then");
        assert_eq!(harness.bank.len(), 1);
        assert_ne!(harness.create(keyed("x", "another")).await.unwrap().memory.id, first.memory.id);
    }
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict_whichever_member_differs() {
    let harness = Harness::new();
    let full = || CreateMemory {
        categories: categories(&["a", "b"]),
        metadata: metadata(json!({"n": 1, "m": {"x": [1, 2]}})),
        context: context("g-1", "c-1"),
        occurred_at: Some(after(5)),
        expires_at: Some(after(60)),
        ..keyed("x", "k")
    };
    let first = harness.create(full()).await.unwrap();
    let others = [
        CreateMemory { content: content("x "), ..full() },
        CreateMemory { categories: categories(&["b", "a"]), ..full() },
        CreateMemory { categories: categories(&["a"]), ..full() },
        CreateMemory { metadata: metadata(json!({"n": "1", "m": {"x": [1, 2]}})), ..full() },
        CreateMemory { metadata: metadata(json!({"n": 1, "m": {"x": [2, 1]}})), ..full() },
        CreateMemory { metadata: Metadata::default(), ..full() },
        CreateMemory { context: context("g-2", "c-1"), ..full() },
        CreateMemory { context: context("g-1", "c-2"), ..full() },
        CreateMemory { context: context("c-1", "g-1"), ..full() },
        CreateMemory { context: Context::default(), ..full() },
        CreateMemory { priority: Priority::High, ..full() },
        CreateMemory { occurred_at: Some(after(6)), ..full() },
        CreateMemory { occurred_at: None, ..full() },
        CreateMemory { expires_at: Some(after(61)), ..full() },
        CreateMemory { expires_at: None, ..full() },
    ];
    let fingerprints: HashSet<Fingerprint> = others.iter().chain([&full()]).map(CreateMemory::fingerprint).collect();
    assert_eq!(fingerprints.len(), others.len() + 1);
    for other in others {
        let refused = harness.create(other.clone()).await;
        assert!(matches!(refused, Err(MemoryError::IdempotencyConflict)), "{other:?}: {refused:?}");
    }
    assert_eq!(harness.create(full()).await.unwrap(), first);
    let reordered = metadata(serde_json::from_str(r#"{"m": {"x": [1, 2]}, "n": 1}"#).unwrap());
    assert_eq!(harness.create(CreateMemory { metadata: reordered, ..full() }).await.unwrap(), first);
    assert_eq!(harness.bank.len(), 1);
}

#[tokio::test]
async fn a_key_means_nothing_to_other_applications_and_persons() {
    let harness = Harness::new();
    harness.create(keyed("x", "k")).await.unwrap();
    let person = Subject::Person(UserId::from_uuid(unique()));
    let others = [caller(&application()), caller_for(&harness.caller.application, person)];
    for other in others {
        harness.service.create(&Authorized::unguarded(&other), request(), keyed("something else", "k")).await.unwrap();
    }
    assert_eq!(harness.bank.len(), 3);
}

#[tokio::test]
async fn a_write_that_was_accepted_while_the_bank_was_away_is_delivered_later() {
    for harness in [Harness::new(), Harness::remote()] {
        harness.bank.outage().begin();
        let first = harness.accepted(keyed("x", "k")).await;
        assert_eq!(harness.accepted(keyed("x", "k")).await, first, "a repetition has the same answer");
        assert_eq!(harness.audit.recorded().len(), 2);
        harness.bank.outage().end();
        harness.clock.advance(Duration::from_mins(1));
        assert_eq!(harness.worker.work().await, 1);
        let stored = harness.create(keyed("x", "k")).await.unwrap();
        assert_eq!((stored.request_id, &stored.memory.id), (first, &MemoryId::for_request(first)));
        assert_eq!(stored.memory.created_at, now(), "it is as old as the first request");
        assert_eq!(harness.bank.len(), 1);
    }
}

#[tokio::test]
async fn a_write_that_was_delivered_and_not_noted_creates_no_second_memory() {
    let mut harness = Harness::new();
    let outage = harness.queue.outage();
    let after_create = {
        let outage = outage.clone();
        move || {
            outage.begin();
            Ok(())
        }
    };
    harness.replace_bank(Arc::new(HookedBank { inner: harness.bank.clone(), after_create }));
    let request = harness.accepted(keyed("x", "k")).await;
    assert_eq!(harness.bank.len(), 1);
    outage.end();
    harness.replace_bank(harness.bank.clone());
    assert_eq!(harness.worker.work().await, 0, "its lease is still good");
    harness.clock.advance(Duration::from_mins(1));
    assert_eq!(harness.worker.work().await, 1);
    assert_eq!(harness.create(keyed("x", "k")).await.unwrap().request_id, request);
    assert_eq!(harness.bank.len(), 1);
}

#[tokio::test]
async fn what_the_bank_rejects_stays_rejected() {
    let mut harness = Harness::remote();
    let after_create = || Err(MemoryBankError::Rejected("too long for this bank".to_owned()));
    harness.replace_bank(Arc::new(HookedBank { inner: harness.bank.clone(), after_create }));
    for _ in 0..2 {
        let refused = harness.create(keyed("x", "k")).await;
        let Err(MemoryError::Bank(MemoryBankError::Rejected(reason))) = refused else { panic!("{refused:?}") };
        assert_eq!(reason, "too long for this bank");
        harness.replace_bank(harness.bank.clone());
    }
    assert!(matches!(&harness.queue.writes()[..], [(_, WriteState::Failed(_))]));
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn a_queue_that_is_unavailable_is_reported_and_the_bank_is_not_reached() {
    let harness = Harness::new();
    harness.queue.outage().begin();
    let refused = harness.create(keyed("x", "k")).await;
    assert!(matches!(refused, Err(MemoryError::Storage(_))), "{refused:?}");
    assert!(harness.bank.is_empty());
}
