//! Deadlines, retries, their budget and hedging, with a paused clock.

use std::sync::Arc;
use std::time::Duration;

use memgate::adapters::remote_bank::{
    Access, BreakerMode, Cause, HedgeAfter, Operation, Rejection, RemoteBankConfig, RemoteMemoryBank,
};
use memgate::domain::memories::{ListQuery, MemoryBank, MemoryBankError, MemoryChanges};
use memgate_domain::testing::{content, new_memory, now, scope, update};
use serde_json::json;
use tokio::time::Instant;

use super::support::{Played, Step, played, query, search, unavailable};

const BROKEN: Step = Step::Fails(Cause::ConnectionLost);
const WORKS: Step = Step::Status(200);
const SOON: HedgeAfter = HedgeAfter::Fixed(Duration::from_millis(50));

/// A client whose breakers let everything through.
fn unbroken(bank: &Arc<Played>, change: impl FnOnce(&mut RemoteBankConfig)) -> Arc<RemoteMemoryBank> {
    let client = played(bank, change);
    for access in Access::ALL {
        client.set_breaker_mode(access, BreakerMode::ForcedClosed);
    }
    client
}

/// Lets good calls pay for hedges, as far as that goes, and forgets them.
async fn save_up(client: &RemoteMemoryBank, bank: &Played) {
    for _ in 0..1_000 {
        search(client).await.unwrap();
    }
    bank.forget();
}

