//! What happened to memories, and memories that supersede others.

use super::creating::full_memory;
use super::{after, all_pages, assert_unsupported, create, first_page, found, get};
use crate::ids::{ApplicationId, MemoryId};
use crate::memories::{
    Actor, Capability, Content, HistoryEntry, HistoryEvent, Memory, MemoryBank, MemoryChanges, MemoryMember,
    MemoryScope, NewMemory, Priority,
};
use crate::testing::conformance::Fixture;
use crate::testing::{categories, content, new_memory, now, scope, scope_limited_to, scope_of_person, unique, update};

/// Whether the bank keeps histories; checks that it says so if it does not.
async fn keeps_history(bank: &dyn MemoryBank) -> bool {
    if !bank.capabilities().history {
        let scope = scope();
        let memory = create(bank, &scope, new_memory("x")).await;
        let ids = [memory.id.clone()];
        assert_unsupported(bank.histories(&scope, &ids, after(1)).await, Capability::History);
        assert_unsupported(bank.forget_history(&scope, &memory.id, after(1)).await, Capability::History);
    }
    bank.capabilities().history
}

/// Whether memories supersede others; checks that the bank says so if they do not.
async fn supersedes(bank: &dyn MemoryBank) -> bool {
    if !bank.capabilities().supersede {
        let scope = scope();
        let memory = create(bank, &scope, new_memory("x")).await;
        let new = superseding(&memory, "y");
        assert_unsupported(bank.create(&scope, &new).await, Capability::Supersede);
        assert_unsupported(bank.create_first(&scope, &new).await, Capability::Supersede);
        assert_eq!(get(bank, &scope, &memory).await, Some(memory));
    }
    bank.capabilities().supersede
}

fn superseding(older: &Memory, text: &str) -> NewMemory {
    NewMemory { supersedes: Some(older.id.clone()), ..new_memory(text) }
}

fn superseded(older: &Memory, by: &NewMemory) -> HistoryEntry {
    let event = HistoryEvent::Superseded(Box::new(older.clone()));
    HistoryEntry { at: by.created_at, by: by.created_by, event }
}

fn updated(members: &[MemoryMember], at: u64) -> HistoryEntry {
    let by = Some(update(&MemoryChanges::default(), now()).by);
    HistoryEntry { at: after(at), by, event: HistoryEvent::Updated(members.to_vec()) }
}

async fn history(bank: &dyn MemoryBank, scope: &MemoryScope, id: &MemoryId) -> Vec<HistoryEntry> {
    let histories = bank.histories(scope, std::slice::from_ref(id), after(60_000)).await.unwrap();
    assert_eq!(histories.read, 1);
    assert!(histories.entries.keys().all(|known| known == id));
    histories.entries.into_values().next().unwrap_or_default()
}

async fn change_text(bank: &dyn MemoryBank, scope: &MemoryScope, id: &MemoryId, text: &str, at: u64) {
    let changes = MemoryChanges { content: Some(content(text)), ..MemoryChanges::default() };
    bank.update(scope, id, &update(&changes, after(at))).await.unwrap().expect("the memory is there");
}

pub async fn an_update_is_noted_with_who_made_it_but_not_with_what_was_there(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !keeps_history(bank).await {
        return;
    }
    let memory = create(bank, &scope, full_memory()).await;
    let other = create(bank, &scope, full_memory()).await;
    assert_eq!(history(bank, &scope, &memory.id).await, []);
    change_text(bank, &scope, &memory.id, "new", 10).await;
    let nothing = MemoryChanges { content: Some(content("new")), ..MemoryChanges::default() };
    bank.update(&scope, &memory.id, &update(&nothing, after(11))).await.unwrap();
    let changes = MemoryChanges {
        categories: Some(Vec::new()),
        metadata: Some(memory.metadata.clone()),
        priority: Some(Priority::Low),
        occurred_at: Some(None),
        ..MemoryChanges::default()
    };
    bank.update(&scope, &memory.id, &update(&changes, after(12))).await.unwrap();
    let expected = [
        updated(&[MemoryMember::Categories, MemoryMember::Priority, MemoryMember::OccurredAt], 12),
        updated(&[MemoryMember::Content], 10),
    ];
    assert_eq!(history(fixture.other_instance(), &scope, &memory.id).await, expected);
    assert_eq!(history(bank, &scope, &other.id).await, []);
}

