//! What concurrent callers share: searches, and places.

use std::sync::Arc;
use std::time::Duration;

use memgate::adapters::remote_bank::{Rejection, RemoteMemoryBank};
use memgate::domain::memories::{MemoryBank, MemoryQuery, MemoryScope};
use memgate_domain::testing::{new_memory, scope, scope_limited_to, scope_of_person};
use serde_json::json;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, advance, timeout};

use super::support::{Played, Step, played, query, unavailable};

fn slow() -> Arc<Played> {
    Played::new(Step::After(Duration::from_secs(1), json!({"results": []})))
}

fn searching(client: &Arc<RemoteMemoryBank>, scope: &MemoryScope, query: MemoryQuery) -> JoinHandle<bool> {
    let (client, scope) = (Arc::clone(client), scope.clone());
    tokio::spawn(async move { client.search(&scope, &query).await.is_ok() })
}

#[tokio::test(start_paused = true)]
async fn equal_concurrent_searches_are_one_request() {
    let bank = slow();
    let client = played(&bank, |_| ());
    let scope = scope();
    let callers: Vec<_> = (0..100).map(|_| searching(&client, &scope, query("key"))).collect();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    assert_eq!((bank.count(), client.metrics().coalesced()), (1, 99));
    assert!(searching(&client, &scope, query("key")).await.unwrap());
    assert_eq!(bank.count(), 2, "what has ended is not kept");
}

#[tokio::test(start_paused = true)]
async fn nobody_shares_with_another_tenant_or_another_question() {
    let bank = slow();
    let client = played(&bank, |_| ());
    let one = scope();
    let larger = MemoryQuery { limit: 11.try_into().unwrap(), ..query("key") };
    let callers = [
        searching(&client, &one, query("key")),
        searching(&client, &scope(), query("key")),
        searching(&client, &scope_of_person(&one), query("key")),
        searching(&client, &one, query("Key")),
        searching(&client, &one, larger),
        searching(&client, &scope_limited_to(&one, &["food"]), query("key")),
    ];
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    assert_eq!((bank.count(), client.metrics().coalesced()), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn a_search_does_not_join_one_that_began_before_a_write() {
    let bank = slow();
    let client = played(&bank, |_| ());
    let scope = scope();
    let before = searching(&client, &scope, query("key"));
    yield_now().await;
    bank.script([Step::Status(200)]);
    client.create_first(&scope, &new_memory("The key is under the fern.")).await.unwrap();
    let after = searching(&client, &scope, query("key"));
    assert!(before.await.unwrap() && after.await.unwrap());
    assert_eq!(client.metrics().coalesced(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shared_search_goes_on_when_the_one_who_began_it_goes_away() {
    let bank = slow();
    let client = played(&bank, |_| ());
    let scope = scope();
    let first = searching(&client, &scope, query("key"));
    yield_now().await;
    let second = searching(&client, &scope, query("key"));
    yield_now().await;
    first.abort();
    assert!(second.await.unwrap());
    assert_eq!(bank.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_does_not_join_a_search_whose_time_is_nearly_over() {
    let bank = Played::new(Step::Stalls);
    let client = played(&bank, |config| {
        config.resilience.attempt_timeout = Duration::from_secs(20);
    });
    let scope = scope();
    let first = searching(&client, &scope, query("key"));
    yield_now().await;
    advance(Duration::from_secs(11)).await;
    let began = Instant::now();
    bank.set(Step::Status(200));
    assert!(searching(&client, &scope, query("key")).await.unwrap());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(!first.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn no_more_are_under_way_than_there_are_places_and_the_others_wait_their_turn() {
    let bank = slow();
    let client = played(&bank, |config| {
        config.resilience.max_concurrent = 5;
        config.resilience.max_wait = Duration::from_secs(10);
    });
    let callers: Vec<_> = (0..20).map(|_| searching(&client, &scope(), query("key"))).collect();
    advance(Duration::from_millis(10)).await;
    assert_eq!(bank.count(), 5);
    let began = Instant::now();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    assert!(began.elapsed() < Duration::from_millis(4_010));
}

#[tokio::test(start_paused = true)]
async fn who_finds_too_many_waiting_or_waits_too_long_is_told_so() {
    let bank = Played::new(Step::Stalls);
    let client = played(&bank, |config| {
        config.resilience.max_concurrent = 1;
        config.resilience.max_waiting = 1;
    });
    let under_way = searching(&client, &scope(), query("key"));
    yield_now().await;
    let waiting = searching(&client, &scope(), query("key"));
    yield_now().await;
    let began = Instant::now();
    assert!(unavailable(client.search(&scope(), &query("key")).await).is_some());
    assert_eq!(began.elapsed(), Duration::ZERO, "the third is told at once");
    assert!(!waiting.await.unwrap());
    assert!(began.elapsed() <= Duration::from_millis(1_010), "the second after a second");
    assert_eq!(client.metrics().refusals(Rejection::BulkheadFull), 2);
    // Writes have places of their own.
    bank.set(Step::Status(200));
    client.create_first(&scope(), &new_memory("x")).await.unwrap();
    under_way.abort();
}

#[tokio::test(start_paused = true)]
async fn a_place_comes_back_when_its_caller_goes_away() {
    let bank = Played::new(Step::Stalls);
    let client = played(&bank, |config| config.resilience.max_concurrent = 1);
    for _ in 0..5 {
        assert!(timeout(Duration::from_millis(10), client.search(&scope(), &query("key"))).await.is_err());
    }
    assert_eq!(bank.count(), 5, "each of them got the place");
}

#[tokio::test(start_paused = true)]
async fn the_same_write_is_sent_by_one_caller_at_a_time() {
    let bank = slow();
    bank.set(Step::After(Duration::from_secs(1), json!({"results": []})));
    let client = played(&bank, |_| ());
    let (scope, new) = (scope(), new_memory("x"));
    let creating = |_| {
        let (client, scope, new) = (Arc::clone(&client), scope.clone(), new.clone());
        tokio::spawn(async move { client.create(&scope, &new).await })
    };
    let callers: Vec<_> = (0..3).map(creating).collect();
    advance(Duration::from_millis(500)).await;
    assert_eq!(bank.count(), 1, "the others wait for their turn");
    for caller in callers {
        // This bank keeps nothing, so each of them looks and sends in its turn.
        assert!(caller.await.unwrap().is_err());
    }
    assert_eq!(bank.count(), 6);
}
