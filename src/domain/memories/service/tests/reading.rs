use serde_json::json;

use super::*;
use crate::applications::CategoryAccess;
use crate::memories::{DateRange, ListOrder, ResultOrder, Scalar};
use crate::testing::{categories, context, metadata, new_memory, now, space};

#[track_caller]
fn assert_unsupported<T: std::fmt::Debug>(answer: Result<T, MemoryError>, expected: Capability) {
    match answer {
        Err(MemoryError::Bank(MemoryBankError::Unsupported(capability))) => assert_eq!(capability, expected),
        other => panic!("not unsupported: {other:?}"),
    }
}

fn new_content(text: &str) -> MemoryChanges {
    MemoryChanges { content: Some(content(text)), ..MemoryChanges::default() }
}

#[tokio::test]
async fn a_search_finds_in_the_callers_scope_and_is_recorded_without_its_words() {
    let harness = Harness::new();
    let memory = harness.created("Tom is allergic to peanuts.").await;
    let request = request();
    let asked = SearchMemories { context: context("g-1", "c-1"), ..search("What is Tom allergic to?") };
    let results = harness.service.search(&Authorized::unguarded(&harness.caller), request, asked).await.unwrap();
    assert_eq!(results.hits.into_iter().map(|found| found.hit.memory).collect::<Vec<_>>(), [memory]);
    let event = AuditEvent::new(AuditKind::MemoriesSearched, now())
        .application(harness.caller.application.id)
        .request(request)
        .context(context("g-1", "c-1"));
    assert_eq!(harness.audit.recorded()[1..], [event]);
    let stranger = caller(&application());
    let results = harness.service.search(&Authorized::unguarded(&stranger), request, search("Tom")).await.unwrap();
    assert_eq!(results, Findings::default());
}

#[tokio::test]
async fn every_part_of_a_search_reaches_the_bank() {
    let harness = Harness::new();
    for number in 0..3 {
        harness.created(&format!("guest {number} peanuts")).await;
    }
    harness.create(CreateMemory { categories: categories(&["food"]), ..create("peanuts") }).await.unwrap();
    let count = async |asked: SearchMemories| {
        harness.service.search(&Authorized::unguarded(&harness.caller), request(), asked).await.unwrap().hits.len()
    };
    assert_eq!(count(search("peanuts")).await, 4);
    assert_eq!(count(SearchMemories { limit: 2.try_into().unwrap(), ..search("peanuts") }).await, 2);
    let threshold = Some(Relevance::clamped(0.9));
    assert_eq!(count(SearchMemories { threshold, ..search("guest peanuts") }).await, 3);
    let filter = MemoryFilter { categories: categories(&["food"]), ..MemoryFilter::default() };
    assert_eq!(count(SearchMemories { filter, ..search("peanuts") }).await, 1);
}

#[tokio::test]
async fn what_has_expired_is_not_found_listed_got_or_changed() {
    let harness = Harness::new();
    let expires_at = Some(now().plus(Duration::from_secs(1)));
    let memory = harness.create(CreateMemory { expires_at, ..create("peanuts") }).await.unwrap().memory;
    harness.clock.advance(Duration::from_secs(1));
    let (service, caller) = (&harness.service, &harness.caller);
    assert!(
        service.search(&Authorized::unguarded(caller), request(), search("peanuts")).await.unwrap().hits.is_empty()
    );
    assert!(
        service
            .list(&Authorized::unguarded(caller), request(), ListMemories::default())
            .await
            .unwrap()
            .memories
            .is_empty()
    );
    assert!(matches!(
        service.get(&Authorized::unguarded(caller), request(), &memory.id).await,
        Err(MemoryError::NotFound)
    ));
    let changed = service.update(&Authorized::unguarded(caller), request(), &memory.id, &new_content("y")).await;
    assert!(matches!(changed, Err(MemoryError::NotFound)), "{changed:?}");
}

