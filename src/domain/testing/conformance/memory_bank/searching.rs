//! Searching.

use super::{after, create, found, limit, memory_at, query, search, sorted, texts};
use crate::memories::{Admitted, MemoryBank, MemoryQuery, NewMemory, Priority, Relevance};
use crate::system::Timestamp;
use crate::testing::conformance::Fixture;
use crate::testing::{new_memory, scope};

const MEMORIES: [&str; 6] = [
    "Maria parks her bicycle behind the bakery.",
    "The bakery on the corner opens at seven and closes at noon.",
    "Our flight to Lisbon leaves on the ninth of May from gate 14.",
    "Tom is allergic to peanuts, so no satay sauce for him.",
    "The wifi password of the cottage is written inside the blue cupboard.",
    "Grandmother's recipe for plum cake needs six eggs and a pinch of nutmeg.",
];

async fn fill(bank: &dyn MemoryBank) -> Admitted {
    let scope = scope();
    for (milliseconds, text) in (0..).zip(MEMORIES) {
        create(bank, &scope, memory_at(text, milliseconds)).await;
    }
    scope
}

pub async fn a_question_finds_its_answer_first(fixture: Fixture<dyn MemoryBank>) {
    let bank = fixture.port();
    let scope = fill(bank).await;
    for (question, answer) in [
        ("Where does Maria park her bicycle?", 0),
        ("When does the bakery on the corner open?", 1),
        ("From which gate does the flight to Lisbon leave?", 2),
        ("What is Tom allergic to?", 3),
        ("Where can I find the password for the wifi?", 4),
        ("How many eggs are in the plum cake?", 5),
        ("NUTMEG", 5),
    ] {
        let found = found(bank, &scope, question).await;
        assert_eq!(found.first().map(String::as_str), Some(MEMORIES[answer]), "{question}");
    }
}

pub async fn a_search_returns_memories_with_every_member(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let created = create(bank, &scope, super::creating::full_memory()).await;
    let hits = search(fixture.other_instance(), &scope, &query("zweite Zeile")).await;
    assert_eq!(hits.into_iter().map(|hit| hit.memory).collect::<Vec<_>>(), [created]);
}

pub async fn a_search_of_an_empty_scope_finds_nothing(fixture: Fixture<dyn MemoryBank>) {
    fill(fixture.port()).await;
    let results = fixture.port().search(&scope(), &query("bakery")).await.unwrap();
    assert_eq!((results.hits.len(), results.total_found), (0, 0));
}

pub async fn text_in_other_scripts_is_found(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let memories =
        ["Die Schlüssel liegen im Café Größenwahn", "Ключи лежат под ковриком", "Τα κλειδιά είναι στο τραπέζι"];
    for text in memories {
        create(bank, &scope, new_memory(text)).await;
    }
    for (text, expected) in [("café größenwahn", 0), ("под ковриком", 1), ("κλειδιά τραπέζι", 2)]
    {
        assert_eq!(found(bank, &scope, text).await.first().map(String::as_str), Some(memories[expected]), "{text}");
    }
}

pub async fn a_query_is_never_syntax(fixture: Fixture<dyn MemoryBank>) {
    let bank = fixture.port();
    let scope = fill(bank).await;
    for hostile in [
        "\" OR * NEAR( - : ^ ' nutmeg",
        "nutmeg\"",
        "\"nutmeg",
        "'nutmeg",
        "nutmeg*",
        "-nutmeg",
        "nutmeg:",
        "content:nutmeg",
        "(nutmeg",
        "nutmeg)))",
        "NEAR(nutmeg, 2)",
        "^nutmeg",
        "nutmeg & | ! <-> :*",
        "nutmeg\\",
        "{nutmeg}",
        "+nutmeg @ # $1 ?1 %s",
        "'; DROP TABLE memories; -- nutmeg",
        "nutmeg\u{202e}\u{200b}\r\n\t",
    ] {
        let found = found(bank, &scope, hostile).await;
        assert_eq!(found.first().map(String::as_str), Some(MEMORIES[5]), "{hostile:?}");
    }
    assert_eq!(found(bank, &scope, "bakery").await.len(), 2, "nothing was dropped");
}

pub async fn odd_queries_are_answered(fixture: Fixture<dyn MemoryBank>) {
    let bank = fixture.port();
    let scope = fill(bank).await;
    for text in [
        "\" OR * NEAR( - : ^ '",
        "\"",
        "'",
        "*",
        "-",
        "AND",
        "OR NOT",
        "NEAR",
        "NEAR()",
        "?",
        "%",
        "_",
        ".",
        "\\",
        "()",
        "🦊",
        "🦊🦊🦊 👨‍👩‍👧",
        "the of and to",
        "who is it",
        "\u{301}",
        "\u{feff}a\u{feff}",
        "\u{fffd}",
        "1",
        "-1 OR 1=1",
        "null",
    ] {
        let hits = search(bank, &scope, &query(text)).await;
        assert!(hits.len() <= MEMORIES.len(), "{text:?}");
    }
}