pub async fn a_new_memory_takes_the_place_of_the_one_that_it_supersedes(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !supersedes(bank).await || !keeps_history(bank).await {
        return;
    }
    let creator = Some(Actor::Application(ApplicationId::from_uuid(unique())));
    let mut oldest = create(bank, &scope, NewMemory { content: content("Marta lives in Ulm."), ..full_memory() }).await;
    change_text(bank, &scope, &oldest.id, "Marta lives in Berne.", 10).await;
    oldest = get(bank, &scope, &oldest).await.unwrap();
    let second = NewMemory { created_at: after(20), ..superseding(&oldest, "Marta lives in Porto.") };
    let older = create(bank, &scope, second.clone()).await;
    let third =
        NewMemory { created_at: after(30), created_by: creator, ..superseding(&older, "Marta lives in Turin.") };
    let newest = create(bank, &scope, third.clone()).await;

    for gone in [&oldest, &older] {
        assert_eq!(get(fixture.other_instance(), &scope, gone).await, None);
        assert_eq!(history(bank, &scope, &gone.id).await, []);
        assert!(!bank.delete(&scope, &gone.id).await.unwrap());
    }
    let expected = [superseded(&older, &third), superseded(&oldest, &second), updated(&[MemoryMember::Content], 10)];
    assert_eq!(history(fixture.other_instance(), &scope, &newest.id).await, expected);
    assert_eq!(found(bank, &scope, "Where does Marta live?").await, ["Marta lives in Turin."]);
    for word in ["Ulm", "Berne", "Porto"] {
        let found = found(bank, &scope, word).await;
        assert!(found.is_empty() || !bank.capabilities().local, "{word}: {found:?}");
    }
    assert_eq!(all_pages(bank, &scope, first_page(10)).await, [[newest.clone()]]);
    let statistics = bank.statistics(&scope, after(60_000)).await.unwrap();
    assert_eq!((statistics.memories, statistics.by_category.len()), (1, 0));

    // A repetition changes nothing, whatever has happened since.
    change_text(bank, &scope, &newest.id, "Marta lives in Trento.", 40).await;
    let answer = bank.create(&scope, &third).await.unwrap();
    assert_eq!(answer.content, content("Marta lives in Trento."));
    assert_eq!(history(bank, &scope, &newest.id).await.len(), 4);
}

pub async fn what_is_not_there_is_not_superseded_and_the_new_memory_is_stored(fixture: Fixture<dyn MemoryBank>) {
    let (bank, owner) = (fixture.port(), scope());
    if !supersedes(bank).await {
        return;
    }
    let theirs = scope_of_person(&owner);
    let foreign = create(bank, &theirs, new_memory("theirs")).await;
    let secret = NewMemory { categories: categories(&["health"]), ..new_memory("secret") };
    let secret = create(bank, &owner, secret).await;
    let over = NewMemory { expires_at: Some(after(5)), ..new_memory("over") };
    let over = create(bank, &owner, over).await;
    let never = new_memory("never stored").into_memory();
    let limited = scope_limited_to(&owner, &["food"]);
    for older in [&foreign, &secret, &over, &never] {
        let new = NewMemory { categories: categories(&["food"]), created_at: after(9), ..superseding(older, "new") };
        let stored = create(bank, &limited, new).await;
        assert_eq!(get(bank, &owner, &stored).await.as_ref(), Some(&stored), "{}", older.content.as_str());
        assert_eq!(history(bank, &owner, &stored.id).await, []);
    }
    let new = new_memory("itself");
    let new = NewMemory { supersedes: Some(new.id.clone()), ..new };
    let stored = create(bank, &owner, new).await;
    assert_eq!(get(bank, &owner, &stored).await.as_ref(), Some(&stored));
    assert_eq!(history(bank, &owner, &stored.id).await, []);
    assert_eq!(get(bank, &theirs, &foreign).await, Some(foreign));
    assert_eq!(get(bank, &owner, &secret).await, Some(secret));
}

pub async fn of_several_that_supersede_one_memory_each_is_stored_and_one_holds_it(fixture: Fixture<dyn MemoryBank>) {
    let (bank, owner) = (fixture.port(), scope());
    if !supersedes(bank).await {
        return;
    }
    let older = create(bank, &owner, new_memory("older")).await;
    let stored = fixture
        .together(8, |number, bank| {
            let (scope, new) = (owner.clone(), superseding(&older, &format!("new {number}")));
            async move { bank.create(&scope, &new).await.unwrap() }
        })
        .await;
    let mut holders = 0;
    for memory in &stored {
        assert_eq!(get(bank, &owner, memory).await.as_ref(), Some(memory));
        holders += history(bank, &owner, &memory.id).await.len();
    }
    assert_eq!(holders, 1);
    assert_eq!(get(bank, &owner, &older).await, None);
}

pub async fn memories_created_at_once_supersede_too(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !supersedes(bank).await {
        return;
    }
    let first = new_memory("first");
    let second = superseding(&first.clone().into_memory(), "second");
    let third = superseding(&second.clone().into_memory(), "third");
    let id = third.id.clone();
    let answers = bank.create_all(&scope, vec![first, second, new_memory("between"), third]).await.unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap()));
    let kept = history(bank, &scope, &id).await;
    let texts: Vec<&str> = kept
        .iter()
        .map(|entry| match &entry.event {
            HistoryEvent::Superseded(memory) => memory.content.as_str(),
            HistoryEvent::Updated(_) => "",
        })
        .collect();
    assert_eq!(texts, ["second", "first"]);
    assert_eq!(bank.statistics(&scope, after(0)).await.unwrap().memories, 2);
}

