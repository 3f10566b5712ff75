//! What is found by what.

use std::time::Duration;

use memgate::domain::memories::{DateRange, Limit, MemoryBank, NewMemory};
use memgate_domain::testing::{categories, context, metadata, new_memory, now, scope, scope_limited_to};
use serde_json::{Value, json};

use super::{Store, assert_counts_are_right, found, query};

#[tokio::test]
async fn scores_do_not_tell_of_memories_in_categories_that_must_not_be_seen() {
    for store in Store::each().await {
        let bank = store.bank();
        let (with, without) = (scope(), scope());
        for number in 0..30 {
            let said = |text: &str, names: &[&str]| NewMemory {
                id: format!("m{number}-{}", names.join("-")).parse().unwrap(),
                categories: categories(names),
                metadata: metadata(json!({})).with_context(&context("g", "c")),
                ..new_memory(text)
            };
            let open = said(&format!("The garden needs water, bed {number}."), &["garden"]);
            bank.create(&with, &open).await.unwrap();
            bank.create(&without, &open).await.unwrap();
            bank.create(&with, &said("The merger is secret, water the garden?", &["garden", "board"])).await.unwrap();
        }
        for text in ["Which bed of the garden needs water?", "merger", "garden merger bed 7"] {
            let answer = bank.search(&scope_limited_to(&with, &["garden"]), &query(text)).await.unwrap();
            let expected = bank.search(&scope_limited_to(&without, &["garden"]), &query(text)).await.unwrap();
            assert_eq!(answer, expected, "{text} on {:?}", store.backend());
        }
    }
}

#[tokio::test]
async fn what_was_said_around_a_memory_helps_to_find_it() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let said = |text: &str, conversation: &str| NewMemory {
            metadata: metadata(json!({})).with_context(&context("g", conversation)),
            ..new_memory(text)
        };
        bank.create(&scope, &said("Seven, I think.", "other")).await.unwrap();
        bank.create(&scope, &said("How many stairs lead to the lighthouse?", "walk")).await.unwrap();
        bank.create(&scope, &said("Two hundred and twelve.", "walk")).await.unwrap();
        let found = found(&bank, &scope, "stairs of the lighthouse").await;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.contains(&"Two hundred and twelve.".to_owned()));
    }
}

#[tokio::test]
async fn turns_of_a_conversation_stand_in_the_order_in_which_they_were_said() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let said = |text: &str, seconds: u64| NewMemory {
            metadata: metadata(json!({})).with_context(&context("g", "walk")),
            created_at: now().plus(Duration::from_secs(seconds)),
            ..new_memory(text)
        };
        // The answer arrives before its question, and far from it.
        bank.create(&scope, &said("Two hundred and twelve.", 1)).await.unwrap();
        for number in 10..20 {
            bank.create(&scope, &said(&format!("A gull, number {number}."), number)).await.unwrap();
        }
        bank.create(&scope, &said("How many stairs lead to the lighthouse?", 0)).await.unwrap();
        let found = found(&bank, &scope, "stairs of the lighthouse").await;
        assert!(found.contains(&"Two hundred and twelve.".to_owned()), "{found:?}");
        assert!(!found.contains(&"A gull, number 19.".to_owned()), "{found:?}");
    }
}

#[tokio::test]
async fn text_without_spaces_and_emoji_are_found() {
    let memories = [
        "来週の会議は東京駅の近くです",
        "我们养了一只黑猫",
        "서울에서 친구를 만났어요",
        "วันนี้ฝนตกหนัก",
        "التقينا في المقهى القديم",
        "Holiday plans 🏝️ with the kids 👩‍👩‍👧",
        "Mein iPhone在家充电",
    ];
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        for text in memories {
            bank.create(&scope, &new_memory(text)).await.unwrap();
        }
        for (text, expected) in [
            ("東京", 0),
            ("会議はどこですか", 0),
            ("猫", 1),
            ("黑猫叫什么", 1),
            ("서울", 2),
            ("친구", 2),
            ("ฝนตก", 3),
            ("المقهى", 4),
            ("🏝", 5),
            ("👧", 5),
            ("iphone", 6),
            ("充电", 6),
        ] {
            let found = found(&bank, &scope, text).await;
            assert_eq!(found.first().map(String::as_str), Some(memories[expected]), "{text} on {:?}", store.backend());
        }
    }
}

