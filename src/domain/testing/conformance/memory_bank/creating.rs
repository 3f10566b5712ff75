//! Creating memories, and getting them back.

use serde_json::{Map, Value, json};

use super::{after, all_pages, assert_unsupported, create, first_page, found, get, lists, memory_at};
use crate::memories::{Actor, Capability, Content, MemoryBank, MemoryChanges, Metadata, NewMemory, Priority};
use crate::testing::conformance::Fixture;
use crate::testing::{categories, content, context, metadata, new_memory, now, scope, scope_of_person, unique, update};

/// A memory in which every member but the expiry has a value that is not usual.
pub(super) fn full_memory() -> NewMemory {
    NewMemory {
        content: content("First line\nzweite Zeile: „Grüße“\t三行目 🦊 \u{202e}rtl e\u{301} ' \" \\ %00 ; -- ${x}"),
        categories: categories(&["travel", "with, comma", "naïve \"quotes\"", "日本"]),
        metadata: metadata(json!({
            "text": "O'Brien \"x\" \\ \n 🦊", "empty": "", "null": null, "yes": true, "no": false,
            "integer": -42, "large": 9_007_199_254_740_993_i64, "float": 0.1, "array": [1, "2", [3]],
            "a.b": {"c d": {"$": {"é": []}}},
        }))
        .with_context(&context("g-42", "conv 1/é")),
        priority: Priority::High,
        created_at: after(7),
        occurred_at: Some(now().minus(std::time::Duration::from_millis(86_400_000_001))),
        updated_at: Some(after(9)),
        created_by: Some(Actor::Person),
        ..new_memory("x")
    }
}

pub async fn a_memory_comes_back_with_every_member(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope_of_person(&scope()));
    let expires_at = bank.capabilities().expiry.then(|| after(86_400_001));
    let new = NewMemory { expires_at, ..full_memory() };
    let created = create(bank, &scope, new.clone()).await;
    let mut expected = new.into_memory();
    expected.id = created.id.clone();
    assert_eq!(created, expected);
    assert_eq!(fixture.other_instance().get(&scope, &created.id, after(60_000)).await.unwrap(), Some(expected));
}

pub async fn a_plain_memory_comes_back_as_plain_as_it_was(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let new = NewMemory { priority: Priority::Low, ..new_memory("x") };
    let created = create(bank, &scope, new.clone()).await;
    let mut expected = new.into_memory();
    expected.id = created.id.clone();
    assert_eq!(created, expected);
    assert_eq!(get(bank, &scope, &created).await, Some(expected));
}

pub async fn the_longest_memory_comes_back_whole(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let text = "Grüße 🦊 ".repeat(Content::MAX / 8);
    assert_eq!(text.chars().count(), Content::MAX);
    let created = create(bank, &scope, new_memory(&text)).await;
    let kept = get(bank, &scope, &created).await.expect("the memory is there");
    assert!(kept.content.as_str() == text, "of {} bytes {} came back", text.len(), kept.content.as_str().len());
}

pub async fn the_largest_metadata_comes_back_whole(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let members: Map<String, Value> =
        (0..64).map(|number| (format!("{number:02}{}", "n".repeat(126)), "é".repeat(60).into())).collect();
    let metadata = metadata(Value::Object(members)).with_context(&context(&"\"".repeat(200), &"🦊".repeat(200)));
    let created = create(bank, &scope, NewMemory { metadata: metadata.clone(), ..new_memory("x") }).await;
    assert_eq!(get(bank, &scope, &created).await.expect("the memory is there").metadata, metadata);
}

pub async fn an_unknown_memory_is_none(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    create(bank, &scope, new_memory("x")).await;
    for id in [unique().to_string(), "0".to_owned(), "%:_.-".replace('%', "A"), "x".repeat(128)] {
        assert_eq!(bank.get(&scope, &id.parse().unwrap(), now()).await.unwrap(), None, "{id}");
    }
}

pub async fn the_same_write_creates_one_memory(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope, new) = (fixture.port(), scope(), full_memory());
    let first = create(bank, &scope, new.clone()).await;
    let second = create(fixture.other_instance(), &scope, new.clone()).await;
    assert_eq!(second, first);
    let other_text = NewMemory { content: content("Something else"), ..new };
    assert_eq!(create(bank, &scope, other_text).await, first, "it is known by its id alone");
    assert_eq!(found(bank, &scope, "zweite Zeile").await.len(), 1);
    if lists(bank, &scope).await {
        assert_eq!(all_pages(bank, &scope, first_page(10)).await, [[first]]);
    }
}

pub async fn many_memories_created_at_once_are_all_there_and_known_ones_stay_as_they_are(
    fixture: Fixture<dyn MemoryBank>,
) {
    let (bank, scope) = (fixture.port(), scope());
    let known = NewMemory { content: content("Known before"), ..new_memory("x") };
    let kept = create(bank, &scope, known.clone()).await;
    let mut all = vec![full_memory(), NewMemory { content: content("Another text"), ..known }];
    all.extend(
        (0..90).map(|number| NewMemory { created_at: after(number), ..new_memory(&format!("memory {number}")) }),
    );
    all.push(all[5].clone());
    let mut expected = vec![true; all.len()];
    (expected[1], expected[all.len() - 1]) = (false, false);
    let done = bank.create_all(&scope, all.clone()).await.unwrap();
    let is_new: Vec<bool> = done.into_iter().map(Result::unwrap).collect();
    // A bank that creates them one by one and concurrently may create either of two equal ones.
    let repeated = [5, all.len() - 1];
    assert_eq!(repeated.iter().filter(|place| is_new[**place]).count(), 1);
    for place in (0..all.len()).filter(|place| !repeated.contains(place)) {
        assert_eq!(is_new[place], expected[place], "{place}");
    }
    assert_eq!(fixture.other_instance().get(&scope, &kept.id, after(60_000)).await.unwrap(), Some(kept));
    for memory in all.iter().filter(|memory| memory.content.as_str() != "Another text") {
        let found = bank.find_written(&scope, memory).await.unwrap().expect("the memory is there");
        let expected = memory.clone().into_memory();
        assert_eq!(found, crate::memories::Memory { id: found.id.clone(), ..expected });
    }
    let again = bank.create_all(&scope, all).await.unwrap();
    assert!(again.into_iter().all(|is_new| !is_new.unwrap()), "a repeated call creates nothing");
}

