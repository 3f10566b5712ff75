//! Narrowing a search.

use serde_json::{Value, json};

use super::{after, all_pages, assert_unsupported, create, first_page, memory_at, query, search, sorted, texts};
use crate::memories::{
    Capability, Condition, DateRange, ListQuery, MemoryBank, MemoryFilter, MemoryQuery, MemoryScope, NewMemory,
};
use crate::testing::conformance::Fixture;
use crate::testing::{categories, content, metadata, new_memory, now, scope, scope_limited_to};

fn narrowed(filter: MemoryFilter) -> MemoryQuery {
    MemoryQuery { filter, ..query("marzipan") }
}

fn by_categories(names: &[&str]) -> MemoryFilter {
    MemoryFilter { categories: categories(names), ..MemoryFilter::default() }
}

fn by_metadata(members: Value) -> MemoryFilter {
    let Value::Object(members) = members else { panic!("a filter is an object") };
    MemoryFilter { metadata: MemoryFilter::parse_metadata(members).unwrap(), ..MemoryFilter::default() }
}

async fn found(bank: &dyn MemoryBank, scope: &MemoryScope, filter: MemoryFilter) -> Vec<String> {
    sorted(texts(search(bank, scope, &narrowed(filter)).await))
}

pub async fn a_search_can_be_narrowed_to_categories(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    for (text, names) in [
        ("marzipan a", &[][..]),
        ("marzipan b", &["food"]),
        ("marzipan c", &["food", "guests"]),
        ("marzipan d", &["with, comma"]),
        ("marzipan e", &["foo"]),
    ] {
        create(bank, &scope, NewMemory { categories: categories(names), ..new_memory(text) }).await;
    }
    for (names, expected) in [
        (&[][..], &["marzipan a", "marzipan b", "marzipan c", "marzipan d", "marzipan e"][..]),
        (&["food"], &["marzipan b", "marzipan c"]),
        (&["guests"], &["marzipan c"]),
        (&["guests", "with, comma"], &["marzipan c", "marzipan d"]),
        (&["foo"], &["marzipan e"]),
        (&["with"], &[]),
        (&["foo%", "f__", "[\"food\"]", "food\",\"guests"], &[]),
    ] {
        assert_eq!(found(bank, &scope, by_categories(names)).await, expected, "{names:?}");
    }
}

pub async fn a_search_can_be_narrowed_to_dates_both_included(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    for (text, milliseconds) in [("marzipan a", 0), ("marzipan b", 1_000), ("marzipan c", 2_001)] {
        create(bank, &scope, memory_at(text, milliseconds)).await;
    }
    let by_dates = |start: Option<u64>, end: Option<u64>| MemoryFilter {
        created: DateRange::new("date_range", start.map(after), end.map(after)).unwrap(),
        ..MemoryFilter::default()
    };
    if !bank.capabilities().date_filter {
        let answer = bank.search(&scope, &narrowed(by_dates(Some(0), None))).await;
        assert_unsupported(answer, Capability::DateFilter);
        return;
    }
    for (start, end, expected) in [
        (None, None, &["marzipan a", "marzipan b", "marzipan c"][..]),
        (Some(0), Some(2_001), &["marzipan a", "marzipan b", "marzipan c"]),
        (Some(1), Some(2_000), &["marzipan b"]),
        (Some(1_000), Some(1_000), &["marzipan b"]),
        (Some(1_000), None, &["marzipan b", "marzipan c"]),
        (Some(1_001), None, &["marzipan c"]),
        (None, Some(1_000), &["marzipan a", "marzipan b"]),
        (None, Some(999), &["marzipan a"]),
        (Some(2_002), None, &[]),
    ] {
        assert_eq!(found(bank, &scope, by_dates(start, end)).await, expected, "{start:?} to {end:?}");
    }
}