#[tokio::test]
async fn the_longest_text_of_rare_characters_is_kept_and_found() {
    let rare: String = (0x20000..0x28000).filter_map(char::from_u32).collect();
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let memory = bank.create(&scope, &new_memory(&rare)).await.unwrap();
        let last: String = rare.chars().skip(32_766).collect();
        let results = bank.search(&scope, &query(&last)).await.unwrap();
        assert_eq!(results.hits.first().map(|hit| &hit.memory), Some(&memory), "{:?}", store.backend());
        assert_counts_are_right(&store).await;
    }
}

#[tokio::test]
async fn a_date_range_finds_what_is_in_it_however_much_is_not() {
    const DAY: Duration = Duration::from_hours(24);
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        for day in 0..300_u32 {
            let new = NewMemory { created_at: now().plus(DAY * 10 * day), ..new_memory(&format!("parcel {day}")) };
            bank.create(&scope, &new).await.unwrap();
        }
        for (start, end) in
            [(Some(0), Some(5)), (Some(7), Some(7)), (None, Some(60)), (Some(290), None), (Some(20), Some(280))]
        {
            let at = |day: Option<u32>| day.map(|day| now().plus(DAY * 10 * day));
            let mut query = query("parcel");
            query.limit = Limit::try_from(1000).unwrap();
            query.filter.created = DateRange::new("date_range", at(start), at(end)).unwrap();
            let found = bank.search(&scope, &query).await.unwrap();
            let expected = u64::from(end.unwrap_or(299) - start.unwrap_or(0) + 1);
            assert_eq!((found.hits.len() as u64, found.total_found), (expected, expected), "{start:?} to {end:?}");
        }
    }
}

#[tokio::test]
async fn what_people_write_in_one_way_and_ask_for_in_another_is_found_first() {
    for store in Store::each().await {
        let bank = store.bank();
        let mut wrong = Vec::new();
        for line in include_str!("../../retrieval/cases.jsonl").lines() {
            let (case, scope): (Value, _) = (serde_json::from_str(line).unwrap(), scope());
            let memories: Vec<&str> =
                case["memories"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
            for memory in &memories {
                bank.create(&scope, &new_memory(memory)).await.unwrap();
            }
            let expected = memories[usize::try_from(case["expect_index"].as_u64().unwrap()).unwrap()];
            let found = found(&bank, &scope, case["query"].as_str().unwrap()).await;
            if found.first().map(String::as_str) != Some(expected) {
                wrong.push(format!("{line}\n  found {found:?}"));
            }
        }
        assert!(wrong.is_empty(), "on {:?}:\n{}", store.backend(), wrong.join("\n"));
    }
}

#[tokio::test]
async fn of_two_facts_that_match_equally_well_the_newer_comes_first() {
    const DAY: Duration = Duration::from_hours(24);
    // The newest is stored first: times decide, and not the order of storing.
    let memories = [
        ("I no longer work at Acme; I am at Globex since May.", 2),
        ("I work at Acme as an engineer.", 1),
        ("Acme sells rockets.", 0),
    ];
    for store in Store::each().await {
        let bank = store.bank();
        for told_late in [false, true] {
            let scope = scope();
            for (text, days) in memories {
                let said_at = now().plus(DAY * days);
                let new = if told_late {
                    NewMemory { occurred_at: Some(said_at), ..new_memory(text) }
                } else {
                    NewMemory { created_at: said_at, ..new_memory(text) }
                };
                bank.create(&scope, &new).await.unwrap();
            }
            let found = found(&bank, &scope, "Where do I work now?").await;
            assert_eq!(found.first().map(String::as_str), Some(memories[0].0), "{found:?} on {:?}", store.backend());
        }
    }
}
