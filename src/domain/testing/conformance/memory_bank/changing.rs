//! Updating and deleting memories.

use serde_json::json;

use super::creating::full_memory;
use super::{after, all_pages, assert_unsupported, create, first_page, found, get, query, search};
use crate::memories::{
    Capability, Memory, MemoryBank, MemoryChanges, MemoryFilter, MemoryQuery, MemoryScope, MemoryUpdate, Metadata,
    NewMemory, Priority, Scalar,
};
use crate::testing::conformance::Fixture;
use crate::testing::{categories, content, context, metadata, new_memory, scope, update};

/// A change of each member by itself, but of the expiry.
fn single_changes() -> [MemoryChanges; 5] {
    let none = MemoryChanges::default;
    [
        MemoryChanges { content: Some(content("Another text, „ähnlich“ 🦊")), ..none() },
        MemoryChanges { categories: Some(categories(&["another", "one"])), ..none() },
        MemoryChanges { metadata: Some(metadata(json!({"another": [1, {"a": null}]}))), ..none() },
        MemoryChanges { priority: Some(Priority::Low), ..none() },
        MemoryChanges { occurred_at: Some(Some(after(3))), ..none() },
    ]
}

/// Whether the bank changes memories; checks that it says so if it does not.
async fn updates(bank: &dyn MemoryBank) -> bool {
    if !bank.capabilities().update {
        let scope = scope();
        let memory = create(bank, &scope, new_memory("x")).await;
        let [changes, ..] = single_changes();
        assert_unsupported(bank.update(&scope, &memory.id, &update(&changes, after(1))).await, Capability::Update);
        assert_eq!(get(bank, &scope, &memory).await, Some(memory));
    }
    bank.capabilities().update
}

async fn change(bank: &dyn MemoryBank, scope: &MemoryScope, memory: &mut Memory, changes: &MemoryChanges, at: u64) {
    changes.apply_to(memory, after(at));
    let answer = bank.update(scope, &memory.id, &update(changes, after(at))).await.unwrap();
    assert_eq!(answer.as_ref(), Some(&*memory), "{changes:?}");
}

pub async fn each_change_alone_leaves_everything_else_as_it_was(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !updates(bank).await {
        return;
    }
    let mut expected = create(bank, &scope, full_memory()).await;
    let other = create(bank, &scope, full_memory()).await;
    for (number, changes) in (10..).zip(single_changes()) {
        change(bank, &scope, &mut expected, &changes, number).await;
        assert_eq!(get(fixture.other_instance(), &scope, &expected).await.as_ref(), Some(&expected), "{changes:?}");
    }
    let emptied = MemoryChanges {
        categories: Some(Vec::new()),
        metadata: Some(Metadata::default()),
        occurred_at: Some(None),
        ..MemoryChanges::default()
    };
    change(bank, &scope, &mut expected, &emptied, 20).await;
    assert_eq!(get(bank, &scope, &expected).await, Some(expected));
    assert_eq!(get(bank, &scope, &other).await, Some(other), "another memory is not concerned");
}

pub async fn an_expiry_can_be_set_and_taken_away(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !updates(bank).await {
        return;
    }
    let mut memory = create(bank, &scope, new_memory("The parcel comes on Monday.")).await;
    let set = MemoryChanges { expires_at: Some(Some(after(70_000))), ..MemoryChanges::default() };
    if !bank.capabilities().expiry {
        assert_unsupported(bank.update(&scope, &memory.id, &update(&set, after(1))).await, Capability::Expiry);
        return;
    }
    change(bank, &scope, &mut memory, &set, 1).await;
    assert_eq!(bank.get(&scope, &memory.id, after(70_000)).await.unwrap(), None);
    let taken_away = MemoryChanges { expires_at: Some(None), ..MemoryChanges::default() };
    change(bank, &scope, &mut memory, &taken_away, 2).await;
    assert_eq!(bank.get(&scope, &memory.id, after(70_000)).await.unwrap(), Some(memory));
}

pub async fn a_change_of_the_metadata_keeps_where_the_memory_came_from(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !updates(bank).await {
        return;
    }
    let written = metadata(json!({"mood": "good"})).with_context(&context("g-1", "c-1"));
    let memory = create(bank, &scope, NewMemory { metadata: written, ..new_memory("x") }).await;
    let changes = MemoryChanges { metadata: Some(metadata(json!({"weather": "bad"}))), ..MemoryChanges::default() };
    let answer =
        bank.update(&scope, &memory.id, &update(&changes, after(1))).await.unwrap().expect("the memory is there");
    assert_eq!(answer.metadata, metadata(json!({"weather": "bad"})).with_context(&context("g-1", "c-1")));
    assert_eq!(get(bank, &scope, &memory).await, Some(answer));
}

