use std::sync::Mutex;

use super::*;
use crate::memories::{Deletion, EachCreated, OnNearDuplicate, Page};
use crate::testing::{categories, now, update};

fn in_category(name: &str) -> MemoryFilter {
    MemoryFilter { categories: categories(&[name]), ..MemoryFilter::default() }
}

#[tokio::test]
async fn each_of_several_creates_has_its_own_outcome() {
    let harness = Harness::new();
    let keyed = |text: &str, key: &str| CreateMemory {
        idempotency_key: Some(key.to_owned().try_into().unwrap()),
        ..create(text)
    };
    let earlier = harness.create(keyed("known", "k")).await.unwrap();
    let creates = [
        create("new"),
        keyed("known", "k"),
        keyed("another", "k"),
        CreateMemory { expires_at: Some(now()), ..create("over") },
        keyed("twice", "t"),
        keyed("twice", "t"),
    ];
    let requests = [(); 6].map(|()| request());
    let creates = requests.into_iter().zip(creates).map(|(id, create)| (id, create, OnNearDuplicate::Ignore));
    let caller = Authorized::unguarded(&harness.caller);
    let outcomes = harness.service.create_each(&caller, creates.collect()).await;
    let stored = |outcome: &Result<EachCreated, MemoryError>| match outcome {
        Ok(EachCreated { created: Created::Stored(stored), is_duplicate, .. }) => (stored.request_id, *is_duplicate),
        other => panic!("not stored: {other:?}"),
    };
    assert_eq!(stored(&outcomes[0]), (requests[0], false));
    assert_eq!(stored(&outcomes[1]), (earlier.request_id, true));
    assert!(matches!(outcomes[2], Err(MemoryError::IdempotencyConflict)));
    assert!(matches!(&outcomes[3], Err(MemoryError::Invalid(error)) if error.field() == "expires_at"));
    let twice = [stored(&outcomes[4]), stored(&outcomes[5])];
    assert_eq!(twice[0].0, twice[1].0, "one of them was first");
    assert_eq!(twice.iter().filter(|(_, is_duplicate)| *is_duplicate).count(), 1);
    assert_eq!(harness.bank.len(), 3);
}

#[tokio::test]
async fn a_deletion_by_a_filter_says_how_many_and_deletes_exactly_these_when_it_is_confirmed() {
    let harness = Harness::new();
    for text in ["a", "b"] {
        harness.create(CreateMemory { categories: categories(&["old"]), ..create(text) }).await.unwrap();
    }
    let kept = harness.created("kept").await;
    let caller = Authorized::unguarded(&harness.caller);
    let delete = async |confirmation: Option<&str>| {
        harness.service.delete_matching(&caller, request(), in_category("old"), confirmation).await
    };
    let plan = async || match delete(None).await {
        Ok(Deletion::Planned { matching, confirmation }) => (matching, confirmation),
        other => panic!("not a plan: {other:?}"),
    };
    let (matching, outdated) = plan().await;
    assert_eq!((matching, harness.bank.len()), (2, 3));

    // Another one comes, one is changed, one goes: what was confirmed is not what is there.
    let new = harness.create(CreateMemory { categories: categories(&["old"]), ..create("c") }).await.unwrap();
    assert!(matches!(delete(Some(&outdated)).await, Err(MemoryError::SelectionChanged { matching: 3 })));
    let (_, outdated) = plan().await;
    harness.clock.advance(Duration::from_secs(1));
    let changes = MemoryChanges { priority: Some(Priority::High), ..MemoryChanges::default() };
    let writer = Authorized::unguarded(&harness.caller);
    harness.service.update(&writer, request(), &new.memory.id, &changes).await.unwrap();
    assert!(matches!(delete(Some(&outdated)).await, Err(MemoryError::SelectionChanged { matching: 3 })));
    let (_, outdated) = plan().await;
    harness.service.delete(&Authorized::unguarded(&harness.caller), request(), &new.memory.id).await.unwrap();
    assert!(matches!(delete(Some(&outdated)).await, Err(MemoryError::SelectionChanged { matching: 2 })));
    assert_eq!(harness.bank.len(), 3, "nothing was deleted");

    let (_, confirmation) = plan().await;
    let deleted = delete(Some(&confirmation)).await;
    assert!(matches!(deleted, Ok(Deletion::Done { deleted: 2, failed: 0, reason: None })), "{deleted:?}");
    assert_eq!(harness.bank.get(&MemoryScope::of(&harness.caller), &kept.id, now()).await.unwrap(), Some(kept));
    assert_eq!(plan().await.0, 0);
}