pub async fn the_longest_query_is_answered(fixture: Fixture<dyn MemoryBank>) {
    let bank = fixture.port();
    let scope = fill(bank).await;
    search(bank, &scope, &query(&"x".repeat(4_096))).await;
    search(bank, &scope, &query(&"🦊".repeat(4_096))).await;
    search(bank, &scope, &query(&"\"".repeat(4_096))).await;
    // No number that stands in a memory.
    let different: Vec<String> = (100..780).map(|number| format!("w{number}x")).collect();
    let mut many_words = different.join(" ");
    many_words.truncate(4_096 - " nutmeg".len());
    let found = found(bank, &scope, &format!("{many_words} nutmeg")).await;
    assert_eq!(found, [MEMORIES[5]], "one word among many is enough");
}

pub async fn a_search_returns_no_more_than_its_limit(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    for number in 0..5 {
        create(bank, &scope, memory_at(&format!("Guest number {number} likes marzipan."), number)).await;
    }
    for (number, expected) in [(1, 1), (3, 3), (5, 5), (1_000, 5)] {
        let hits = search(bank, &scope, &MemoryQuery { limit: limit(number), ..query("marzipan") }).await;
        let mut ids: Vec<_> = hits.iter().map(|hit| &hit.memory.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), expected, "with the limit {number}");
    }
}

pub async fn results_come_best_first_with_a_relevance_from_0_to_1(fixture: Fixture<dyn MemoryBank>) {
    let bank = fixture.port();
    let scope = fill(bank).await;
    let hits = search(bank, &scope, &query("Does Maria buy plum cake at the bakery on the corner?")).await;
    assert!(hits.len() >= 3, "memories that fit in part are found too: {}", hits.len());
    for pair in hits.windows(2) {
        assert!(pair[0].relevance >= pair[1].relevance, "{:?} before {:?}", pair[0].relevance, pair[1].relevance);
    }
    assert!(hits.iter().all(|hit| (0.0..=1.0).contains(&hit.relevance.get())));
    assert!(hits[0].relevance.get() > 0.0);
}

pub async fn results_below_the_threshold_are_left_out(fixture: Fixture<dyn MemoryBank>) {
    let bank = fixture.port();
    let scope = fill(bank).await;
    let question = query("Which gate does the flight to Lisbon leave from, and is there a bakery?");
    let all = search(bank, &scope, &question).await;
    let (best, worst) = (all[0].relevance, all[all.len() - 1].relevance);
    assert!(best > worst, "the memories fit unequally well");
    let middle = Relevance::clamped(f64::midpoint(best.get(), worst.get()));
    let hits = search(bank, &scope, &MemoryQuery { threshold: Some(middle), ..question.clone() }).await;
    let expected = all.iter().filter(|hit| hit.relevance >= middle).count();
    assert_eq!(hits.len(), expected);
    assert_eq!(hits[0].memory, all[0].memory);
    let nothing_left_out = MemoryQuery { threshold: Some(Relevance::clamped(0.0)), ..question };
    assert_eq!(sorted(texts(search(bank, &scope, &nothing_left_out).await)), sorted(texts(all)));
}

pub async fn of_memories_that_fit_equally_the_more_important_comes_first(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    for priority in [Priority::Normal, Priority::High, Priority::Low] {
        create(bank, &scope, NewMemory { priority, ..new_memory("Guests like marzipan.") }).await;
    }
    let hits = search(bank, &scope, &query("Who likes marzipan?")).await;
    let order: Vec<Priority> = hits.iter().map(|hit| hit.memory.priority).collect();
    assert_eq!(order, [Priority::High, Priority::Normal, Priority::Low]);
}

pub async fn of_memories_that_fit_equally_the_one_said_later_comes_first(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    // In another order than they were created in; without a date, creating is saying.
    for (created, said) in [(0, Some(9_000)), (1, None), (2, Some(5_000)), (3, Some(7_000))] {
        let occurred_at = said.map(after);
        create(bank, &scope, NewMemory { occurred_at, ..memory_at("Guests like marzipan.", created) }).await;
    }
    let hits = search(bank, &scope, &query("Who likes marzipan?")).await;
    let order: Vec<Timestamp> = hits.iter().map(|hit| hit.memory.occurred()).collect();
    assert_eq!(order, [9_000, 7_000, 5_000, 1].map(after));
}

pub async fn a_created_memory_is_found_at_once(fixture: Fixture<dyn MemoryBank>) {
    let scope = scope();
    for (number, text) in (1..).zip(MEMORIES) {
        create(fixture.port(), &scope, new_memory(&format!("{text} (marzipan)"))).await;
        assert_eq!(found(fixture.other_instance(), &scope, "marzipan").await.len(), number);
    }
}