pub async fn a_search_can_be_narrowed_to_when_things_were_said(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let said = |text: &str, occurred_at| NewMemory { occurred_at, ..memory_at(text, 5_000) };
    let old = now().minus(std::time::Duration::from_hours(24 * 365 * 70));
    for memory in [
        said("marzipan a", Some(old)),
        said("marzipan b", Some(after(1_000))),
        said("marzipan c", None),
        said("marzipan d", Some(after(9_000))),
    ] {
        create(bank, &scope, memory).await;
    }
    let by_dates = |start, end| MemoryFilter {
        occurred: DateRange::new("occurred", start, end).unwrap(),
        ..MemoryFilter::default()
    };
    if !bank.capabilities().date_filter {
        let answer = bank.search(&scope, &narrowed(by_dates(Some(old), None))).await;
        assert_unsupported(answer, Capability::DateFilter);
        return;
    }
    for (start, end, expected) in [
        (Some(old), Some(old), &["marzipan a"][..]),
        (None, Some(after(1_000)), &["marzipan a", "marzipan b"]),
        (Some(after(1_001)), Some(after(5_000)), &["marzipan c"]),
        (Some(after(5_000)), None, &["marzipan c", "marzipan d"]),
        (Some(after(5_001)), Some(after(8_999)), &[]),
    ] {
        assert_eq!(found(bank, &scope, by_dates(start, end)).await, expected, "{start:?} to {end:?}");
    }
    let both = MemoryFilter {
        created: DateRange::new("created", None, Some(after(5_000))).unwrap(),
        ..by_dates(Some(old), None)
    };
    assert_eq!(found(bank, &scope, both).await.len(), 4);
}

pub async fn a_search_can_be_narrowed_by_metadata_compared_by_type(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let unsupported = !bank.capabilities().metadata_filter;
    for (text, members) in [
        ("marzipan none", json!({})),
        ("marzipan number", json!({"n": 1})),
        ("marzipan float", json!({"n": 1.5})),
        ("marzipan text", json!({"n": "1"})),
        ("marzipan true", json!({"n": true})),
        ("marzipan false", json!({"n": false})),
        ("marzipan null", json!({"n": null})),
        ("marzipan array", json!({"n": [1]})),
        ("marzipan object", json!({"n": {"n": 1}})),
        ("marzipan word", json!({"n": "true", "m": "a'b\"c"})),
    ] {
        create(bank, &scope, NewMemory { metadata: metadata(members), ..new_memory(text) }).await;
    }
    for (members, expected) in [
        (json!({"n": 1}), &["marzipan number"][..]),
        (json!({"n": 1.0}), &["marzipan number"]),
        (json!({"n": 1.5}), &["marzipan float"]),
        (json!({"n": "1"}), &["marzipan text"]),
        (json!({"n": true}), &["marzipan true"]),
        (json!({"n": false}), &["marzipan false"]),
        (json!({"n": "true"}), &["marzipan word"]),
        (json!({"n": "true", "m": "a'b\"c"}), &["marzipan word"]),
        (json!({"n": 1, "m": "a'b\"c"}), &[]),
        (json!({"n": "%"}), &[]),
        (json!({"n": "*"}), &[]),
        (json!({"n": "null"}), &[]),
        (json!({"n": "[1]"}), &[]),
        (json!({"m": 0}), &[]),
    ] {
        let filter = by_metadata(members.clone());
        if unsupported {
            assert_unsupported(bank.search(&scope, &narrowed(filter)).await, Capability::MetadataFilter);
        } else {
            assert_eq!(found(bank, &scope, filter).await, expected, "{members}");
        }
    }
}

pub async fn a_search_can_be_narrowed_by_members_with_odd_names(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !bank.capabilities().metadata_filter {
        return;
    }
    let names =
        ["a.b", "a\"b", "a'b", "$", "$.a", "a[0]", "a b", "a->b", "{a,b}", "é", "🦊", "\\", "%", "a::int", "#", "?"];
    for name in names {
        let object = json!({ name: "here", "a": {"b": "elsewhere"} });
        create(bank, &scope, NewMemory { metadata: metadata(object), ..new_memory(&format!("marzipan {name}")) }).await;
    }
    for name in names {
        assert_eq!(found(bank, &scope, by_metadata(json!({ name: "here" }))).await, [format!("marzipan {name}")]);
        assert!(found(bank, &scope, by_metadata(json!({ name: "elsewhere" }))).await.is_empty(), "{name}");
    }
    for name in ["", "nowhere", "x\" or 1=1 --"] {
        assert!(found(bank, &scope, by_metadata(json!({ name: "here" }))).await.is_empty(), "{name}");
    }
}

