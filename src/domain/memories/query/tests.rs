use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::memories::{Admitted, NewMemory};
use crate::testing::{categories, metadata, new_memory, now, scope, scope_limited_to, scope_of_person, space};

fn after(milliseconds: u64) -> Timestamp {
    now().plus(Duration::from_millis(milliseconds))
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

#[test]
fn a_range_is_parsed_from_two_texts_and_an_error_names_the_field() {
    let parse = |from, until| DateRange::parse(("first", from), ("last", until));
    let at = |text| Some(Timestamp::parse("at", text).unwrap());
    let range = parse(Some("2026-05-08"), Some("2026-05-08")).unwrap();
    assert_eq!((range.start(), range.end()), (at("2026-05-08T00:00:00Z"), at("2026-05-08T23:59:59.999Z")));
    assert_eq!(parse(None, None).unwrap(), DateRange::default());
    for (from, until, field) in [
        (Some("2026-02-30"), None, "first"),
        (None, Some("soon"), "last"),
        (Some("2026-05-09"), Some("2026-05-08"), "last"),
    ] {
        assert_eq!(parse(from, until).unwrap_err().field(), field, "{from:?} {until:?}");
    }
    let backwards = parse(Some("2026-05-09"), Some("2026-05-08")).unwrap_err();
    assert!(backwards.to_string().contains("must not be before `first`"), "{backwards}");
}

#[test]
fn a_query_is_text_of_up_to_4096_characters() {
    for text in ["x", "\" OR * NEAR(", &"🦊".repeat(4_096)] {
        assert_eq!(QueryText::try_from(text.to_owned()).unwrap().as_str(), text);
    }
    for text in ["", " ", "a\0", &"x".repeat(4_097)] {
        assert_eq!(QueryText::try_from(text.to_owned()).unwrap_err().field(), "query");
    }
    assert_eq!(format!("{:?}", QueryText::try_from("hush".to_owned()).unwrap()), "QueryText(…)");
}

#[test]
fn a_limit_is_1_to_1000_and_10_by_itself() {
    for (number, expected) in
        [(i64::MIN, None), (-1, None), (0, None), (1, Some(1)), (1_000, Some(1_000)), (1_001, None), (i64::MAX, None)]
    {
        assert_eq!(Limit::try_from(number).map(Limit::get).ok(), expected, "{number}");
    }
    assert_eq!(Limit::default().get(), 10);
    assert_eq!(Limit::try_from(0).unwrap_err().to_string(), "`limit` must be 1 to 1000");
}

#[test]
fn a_relevance_is_0_to_1() {
    for (score, expected) in [
        (-1.0, 0.0),
        (0.0, 0.0),
        (0.5, 0.5),
        (1.0, 1.0),
        (1.1, 1.0),
        (f64::INFINITY, 1.0),
        (f64::NEG_INFINITY, 0.0),
        (f64::NAN, 0.0),
    ] {
        assert!((Relevance::clamped(score).get() - expected).abs() < f64::EPSILON, "{score}");
    }
    for (number, valid) in [(-0.1, false), (0.0, true), (1.0, true), (1.000_1, false), (f64::NAN, false)] {
        assert_eq!(Relevance::try_from(number).is_ok(), valid, "{number}");
    }
}

#[test]
fn a_filter_by_metadata_knows_text_numbers_and_truth_values() {
    let read = MemoryFilter::parse_metadata(object(json!({"a": "x", "b": 1, "c": true, "": "empty"}))).unwrap();
    let expected = [
        ("", Scalar::Text("empty".to_owned())),
        ("a", Scalar::Text("x".to_owned())),
        ("b", Scalar::Number(1.0)),
        ("c", Scalar::Bool(true)),
    ];
    assert_eq!(read, expected.map(|(name, scalar)| (name.to_owned(), scalar)));
    for (value, field) in [
        (json!({"a": null}), "metadata.a"),
        (json!({"a": []}), "metadata.a"),
        (json!({"a": {"$ne": 1}}), "metadata.a"),
        (json!({"a": "x\0"}), "metadata.a"),
        (json!({"a\0": "x"}), "metadata.a\u{fffd}"),
    ] {
        assert_eq!(MemoryFilter::parse_metadata(object(value)).unwrap_err().field(), field);
    }
}

#[test]
fn a_filter_names_at_most_16_members() {
    let members = |count: usize| object(Value::Object((0..count).map(|n| (n.to_string(), n.into())).collect()));
    assert_eq!(MemoryFilter::parse_metadata(members(16)).unwrap().len(), 16);
    let error = MemoryFilter::parse_metadata(members(17)).unwrap_err();
    assert_eq!(error.to_string(), "`metadata` must have at most 16 members");
}

#[test]
fn a_memory_passes_a_filter_if_all_of_it_holds() {
    let memory = NewMemory {
        categories: categories(&["food", "guests"]),
        metadata: metadata(json!({"n": 1, "t": "1", "b": true, "z": null})),
        occurred_at: Some(after(5)),
        ..new_memory("x")
    }
    .into_memory();
    let by_metadata = |value: Value| MemoryFilter {
        metadata: MemoryFilter::parse_metadata(object(value)).unwrap(),
        ..MemoryFilter::default()
    };
    let by_categories = |names| MemoryFilter { categories: categories(names), ..MemoryFilter::default() };
    let by_dates = |start, end| MemoryFilter {
        created: DateRange::new("date_range", start, end).unwrap(),
        ..MemoryFilter::default()
    };
    let by_occurred = |start, end| MemoryFilter {
        occurred: DateRange::new("occurred", start, end).unwrap(),
        ..MemoryFilter::default()
    };
    for (filter, expected) in [
        (MemoryFilter::default(), true),
        (by_categories(&["food"]), true),
        (by_categories(&["travel", "guests"]), true),
        (by_categories(&["travel"]), false),
        (by_dates(Some(now()), Some(now())), true),
        (by_dates(Some(after(1)), None), false),
        (by_dates(None, Some(now().minus(Duration::from_millis(1)))), false),
        (by_occurred(Some(after(5)), Some(after(5))), true),
        (by_occurred(Some(now()), Some(after(4))), false),
        (by_metadata(json!({"n": 1})), true),
        (by_metadata(json!({"n": 1.0, "t": "1", "b": true})), true),
        (by_metadata(json!({"n": "1"})), false),
        (by_metadata(json!({"t": 1})), false),
        (by_metadata(json!({"b": "true"})), false),
        (by_metadata(json!({"z": ""})), false),
        (by_metadata(json!({"absent": 1})), false),
        (by_metadata(json!({"n": 1, "absent": 1})), false),
        (MemoryFilter { categories: categories(&["travel"]), ..by_metadata(json!({"n": 1})) }, false),
    ] {
        assert_eq!(filter.passes(&memory), expected, "{filter:?}");
    }
}

#[test]
fn a_range_of_dates_may_be_a_moment_or_open_but_not_turned_round() {
    let range = DateRange::new("date_range", Some(after(5)), Some(after(5))).unwrap();
    assert_eq!((range.start(), range.end()), (Some(after(5)), Some(after(5))));
    assert!(range.contains(after(5)) && !range.contains(after(4)) && !range.contains(after(6)));
    assert!(DateRange::default().contains(after(0)));
    let error = DateRange::new("date_range", Some(after(6)), Some(after(5))).unwrap_err();
    assert_eq!(error.to_string(), "`date_range.end` must not be before `date_range.start`");
}

fn position(id: &str) -> Position {
    Position { order: ListOrder::Created, at: after(7), id: id.parse().unwrap() }
}

#[test]
fn a_cursor_leads_back_to_its_place_in_its_scope_only() {
    let scope = scope();
    for id in ["a", "mem0:1:2", &"x".repeat(128)] {
        let cursor = position(id).to_cursor(&scope);
        assert_eq!(Position::from_cursor(&cursor, &scope, ListOrder::Created), Ok(position(id)));
        assert_eq!(
            Position::from_cursor(&cursor, &scope_limited_to(&scope, &["food"]), ListOrder::Created),
            Ok(position(id))
        );
        for other in [
            crate::testing::scope(),
            scope_of_person(&scope),
            Admitted::unchecked(MemoryScope::from_stored(space("x"), None)),
        ] {
            let error = Position::from_cursor(&cursor, &other, ListOrder::Created).unwrap_err();
            assert_eq!(
                error.to_string(),
                "`cursor` is not one that a list has returned; leave it out to begin at the start"
            );
        }
    }
    let memory = new_memory("x").into_memory();
    let occurred = Memory { occurred_at: Some(after(3)), ..memory.clone() };
    for (order, at) in [(ListOrder::Created, memory.created_at), (ListOrder::Occurred, after(3))] {
        let position = Position::after(&occurred, order);
        assert_eq!(position, Position { order, at, id: memory.id.clone() });
        for other in [ListOrder::Created, ListOrder::Occurred] {
            let read = Position::from_cursor(&position.to_cursor(&scope), &scope, other);
            assert_eq!(read.ok(), (other == order).then(|| position.clone()), "a cursor is for its own order");
        }
    }
}

#[test]
fn a_cursor_that_was_tampered_with_is_refused() {
    let scope = scope();
    let cursor = position("memory-1").to_cursor(&scope);
    for place in 0..cursor.len() {
        let replacement = if cursor.as_bytes()[place] == b'A' { 'B' } else { 'A' };
        let tampered = format!("{}{replacement}{}", &cursor[..place], &cursor[place + 1..]);
        assert!(Position::from_cursor(&tampered, &scope, ListOrder::Created).is_err(), "at {place}");
    }
    let forged = |place: &str| {
        let sum = URL_SAFE_NO_PAD.encode(cursor_sum(&scope, place));
        URL_SAFE_NO_PAD.encode(format!("{sum}:{place}"))
    };
    for odd in [
        "",
        ":",
        "::",
        "é",
        "🦊",
        &cursor[1..],
        &cursor[..cursor.len() - 1],
        &format!("{cursor}="),
        &format!(" {cursor}"),
    ] {
        assert!(Position::from_cursor(odd, &scope, ListOrder::Created).is_err(), "{odd:?}");
    }
    for place in ["", "7", "7:", ":a", "x:a", "7:a b", "99999999999999999999:a"] {
        assert!(Position::from_cursor(&forged(place), &scope, ListOrder::Created).is_err(), "{place:?}");
    }
    assert!(Position::from_cursor(&forged("7:a"), &scope, ListOrder::Created).is_ok());
}

proptest! {
    #[test]
    fn cursors_round_trip(millis in -62_135_596_800_000_i64..=253_402_300_799_000, id in "[A-Za-z0-9_.:-]{1,128}") {
        let scope = MemoryScope::from_stored(space("team"), None);
        for order in [ListOrder::Created, ListOrder::Occurred] {
            let position = Position { order, at: Timestamp::from_unix_millis(millis), id: id.parse().unwrap() };
            prop_assert_eq!(Position::from_cursor(&position.to_cursor(&scope), &scope, order), Ok(position));
        }
    }

    #[test]
    fn no_text_makes_the_parser_of_cursors_panic(text in any::<String>(), inner in "[A-Za-z0-9_-]{0,14}:?-?[0-9]{0,22}:?\\PC{0,9}") {
        let scope = MemoryScope::from_stored(space("team"), None);
        prop_assert!(Position::from_cursor(&text, &scope, ListOrder::Created).is_err());
        prop_assert!(Position::from_cursor(&URL_SAFE_NO_PAD.encode(inner), &scope, ListOrder::Created).is_err());
    }
}