#[tokio::test]
async fn what_a_bank_cannot_do_is_not_asked_of_it() {
    let harness = Harness::with_capabilities(|capabilities| {
        capabilities.update = false;
        capabilities.list = false;
        capabilities.date_filter = false;
        capabilities.metadata_filter = false;
        capabilities.expiry = false;
    });
    let memory = harness.created("x").await;
    let (service, caller) = (&harness.service, &harness.caller);
    let none = MemoryFilter::default;
    let dates = MemoryFilter { created: DateRange::new("date_range", Some(now()), None).unwrap(), ..none() };
    let members = MemoryFilter { metadata: vec![("n".to_owned(), Scalar::Bool(true))], ..none() };
    let with = |filter| SearchMemories { filter, ..search("x") };
    assert_unsupported(
        service.search(&Authorized::unguarded(caller), request(), with(dates)).await,
        Capability::DateFilter,
    );
    assert_unsupported(
        service.search(&Authorized::unguarded(caller), request(), with(members)).await,
        Capability::MetadataFilter,
    );
    service.search(&Authorized::unguarded(caller), request(), search("x")).await.unwrap();
    assert_unsupported(
        service.list(&Authorized::unguarded(caller), request(), ListMemories::default()).await,
        Capability::List,
    );
    assert_unsupported(
        service.update(&Authorized::unguarded(caller), request(), &memory.id, &new_content("y")).await,
        Capability::Update,
    );
    service.get(&Authorized::unguarded(caller), request(), &memory.id).await.unwrap();
    service.delete(&Authorized::unguarded(caller), request(), &memory.id).await.unwrap();
    assert_eq!(service.capabilities(), harness.bank.capabilities());
}

#[tokio::test]
async fn an_expiry_is_not_asked_of_a_bank_without_it_but_may_be_taken_away() {
    let harness = Harness::with_capabilities(|capabilities| capabilities.expiry = false);
    let memory = harness.created("x").await;
    let (service, caller) = (&harness.service, &harness.caller);
    let set = MemoryChanges { expires_at: Some(Some(now().plus(Duration::from_secs(1)))), ..MemoryChanges::default() };
    assert_unsupported(
        service.update(&Authorized::unguarded(caller), request(), &memory.id, &set).await,
        Capability::Expiry,
    );
    let taken_away = MemoryChanges { expires_at: Some(None), ..MemoryChanges::default() };
    service.update(&Authorized::unguarded(caller), request(), &memory.id, &taken_away).await.unwrap();
}

#[tokio::test]
async fn a_list_goes_from_page_to_page_by_cursors_bound_to_the_scope() {
    let harness = Harness::new();
    for number in 0..3 {
        harness.clock.advance(Duration::from_secs(1));
        harness.created(&format!("note {number}")).await;
    }
    let (service, caller) = (&harness.service, &harness.caller);
    let two = |cursor: Option<&str>| ListMemories {
        limit: 2.try_into().unwrap(),
        cursor: cursor.map(str::to_owned),
        ..ListMemories::default()
    };
    let request = request();
    let page = service.list(&Authorized::unguarded(caller), request, two(None)).await.unwrap();
    let cursor = page.next.expect("there is another page");
    assert_eq!(page.memories.len(), 2);
    let after_first = service.list(&Authorized::unguarded(caller), request, two(Some(&page.cursors[0]))).await.unwrap();
    assert_eq!(after_first.memories[0], page.memories[1], "a response may end with any memory of the page");
    let page = service.list(&Authorized::unguarded(caller), request, two(Some(&cursor))).await.unwrap();
    assert_eq!((page.memories.len(), page.memories[0].content.as_str(), page.next), (1, "note 0", None));
    let event =
        AuditEvent::new(AuditKind::MemoryRead, harness.clock.now()).application(caller.application.id).request(request);
    assert_eq!(harness.audit.recorded()[3..], [event.clone(), event.clone(), event]);
    let stranger = crate::testing::caller(&application());
    for (caller, cursor) in [(&stranger, cursor.as_str()), (caller, "x"), (caller, &cursor[1..])] {
        let refused = service.list(&Authorized::unguarded(caller), request, two(Some(cursor))).await;
        assert!(matches!(&refused, Err(MemoryError::Invalid(error)) if error.field() == "cursor"), "{refused:?}");
    }
}

#[tokio::test]
async fn a_list_can_be_narrowed_to_a_category() {
    let harness = Harness::new();
    harness.created("x").await;
    let create = CreateMemory { categories: categories(&["food"]), ..create("y") };
    let memory = harness.create(create).await.unwrap().memory;
    let filter = MemoryFilter { categories: categories(&["food"]), ..MemoryFilter::default() };
    let in_food = ListMemories { filter, ..ListMemories::default() };
    let listed = harness.service.list(&Authorized::unguarded(&harness.caller), request(), in_food).await.unwrap();
    assert_eq!(listed.memories, [memory]);
}

