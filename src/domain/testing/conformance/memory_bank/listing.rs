//! Listing.

use std::time::Duration;

use serde_json::json;

use super::{after, all_pages, assert_unsupported, create, first_page, limit, lists, memory_at};
use crate::memories::{
    Actor, Admitted, AnswerSize, Capability, Content, DateRange, ListOrder, ListQuery, Memory, MemoryBank,
    MemoryFilter, MemoryScope, MemoryStatistics, NewMemory, Position, Scalar,
};
use crate::testing::conformance::Fixture;
use crate::testing::{categories, metadata, new_memory, now, scope, scope_limited_to, scope_of_person};

const LARGE_MEMORIES: u64 = 16;

pub async fn a_list_is_newest_first(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        return;
    }
    let mut created = Vec::new();
    for milliseconds in [5, 1, 9, 3] {
        created.push(create(bank, &scope, memory_at("x", milliseconds)).await);
    }
    created.sort_by_key(|memory| std::cmp::Reverse(memory.created_at));
    assert_eq!(fixture.other_instance().list(&scope, &first_page(10)).await.unwrap().memories, created);
}

pub async fn pages_have_no_gap_and_no_repetition_even_among_equal_dates(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        return;
    }
    for number in 0..11 {
        create(bank, &scope, memory_at(&format!("note {number}"), number / 8)).await;
    }
    for size in [1, 2, 3, 4, 10, 11, 12] {
        let memories: Vec<Memory> = all_pages(bank, &scope, first_page(size)).await.concat();
        assert!(memories.is_sorted_by_key(|memory| std::cmp::Reverse(memory.created_at)), "in pages of {size}");
        let mut texts: Vec<&str> = memories.iter().map(|memory| memory.content.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!((texts.len(), memories.len()), (11, 11), "in pages of {size}");
    }
}

pub async fn the_last_page_says_that_it_is_the_last(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        return;
    }
    for milliseconds in 0..4 {
        create(bank, &scope, memory_at("x", milliseconds)).await;
    }
    for (size, expected) in [(1, &[1, 1, 1, 1][..]), (2, &[2, 2]), (3, &[3, 1]), (4, &[4]), (5, &[4])] {
        let pages = all_pages(bank, &scope, first_page(size)).await;
        let sizes: Vec<usize> = pages.iter().map(Vec::len).collect();
        assert_eq!(sizes, expected, "in pages of {size}");
    }
}

pub async fn a_page_of_large_memories_ends_early_and_the_list_has_no_gap(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        return;
    }
    for number in 0..LARGE_MEMORIES {
        // Four bytes a character.
        let text = format!("{number:02} {}", "\u{1f98a}".repeat(Content::MAX - 3));
        create(bank, &scope, memory_at(&text, number)).await;
    }
    let pages = all_pages(bank, &scope, first_page(1000)).await;
    for page in &pages {
        let before_the_last: usize = page.iter().rev().skip(1).map(|memory| memory.content.as_str().len()).sum();
        assert!(before_the_last < AnswerSize::MAX, "{} memories of {} bytes and one more", page.len(), before_the_last);
    }
    let order: Vec<String> = pages.concat().iter().map(|memory| memory.content.as_str()[..2].to_owned()).collect();
    let expected: Vec<String> = (0..LARGE_MEMORIES).rev().map(|number| format!("{number:02}")).collect();
    assert_eq!(order, expected);
}

pub async fn a_list_goes_on_where_a_memory_was_deleted(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        return;
    }
    for number in 0..5 {
        create(bank, &scope, memory_at(&format!("note {number}"), number)).await;
    }
    let page = bank.list(&scope, &first_page(2)).await.unwrap();
    let last = page.memories.last().expect("a full page");
    assert_eq!(page.next, Some(Position::after(last, ListOrder::Created)));
    assert!(bank.delete(&scope, &last.id).await.unwrap());
    create(bank, &scope, memory_at("a newer one", 100)).await;
    let rest = bank.list(&scope, &ListQuery { after: page.next, ..first_page(10) }).await.unwrap();
    let texts: Vec<&str> = rest.memories.iter().map(|memory| memory.content.as_str()).collect();
    assert_eq!(texts, ["note 2", "note 1", "note 0"]);
}