/// A bank in which somebody changes what was listed before it is deleted.
struct Overtaken {
    inner: Arc<InMemoryMemoryBank>,
    change: Mutex<Option<(MemoryId, MemoryUpdate)>>,
}

#[async_trait]
impl MemoryBankDecorator for Overtaken {
    fn inner(&self) -> &dyn MemoryBank {
        &*self.inner
    }

    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError> {
        let page = self.inner.list(scope, query).await;
        let change = self.change.lock().unwrap().take();
        if let Some((id, update)) = change {
            self.inner.update(scope, &id, &update).await?;
        }
        page
    }
}

#[tokio::test]
async fn what_was_changed_after_the_confirmation_was_compared_is_not_deleted_by_a_filter() {
    let mut harness = Harness::new();
    let mut ids = Vec::new();
    for text in ["a", "b"] {
        let created = harness.create(CreateMemory { categories: categories(&["old"]), ..create(text) }).await.unwrap();
        ids.push(created.memory.id);
    }
    let bank = Arc::new(Overtaken { inner: harness.bank.clone(), change: Mutex::default() });
    harness.replace_bank(bank.clone());
    let caller = Authorized::unguarded(&harness.caller);
    let delete = async |confirmation: Option<&str>| {
        harness.service.delete_matching(&caller, request(), in_category("old"), confirmation).await
    };
    let Ok(Deletion::Planned { confirmation, .. }) = delete(None).await else { panic!("not a plan") };
    let changes = MemoryChanges { categories: Some(categories(&["new"])), ..MemoryChanges::default() };
    *bank.change.lock().unwrap() = Some((ids[0].clone(), update(&changes, now().plus(Duration::from_secs(1)))));
    let deleted = delete(Some(&confirmation)).await;
    assert!(matches!(deleted, Ok(Deletion::Done { deleted: 1, failed: 0, reason: None })), "{deleted:?}");
    let scope = MemoryScope::of(&harness.caller);
    let later = now().plus(Duration::from_secs(2));
    assert!(harness.bank.get(&scope, &ids[0], later).await.unwrap().is_some(), "it matches no more");
    assert!(harness.bank.get(&scope, &ids[1], later).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_is_deleted_by_a_filter_without_a_condition_or_of_somebody_else() {
    let harness = Harness::new();
    harness.create(CreateMemory { categories: categories(&["old"]), ..create("a") }).await.unwrap();
    let caller = Authorized::unguarded(&harness.caller);
    let refused = harness.service.delete_matching(&caller, request(), MemoryFilter::default(), None).await;
    assert!(matches!(&refused, Err(MemoryError::Invalid(error)) if error.field() == "filters"), "{refused:?}");
    let stranger = Authorized::unguarded(&caller_of_another());
    let plan = harness.service.delete_matching(&stranger, request(), in_category("old"), None).await;
    assert!(matches!(plan, Ok(Deletion::Planned { matching: 0, .. })), "{plan:?}");
}

#[tokio::test]
async fn what_a_bank_cannot_list_is_not_deleted_by_a_filter() {
    let harness = Harness::with_capabilities(|capabilities| capabilities.list = false);
    let caller = Authorized::unguarded(&harness.caller);
    let refused = harness.service.delete_matching(&caller, request(), in_category("old"), None).await;
    assert!(matches!(refused, Err(MemoryError::Bank(MemoryBankError::Unsupported(Capability::List)))), "{refused:?}");
}

fn caller_of_another() -> Caller {
    caller(&application())
}