#[tokio::test]
async fn a_list_and_the_results_of_a_search_can_be_sorted_by_when_things_were_said() {
    let harness = Harness::new();
    let ago = |hours| Some(now().minus(Duration::from_hours(hours)));
    for (text, occurred_at) in
        [("peanuts b", ago(2)), ("peanuts a", None), ("peanuts d", ago(9)), ("peanuts c", ago(3))]
    {
        harness.create(CreateMemory { occurred_at, ..create(text) }).await.unwrap();
    }
    let caller = Authorized::unguarded(&harness.caller);
    let asked = SearchMemories { order: ResultOrder::Occurred, ..search("peanuts") };
    let found = harness.service.search(&caller, request(), asked).await.unwrap();
    let texts: Vec<&str> = found.hits.iter().map(|finding| finding.hit.memory.content.as_str()).collect();
    assert_eq!(texts, ["peanuts a", "peanuts b", "peanuts c", "peanuts d"]);
    let by_order =
        |order, cursor| ListMemories { order, cursor, limit: 3.try_into().unwrap(), ..ListMemories::default() };
    let page = harness.service.list(&caller, request(), by_order(ListOrder::Occurred, None)).await.unwrap();
    let texts: Vec<&str> = page.memories.iter().map(|memory| memory.content.as_str()).collect();
    assert_eq!(texts, ["peanuts a", "peanuts b", "peanuts c"]);
    let refused = harness.service.list(&caller, request(), by_order(ListOrder::Created, page.next.clone())).await;
    assert!(matches!(&refused, Err(MemoryError::Invalid(error)) if error.field() == "cursor"), "{refused:?}");
    let page = harness.service.list(&caller, request(), by_order(ListOrder::Occurred, page.next)).await.unwrap();
    assert_eq!((page.memories.len(), page.next), (1, None));
}

#[tokio::test]
async fn one_memory_is_got_by_its_owner_alone() {
    let harness = Harness::new();
    let memory = harness.created("x").await;
    let request = request();
    assert_eq!(
        harness.service.get(&Authorized::unguarded(&harness.caller), request, &memory.id).await.unwrap(),
        memory
    );
    let event = &harness.audit.recorded()[1];
    assert_eq!((event.kind, event.request_id), (AuditKind::MemoryRead, Some(request)));
    let stranger = caller(&application());
    assert!(matches!(
        harness.service.get(&Authorized::unguarded(&stranger), request, &memory.id).await,
        Err(MemoryError::NotFound)
    ));
    let shared = caller(&Application { space: harness.caller.application.space.clone(), ..application() });
    assert_eq!(
        harness.service.get(&Authorized::unguarded(&shared), request, &memory.id).await.unwrap(),
        memory,
        "a shared space is shared"
    );
}

#[tokio::test]
async fn who_may_only_write_learns_of_no_content_by_changing_or_by_asking_for_a_request() {
    for harness in [Harness::new(), Harness::remote()] {
        let request = request();
        let created =
            harness.service.create(&Authorized::unguarded(&harness.caller), request, create("a secret")).await.unwrap();
        let Created::Stored(stored) = created else { panic!("it was stored") };
        let mut writer = harness.caller.clone();
        writer.permissions = [Permission::MemoryWrite].into_iter().collect();
        let outcome = harness.service.outcome(&Authorized::unguarded(&writer), request).await.unwrap();
        assert_eq!(outcome.state, RequestState::Stored { id: stored.memory.id.clone(), memory: None });
        let changes = MemoryChanges { priority: Some(Priority::High), ..MemoryChanges::default() };
        let updated = harness
            .service
            .update(&Authorized::unguarded(&writer), request, &stored.memory.id, &changes)
            .await
            .unwrap();
        assert_eq!(updated, UpdatedMemory { id: stored.memory.id.clone(), memory: None });
        let now =
            harness.service.get(&Authorized::unguarded(&harness.caller), request, &stored.memory.id).await.unwrap();
        assert_eq!(now.priority, Priority::High);
    }
}

