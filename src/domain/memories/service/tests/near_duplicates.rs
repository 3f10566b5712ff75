//! Memories that say nearly the same.

use super::*;
use crate::memories::{CreatedBeside, MockMemoryBank, OnNearDuplicate};
use crate::testing::categories;

async fn beside(
    harness: &Harness,
    create: CreateMemory,
    on_near_duplicate: OnNearDuplicate,
) -> Result<CreatedBeside, MemoryError> {
    let caller = Authorized::unguarded(&harness.caller);
    harness.service.create_beside(&caller, request(), create, on_near_duplicate).await
}

fn texts(beside: &CreatedBeside) -> Vec<&str> {
    let near = beside.near_duplicates.as_deref().expect("somebody looked for them");
    near.iter().map(|near| near.memory.content.as_str()).collect()
}

#[tokio::test]
async fn near_duplicates_are_named_and_the_memory_is_stored_beside_them() {
    for harness in [Harness::new(), Harness::remote()] {
        for text in ["Marta drinks green tea.", "marta drinks green tea", "Marta grows tea on her balcony"] {
            harness.created(text).await;
        }
        let stored = beside(&harness, create("Marta drinks green tea"), OnNearDuplicate::Report).await.unwrap();
        assert!(stored.near_duplicates.as_ref().unwrap()[0].similarity.get() >= 1.0);
        let mut found = texts(&stored);
        found.sort_unstable();
        assert_eq!(found, ["Marta drinks green tea.", "marta drinks green tea"]);
        let alone = beside(&harness, create("Nils has a bicycle"), OnNearDuplicate::Report).await.unwrap();
        assert_eq!(alone.near_duplicates, Some(Vec::new()));
        let unasked = beside(&harness, create("Nils has a bicycle"), OnNearDuplicate::Ignore).await.unwrap();
        assert_eq!((unasked.near_duplicates, harness.bank.len()), (None, 6));
    }
}

#[tokio::test]
async fn what_would_be_a_near_duplicate_is_not_stored_if_the_caller_says_so() {
    let harness = Harness::new();
    let known = harness.created("Marta drinks green tea.").await;
    let refused = beside(&harness, create("Marta drinks green tea"), OnNearDuplicate::Reject).await;
    let Err(error @ MemoryError::NearDuplicate(_)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains(known.id.as_str()), "{error}");
    assert_eq!(harness.bank.len(), 1);
    beside(&harness, create("Nils has a bicycle"), OnNearDuplicate::Reject).await.unwrap();
    let newer = CreateMemory { supersedes: Some(known.id), ..create("Marta drinks black tea.") };
    let stored = beside(&harness, newer, OnNearDuplicate::Reject).await.unwrap();
    assert_eq!(stored.near_duplicates, Some(Vec::new()), "what is superseded is no duplicate");
}

#[tokio::test]
async fn a_repetition_is_no_duplicate_of_its_first_request() {
    let harness = Harness::new();
    for on_near_duplicate in [OnNearDuplicate::Report, OnNearDuplicate::Reject] {
        let key = format!("{on_near_duplicate:?}");
        let keyed = CreateMemory { idempotency_key: Some(key.clone().try_into().unwrap()), ..create(&key) };
        let first = beside(&harness, keyed.clone(), on_near_duplicate).await.unwrap();
        assert_eq!(first.near_duplicates, Some(Vec::new()));
        assert_eq!(beside(&harness, keyed, on_near_duplicate).await.unwrap(), first);
    }
    assert_eq!(harness.bank.len(), 2);
}

#[tokio::test]
async fn memories_that_the_caller_does_not_see_are_not_compared() {
    let harness = Harness::new();
    let text = "Marta drinks green tea.";
    harness.create(CreateMemory { categories: categories(&["health"]), ..create(text) }).await.unwrap();
    let limited = harness.caller_with(|application| {
        application.categories = crate::applications::CategoryAccess::Only(categories(&["food"]).into_iter().collect());
    });
    let stranger = caller(&application());
    for caller in [&limited, &stranger] {
        let create = CreateMemory { categories: categories(&["food"]), ..create(text) };
        let caller = Authorized::unguarded(caller);
        let stored = harness.service.create_beside(&caller, request(), create, OnNearDuplicate::Report).await.unwrap();
        assert_eq!(stored.near_duplicates, Some(Vec::new()));
    }
    let mut writer = harness.caller.clone();
    writer.permissions = [Permission::MemoryWrite].into_iter().collect();
    let caller = Authorized::unguarded(&writer);
    let before = harness.bank.len();
    let refused = harness.service.create_beside(&caller, request(), create(text), OnNearDuplicate::Report).await;
    assert!(matches!(refused, Err(MemoryError::Forbidden(_))), "{refused:?}");
    assert_eq!(harness.bank.len(), before);
    let stored = harness.service.create_beside(&caller, request(), create(text), OnNearDuplicate::Ignore).await;
    assert!(stored.is_ok());
}

#[tokio::test]
async fn without_a_search_a_memory_is_stored_unless_it_must_not_be_a_near_duplicate() {
    let harness = Harness::remote();
    harness.bank.outage().begin();
    let accepted = beside(&harness, create("x"), OnNearDuplicate::Report).await.unwrap();
    assert!(matches!(accepted, CreatedBeside { created: Created::Accepted { .. }, near_duplicates: None }));
    let refused = beside(&harness, create("y"), OnNearDuplicate::Reject).await;
    assert!(matches!(refused, Err(MemoryError::Bank(MemoryBankError::Unavailable { .. }))), "{refused:?}");
    assert_eq!(harness.queue.writes().len(), 1);
}

#[tokio::test]
async fn a_search_that_fails_in_any_way_keeps_no_memory_from_being_stored() {
    let mut harness = Harness::new();
    let mut bank = MockMemoryBank::new();
    bank.expect_capabilities().return_const(InMemoryMemoryBank::CAPABILITIES);
    bank.expect_search().returning(|_, _| Err(MemoryBankError::Inconsistent("a damaged row".into())));
    bank.expect_create_first().returning(|_, memory| Ok(memory.clone().into_memory()));
    harness.replace_bank(Arc::new(bank));
    let stored = beside(&harness, create("x"), OnNearDuplicate::Report).await.unwrap();
    assert!(matches!(stored, CreatedBeside { created: Created::Stored(_), near_duplicates: None }), "{stored:?}");
    let refused = beside(&harness, create("x"), OnNearDuplicate::Reject).await;
    assert!(matches!(refused, Err(MemoryError::Bank(MemoryBankError::Inconsistent(_)))), "{refused:?}");
}