pub async fn a_changed_memory_is_found_by_its_new_words_and_not_by_its_old(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !updates(bank).await {
        return;
    }
    let (old, new) = ("The key hangs in the pantry.", "The scooter needs petrol.");
    // A rival of the same text that loses every tie: if the old words still counted, it would come second.
    create(bank, &scope, NewMemory { priority: Priority::Low, ..new_memory(old) }).await;
    let mut memory = create(bank, &scope, NewMemory { priority: Priority::High, ..new_memory(old) }).await;
    let changes = MemoryChanges { content: Some(content(new)), ..MemoryChanges::default() };
    change(bank, &scope, &mut memory, &changes, 1).await;
    assert_eq!(found(bank, &scope, "Is the key in the pantry?").await.first().map(String::as_str), Some(old));
    assert_eq!(found(bank, &scope, "Does the scooter need petrol?").await.first().map(String::as_str), Some(new));
    if bank.capabilities().local {
        assert_eq!(found(bank, &scope, "pantry").await, [old], "the words that it had are forgotten");
    }
}

pub async fn a_changed_memory_is_filtered_by_its_new_categories_and_metadata(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !updates(bank).await {
        return;
    }
    let before = NewMemory {
        categories: categories(&["old"]),
        metadata: metadata(json!({"n": "old"})),
        ..new_memory("marzipan")
    };
    let mut memory = create(bank, &scope, before).await;
    let changes = MemoryChanges {
        categories: Some(categories(&["new"])),
        metadata: Some(metadata(json!({"n": "new"}))),
        ..MemoryChanges::default()
    };
    change(bank, &scope, &mut memory, &changes, 1).await;
    for (word, expected) in [("old", 0), ("new", 1)] {
        let filter = MemoryFilter { categories: categories(&[word]), ..MemoryFilter::default() };
        let hits = search(bank, &scope, &MemoryQuery { filter, ..query("marzipan") }).await;
        assert_eq!(hits.len(), expected, "the category {word}");
        if bank.capabilities().metadata_filter {
            let wanted = vec![("n".to_owned(), Scalar::Text(word.to_owned()))];
            let filter = MemoryFilter { metadata: wanted, ..MemoryFilter::default() };
            let hits = search(bank, &scope, &MemoryQuery { filter, ..query("marzipan") }).await;
            assert_eq!(hits.len(), expected, "the member {word}");
        }
    }
}

pub async fn what_is_not_there_cannot_be_changed(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let unknown = new_memory("x").id;
    assert!(!bank.delete(&scope, &unknown).await.unwrap());
    if updates(bank).await {
        let [changes, ..] = single_changes();
        assert_eq!(bank.update(&scope, &unknown, &update(&changes, after(1))).await.unwrap(), None);
    }
}

/// A change of the text of what was read when it was this.
fn change_of(read: &Memory, text: &str, at: u64) -> MemoryUpdate {
    let changes = MemoryChanges { content: Some(content(text)), ..MemoryChanges::default() };
    MemoryUpdate { if_updated_at: Some(read.updated_at), ..update(&changes, after(at)) }
}

pub async fn a_change_of_what_was_read_applies_unless_it_was_changed_since(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !updates(bank).await {
        return;
    }
    let first = create(bank, &scope, new_memory("The first text.")).await;
    let second = bank.update(&scope, &first.id, &change_of(&first, "The second text.", 1)).await.unwrap();
    let second = second.expect("nothing has changed it");
    assert_eq!((second.content.as_str(), second.updated_at), ("The second text.", after(1)));
    for bank in [bank, fixture.other_instance()] {
        let late = change_of(&first, "The third text.", 2);
        assert_eq!(bank.update(&scope, &first.id, &late).await.unwrap(), None);
        assert_eq!(get(bank, &scope, &first).await.as_ref(), Some(&second), "nothing of it is changed");
    }
    if bank.capabilities().history {
        let histories = bank.histories(&scope, std::slice::from_ref(&first.id), after(3)).await.unwrap();
        assert_eq!(histories.entries[&first.id].len(), 1, "what was not changed is not noted");
    }
    let third = bank.update(&scope, &first.id, &change_of(&second, "The third text.", 3)).await.unwrap();
    assert_eq!(get(bank, &scope, &first).await, third);
    assert_eq!(third.expect("nothing has changed it since").content.as_str(), "The third text.");
}

