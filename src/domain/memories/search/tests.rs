use super::*;
use crate::memories::{Limit, MemoryFilter};
use crate::testing::{new_memory, now, scope, unique};

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

#[test]
fn words_that_say_nothing_count_only_where_there_are_no_others() {
    let list = |text| terms(text).into_iter().collect::<Vec<_>>();
    assert_eq!(list("What is the Name of my dogs?"), ["dog", "name"]);
    assert_eq!(list("to be or not to be"), ["be", "not", "or", "to"]);
    assert_eq!(list("?!"), Vec::<String>::new());
}

#[test]
fn no_more_answers_are_kept_than_there_is_room_for() {
    let (stale, scope, application) =
        (StaleSearches::new(Duration::from_hours(1)), scope(), ApplicationId::from_uuid(unique()));
    for number in 0..=StaleSearches::MAX_ANSWERS {
        stale.keep(stale.begin(), application, &scope, &query(&number.to_string()), &results("x"));
    }
    assert!(stale.find(application, &scope, &query("0")).is_none(), "the oldest went");
    assert!(stale.find(application, &scope, &query("1")).is_some());
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
    let (stale, scope, application) =
        (StaleSearches::new(Duration::from_hours(1)), scope(), ApplicationId::from_uuid(unique()));
    for _ in 0..10 * StaleSearches::MAX_ANSWERS {
        stale.keep(stale.begin(), application, &scope, &query("x"), &results("x"));
    }
    assert!(stale.find(application, &scope, &query("x")).is_some());
    let answers = stale.answers.lock().unwrap();
    assert!(answers.order.len() <= 2 * StaleSearches::MAX_ANSWERS);
    assert_eq!(answers.by_key.len(), 1);
}

#[test]
fn what_a_search_found_before_something_was_forgotten_is_not_kept() {
    let (stale, scope, application) =
        (StaleSearches::new(Duration::from_hours(1)), scope(), ApplicationId::from_uuid(unique()));
    let other = crate::testing::scope();
    let began = stale.begin();
    stale.forget(&scope);
    stale.keep(began, application, &scope, &query("x"), &results("deleted meanwhile"));
    assert!(stale.find(application, &scope, &query("x")).is_none());
    stale.keep(began, application, &other, &query("x"), &results("of another scope"));
    assert!(stale.find(application, &other, &query("x")).is_some());
    stale.keep(stale.begin(), application, &scope, &query("x"), &results("new"));
    assert!(stale.find(application, &scope, &query("x")).is_some());
    // What was forgotten too long ago is not known any more, so nothing is kept that began before.
    for _ in 0..=StaleSearches::MAX_FORGOTTEN {
        stale.forget(&other);
    }
    assert!(stale.answers.lock().unwrap().forgotten.len() <= StaleSearches::MAX_FORGOTTEN);
    stale.keep(began, application, &scope, &query("y"), &results("deleted meanwhile"));
    assert!(stale.find(application, &scope, &query("y")).is_none());
}