pub async fn a_list_can_be_narrowed_to_a_category(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        return;
    }
    for number in 0..9 {
        let names: &[&str] = [&["even"][..], &["odd", "x"], &[]][number % 3];
        let memory = new_memory(&format!("note {number}"));
        let created_at = after(number as u64);
        create(bank, &scope, NewMemory { categories: categories(names), created_at, ..memory }).await;
    }
    for (name, expected) in [("even", &[6, 3, 0][..]), ("odd", &[7, 4, 1]), ("x", &[7, 4, 1]), ("od", &[]), ("%", &[])]
    {
        let filter = MemoryFilter { categories: categories(&[name]), ..MemoryFilter::default() };
        let query = ListQuery { filter, ..first_page(2) };
        let memories = all_pages(bank, &scope, query).await.concat();
        let texts: Vec<&str> = memories.iter().map(|memory| memory.content.as_str()).collect();
        let expected: Vec<String> = expected.iter().map(|number| format!("note {number}")).collect();
        assert_eq!(texts, expected, "{name}");
    }
}

/// Memories that were created and said in different orders, with everything that a filter can name.
async fn dated(bank: &dyn MemoryBank, scope: &Admitted) {
    let names = [&["even"][..], &["odd", "x"], &[]].into_iter().cycle();
    for (number, names) in (0..12_u64).zip(names) {
        let new = NewMemory {
            categories: categories(names),
            metadata: metadata(json!({"half": number / 2, "word": "w"})),
            created_at: after(number),
            // Two of three were said the other way round, long before.
            occurred_at: (number % 3 != 0).then(|| now().minus(Duration::from_secs(1 + number))),
            ..new_memory(&format!("note {number}"))
        };
        create(bank, scope, new).await;
    }
}

async fn numbers(bank: &dyn MemoryBank, scope: &MemoryScope, query: ListQuery) -> Vec<u64> {
    let memories = all_pages(bank, scope, query).await.concat();
    memories.iter().map(|memory| memory.content.as_str()["note ".len()..].parse().unwrap()).collect()
}

pub async fn a_list_can_be_sorted_by_when_things_were_said(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        return;
    }
    dated(bank, &scope).await;
    for size in [1, 2, 5, 100] {
        let query = ListQuery { order: ListOrder::Occurred, ..first_page(size) };
        let expected = [9, 6, 3, 0, 1, 2, 4, 5, 7, 8, 10, 11];
        assert_eq!(numbers(bank, &scope, query).await, expected, "in pages of {size}");
    }
    let filter = MemoryFilter { categories: categories(&["x", "odd"]), ..MemoryFilter::default() };
    let query = ListQuery { order: ListOrder::Occurred, filter, ..first_page(3) };
    assert_eq!(numbers(bank, &scope, query).await, [1, 4, 7, 10]);
    let limited = scope_limited_to(&scope, &["odd", "x"]);
    let query = ListQuery { order: ListOrder::Occurred, ..first_page(3) };
    assert_eq!(numbers(bank, &limited, query).await, [1, 4, 7, 10]);
}

pub async fn a_list_can_be_narrowed_by_every_filter(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        return;
    }
    dated(bank, &scope).await;
    let none = MemoryFilter::default;
    let range = |start, end| DateRange::new("range", start, end).unwrap();
    let ago = |seconds| Some(now().minus(Duration::from_secs(seconds)));
    let half = |number: f64| vec![("half".to_owned(), Scalar::Number(number))];
    let several = MemoryFilter { categories: categories(&["even", "x"]), ..none() };
    let all_at_once =
        MemoryFilter { created: range(Some(after(2)), Some(after(9))), metadata: half(2.0), ..several.clone() };
    let mut cases = vec![(several, vec![10, 9, 7, 6, 4, 3, 1, 0])];
    if bank.capabilities().date_filter {
        cases.push((MemoryFilter { created: range(Some(after(3)), Some(after(5))), ..none() }, vec![5, 4, 3]));
        cases.push((MemoryFilter { occurred: range(ago(6), ago(3)), ..none() }, vec![5, 4, 2]));
        cases.push((MemoryFilter { occurred: range(Some(now()), None), ..none() }, vec![9, 6, 3, 0]));
        if bank.capabilities().metadata_filter {
            cases.push((all_at_once, vec![4]));
        }
    }
    if bank.capabilities().metadata_filter {
        cases.push((MemoryFilter { metadata: half(3.0), ..none() }, vec![7, 6]));
        let word = vec![("word".to_owned(), Scalar::Text("w".to_owned()))];
        cases.push((MemoryFilter { metadata: word, ..none() }, (0..12).rev().collect()));
        let word = vec![("word".to_owned(), Scalar::Text("v".to_owned()))];
        cases.push((MemoryFilter { metadata: word, ..none() }, Vec::new()));
    }
    for (filter, expected) in cases {
        for size in [1, 3, 100] {
            let query = ListQuery { filter: filter.clone(), ..first_page(size) };
            assert_eq!(numbers(bank, &scope, query).await, expected, "{filter:?} in pages of {size}");
        }
    }
}