pub async fn a_history_is_bounded_and_the_oldest_goes(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !keeps_history(bank).await {
        return;
    }
    let memory = create(bank, &scope, new_memory("0")).await;
    for number in 1..=HistoryEntry::MAX_ENTRIES + 3 {
        change_text(bank, &scope, &memory.id, &number.to_string(), u64::try_from(number).unwrap()).await;
    }
    let kept = history(bank, &scope, &memory.id).await;
    assert_eq!(kept.len(), HistoryEntry::MAX_ENTRIES);
    assert_eq!((kept[0].at, kept.last().unwrap().at), (after(103), after(4)));
    if !supersedes(bank).await {
        return;
    }
    let mut last = create(bank, &scope, new_memory(&"\u{1}".repeat(Content::MAX))).await;
    for _ in 0..3 {
        last = create(bank, &scope, superseding(&last, &"\u{1}".repeat(Content::MAX))).await;
    }
    assert_eq!(history(bank, &scope, &last.id).await.len(), 2, "more would be too long");
}

pub async fn a_history_goes_with_its_memory_and_can_be_forgotten(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !keeps_history(bank).await {
        return;
    }
    let new = new_memory("old");
    let memory = create(bank, &scope, new.clone()).await;
    change_text(bank, &scope, &memory.id, "new", 1).await;
    let unknown = new_memory("x").id;
    for stranger in [scope_of_person(&scope), scope_limited_to(&scope, &["food"])] {
        assert!(!bank.forget_history(&stranger, &memory.id, after(1)).await.unwrap());
        assert_eq!(history(bank, &stranger, &memory.id).await, []);
    }
    assert!(!bank.forget_history(&scope, &unknown, after(1)).await.unwrap());
    assert_eq!(history(bank, &scope, &memory.id).await.len(), 1);
    assert!(bank.forget_history(&scope, &memory.id, after(1)).await.unwrap());
    assert!(fixture.other_instance().forget_history(&scope, &memory.id, after(1)).await.unwrap(), "it is there");
    assert_eq!(history(bank, &scope, &memory.id).await, []);
    assert_eq!(get(bank, &scope, &memory).await.unwrap().content, content("new"), "the memory stays");

    change_text(bank, &scope, &memory.id, "newer", 2).await;
    assert!(bank.delete(&scope, &memory.id).await.unwrap());
    create(bank, &scope, new).await;
    assert_eq!(history(bank, &scope, &memory.id).await, [], "a memory of the same ID does not inherit it");
}

pub async fn superseded_memories_are_shown_only_where_they_may_be_and_while_they_live(
    fixture: Fixture<dyn MemoryBank>,
) {
    let (bank, owner) = (fixture.port(), scope());
    if !supersedes(bank).await || !keeps_history(bank).await {
        return;
    }
    let secret = NewMemory { categories: categories(&["health", "food"]), ..new_memory("secret") };
    let secret = create(bank, &owner, secret).await;
    let new = NewMemory { expires_at: Some(after(5)), categories: categories(&["food"]), ..superseding(&secret, "b") };
    let passing = create(bank, &owner, new).await;
    let last = NewMemory { categories: categories(&["food"]), ..superseding(&passing, "c") };
    let last = create(bank, &owner, last).await;
    let limited = scope_limited_to(&owner, &["food"]);
    let count = async |scope: &MemoryScope, at: u64| {
        let histories = bank.histories(scope, std::slice::from_ref(&last.id), after(at)).await.unwrap();
        histories.entries.values().map(Vec::len).sum::<usize>()
    };
    assert_eq!([count(&owner, 4).await, count(&limited, 4).await], [2, 1]);
    assert_eq!([count(&owner, 5).await, count(&limited, 5).await], [1, 0]);
}

pub async fn a_memory_is_created_with_the_history_that_it_had(fixture: Fixture<dyn MemoryBank>) {
    let (bank, scope) = (fixture.port(), scope());
    if !keeps_history(bank).await {
        return;
    }
    let older = full_memory().into_memory();
    let event = HistoryEvent::Superseded(Box::new(older));
    let kept = vec![
        updated(&[MemoryMember::Metadata, MemoryMember::ExpiresAt], 7),
        HistoryEntry { at: after(3), by: Some(Actor::Person), event },
        HistoryEntry { by: None, ..updated(&[MemoryMember::Content], 1) },
    ];
    let many = NewMemory { history: vec![updated(&[MemoryMember::Content], 1); 150], ..new_memory("many") };
    let memories = [NewMemory { history: kept.clone(), ..new_memory("a") }, new_memory("b"), many];
    let ids = memories.clone().map(|memory| memory.id);
    let unknown = new_memory("x").id;
    bank.create_all(&scope, memories.to_vec()).await.unwrap();
    let asked = [ids.as_slice(), &[unknown]].concat();
    let histories = fixture.other_instance().histories(&scope, &asked, after(9)).await.unwrap();
    assert_eq!(histories.read, 4);
    let lengths: Vec<usize> = histories.entries.values().map(Vec::len).collect();
    assert_eq!((histories.entries.get(&ids[0]), lengths.len()), (Some(&kept), 2));
    assert_eq!(histories.entries[&ids[2]].len(), HistoryEntry::MAX_ENTRIES);
    change_text(bank, &scope, &ids[0], "c", 8).await;
    assert_eq!(history(bank, &scope, &ids[0]).await[1..], kept);
}