pub async fn all_filters_hold_at_once(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let capabilities = bank.capabilities();
    if !capabilities.date_filter || !capabilities.metadata_filter {
        return;
    }
    let wanted = NewMemory {
        categories: categories(&["food"]),
        metadata: metadata(json!({"n": 1})),
        created_at: after(1_000),
        ..new_memory("marzipan")
    };
    for other in [
        NewMemory { content: content("liquorice"), ..wanted.clone() },
        NewMemory { categories: categories(&["guests"]), ..wanted.clone() },
        NewMemory { metadata: metadata(json!({"n": 2})), ..wanted.clone() },
        NewMemory { created_at: after(2_000), ..wanted.clone() },
    ] {
        create(bank, &scope, NewMemory { id: new_memory("x").id, ..other }).await;
    }
    let wanted = create(bank, &scope, wanted).await;
    let filter = MemoryFilter {
        created: DateRange::new("date_range", Some(after(0)), Some(after(1_500))).unwrap(),
        categories: categories(&["food"]),
        ..by_metadata(json!({"n": 1}))
    };
    let hits = search(bank, &scope, &narrowed(filter)).await;
    assert_eq!(hits.into_iter().map(|hit| hit.memory).collect::<Vec<_>>(), [wanted]);
}

pub async fn a_search_can_be_narrowed_by_combined_conditions(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    for number in 0..6 {
        let names: &[&str] = if number % 2 == 0 { &["even"] } else { &["odd", "x"] };
        let day = format!("2026-05-0{}", number + 1);
        let new = NewMemory {
            categories: categories(names),
            metadata: metadata(json!({"n": number, "due": day, "word": "w"})),
            ..new_memory(&format!("marzipan {number}"))
        };
        create(bank, &scope, new).await;
    }
    create(bank, &scope, new_memory("marzipan x")).await;
    for (condition, expected) in [
        (json!({"category": "odd"}), &["1", "3", "5"][..]),
        (json!({"not": {"category": "odd"}}), &["0", "2", "4", "x"]),
        (json!({"or": [{"category": "x"}, {"category": "none"}]}), &["1", "3", "5"]),
        (json!({"and": [{"category": "even"}, {"category": "x"}]}), &[]),
        (json!({"metadata": "n", "at_least": 2, "less_than": 4}), &["2", "3"]),
        (json!({"metadata": "due", "greater_than": "2026-05-04"}), &["4", "5"]),
        (json!({"and": [{"category": "even"}, {"metadata": "n", "greater_than": 0}]}), &["2", "4"]),
        (json!({"or": [{"metadata": "n", "equals": 1}, {"metadata": "n", "equals": 2}]}), &["1", "2"]),
        (json!({"not": {"metadata": "word"}}), &["x"]),
        (json!({"and": [{"metadata": "word", "equals": "w"}, {"not": {"metadata": "n", "at_most": 4}}]}), &["5"]),
    ] {
        let condition = Condition::parse("where", &condition).unwrap();
        let filter = MemoryFilter { condition: Some(condition), ..MemoryFilter::default() };
        if !bank.capabilities().metadata_filter && filter.reads_metadata() {
            assert_unsupported(bank.search(&scope, &narrowed(filter)).await, Capability::MetadataFilter);
            continue;
        }
        let expected: Vec<String> = expected.iter().map(|number| format!("marzipan {number}")).collect();
        assert_eq!(found(bank, &scope, filter.clone()).await, expected, "{filter:?}");
        if bank.capabilities().list {
            for size in [2, 100] {
                let query = ListQuery { filter: filter.clone(), ..first_page(size) };
                let listed = all_pages(bank, &scope, query).await.concat();
                let listed = listed.into_iter().map(|memory| memory.content.into_string()).collect();
                assert_eq!(sorted(listed), expected, "{filter:?} in pages of {size}");
            }
        }
    }
    if bank.capabilities().metadata_filter {
        let limited = scope_limited_to(&scope, &["even"]);
        let condition = Condition::parse("where", &json!({"not": {"metadata": "n", "less_than": 1}})).unwrap();
        let filter = MemoryFilter { condition: Some(condition), ..MemoryFilter::default() };
        assert_eq!(found(bank, &limited, filter).await, ["marzipan 2", "marzipan 4"], "no more than is visible");
    }
}
