//! A remote bank that is temporarily unavailable.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::memories::{Actor, Attempted, Claim, MemoryUpdate, QueueStatistics, WriteQueue as _};
use crate::system::Entropy;
use crate::testing::{categories, now};

fn unavailable(retry_after: Option<Duration>) -> MemoryBankError {
    MemoryBankError::Unavailable { retry_after, reached: false, source: "unavailable, for this test".into() }
}

async fn outcome(harness: &Harness, request: RequestId) -> RequestState {
    harness.service.outcome(&Authorized::unguarded(&harness.caller), request).await.unwrap().state
}

async fn found(harness: &Harness, asked: SearchMemories) -> Vec<(String, bool)> {
    let found = harness.service.search(&Authorized::unguarded(&harness.caller), super::request(), asked).await.unwrap();
    assert!(found.total_found >= u64::try_from(found.hits.len()).unwrap());
    found.hits.into_iter().map(|found| (found.hit.memory.content.as_str().to_owned(), found.pending)).collect()
}

/// A harness whose bank is available again after it was unavailable for these memories.
async fn with_pending(memories: &[&str]) -> Harness {
    let harness = Harness::remote();
    harness.bank.outage().begin();
    for text in memories {
        harness.accepted(create(text)).await;
    }
    harness.bank.outage().end();
    harness
}

#[tokio::test]
async fn a_memory_that_waits_does_not_overtake_and_all_arrive_in_order() {
    let harness = with_pending(&["first"]).await;
    let second = harness.accepted(create("second")).await;
    assert!(harness.bank.is_empty(), "the bank is back, but the first one goes first");
    harness.clock.advance(Duration::from_mins(1));
    assert_eq!(harness.worker.work().await, 2);
    assert!(matches!(outcome(&harness, second).await, RequestState::Stored { memory: Some(_), .. }));
    harness.created("third").await;
}

#[tokio::test]
async fn a_write_is_tried_for_ever_with_growing_jittered_waits_that_obey_the_bank() {
    let harness = Harness::remote();
    harness.bank.outage().begin();
    let request = harness.accepted(create("x")).await;
    let policy = *harness.service.delivery.policy();
    for attempt in 2..40 {
        harness.clock.advance(policy.longest_backoff);
        let [claim] = &harness.service.delivery.claim(10).await.unwrap()[..] else { panic!("it is due") };
        assert_eq!((claim.attempt, claim.write.request_id), (attempt, request));
        let Attempted::Postponed { until, .. } = harness.service.delivery.attempt(claim).await.unwrap() else {
            panic!("the bank is unavailable")
        };
        let ceiling =
            policy.first_backoff.saturating_mul(1 << attempt.saturating_sub(1).min(20)).min(policy.longest_backoff);
        assert!(until.since(harness.clock.now()) <= ceiling);
    }
    harness.clock.advance(policy.longest_backoff);
    let claims = harness.service.delivery.claim(10).await.unwrap();
    let asked_for = unavailable(Some(Duration::from_mins(5)));
    let postponed = harness.service.delivery.postpone(&claims[0], asked_for).await.unwrap();
    let Attempted::Postponed { until, .. } = postponed else { panic!("{postponed:?}") };
    assert!(until.since(harness.clock.now()) >= Duration::from_mins(5));
    assert_eq!(outcome(&harness, request).await, RequestState::Pending);
}

#[test]
fn waits_are_spread_over_the_whole_range() {
    struct Constant(u8);
    impl Entropy for Constant {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }
    let policy = DeliveryPolicy::default();
    let longest = |attempt| policy.wait_after(attempt, None, &Constant(0xff));
    assert_eq!([1, 2, 3, 6, u32::MAX].map(longest).map(|wait| wait.as_secs()), [1, 2, 4, 30, 30]);
    assert_eq!(policy.wait_after(9, None, &Constant(0)), Duration::ZERO);
    let patient = policy.wait_after(1, Some(Duration::from_hours(24 * 365)), &Constant(0));
    assert_eq!(patient, Duration::from_hours(1), "a bank that is unavailable for a year is asked before");
}