#[tokio::test(start_paused = true)]
async fn no_call_outlives_its_deadline_by_more_than_50_ms() {
    for step in [
        Step::Stalls,
        Step::After(Duration::from_millis(7_900), json!({"detail": "an answer of the wrong shape"})),
        Step::Fails(Cause::TimedOut),
        Step::Status(503),
        Step::RetryAfter(503, "19"),
        Step::RetryAfter(429, "21"),
        BROKEN,
    ] {
        let bank = Played::new(step.clone());
        let client = unbroken(&bank, |config| config.resilience.backoff_max = Duration::from_mins(1));
        let (scope, id) = (scope(), "01937a5e-0000-7000-8000-000000000001".parse().unwrap());
        let changes = MemoryChanges { content: Some(content("y")), ..MemoryChanges::default() };
        let page = ListQuery::new(10.try_into().unwrap(), now());
        for call in 0..8 {
            let began = Instant::now();
            let answer = match call {
                0 => client.create(&scope, &new_memory("x")).await.map(|_| ()),
                1 => client.create_first(&scope, &new_memory("x")).await.map(|_| ()),
                2 => client.search(&scope, &query("x")).await.map(|_| ()),
                3 => client.list(&scope, &page).await.map(|_| ()),
                4 => client.get(&scope, &id, now()).await.map(|_| ()),
                5 => client.update(&scope, &id, &update(&changes, now())).await.map(|_| ()),
                6 => client.delete(&scope, &id).await.map(|_| ()),
                _ => client.check_health().await,
            };
            assert!(answer.is_err(), "call {call} with {step:?}");
            let took = began.elapsed();
            assert!(took <= Duration::from_millis(20_050), "call {call} took {took:?} with {step:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_bank_never_finishes_ends_with_the_deadline() {
    let event = json!({"status": "PENDING", "event_id": "01937a5e-0000-7000-8000-00000000000e"});
    let bank = Played::new(Step::After(Duration::ZERO, event));
    let client = unbroken(&bank, |config| {
        config.kind = memgate::adapters::remote_bank::BankKind::Mem0Platform;
    });
    let began = Instant::now();
    let wait = unavailable(client.create_first(&scope(), &new_memory("x")).await);
    assert!(wait.is_some_and(|wait| wait > Duration::ZERO));
    assert!(began.elapsed() <= Duration::from_millis(20_050));
    let asked = bank.operations().iter().filter(|operation| **operation == Operation::Event).count();
    assert!((5..=15).contains(&asked), "it was asked {asked} times what has become of it");
}

#[tokio::test(start_paused = true)]
async fn waits_double_are_random_and_differ_between_callers() {
    let bank = Played::new(BROKEN);
    let client = unbroken(&bank, |config| {
        config.resilience.max_attempts = 6;
        config.resilience.retry_floor = 100;
        config.resilience.backoff_base = Duration::from_millis(100);
        config.resilience.backoff_max = Duration::from_millis(800);
    });
    let mut waits = Vec::new();
    for _ in 0..10 {
        let before = bank.count();
        unavailable(search(&client).await);
        let sent: Vec<Instant> = bank.sent()[before..].iter().map(|(_, at)| *at).collect();
        assert_eq!(sent.len(), 6);
        waits.push(sent.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>());
    }
    for (number, most) in [100, 200, 400, 800, 800].into_iter().enumerate() {
        let column: Vec<Duration> = waits.iter().map(|waits| waits[number]).collect();
        // The clock of tokio counts whole milliseconds.
        assert!(column.iter().all(|wait| *wait <= Duration::from_millis(most + 1)), "{column:?}");
        let longest = column.iter().max().unwrap();
        assert!(*longest > Duration::from_millis(most / 2), "full jitter reaches into the upper half: {column:?}");
        let shortest = column.iter().min().unwrap();
        assert!(*shortest < Duration::from_millis(most / 2), "and into the lower: {column:?}");
    }
    assert!(waits.windows(2).all(|pair| pair[0] != pair[1]), "callers do not come back together");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_in_seconds_and_as_a_date() {
    // The clock of the tests shows 2033-05-18T03:33:20.123Z.
    for (header, at_least) in
        [("3", 3_000), ("Wed, 18 May 2033 03:33:27 GMT", 6_877), ("Wed, 18 May 2033 03:00:00 GMT", 0)]
    {
        let bank = Played::new(WORKS);
        let client = played(&bank, |_| ());
        bank.script([Step::RetryAfter(429, header)]);
        search(&client).await.unwrap();
        let sent = bank.sent();
        let wait = sent[1].1 - sent[0].1;
        let bounds = Duration::from_millis(at_least)..Duration::from_millis(at_least + 110);
        assert!(bounds.contains(&wait), "{header}: waited {wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_the_deadline_ends_the_call_at_once() {
    let bank = Played::new(Step::RetryAfter(503, "20"));
    let client = played(&bank, |_| ());
    let began = Instant::now();
    assert_eq!(unavailable(search(&client).await), Some(Duration::from_secs(20)));
    assert_eq!((began.elapsed(), bank.count()), (Duration::ZERO, 1));
    assert_eq!(client.metrics().refusals(Rejection::TooLate), 1);
}

#[tokio::test(start_paused = true)]
async fn the_budget_is_shared_by_all_callers_and_grows_with_calls_alone() {
    let bank = Played::new(BROKEN);
    let client = unbroken(&bank, |_| ());
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { unavailable(search(&client).await) })
        })
        .collect();
    let refused_by_bulkhead = |client: &RemoteMemoryBank| client.metrics().refusals(Rejection::BulkheadFull);
    for caller in callers {
        caller.await.unwrap();
    }
    let calls = 1_000 - usize::try_from(refused_by_bulkhead(&client)).unwrap();
    assert!(bank.count() <= calls + calls / 10 + 10, "{} attempts of {calls} calls", bank.count());
    // Time alone does not fill it.
    tokio::time::advance(Duration::from_hours(24)).await;
    let before = bank.count();
    for _ in 0..10 {
        unavailable(search(&client).await);
    }
    assert!(bank.count() - before <= 12, "ten calls pay for one retry");
    assert!(client.metrics().refusals(Rejection::NoBudget) > 0);
}

#[tokio::test(start_paused = true)]
async fn good_times_save_up_for_bad_ones_and_not_without_end() {
    let bank = Played::new(WORKS);
    let client = unbroken(&bank, |_| ());
    for _ in 0..5_000 {
        search(&client).await.unwrap();
    }
    assert_eq!(client.metrics().budget_left(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_before_a_second_create_is_paid_for_too() {
    let bank = Played::new(BROKEN);
    let client = unbroken(&bank, |config| config.resilience.retry_floor = 1);
    unavailable(client.create_first(&scope(), &new_memory("x")).await);
    assert_eq!(bank.operations(), [Operation::Create], "one retry is saved up, and two requests are needed");
}

#[tokio::test(start_paused = true)]
async fn a_create_that_cannot_have_arrived_is_sent_again_without_looking() {
    let bank = Played::new(WORKS);
    let client = unbroken(&bank, |_| ());
    bank.script([Step::Fails(Cause::NotConnected)]);
    client.create_first(&scope(), &new_memory("x")).await.unwrap();
    assert_eq!(bank.operations(), [Operation::Create, Operation::Create]);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_somebody_may_have_sent_is_looked_for_first() {
    let bank = Played::new(WORKS);
    let client = unbroken(&bank, |_| ());
    client.create(&scope(), &new_memory("x")).await.unwrap();
    assert_eq!(bank.operations(), [Operation::FindWrite, Operation::Create]);
}

#[tokio::test(start_paused = true)]
async fn what_a_proxy_says_in_the_banks_place_is_done_again_and_what_the_bank_says_wrongly_is_not() {
    let bank = Played::new(WORKS);
    let client = unbroken(&bank, |_| ());
    bank.script([Step::Fails(Cause::InvalidBody)]);
    search(&client).await.unwrap();
    assert_eq!(bank.count(), 2);
    bank.script([Step::After(Duration::ZERO, json!({"unknown": []}))]);
    let answer = search(&client).await;
    assert!(matches!(answer, Err(MemoryBankError::Inconsistent(_))), "{answer:?}");
    assert_eq!(bank.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_hedging_a_slow_read_is_waited_for() {
    let bank = Played::new(WORKS);
    let client = unbroken(&bank, |config| config.resilience.hedge_after = HedgeAfter::Never);
    save_up(&client, &bank).await;
    bank.script([Step::After(Duration::from_secs(4), json!({"results": []}))]);
    let began = Instant::now();
    search(&client).await.unwrap();
    assert_eq!((began.elapsed(), bank.count()), (Duration::from_secs(4), 1));
}

#[tokio::test(start_paused = true)]
async fn hedging_learns_from_the_bank_when_it_is_time() {
    let bank = Played::new(Step::After(Duration::from_millis(30), json!({"results": []})));
    let client = unbroken(&bank, |_| ());
    for _ in 0..2_000 {
        search(&client).await.unwrap();
    }
    let hedges = client.metrics().hedges();
    assert!(hedges <= 2_000 / 10, "{hedges} of 2,000 were hedged though all are alike");
    bank.script([Step::After(Duration::from_secs(4), json!({"results": []}))]);
    let began = Instant::now();
    search(&client).await.unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_millis(50) && took < Duration::from_millis(80), "{took:?}");
    let shown = client.metrics().to_prometheus();
    assert!(shown.contains("\nmemgate_bank_hedge_delay_seconds 0.0"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn with_hedging_a_slow_read_is_sent_twice_and_the_first_answer_counts() {
    let bank = Played::new(WORKS);
    let client = unbroken(&bank, |config| config.resilience.hedge_after = SOON);
    save_up(&client, &bank).await;
    bank.script([Step::After(Duration::from_secs(4), json!({"results": []}))]);
    let began = Instant::now();
    search(&client).await.unwrap();
    assert_eq!((began.elapsed(), bank.count()), (Duration::from_millis(50), 2));
    // The first may be the faster one all the same.
    bank.script([
        Step::After(Duration::from_millis(80), json!({"results": []})),
        Step::After(Duration::from_secs(4), json!({"results": []})),
    ]);
    let began = Instant::now();
    search(&client).await.unwrap();
    assert_eq!((began.elapsed(), bank.count()), (Duration::from_millis(80), 4));
    assert_eq!(client.metrics().hedges(), 2);
    // A failure of one is not the end while the other goes on.
    bank.script([Step::After(Duration::from_millis(80), json!({"results": []})), BROKEN]);
    search(&client).await.unwrap();
    // A write is never sent twice at a time.
    bank.script([Step::After(Duration::from_secs(1), json!({"results": [{"id": "a"}]}))]);
    client.create_first(&scope(), &new_memory("x")).await.unwrap();
    assert_eq!(bank.operations().iter().filter(|operation| **operation == Operation::Create).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn hedges_are_paid_for_by_the_retry_budget() {
    let bank = Played::new(Step::After(Duration::from_secs(1), json!({"results": []})));
    let client = unbroken(&bank, |config| config.resilience.hedge_after = SOON);
    for _ in 0..100 {
        search(&client).await.unwrap();
    }
    assert_eq!(bank.count(), 100 + 10, "a hundred calls pay for ten");
}

#[tokio::test(start_paused = true)]
async fn hedges_leave_the_floor_of_the_budget_to_the_retries() {
    let bank = Played::new(Step::After(Duration::from_secs(1), json!({"results": []})));
    let client = unbroken(&bank, |config| config.resilience.hedge_after = SOON);
    for _ in 0..100 {
        search(&client).await.unwrap();
    }
    assert_eq!(client.metrics().budget_left(), 10);
    bank.script([BROKEN, BROKEN]);
    search(&client).await.unwrap();
    assert_eq!(client.metrics().retries(), 2);
}