pub async fn the_same_write_from_many_concurrent_callers_creates_one_memory(fixture: Fixture<dyn MemoryBank>) {
    let (owner, new) = (scope(), new_memory("The spare key is under the fern."));
    let answers = fixture
        .together(20, |_, bank| {
            let (scope, new) = (owner.clone(), new.clone());
            async move { bank.create(&scope, &new).await.unwrap() }
        })
        .await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "all callers get the same memory: {answers:?}");
    assert_eq!(found(fixture.port(), &owner, "spare key fern").await.len(), 1);
    if lists(fixture.port(), &owner).await {
        assert_eq!(all_pages(fixture.port(), &owner, first_page(100)).await, [[answers[0].clone()]]);
    }
}

pub async fn a_repeated_write_does_not_undo_a_change(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope, new) = (fixture.port(), scope(), new_memory("The meeting is on Tuesday."));
    let created = create(bank, &scope, new.clone()).await;
    if bank.capabilities().update {
        let content = Some(content("The meeting is on Friday."));
        let changes = MemoryChanges { content, ..MemoryChanges::default() };
        let answer = bank.update(&scope, &created.id, &update(&changes, after(5))).await.unwrap();
        assert_eq!(Some(create(bank, &scope, new).await), answer);
        assert_eq!(get(bank, &scope, &created).await, answer);
    }
}

pub async fn the_same_write_in_two_scopes_creates_two_memories(fixture: Fixture<dyn MemoryBank>) {
    let (bank, one, new) = (fixture.port(), scope(), new_memory("The spare key is under the fern."));
    let first = create(bank, &one, new.clone()).await;
    for other in [scope(), scope_of_person(&one)] {
        let elsewhere = NewMemory { content: content("The spare key is in the shed."), ..new.clone() };
        let second = create(bank, &other, elsewhere.clone()).await;
        assert_eq!(second.content, elsewhere.content);
        assert_eq!(get(bank, &other, &second).await, Some(second));
        assert_eq!(found(bank, &other, "spare key").await, ["The spare key is in the shed."]);
    }
    assert_eq!(get(bank, &one, &first).await, Some(first));
    assert_eq!(found(bank, &one, "spare key").await, ["The spare key is under the fern."]);
}

pub async fn a_hundred_concurrent_writes_are_all_kept(fixture: Fixture<dyn MemoryBank>) {
    let owner = scope();
    let created = fixture
        .together(100, |number, bank| {
            let (scope, new) = (owner.clone(), new_memory(&format!("Guest {number} likes marzipan.")));
            async move { bank.create(&scope, &new).await.unwrap() }
        })
        .await;
    for memory in &created {
        assert_eq!(get(fixture.port(), &owner, memory).await.as_ref(), Some(memory));
    }
    assert_eq!(found(fixture.port(), &owner, "marzipan").await.len(), 100);
}

pub async fn an_expired_memory_is_forgotten(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let new = NewMemory { expires_at: Some(after(1_000)), ..memory_at("The parcel comes on Monday.", 0) };
    if !bank.capabilities().expiry {
        assert_unsupported(bank.create(&scope, &new).await, Capability::Expiry);
        return;
    }
    let memory = create(bank, &scope, new).await;
    let mut query = super::query("parcel");
    for (at, is_there) in [(after(0), true), (after(999), true), (after(1_000), false), (after(1_001), false)] {
        assert_eq!(bank.get(&scope, &memory.id, at).await.unwrap().is_some(), is_there, "got at {at}");
        query.now = at;
        assert_eq!(super::search(bank, &scope, &query).await.len(), usize::from(is_there), "found at {at}");
        if bank.capabilities().list {
            let page = bank.list(&scope, &crate::memories::ListQuery { now: at, ..first_page(10) }).await.unwrap();
            assert_eq!(page.memories.len(), usize::from(is_there), "listed at {at}");
        }
    }
    if bank.capabilities().update {
        let changes = MemoryChanges { metadata: Some(Metadata::default()), ..MemoryChanges::default() };
        assert_eq!(bank.update(&scope, &memory.id, &update(&changes, after(1_000))).await.unwrap(), None);
    }
}

pub async fn a_write_that_arrived_is_found(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let write = NewMemory {
        id: crate::ids::MemoryId::for_request(crate::ids::RequestId::from_uuid(unique())),
        ..full_memory()
    };
    assert_eq!(bank.find_written(&scope, &write).await.unwrap(), None);
    let created = create(bank, &scope, write.clone()).await;
    let found = fixture.other_instance().find_written(&scope, &write).await.unwrap();
    assert_eq!(found.as_ref(), Some(&created));
    assert_eq!(bank.write_of(&scope, &created.id).await.unwrap(), Some(write.id.clone()));
    let stranger = scope_of_person(&scope);
    assert_eq!(bank.find_written(&stranger, &write).await.unwrap(), None);
    bank.delete(&scope, &created.id).await.unwrap();
    assert_eq!(bank.find_written(&scope, &write).await.unwrap(), None);
}
