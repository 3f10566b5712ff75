//! The circuit breaker, with a paused clock.

use std::sync::Arc;
use std::time::Duration;

use memgate::adapters::remote_bank::{Access, BreakerMode, BreakerState, Cause, RemoteBankConfig, RemoteMemoryBank};
use memgate::domain::memories::MemoryBank;
use memgate_domain::testing::{new_memory, scope};
use serde_json::json;
use tokio::time::{advance, timeout};

use super::support::{Played, Step, played, search, unavailable};

const FAILS: Step = Step::Fails(Cause::NotConnected);
const WORKS: Step = Step::Status(200);

fn state(client: &RemoteMemoryBank) -> BreakerState {
    client.breaker(Access::Read).0
}

/// One attempt a call, so that calls are counted easily; ten are judged.
fn single(config: &mut RemoteBankConfig) {
    config.resilience.max_attempts = 1;
    config.resilience.breaker.calls = 10;
}

async fn many(client: &RemoteMemoryBank, bank: &Played, step: Step, number: usize) {
    bank.script(vec![step; number]);
    for _ in 0..number {
        // Both are the point.
        let _ = search(client).await;
    }
}

/// A client whose breaker for reads has just opened.
async fn opened() -> (Arc<Played>, Arc<RemoteMemoryBank>) {
    let bank = Played::new(WORKS);
    let client = played(&bank, single);
    many(&client, &bank, FAILS, 10).await;
    assert_eq!(state(&client), BreakerState::Open);
    (bank, client)
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_half_of_the_last_attempts_failed_and_not_before() {
    let bank = Played::new(WORKS);
    let client = played(&bank, single);
    many(&client, &bank, FAILS, 4).await;
    many(&client, &bank, WORKS, 100).await;
    assert_eq!(state(&client), BreakerState::Closed, "four failures are long past");
    many(&client, &bank, FAILS, 4).await;
    assert_eq!(state(&client), BreakerState::Closed, "four of the last ten");
    many(&client, &bank, FAILS, 1).await;
    assert_eq!(state(&client), BreakerState::Open, "five of the last ten");
}

#[tokio::test(start_paused = true)]
async fn nine_failures_alone_are_too_few_to_judge_and_ten_are_enough() {
    let bank = Played::new(WORKS);
    let client = played(&bank, single);
    many(&client, &bank, FAILS, 9).await;
    assert_eq!(state(&client), BreakerState::Closed);
    many(&client, &bank, FAILS, 1).await;
    assert_eq!(state(&client), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn failures_older_than_the_window_do_not_count() {
    let bank = Played::new(WORKS);
    let client = played(&bank, single);
    for _ in 0..20 {
        many(&client, &bank, FAILS, 4).await;
        advance(Duration::from_secs(31)).await;
    }
    assert_eq!(state(&client), BreakerState::Closed, "no ten of them are within a window");
    // Nor does it matter where in a window they begin.
    advance(Duration::from_secs(13)).await;
    many(&client, &bank, FAILS, 5).await;
    advance(Duration::from_secs(4)).await;
    many(&client, &bank, FAILS, 5).await;
    assert_eq!(state(&client), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_most_attempts_are_slow_though_they_succeed() {
    for (milliseconds, expected) in [(5_000, BreakerState::Open), (4_990, BreakerState::Closed)] {
        let bank = Played::new(Step::After(Duration::from_millis(milliseconds), json!({"results": []})));
        let client = played(&bank, single);
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let client = Arc::clone(&client);
                tokio::spawn(async move { search(&client).await.is_ok() })
            })
            .collect();
        for caller in callers {
            assert!(caller.await.unwrap());
        }
        assert_eq!(state(&client), expected, "{milliseconds} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn it_tells_how_long_it_stays_open() {
    let (bank, client) = opened().await;
    let sent = bank.count();
    assert_eq!(unavailable(search(&client).await), Some(Duration::from_secs(10)));
    advance(Duration::from_secs(4)).await;
    assert_eq!(unavailable(search(&client).await), Some(Duration::from_secs(6)));
    assert_eq!(bank.count(), sent, "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn half_open_it_lets_three_probes_through_at_a_time_and_closes_with_the_first_success() {
    let (bank, client) = opened().await;
    advance(Duration::from_secs(10)).await;
    let sent = bank.count();
    bank.set(Step::After(Duration::from_secs(1), json!({"results": []})));
    let callers: Vec<_> = (0..500)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { search(&client).await.is_ok() })
        })
        .collect();
    let mut succeeded = 0;
    for caller in callers {
        succeeded += usize::from(caller.await.unwrap());
    }
    assert_eq!((bank.count() - sent, succeeded), (3, 3), "of 500 callers three got through");
    assert_eq!(state(&client), BreakerState::Closed);
    assert_eq!(client.metrics().transitions(Access::Read, BreakerState::HalfOpen), 1);
    assert_eq!(client.metrics().transitions(Access::Read, BreakerState::Closed), 1);
}

#[tokio::test(start_paused = true)]
async fn half_open_it_opens_again_with_the_first_failure() {
    let (bank, client) = opened().await;
    for _ in 0..3 {
        advance(Duration::from_secs(10)).await;
        let sent = bank.count();
        many(&client, &bank, FAILS, 1).await;
        assert_eq!((state(&client), bank.count() - sent), (BreakerState::Open, 1));
        assert_eq!(unavailable(search(&client).await), Some(Duration::from_secs(10)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_is_no_sign_of_health() {
    let (bank, client) = opened().await;
    advance(Duration::from_secs(10)).await;
    bank.script([Step::After(Duration::from_secs(6), json!({"results": []}))]);
    search(&client).await.unwrap();
    assert_eq!(state(&client), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_permit_comes_back_when_its_caller_goes_away() {
    let (bank, client) = opened().await;
    advance(Duration::from_secs(10)).await;
    bank.set(Step::Stalls);
    for _ in 0..10 {
        // Three at a time would be all there are, if they were not given back.
        assert!(timeout(Duration::from_millis(10), search(&client)).await.is_err(), "it was let through, and stalled");
    }
    assert_eq!(state(&client), BreakerState::HalfOpen);
    bank.set(WORKS);
    search(&client).await.unwrap();
    assert_eq!(state(&client), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn callers_who_waited_for_long_and_went_away_have_seen_a_slow_bank() {
    let bank = Played::new(Step::Stalls);
    let client = played(&bank, single);
    for _ in 0..9 {
        let _ = timeout(Duration::from_millis(4_999), search(&client)).await;
    }
    assert_eq!(state(&client), BreakerState::Closed);
    advance(Duration::from_mins(1)).await;
    let impatient = (0..10).map(|_| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { timeout(Duration::from_millis(5_001), search(&client)).await.is_err() })
    });
    for caller in impatient.collect::<Vec<_>>() {
        assert!(caller.await.unwrap());
    }
    assert_eq!(state(&client), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn what_began_before_it_opened_does_not_close_it() {
    let bank = Played::new(WORKS);
    let client = played(&bank, single);
    bank.script([Step::After(Duration::from_secs(3), json!({"results": []}))]);
    let late = tokio::spawn({
        let client = Arc::clone(&client);
        async move { search(&client).await }
    });
    tokio::task::yield_now().await;
    many(&client, &bank, FAILS, 10).await;
    assert_eq!(state(&client), BreakerState::Open);
    late.await.unwrap().unwrap();
    assert_eq!(state(&client), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn an_operator_can_force_it_open_and_closed_and_give_it_back() {
    let bank = Played::new(WORKS);
    let client = played(&bank, single);
    client.set_breaker_mode(Access::Read, BreakerMode::ForcedOpen);
    assert_eq!(client.breaker(Access::Read), (BreakerState::Open, BreakerMode::ForcedOpen));
    advance(Duration::from_hours(1)).await;
    assert!(unavailable(search(&client).await).is_some());
    client.create_first(&scope(), &new_memory("x")).await.unwrap();
    client.set_breaker_mode(Access::Read, BreakerMode::ForcedClosed);
    many(&client, &bank, FAILS, 100).await;
    assert_eq!(client.breaker(Access::Read), (BreakerState::Closed, BreakerMode::ForcedClosed));
    assert_eq!(bank.count(), 101, "every one of them was sent");
    client.set_breaker_mode(Access::Read, BreakerMode::Automatic);
    assert_eq!(client.breaker(Access::Read), (BreakerState::Closed, BreakerMode::Automatic));
    many(&client, &bank, FAILS, 9).await;
    assert_eq!(state(&client), BreakerState::Closed, "counting began anew");
    many(&client, &bank, FAILS, 1).await;
    assert_eq!(state(&client), BreakerState::Open);
    client.set_breaker_mode(Access::Read, BreakerMode::ForcedOpen);
    client.set_breaker_mode(Access::Read, BreakerMode::Automatic);
    assert_eq!(state(&client), BreakerState::HalfOpen, "the next call is a probe");
    search(&client).await.unwrap();
    assert_eq!(state(&client), BreakerState::Closed);
}
