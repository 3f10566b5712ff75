use memgate_domain::memories::{Hit, Limit, MemoryFilter};
use memgate_domain::testing::{InMemoryMemoryBank, application, caller, new_memory, now, scope, unique};

use super::*;

fn query(text: &str) -> MemoryQuery {
    MemoryQuery {
        text: text.to_owned().try_into().unwrap(),
        limit: Limit::default(),
        threshold: None,
        filter: MemoryFilter::default(),
        now: now(),
    }
}

fn results(text: &str) -> SearchResults {
    let hit = Hit { memory: new_memory(text).into_memory(), relevance: Relevance::clamped(1.0) };
    SearchResults { hits: vec![hit], total_found: 1 }
}

fn hour(application: ApplicationId) -> StaleAllowed {
    StaleAllowed { application, max_age: Duration::from_hours(1) }
}

#[test]
fn no_more_answers_are_kept_than_there_is_room_for() {
    let (stale, scope, application) = (StaleSearches::default(), scope(), ApplicationId::from_uuid(unique()));
    for number in 0..=StaleSearches::MAX_ANSWERS {
        stale.keep(stale.begin(), application, &scope, &query(&number.to_string()), &results("x"));
    }
    assert!(stale.find(hour(application), &scope, &query("0")).is_none(), "the oldest went");
    assert!(stale.find(hour(application), &scope, &query("1")).is_some());
    let large = "x".repeat(30_000);
    for number in 0..2_000 {
        stale.keep(stale.begin(), application, &scope, &query(&number.to_string()), &results(&large));
    }
    let answers = stale.answers.lock().unwrap();
    assert!(answers.bytes <= StaleSearches::MAX_BYTES);
    assert_eq!(answers.bytes, answers.by_key.values().map(|answer| answer.bytes).sum::<usize>());
}

#[test]
fn an_answer_that_is_renewed_again_and_again_takes_no_more_room() {
    let (stale, scope, application) = (StaleSearches::default(), scope(), ApplicationId::from_uuid(unique()));
    for _ in 0..10 * StaleSearches::MAX_ANSWERS {
        stale.keep(stale.begin(), application, &scope, &query("x"), &results("x"));
    }
    assert!(stale.find(hour(application), &scope, &query("x")).is_some());
    let answers = stale.answers.lock().unwrap();
    assert!(answers.order.len() <= 2 * StaleSearches::MAX_ANSWERS);
    assert_eq!(answers.by_key.len(), 1);
}

#[test]
fn what_a_search_found_before_something_was_forgotten_is_not_kept() {
    let (stale, scope, application) = (StaleSearches::default(), scope(), ApplicationId::from_uuid(unique()));
    let other = memgate_domain::testing::scope();
    let began = stale.begin();
    stale.forget(&scope);
    stale.keep(began, application, &scope, &query("x"), &results("deleted meanwhile"));
    assert!(stale.find(hour(application), &scope, &query("x")).is_none());
    stale.keep(began, application, &other, &query("x"), &results("of another scope"));
    assert!(stale.find(hour(application), &other, &query("x")).is_some());
    stale.keep(stale.begin(), application, &scope, &query("x"), &results("new"));
    assert!(stale.find(hour(application), &scope, &query("x")).is_some());
    // What was forgotten too long ago is not known any more, so nothing is kept that began before.
    for _ in 0..=StaleSearches::MAX_FORGOTTEN {
        stale.forget(&other);
    }
    assert!(stale.answers.lock().unwrap().forgotten.len() <= StaleSearches::MAX_FORGOTTEN);
    stale.keep(began, application, &scope, &query("y"), &results("deleted meanwhile"));
    assert!(stale.find(hour(application), &scope, &query("y")).is_none());
}

#[tokio::test]
async fn while_the_bank_is_unavailable_an_earlier_answer_may_stand_in_for_a_while() {
    let inner = Arc::new(InMemoryMemoryBank::default());
    let bank: &dyn MemoryBank = &StaleSearchMemoryBank::new(Arc::clone(&inner) as _);
    let caller = caller(&application());
    let (scope, application) = (Admitted::unchecked(MemoryScope::of(&caller)), caller.application().id);
    let minutes = Duration::from_mins(10);
    let allowed = StaleAllowed { application, max_age: minutes };
    let asked = |text, at| MemoryQuery { now: at, ..query(text) };
    let memory = bank.create(&scope, &new_memory("hazelnuts")).await.unwrap();
    let fresh = bank.search_allowing_stale(&scope, &query("hazelnuts"), allowed).await.unwrap();
    assert_eq!((fresh.stale_for, fresh.results.hits.len()), (None, 1));

    inner.outage().begin();
    let later = now().plus(minutes);
    let stale = bank.search_allowing_stale(&scope, &asked("hazelnuts", later), allowed).await.unwrap();
    assert_eq!((stale.stale_for, stale.results.hits.len()), (Some(minutes), 1));
    let fewer = MemoryQuery { limit: 1.try_into().unwrap(), ..asked("hazelnuts", later) };
    for other in [asked("hazelnut", later), fewer] {
        assert!(
            bank.search_allowing_stale(&scope, &other, allowed).await.is_err(),
            "another search has another answer"
        );
    }
    let other = StaleAllowed { application: ApplicationId::from_uuid(unique()), ..allowed };
    assert!(bank.search_allowing_stale(&scope, &asked("hazelnuts", later), other).await.is_err());
    let too_late = later.plus(Duration::from_millis(1));
    assert!(bank.search_allowing_stale(&scope, &asked("hazelnuts", too_late), allowed).await.is_err(), "too old");
    assert!(bank.search(&scope, &asked("hazelnuts", later)).await.is_err(), "who does not allow it gets none");

    inner.outage().end();
    let again = bank.search_allowing_stale(&scope, &asked("hazelnuts", too_late), allowed).await.unwrap();
    assert_eq!(again.stale_for, None);
    assert!(bank.delete(&scope, &memory.id).await.unwrap());
    inner.outage().begin();
    let gone = bank.search_allowing_stale(&scope, &asked("hazelnuts", too_late), allowed).await;
    assert!(gone.is_err(), "what was deleted does not come back");
}