pub async fn of_concurrent_changes_of_what_was_read_one_applies(fixture: Fixture<dyn MemoryBank>) {
    let (bank, owner) = (fixture.port(), scope());
    if !updates(bank).await {
        return;
    }
    let read = create(bank, &owner, new_memory("x")).await;
    let answers = fixture
        .together(20, |number, bank| {
            let at = 1 + u64::try_from(number).expect("twenty callers");
            let (scope, id, update) = (owner.clone(), read.id.clone(), change_of(&read, &format!("text {number}"), at));
            async move { bank.update(&scope, &id, &update).await.unwrap() }
        })
        .await;
    let applied: Vec<Memory> = answers.into_iter().flatten().collect();
    let stored = get(bank, &owner, &read).await.expect("the memory is there");
    assert!(applied.contains(&stored), "{stored:?} was not answered to anybody");
    // Another instance of a remote bank may check at the same time.
    if bank.capabilities().local {
        assert_eq!(applied, [stored]);
    }
}

pub async fn concurrent_changes_of_different_members_are_all_kept(fixture: Fixture<dyn MemoryBank>) {
    let (bank, owner) = (fixture.port(), scope());
    // A remote bank may not support updating a single member.
    if !updates(bank).await || !bank.capabilities().local {
        return;
    }
    let mut expected = create(bank, &owner, full_memory()).await;
    let (id, changes) = (expected.id.clone(), single_changes());
    fixture
        .together(changes.len(), |number, bank| {
            let (scope, id, change) = (owner.clone(), id.clone(), changes[number].clone());
            async move { bank.update(&scope, &id, &update(&change, after(1))).await.unwrap().expect("the memory is there") }
        })
        .await;
    for change in &changes {
        change.apply_to(&mut expected, after(1));
    }
    assert_eq!(get(bank, &owner, &expected).await, Some(expected));
}

pub async fn a_deletion_of_what_was_read_spares_what_was_changed_since(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let read = create(bank, &scope, new_memory("x")).await;
    let mut current = read.clone();
    if updates(bank).await {
        let [changes, ..] = single_changes();
        change(bank, &scope, &mut current, &changes, 1).await;
    }
    for other in [after(2), if current == read { after(3) } else { read.updated_at }] {
        assert!(!bank.delete_unchanged(&scope, &read.id, other).await.unwrap());
        assert_eq!(get(fixture.other_instance(), &scope, &read).await.as_ref(), Some(&current));
    }
    assert!(bank.delete_unchanged(&scope, &read.id, current.updated_at).await.unwrap());
    assert_eq!(get(fixture.other_instance(), &scope, &read).await, None);
    assert!(!bank.delete_unchanged(&scope, &read.id, current.updated_at).await.unwrap());
}

pub async fn a_deleted_memory_is_gone_everywhere(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    let gone = create(bank, &scope, new_memory("Guests like marzipan.")).await;
    let kept = create(bank, &scope, new_memory("Marzipan is sold out.")).await;
    assert!(bank.delete(&scope, &gone.id).await.unwrap());
    assert!(!fixture.other_instance().delete(&scope, &gone.id).await.unwrap());
    assert_eq!(get(fixture.other_instance(), &scope, &gone).await, None);
    assert_eq!(found(bank, &scope, "marzipan").await, [kept.content.as_str()]);
    if bank.capabilities().list {
        assert_eq!(all_pages(bank, &scope, first_page(10)).await, [[kept]]);
    }
    if bank.capabilities().update {
        let [changes, ..] = single_changes();
        assert_eq!(bank.update(&scope, &gone.id, &update(&changes, after(1))).await.unwrap(), None);
    }
}

pub async fn of_many_concurrent_callers_exactly_one_deletes(fixture: Fixture<dyn MemoryBank>) {
    let owner = scope();
    let memory = create(fixture.port(), &owner, new_memory("x")).await;
    let answers = fixture
        .together(20, |_, bank| {
            let (scope, id) = (owner.clone(), memory.id.clone());
            async move { bank.delete(&scope, &id).await.unwrap() }
        })
        .await;
    let deleted = answers.iter().filter(|deleted| **deleted).count();
    // With a remote bank two callers may be told so, since checking and deleting is not atomic.
    if fixture.port().capabilities().local {
        assert_eq!(deleted, 1);
    } else {
        assert!(deleted >= 1);
    }
    assert_eq!(get(fixture.port(), &owner, &memory).await, None);
}