#[tokio::test]
async fn a_scope_whose_bank_is_unavailable_holds_nobody_else_up() {
    let mut harness = with_pending(&["waits"]).await;
    harness.caller = caller(&application());
    harness.created("goes").await;
}

#[tokio::test]
async fn what_the_bank_refuses_later_is_a_dead_letter_with_its_reason() {
    let mut harness = with_pending(&["x"]).await;
    let after_create = || Err(MemoryBankError::Rejected("too long for this bank".to_owned()));
    harness.replace_bank(Arc::new(HookedBank {
        inner: Arc::new(InMemoryMemoryBank::with_capabilities(harness.bank.capabilities())),
        after_create,
    }));
    harness.clock.advance(Duration::from_mins(1));
    assert_eq!(harness.worker.work().await, 1);
    let (write, state) = harness.queue.writes().remove(0);
    assert_eq!(state, WriteState::Failed("too long for this bank".to_owned()));
    let reason = "too long for this bank".to_owned();
    assert_eq!(outcome(&harness, write.request_id).await, RequestState::Failed(reason));
    assert!(write.keep_until > now().plus(Duration::from_hours(29 * 24)), "an operator has time to look at it");
    assert_eq!(harness.queue.statistics().await.unwrap(), QueueStatistics { failed: 1, ..Default::default() });
}

#[tokio::test]
async fn a_bank_that_is_not_set_up_correctly_costs_no_memory() {
    let mut harness = Harness::remote();
    let after_create = || Err(MemoryBankError::Misconfigured("the key is wrong".into()));
    harness.replace_bank(Arc::new(HookedBank { inner: harness.bank.clone(), after_create }));
    let request = harness.accepted(create("x")).await;
    let tracked = harness.queue.find(harness.caller.application.id, request).await.unwrap().unwrap();
    assert_eq!(tracked.last_error.as_deref(), Some("the memory bank is misconfigured: the key is wrong"));
    harness.replace_bank(harness.bank.clone());
    harness.clock.advance(Duration::from_mins(2));
    harness.worker.work().await;
    assert!(matches!(outcome(&harness, request).await, RequestState::Stored { memory: Some(_), .. }));
}

#[tokio::test]
async fn a_full_queue_is_said_and_nothing_is_kept() {
    let harness = with_pending(&["1", "2", "3"]).await;
    let refused = harness.service.create(&Authorized::unguarded(&harness.caller), super::request(), create("4")).await;
    assert!(matches!(refused, Err(MemoryError::QueueFull)), "{refused:?}");
    assert_eq!(harness.queue.writes().len(), 3);
}

#[tokio::test]
async fn only_the_one_who_asked_learns_what_became_of_a_request() {
    let harness = with_pending(&["x"]).await;
    let request = harness.queue.writes()[0].0.request_id;
    let shared = caller(&Application { space: harness.caller.application.space.clone(), ..application() });
    for stranger in [&shared, &caller(&application())] {
        let refused = harness.service.outcome(&Authorized::unguarded(stranger), request).await;
        assert!(matches!(refused, Err(MemoryError::RequestNotFound)), "{refused:?}");
    }
    let person = crate::oauth::Subject::Person(crate::ids::UserId::from_uuid(unique()));
    let of_person = crate::testing::caller_for(&harness.caller.application, person);
    assert!(harness.service.outcome(&Authorized::unguarded(&of_person), request).await.is_err());
    assert!(harness.service.outcome(&Authorized::unguarded(&harness.caller), super::request()).await.is_err());
}

#[tokio::test]
async fn a_memory_that_needed_no_queue_is_stored_when_it_is_asked_for() {
    let harness = Harness::new();
    let request = super::request();
    harness.service.create(&Authorized::unguarded(&harness.caller), request, create("x")).await.unwrap();
    assert!(matches!(outcome(&harness, request).await, RequestState::Stored { memory: Some(_), .. }));
}