#[tokio::test]
async fn in_a_shared_space_a_request_belongs_to_the_application_that_made_it() {
    let harness = Harness::new();
    let one = harness.caller_with(|application| application.space = space("shared"));
    let other = caller(&Application { space: space("shared"), ..application() });
    let request = request();
    assert!(matches!(
        harness.service.create(&Authorized::unguarded(&one), request, create("x")).await,
        Ok(Created::Stored(_))
    ));
    let refused = harness.service.outcome(&Authorized::unguarded(&other), request).await;
    assert!(matches!(refused, Err(MemoryError::RequestNotFound)), "{refused:?}");
    let outcome = harness.service.outcome(&Authorized::unguarded(&one), request).await.unwrap();
    assert!(matches!(outcome.state, RequestState::Stored { memory: Some(_), .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_change_is_made_dated_and_recorded() {
    let harness = Harness::new();
    let written = CreateMemory { metadata: metadata(json!({"n": 1})), context: context("g", "c"), ..create("x") };
    let memory = harness.create(written).await.unwrap().memory;
    harness.clock.advance(Duration::from_secs(1));
    let changes = MemoryChanges { metadata: Some(metadata(json!({"m": 2}))), ..new_content("y") };
    let request = request();
    let answer =
        harness.service.update(&Authorized::unguarded(&harness.caller), request, &memory.id, &changes).await.unwrap();
    let expected = Memory {
        content: content("y"),
        metadata: metadata(json!({"m": 2})).with_context(&context("g", "c")),
        updated_at: harness.clock.now(),
        ..memory
    };
    assert_eq!(answer, UpdatedMemory { id: expected.id.clone(), memory: Some(expected) });
    let event = AuditEvent::new(AuditKind::MemoryUpdated, harness.clock.now())
        .application(harness.caller.application.id)
        .request(request);
    assert_eq!(harness.audit.recorded()[1..], [event]);
    assert!(harness.queue.writes().is_empty());
}

#[tokio::test]
async fn a_change_that_cannot_be_is_refused_by_its_field() {
    let harness = Harness::new();
    let memory = harness.created("x").await;
    let past = MemoryChanges { expires_at: Some(Some(now())), ..MemoryChanges::default() };
    for (field, changes) in [("body", MemoryChanges::default()), ("expires_at", past)] {
        let refused =
            harness.service.update(&Authorized::unguarded(&harness.caller), request(), &memory.id, &changes).await;
        assert!(matches!(&refused, Err(MemoryError::Invalid(error)) if error.field() == field), "{refused:?}");
    }
    let unknown = harness
        .service
        .update(&Authorized::unguarded(&harness.caller), request(), &new_memory("x").id, &new_content("y"))
        .await;
    assert!(matches!(unknown, Err(MemoryError::NotFound)), "{unknown:?}");
}

#[tokio::test]
async fn a_memory_cannot_be_moved_out_of_the_categories_that_the_application_was_given() {
    let mut harness = Harness::new();
    let allowed = CategoryAccess::Only(categories(&["food", "guests"]).into_iter().collect());
    harness.caller = harness.caller_with(|application| application.categories = allowed);
    let create = CreateMemory { categories: categories(&["food"]), ..create("x") };
    let memory = harness.create(create).await.unwrap().memory;
    for (names, valid) in [(&["guests"][..], true), (&[], false), (&["secret"], false)] {
        let changes = MemoryChanges { categories: Some(categories(names)), ..MemoryChanges::default() };
        let answer =
            harness.service.update(&Authorized::unguarded(&harness.caller), request(), &memory.id, &changes).await;
        match answer {
            Ok(_) => assert!(valid, "{names:?}"),
            Err(MemoryError::CategoryNotAllowed) => assert!(!valid, "{names:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_memory_is_deleted_once_and_by_its_owner_alone() {
    let harness = Harness::new();
    let memory = harness.created("x").await;
    let stranger = caller(&application());
    let refused = harness.service.delete(&Authorized::unguarded(&stranger), request(), &memory.id).await;
    assert!(matches!(refused, Err(MemoryError::NotFound)), "{refused:?}");
    let request = request();
    harness.service.delete(&Authorized::unguarded(&harness.caller), request, &memory.id).await.unwrap();
    let refused = harness.service.delete(&Authorized::unguarded(&harness.caller), request, &memory.id).await;
    assert!(matches!(refused, Err(MemoryError::NotFound)), "{refused:?}");
    let event =
        AuditEvent::new(AuditKind::MemoryDeleted, now()).application(harness.caller.application.id).request(request);
    assert_eq!(harness.audit.recorded()[1..], [event]);
}

#[tokio::test]
async fn a_bank_that_is_unavailable_is_reported_by_everything() {
    let harness = Harness::new();
    let memory = harness.created("x").await;
    harness.service.check_health().await.unwrap();
    harness.bank.outage().begin();
    let (service, caller) = (&harness.service, &harness.caller);
    for answer in [
        service.check_health().await.map_err(MemoryError::from),
        service.search(&Authorized::unguarded(caller), request(), search("x")).await.map(drop),
        service.list(&Authorized::unguarded(caller), request(), ListMemories::default()).await.map(drop),
        service.get(&Authorized::unguarded(caller), request(), &memory.id).await.map(drop),
        service.update(&Authorized::unguarded(caller), request(), &memory.id, &new_content("y")).await.map(drop),
        service.delete(&Authorized::unguarded(caller), request(), &memory.id).await,
        service.create(&Authorized::unguarded(caller), request(), create("x")).await.map(drop),
    ] {
        assert!(matches!(answer, Err(MemoryError::Bank(MemoryBankError::Unavailable { .. }))), "{answer:?}");
    }
    assert_eq!(harness.audit.recorded().len(), 1);
}
