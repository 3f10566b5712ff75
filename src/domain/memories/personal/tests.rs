use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::applications::Application;
use crate::ids::RequestId;
use crate::memories::{
    Admitted, Capabilities, Delivery, DeliveryOrder, DeliveryPolicy, HistoryEvent, Lease, Memory, MemoryBank,
    MemoryBankDecorator, MemoryMember, MemoryScope, Page, QueuedWrite, WriteQueue as _,
};
use crate::people::Person;
use crate::testing::{
    FixedClock, InMemoryApplicationRepository, InMemoryAuditLog, InMemoryMemoryBank, InMemoryPersonRepository,
    InMemoryTenantRegistry, InMemoryWriteQueue, InlineDeliveryWorker, SeededEntropy, application, categories, content,
    new_memory, now, person, queued_write, unique,
};

struct Harness {
    person: Person,
    stranger: Person,
    applications: [Application; 2],
    bank: Arc<InMemoryMemoryBank>,
    queue: Arc<InMemoryWriteQueue>,
    tenants: Arc<InMemoryTenantRegistry>,
    audit: Arc<InMemoryAuditLog>,
    clock: Arc<FixedClock>,
    own: PersonalMemories,
}

impl Harness {
    fn new() -> Self {
        Self::before(InMemoryMemoryBank::default())
    }

    fn before_a_remote_bank() -> Self {
        let capabilities = Capabilities { local: false, ..InMemoryMemoryBank::CAPABILITIES };
        Self::before(InMemoryMemoryBank::with_capabilities(capabilities))
    }

    fn before(bank: InMemoryMemoryBank) -> Self {
        let bank = Arc::new(bank);
        Self::over(bank.clone(), bank)
    }

    /// `port` is what the service sees of the bank.
    fn over(bank: Arc<InMemoryMemoryBank>, port: Arc<dyn MemoryBank>) -> Self {
        let (person, stranger) = (person(), person());
        let applications = [application(), Application { space: "home".parse().unwrap(), ..application() }];
        let people = Arc::new(InMemoryPersonRepository::holding([person.clone(), stranger.clone()]));
        let repository = Arc::new(InMemoryApplicationRepository::holding(applications.clone()));
        let queue = Arc::new(InMemoryWriteQueue::default());
        let tenants = Arc::new(InMemoryTenantRegistry::of(people, repository.clone()));
        let (audit, clock) = (Arc::new(InMemoryAuditLog::default()), Arc::new(FixedClock::default()));
        let delivery = Arc::new(Delivery::new(
            port.clone(),
            tenants.clone(),
            queue.clone(),
            clock.clone(),
            Arc::new(SeededEntropy::default()),
            DeliveryPolicy::default(),
        ));
        let worker = Arc::new(InlineDeliveryWorker::new(delivery.clone()));
        let memories = MemoryService::new(delivery, worker, audit.clone(), clock.clone());
        let erasure = Erasure::new(port, queue.clone(), tenants.clone(), clock.clone());
        Self {
            own: PersonalMemories::new(memories, tenants.clone(), repository, erasure),
            bank,
            queue,
            tenants,
            audit,
            clock,
            person,
            stranger,
            applications,
        }
    }

    fn scope(&self, application: usize, person: &Person) -> MemoryScope {
        MemoryScope::from_stored(self.applications[application].space.clone(), Some(person.id))
    }

    /// Stores a memory of the person, so many minutes ago.
    async fn store(&self, application: usize, text: &str, minutes: u64) -> Memory {
        let created_at = now().minus(Duration::from_mins(minutes));
        let memory = NewMemory { created_at, ..new_memory(text) };
        self.create(&self.scope(application, &self.person), &memory).await.unwrap()
    }

    async fn create(&self, scope: &MemoryScope, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.bank.create(&Admitted::by(&*self.tenants, scope).await?, memory).await
    }

    async fn texts(&self, query: &OwnQuery) -> Vec<String> {
        let page = self.own.find(self.person.id, query).await.unwrap();
        page.memories.iter().map(|own| own.memory.content.as_str().to_owned()).collect()
    }
}

/// What a memory is called by whoever does not say where it is.
fn called(memory: &Memory) -> OwnMemoryId {
    memory.id.clone().into()
}

fn limit(limit: i64) -> Limit {
    Limit::try_from(limit).unwrap()
}