#[tokio::test]
async fn a_search_finds_what_is_on_its_way_and_marks_it() {
    let harness = with_pending(&["Marta is allergic to hazelnuts", "The car is red"]).await;
    let expected = [("Marta is allergic to hazelnuts".to_owned(), true)];
    assert_eq!(found(&harness, search("Which hazelnut must Marta not eat?")).await, expected);
    assert_eq!(found(&harness, search("bicycle")).await, []);
    harness.clock.advance(Duration::from_mins(1));
    harness.worker.work().await;
    assert_eq!(found(&harness, search("hazelnuts")).await, [("Marta is allergic to hazelnuts".to_owned(), false)]);
    let stranger = caller(&application());
    let nothing =
        harness.service.search(&Authorized::unguarded(&stranger), super::request(), search("hazelnuts")).await.unwrap();
    assert_eq!(nothing, Findings::default());
}

#[tokio::test]
async fn what_is_on_its_way_obeys_limit_threshold_and_filters() {
    let harness = with_pending(&["blue boat", "blue bird"]).await;
    harness.bank.outage().begin();
    harness.accepted(CreateMemory { categories: categories(&["food"]), ..create("blue cheese") }).await;
    harness.bank.outage().end();
    assert_eq!(found(&harness, search("blue boat")).await[0].0, "blue boat");
    assert_eq!(found(&harness, search("blue boat")).await.len(), 3);
    let asked = SearchMemories { limit: 1.try_into().unwrap(), ..search("blue boat") };
    assert_eq!(found(&harness, asked).await, [("blue boat".to_owned(), true)]);
    let asked = SearchMemories { threshold: Some(Relevance::clamped(0.9)), ..search("blue boat") };
    assert_eq!(found(&harness, asked).await.len(), 1);
    let filter = MemoryFilter { categories: categories(&["food"]), ..MemoryFilter::default() };
    assert_eq!(found(&harness, SearchMemories { filter, ..search("blue") }).await, [("blue cheese".to_owned(), true)]);
}

/// Delivers what is due before it says what became of a write.
struct DueFirst(InlineDeliveryWorker);

#[async_trait]
impl DeliveryWorker for DueFirst {
    async fn deliver(&self, write: &QueuedWrite, claim: Option<Claim>) -> WriteState {
        self.0.work().await;
        self.0.deliver(write, claim).await
    }
}

#[tokio::test]
async fn a_repetition_that_delivers_shows_who_may_only_write_what_it_sent() {
    let mut harness = Harness::remote();
    let is_lost = AtomicBool::new(true);
    let after_create = move || {
        let lost = MemoryBankError::Unavailable { retry_after: None, reached: true, source: "no answer".into() };
        if is_lost.swap(false, Ordering::SeqCst) { Err(lost) } else { Ok(()) }
    };
    harness.replace_bank(Arc::new(HookedBank { inner: Arc::clone(&harness.bank), after_create }));
    let keyed = CreateMemory { idempotency_key: Some("k".to_owned().try_into().unwrap()), ..create("what it sent") };
    let id = MemoryId::for_request(harness.accepted(keyed.clone()).await);
    let scope = MemoryScope::of(&harness.caller);
    let changes = MemoryChanges { content: Some(content("what others wrote")), ..MemoryChanges::default() };
    let update = MemoryUpdate { changes, at: harness.clock.now(), by: Actor::Person, if_updated_at: None };
    assert!(harness.bank.update(&scope, &id, &update).await.unwrap().is_some());
    harness.clock.advance(Duration::from_hours(1));
    harness.service.worker = Arc::new(DueFirst(harness.worker.clone()));
    let mut writer = harness.caller.clone();
    writer.permissions = [Permission::MemoryWrite].into_iter().collect();
    let repeated = harness.service.create(&Authorized::unguarded(&writer), request(), keyed).await.unwrap();
    let Created::Stored(stored) = repeated else { panic!("{repeated:?}") };
    assert_eq!((stored.memory.id, stored.memory.content.as_str()), (id, "what it sent"));
}