pub async fn a_list_of_an_empty_scope_is_empty(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if lists(bank, &scope).await {
        assert_eq!(all_pages(bank, &scope, first_page(1)).await, [[]]);
    }
}

pub async fn whoever_deletes_samples_gets_through_the_whole_scope(fixture: Fixture<dyn MemoryBank>) {
    let (bank, other, scope) = (fixture.port(), scope(), scope());
    if !lists(bank, &scope).await {
        assert_unsupported(bank.sample(&scope, limit(10)).await, Capability::List);
        return;
    }
    let kept = create(bank, &other, memory_at("kept", 0)).await;
    for number in 0..7 {
        let expires_at = (bank.capabilities().expiry && number % 2 == 0).then(|| after(1));
        create(bank, &scope, NewMemory { expires_at, ..memory_at(&format!("note {number}"), number) }).await;
    }
    let mut deleted = 0;
    loop {
        let ids = fixture.other_instance().sample(&scope, limit(3)).await.unwrap();
        assert!(ids.len() <= 3 && deleted <= 7);
        if ids.is_empty() {
            break;
        }
        for id in ids {
            assert!(bank.delete(&scope, &id).await.unwrap());
            deleted += 1;
        }
    }
    assert_eq!(deleted, 7, "what has expired is there too");
    assert_eq!(bank.sample(&other, limit(3)).await.unwrap(), [kept.id]);
}

pub async fn statistics_count_what_is_visible(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !lists(bank, &scope).await {
        assert_unsupported(bank.statistics(&scope, now()).await, Capability::List);
        return;
    }
    assert_eq!(bank.statistics(&scope, now()).await.unwrap(), MemoryStatistics::default());
    create(bank, &scope_of_person(&scope), memory_at("of somebody else", 0)).await;
    let mut memories = Vec::new();
    for (number, names) in (0_u64..).zip([&["food"][..], &["guests", "food"], &["food", "guests"], &[], &["travel"]]) {
        let created_by = number.is_multiple_of(2).then_some(Actor::Person);
        let new = NewMemory { categories: categories(names), created_by, ..memory_at("x", number) };
        memories.push(create(bank, &scope, new).await);
    }
    if bank.capabilities().expiry {
        let expires_at = Some(after(30));
        let new = NewMemory { expires_at, categories: categories(&["food", "gone"]), ..memory_at("expired", 20) };
        create(bank, &scope, new).await;
        let all = bank.statistics(&scope, after(29)).await.unwrap();
        assert_eq!((all.memories, all.newest, all.by_category.len()), (6, Some(after(20)), 4));
    }
    let of = |memories: &[Memory]| {
        let mut statistics = MemoryStatistics::default();
        for memory in memories {
            statistics.count(memory);
        }
        statistics
    };
    let other = fixture.other_instance();
    assert_eq!(other.statistics(&scope, after(30)).await.unwrap(), of(&memories));
    let limited = scope_limited_to(&scope, &["food", "guests"]);
    assert_eq!(other.statistics(&limited, after(30)).await.unwrap(), of(&memories[..3]));
    assert_eq!(other.statistics(&scope_limited_to(&scope, &[]), after(30)).await.unwrap(), of(&[]));
    bank.delete(&scope, &memories[0].id).await.unwrap();
    assert_eq!(other.statistics(&scope, after(30)).await.unwrap(), of(&memories[1..]));
}