#[tokio::test]
async fn a_list_goes_through_all_applications_newest_first_and_page_by_page() {
    let harness = Harness::new();
    for minutes in 0..11 {
        harness.store(usize::from(minutes % 3 == 0), &format!("{minutes}"), minutes).await;
    }
    let other = harness.scope(0, &harness.stranger);
    harness.create(&other, &new_memory("of somebody else")).await.unwrap();
    let mut query = OwnQuery { limit: limit(4), ..OwnQuery::default() };
    let mut all = Vec::new();
    for number in 0.. {
        assert!(number < 11, "the list does not end");
        let page = harness.own.find(harness.person.id, &query).await.unwrap();
        assert!(page.memories.len() <= 4);
        all.extend(page.memories.into_iter().map(|own| own.memory.content.as_str().to_owned()));
        match page.next {
            Some(OwnNext::After(next)) => query.after = Some(next),
            Some(OwnNext::Skip(_)) => panic!("a list has positions"),
            None => break,
        }
    }
    assert_eq!(all, (0..11).map(|minutes| minutes.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn copies_of_a_memory_in_several_spaces_are_listed_though_a_page_ends_at_them() {
    let harness = Harness::new();
    let scopes = [0, 1].map(|application| harness.scope(application, &harness.person));
    for minutes in 0..7 {
        let created_at = now().minus(Duration::from_mins(minutes));
        // Said in the opposite order.
        let occurred_at = Some(now().plus(Duration::from_mins(minutes)));
        let memory = NewMemory { created_at, occurred_at, ..new_memory(&minutes.to_string()) };
        for scope in scopes.iter().take(if minutes % 2 == 0 { 2 } else { 1 }) {
            harness.create(scope, &memory).await.unwrap();
        }
    }
    let newest_first = ["0", "0", "1", "2", "2", "3", "4", "4", "5", "6", "6"];
    let said_last_first: Vec<&str> = newest_first.into_iter().rev().collect();
    for (limited, order) in
        [1, 2, 3, 5, 20].into_iter().flat_map(|n| [(n, ListOrder::Created), (n, ListOrder::Occurred)])
    {
        let mut query = OwnQuery { limit: limit(limited), order, ..OwnQuery::default() };
        let mut all = Vec::new();
        loop {
            let page = harness.own.find(harness.person.id, &query).await.unwrap();
            all.extend(page.memories.into_iter().map(|own| own.memory.content.into_string()));
            match page.next {
                Some(OwnNext::After(next)) => query.after = Some(next),
                Some(OwnNext::Skip(_)) => panic!("a list has positions"),
                None => break,
            }
        }
        match order {
            ListOrder::Created => assert_eq!(all, newest_first, "{limited} a page"),
            ListOrder::Occurred => assert_eq!(all, said_last_first, "{limited} a page"),
        }
    }
}

/// A bank whose lists begin with so many empty pages, as those of a filter that few memories pass.
struct Sparse {
    inner: Arc<InMemoryMemoryBank>,
    empty: AtomicU32,
}

#[async_trait]
impl MemoryBankDecorator for Sparse {
    fn inner(&self) -> &dyn MemoryBank {
        &*self.inner
    }

    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError> {
        let left = |n: u32| n.checked_sub(1);
        let ordering = Ordering::Relaxed;
        if self.empty.fetch_update(ordering, ordering, left).is_ok() {
            let next = Position { order: query.order, at: query.now, id: "x".parse().unwrap() };
            return Ok(Page { memories: Vec::new(), next: Some(next) });
        }
        self.inner.list(scope, query).await
    }
}

#[tokio::test]
async fn empty_pages_are_passed_over_and_after_many_the_next_is_offered() {
    let inner = Arc::new(InMemoryMemoryBank::default());
    for (empty, expected) in [(EMPTY_PAGES - 1, 1), (EMPTY_PAGES, 0)] {
        let bank = Arc::new(Sparse { inner: inner.clone(), empty: empty.into() });
        let harness = Harness::over(inner.clone(), bank);
        harness.store(0, "x", 5).await;
        let page = harness.own.find(harness.person.id, &OwnQuery::default()).await.unwrap();
        assert_eq!((page.memories.len(), page.next.is_none()), (expected, expected == 1), "{empty} empty pages");
    }
}

#[tokio::test]
async fn each_copy_of_a_memory_is_seen_changed_and_deleted_in_its_space() {
    let harness = Harness::new();
    let (person, memory) = (harness.person.id, new_memory("Marta drinks coffee"));
    for application in [0, 1] {
        harness.create(&harness.scope(application, &harness.person), &memory).await.unwrap();
    }
    let ids = [0, 1].map(|application| OwnMemoryId {
        id: memory.id.clone(),
        space: Some(harness.applications[application].space.clone()),
    });
    for (id, other) in ids.iter().zip(ids.iter().rev()) {
        let own = harness.own.get(person, id).await.unwrap();
        assert_eq!(own.id(), *id);
        assert_eq!(harness.own.other_spaces_of(person, &own).await.unwrap(), [other.space.clone().unwrap()]);
    }
    let changes = MemoryChanges { content: Some(content("Marta drinks tea")), ..MemoryChanges::default() };
    for (id, other) in ids.iter().zip(ids.iter().rev()) {
        let before = harness.own.get(person, other).await.unwrap();
        assert_eq!(harness.own.correct(person, id, &changes).await.unwrap().saved.id(), *id);
        assert_eq!(harness.own.get(person, other).await.unwrap(), before, "the other one is as it was");
        harness.own.forget_history(person, id).await.unwrap();
        assert_eq!(harness.own.get(person, id).await.unwrap().history, []);
    }
    let elsewhere = OwnMemoryId { space: Some("elsewhere".parse().unwrap()), ..ids[0].clone() };
    assert!(matches!(harness.own.get(person, &elsewhere).await, Err(MemoryError::NotFound)));
    let deleted = harness.own.delete(person, &ids[1]).await.unwrap();
    assert_eq!(deleted.id(), ids[1]);
    assert!(matches!(harness.own.delete(person, &ids[1]).await, Err(MemoryError::NotFound)));
    assert_eq!(harness.own.get(person, &memory.id.clone().into()).await.unwrap().id(), ids[0]);
    harness.own.restore(person, deleted.clone()).await.unwrap();
    assert_eq!(harness.own.get(person, &ids[1]).await.unwrap(), deleted);
}

#[tokio::test]
async fn memories_are_narrowed_to_an_application_a_category_and_a_time() {
    let harness = Harness::new();
    for minutes in 0..4 {
        harness.store(usize::from(minutes % 2 == 1), &format!("{minutes}"), minutes).await;
    }
    let food = NewMemory { categories: categories(&["food"]), ..new_memory("tea") };
    harness.create(&harness.scope(0, &harness.person), &food).await.unwrap();
    let space = Some(harness.applications[1].space.clone());
    assert_eq!(harness.texts(&OwnQuery { space, ..OwnQuery::default() }).await, ["1", "3"]);
    let category = Some("food".parse().unwrap());
    assert_eq!(harness.texts(&OwnQuery { category, ..OwnQuery::default() }).await, ["tea"]);
    let ago = |minutes| Some(now().minus(Duration::from_mins(minutes)));
    for limited in [1, 20] {
        let created = DateRange::new("date_range", ago(2), ago(1)).unwrap();
        let mut query = OwnQuery { dates: created, limit: limit(limited), ..OwnQuery::default() };
        let mut found = harness.texts(&query).await;
        while let Some(OwnNext::After(next)) = harness.own.find(harness.person.id, &query).await.unwrap().next {
            query.after = Some(next);
            found.extend(harness.texts(&query).await);
            assert!(found.len() <= 2, "{limited} a page: {found:?}");
        }
        assert_eq!(found, ["1", "2"], "{limited} a page");
    }
    let counted = harness.own.categories(harness.person.id).await.unwrap();
    assert_eq!(counted.into_iter().collect::<Vec<_>>(), [("food".parse().unwrap(), 1)]);
}

#[tokio::test]
async fn a_search_finds_in_all_applications_and_nothing_of_others() {
    let harness = Harness::new();
    harness.store(0, "Marta drinks tea", 1).await;
    harness.store(1, "Marta has green tea at home", 2).await;
    let other = harness.scope(1, &harness.stranger);
    harness.create(&other, &new_memory("Nils drinks tea")).await.unwrap();
    let text = Some("tea".to_owned().try_into().unwrap());
    let mut found = harness.texts(&OwnQuery { text, ..OwnQuery::default() }).await;
    found.sort();
    assert_eq!(found, ["Marta drinks tea", "Marta has green tea at home"]);
}

#[tokio::test]
async fn what_a_search_finds_is_reached_page_by_page_up_to_a_limit() {
    let harness = Harness::new();
    for minutes in 0..OwnQuery::MAX_FOUND {
        harness.store(usize::from(minutes % 3 == 0), &format!("tea {minutes}"), u64::from(minutes)).await;
    }
    let text = Some("tea".to_owned().try_into().unwrap());
    let mut query = OwnQuery { text, limit: limit(60), ..OwnQuery::default() };
    let (mut found, mut pages) = (Vec::new(), Vec::new());
    loop {
        let page = harness.own.find(harness.person.id, &query).await.unwrap();
        found.extend(page.memories.into_iter().map(|own| own.memory.id));
        let Some(next) = page.next else { break };
        pages.push(next.clone());
        assert!(pages.len() <= 3, "a search goes on beyond its limit: {pages:?}");
        match next {
            OwnNext::Skip(skip) => query.skip = skip,
            OwnNext::After(_) => panic!("a search has no positions"),
        }
    }
    assert_eq!(pages, [60, 120, 180].map(OwnNext::Skip));
    found.sort();
    found.dedup();
    assert_eq!(found.len(), OwnQuery::MAX_FOUND as usize);
    harness.store(0, "tea once more", 0).await;
    let last = harness.own.find(harness.person.id, &query).await.unwrap();
    assert_eq!((last.memories.len(), last.next), (20, Some(OwnNext::Skip(OwnQuery::MAX_FOUND))));
}

#[tokio::test]
async fn a_source_has_the_name_of_its_application_or_of_its_space() {
    let harness = Harness::new();
    harness.store(0, "x", 0).await;
    harness.store(1, "y", 0).await;
    let sources = harness.own.sources(harness.person.id).await.unwrap();
    let [own, home] = harness.applications.clone();
    assert!(sources.contains(&Source { space: own.space, application: Some(own.name) }), "{sources:?}");
    assert!(sources.contains(&Source { space: home.space, application: None }), "{sources:?}");
}

#[tokio::test]
async fn a_memory_is_seen_changed_and_deleted_by_its_person_alone() {
    let harness = Harness::new();
    let memory = harness.store(1, "Marta drinks coffee", 5).await;
    let changes = MemoryChanges { content: Some(content("Marta drinks tea")), ..MemoryChanges::default() };
    let stranger = harness.stranger.id;
    assert!(matches!(harness.own.get(stranger, &called(&memory)).await, Err(MemoryError::NotFound)));
    assert!(matches!(harness.own.correct(stranger, &called(&memory), &changes).await, Err(MemoryError::NotFound)));
    assert!(matches!(harness.own.delete(stranger, &called(&memory)).await, Err(MemoryError::NotFound)));
    let correction = harness.own.correct(harness.person.id, &called(&memory), &changes).await.unwrap();
    assert_eq!(correction.before, Some(memory.clone()));
    let corrected = correction.saved;
    assert_eq!(harness.own.get(harness.person.id, &called(&memory)).await.unwrap(), corrected);
    assert_eq!(corrected.memory.content, content("Marta drinks tea"));
    let [entry] = &corrected.history[..] else { panic!("one entry") };
    assert_eq!((entry.at, entry.by), (corrected.memory.updated_at, Some(Actor::Person)));
    assert_eq!(entry.event, HistoryEvent::Updated(vec![MemoryMember::Content]));
    assert_eq!(harness.own.delete(harness.person.id, &called(&memory)).await.unwrap(), corrected);
    assert!(matches!(harness.own.get(harness.person.id, &called(&memory)).await, Err(MemoryError::NotFound)));
    assert_eq!(harness.audit.kinds(), [AuditKind::MemoryUpdated, AuditKind::MemoryDeleted]);
}

#[tokio::test]
async fn a_correction_is_undone_by_its_person_and_only_while_it_is_the_last_change() {
    let harness = Harness::new();
    let before = harness.store(1, "Marta drinks coffee", 5).await;
    let changes = MemoryChanges {
        content: Some(content("Marta drinks tea")),
        categories: Some(categories(&["food"])),
        ..MemoryChanges::default()
    };
    let (corrected_at, space) = (now(), harness.applications[1].space.clone());
    let corrected = OwnMemory::stored(before.clone(), space);
    let undo = async |person| harness.own.undo_correction(person, corrected.clone(), corrected_at).await;
    harness.own.correct(harness.person.id, &called(&before), &changes).await.unwrap();
    let refused = undo(harness.stranger.id).await;
    assert!(matches!(refused, Err(MemoryError::NotFound)), "{refused:?}");
    harness.clock.advance(Duration::from_secs(1));
    assert!(undo(harness.person.id).await.unwrap());
    let undone = Memory { updated_at: now().plus(Duration::from_secs(1)), ..before.clone() };
    assert_eq!(harness.own.get(harness.person.id, &called(&before)).await.unwrap().memory, undone);
    assert!(!undo(harness.person.id).await.unwrap());
    assert_eq!(harness.own.get(harness.person.id, &called(&before)).await.unwrap().memory, undone);
    assert_eq!(harness.audit.kinds(), [AuditKind::MemoryUpdated; 2], "what did not happen is not recorded");
}

#[tokio::test]
async fn what_was_deleted_is_restored_where_it_was_and_as_old_as_it_was() {
    let harness = Harness::new();
    let memory = harness.store(1, "x", 5).await;
    let changes = MemoryChanges { categories: Some(categories(&["food"])), ..MemoryChanges::default() };
    harness.own.correct(harness.person.id, &called(&memory), &changes).await.unwrap();
    let deleted = harness.own.delete(harness.person.id, &called(&memory)).await.unwrap();
    assert!(matches!(harness.own.restore(harness.stranger.id, deleted.clone()).await, Err(MemoryError::NotFound)));
    harness.own.restore(harness.person.id, deleted.clone()).await.unwrap();
    assert_eq!(harness.own.get(harness.person.id, &called(&memory)).await.unwrap(), deleted);
    harness.own.restore(harness.person.id, deleted).await.unwrap();
    assert_eq!(harness.texts(&OwnQuery::default()).await, ["x"], "a repetition restores it once");
}

#[tokio::test]
async fn a_history_is_forgotten_by_its_person_alone() {
    let harness = Harness::new();
    let memory = harness.store(0, "x", 5).await;
    let changes = MemoryChanges { content: Some(content("y")), ..MemoryChanges::default() };
    harness.own.correct(harness.person.id, &called(&memory), &changes).await.unwrap();
    let refused = harness.own.forget_history(harness.stranger.id, &called(&memory)).await;
    assert!(matches!(refused, Err(MemoryError::NotFound)));
    assert_eq!(harness.own.get(harness.person.id, &called(&memory)).await.unwrap().history.len(), 1);
    harness.own.forget_history(harness.person.id, &called(&memory)).await.unwrap();
    assert_eq!(harness.own.get(harness.person.id, &called(&memory)).await.unwrap().history, []);
}

#[tokio::test]
async fn all_memories_of_a_person_are_deleted_and_new_ones_can_be_stored() {
    let harness = Harness::new();
    for application in [0, 1] {
        harness.store(application, "x", 0).await;
    }
    let other = harness.scope(0, &harness.stranger);
    let kept = harness.create(&other, &new_memory("of somebody else")).await.unwrap();
    assert_eq!(harness.own.delete_all(harness.person.id).await.unwrap(), 2);
    assert!(harness.texts(&OwnQuery::default()).await.is_empty());
    assert_eq!(harness.own.get(harness.stranger.id, &called(&kept)).await.unwrap().memory, kept);
    harness.store(0, "new", 0).await;
    assert_eq!(harness.texts(&OwnQuery::default()).await, ["new"]);
}

#[tokio::test]
async fn what_a_person_brings_along_becomes_theirs_and_is_looked_at_first() {
    let harness = Harness::new();
    let person = harness.person.id;
    let space = harness.applications[0].space.clone();
    harness.store(0, "chess", 0).await;
    let row = r#"{"content": "tea"}"#;
    let place = crate::memories::Place::line(1);
    let mut preview = harness.own.preview_import(person, space.clone());
    preview.add(place, row).await.unwrap();
    assert_eq!(harness.own.end_import(person, preview).await.unwrap().created, 1);
    assert_eq!(harness.own.find(person, &OwnQuery::default()).await.unwrap().memories.len(), 1);
    for (created, duplicates) in [(1, 0), (0, 1)] {
        let mut import = harness.own.begin_import(person, space.clone());
        import.add(place, row).await.unwrap();
        let report = harness.own.end_import(person, import).await.unwrap();
        assert_eq!((report.created, report.duplicates), (created, duplicates));
    }
    let found = harness.own.find(person, &OwnQuery::default()).await.unwrap();
    assert_eq!(found.memories.len(), 2);
    assert!(harness.own.find(harness.stranger.id, &OwnQuery::default()).await.unwrap().memories.is_empty());
}

/// A person's memory that the bank has not stored yet, before a remote bank.
async fn pending(harness: &Harness, text: &str) -> QueuedWrite {
    let request = RequestId::from_uuid(unique());
    let memory = NewMemory { id: MemoryId::for_request(request), ..new_memory(text) };
    let scope = harness.scope(0, &harness.person);
    let write = QueuedWrite { request_id: request, scope: scope.clone(), memory, ..queued_write() };
    Admitted::by(&*harness.tenants, &scope).await.unwrap();
    let lease = Lease { id: unique(), until: now().minus(Duration::from_secs(1)) };
    harness.queue.accept(&write, DeliveryOrder::Unordered, lease).await.unwrap();
    write
}

#[tokio::test]
async fn what_is_pending_is_found_opened_and_deleted() {
    let harness = Harness::before_a_remote_bank();
    let (person, write) = (harness.person.id, pending(&harness, "Marta drinks tea").await);
    harness.store(0, "Marta has tea at home", 1).await;
    let text = Some("tea".to_owned().try_into().unwrap());
    let found = harness.own.find(person, &OwnQuery { text, ..OwnQuery::default() }).await.unwrap();
    let [waiting] = &found.memories.iter().filter(|own| own.pending).collect::<Vec<_>>()[..] else {
        panic!("{found:?}")
    };
    assert_eq!((found.memories.len(), &waiting.memory.id), (2, &write.memory.id));
    assert_eq!(harness.own.get(person, &waiting.id()).await.unwrap(), **waiting);
    let changes = MemoryChanges { content: Some(content("x")), ..MemoryChanges::default() };
    let refused = harness.own.correct(person, &waiting.id(), &changes).await;
    assert!(matches!(refused, Err(MemoryError::NotFound)), "it cannot be changed yet: {refused:?}");
    for result in [
        harness.own.get(harness.stranger.id, &waiting.id()).await,
        harness.own.delete(harness.stranger.id, &waiting.id()).await,
    ] {
        assert!(matches!(result, Err(MemoryError::NotFound)), "{result:?}");
    }
    let deleted = harness.own.delete(person, &waiting.id()).await.unwrap();
    assert_eq!(deleted, **waiting);
    assert_eq!((harness.queue.writes(), harness.bank.len()), (Vec::new(), 1));
    harness.own.restore(person, deleted).await.unwrap();
    let restored = harness.own.get(person, &waiting.id()).await.unwrap();
    assert_eq!((restored.pending, restored.memory.content), (false, content("Marta drinks tea")));
}

#[tokio::test]
async fn what_was_pending_is_found_and_deleted_by_its_id_of_then_after_it_was_stored() {
    let harness = Harness::before_a_remote_bank();
    let (person, write) = (harness.person.id, pending(&harness, "Marta drinks tea").await);
    let id = write.memory.id.clone().into();
    let seen = harness.own.get(person, &id).await.unwrap();
    assert!(seen.pending);
    // The bank gives it an ID of its own.
    let stored = NewMemory { id: "bank-1".parse().unwrap(), ..write.memory.clone() };
    let stored = harness.create(&write.scope, &stored).await.unwrap();
    assert!(harness.queue.mark_stored(write.request_id, &stored, now(), now()).await.unwrap());
    assert_eq!(harness.own.get(person, &id).await.unwrap(), OwnMemory::stored(stored, seen.space.clone()));
    harness.own.remove(person, seen).await.unwrap();
    assert!(harness.bank.is_empty() && harness.queue.writes().is_empty());
    assert!(matches!(harness.own.get(person, &id).await, Err(MemoryError::NotFound)));
}

#[tokio::test]
async fn what_the_bank_has_refused_is_deleted_as_well() {
    let harness = Harness::before_a_remote_bank();
    let (person, write) = (harness.person.id, pending(&harness, "Marta drinks tea").await);
    harness.queue.mark_failed(write.request_id, "no", now()).await.unwrap();
    harness.own.delete(person, &write.memory.id.clone().into()).await.unwrap();
    assert_eq!(harness.queue.writes(), Vec::new(), "no operator delivers it later");
}
