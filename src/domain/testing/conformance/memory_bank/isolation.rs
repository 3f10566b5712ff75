//! Who reaches which memories.

use super::{after, create, first_page, found, get, query, search, sorted};
use crate::applications::Application;
use crate::ids::MemoryId;
use crate::memories::{
    Admitted, ListQuery, Memory, MemoryBank, MemoryChanges, MemoryFilter, MemoryQuery, MemoryScope, NewMemory,
};
use crate::testing::conformance::Fixture;
use crate::testing::{
    application, caller, categories, content, new_memory, scope, scope_limited_to, scope_of_person, space, update,
};

fn in_space(name: &str) -> Admitted {
    Admitted::unchecked(MemoryScope::of(&caller(&Application { space: space(name), ..application() })))
}

/// Tries everything on `memory`, which `stranger` must not reach, and then looks whether its owner still has it.
async fn assert_out_of_reach(bank: &dyn MemoryBank, stranger: &MemoryScope, owner: &MemoryScope, memory: &Memory) {
    assert_eq!(get(bank, stranger, memory).await, None, "got");
    let results = bank.search(stranger, &query(memory.content.as_str())).await.unwrap();
    assert!(results.hits.iter().all(|hit| hit.memory.content != memory.content), "found");
    if bank.capabilities().list {
        let page = bank.list(stranger, &first_page(1_000)).await.unwrap();
        assert!(page.memories.iter().all(|listed| listed.content != memory.content), "listed");
    }
    if bank.capabilities().update {
        let content = Some(content("Overwritten by somebody else."));
        let changes = MemoryChanges { content, ..MemoryChanges::default() };
        assert_eq!(bank.update(stranger, &memory.id, &update(&changes, after(1))).await.unwrap(), None, "changed");
    }
    assert!(!bank.delete(stranger, &memory.id).await.unwrap(), "deleted");
    assert_eq!(get(bank, owner, memory).await.as_ref(), Some(memory), "its owner still has it as it was");
}

pub async fn another_space_sees_and_touches_nothing(fixture: Fixture<dyn MemoryBank>) {
    let (bank, owner, stranger) = (fixture.port(), scope(), scope());
    let memory = create(bank, &owner, new_memory("The spare key is under the fern.")).await;
    let own = create(bank, &stranger, new_memory("The spare key is at the neighbours.")).await;
    assert_out_of_reach(bank, &stranger, &owner, &memory).await;
    assert_out_of_reach(bank, &owner, &stranger, &own).await;
    assert_eq!(found(bank, &stranger, "Where is the spare key?").await, ["The spare key is at the neighbours."]);
    let total = bank.search(&stranger, &query("Where is the spare key?")).await.unwrap().total_found;
    assert_eq!(total, 1, "not even their number is told");
}

pub async fn another_person_sees_and_touches_nothing(fixture: Fixture<dyn MemoryBank>) {
    let (bank, shared) = (fixture.port(), scope());
    let (alice, bob) = (scope_of_person(&shared), scope_of_person(&shared));
    let memory = create(bank, &alice, new_memory("The spare key is under the fern.")).await;
    assert_out_of_reach(bank, &bob, &alice, &memory).await;
    assert!(get(bank, &alice, &memory).await.is_some());
}

pub async fn an_application_and_its_persons_see_and_touch_nothing_of_each_other(fixture: Fixture<dyn MemoryBank>) {
    let (bank, application) = (fixture.port(), scope());
    let person = scope_of_person(&application);
    let common = create(bank, &application, new_memory("The office closes at six.")).await;
    let private = create(bank, &person, new_memory("The spare key is under the fern.")).await;
    assert_out_of_reach(bank, &person, &application, &common).await;
    assert_out_of_reach(bank, &application, &person, &private).await;
}

pub async fn names_of_spaces_are_compared_to_the_letter(fixture: Fixture<dyn MemoryBank>) {
    let bank = fixture.port();
    let owner = in_space("team-1");
    let memory = create(bank, &owner, new_memory("The spare key is under the fern.")).await;
    for name in ["TEAM-1", "team_1", "team-", "team-10", "team-1.", "team.1"] {
        assert_out_of_reach(bank, &in_space(name), &owner, &memory).await;
    }
    assert_eq!(get(bank, &in_space("team-1"), &memory).await, Some(memory), "a shared space is shared");
}

async fn fill(bank: &dyn MemoryBank, scope: &Admitted) -> Vec<Memory> {
    let mut memories = Vec::new();
    for (text, names) in [
        ("marzipan without", &[][..]),
        ("marzipan allowed", &["food"]),
        ("marzipan both", &["food", "guests"]),
        ("marzipan mixed", &["food", "secret"]),
        ("marzipan secret", &["secret"]),
        ("marzipan similar", &["foo"]),
    ] {
        let new = NewMemory { categories: categories(names), ..new_memory(text) };
        memories.push(create(bank, scope, new).await);
    }
    memories
}

pub async fn only_memories_whose_categories_are_all_allowed_are_seen(fixture: Fixture<dyn MemoryBank>) {
    let (bank, everything) = (fixture.port(), scope());
    let memories = fill(bank, &everything).await;
    for (allowed, expected) in [
        (&["food", "guests"][..], &["marzipan allowed", "marzipan both"][..]),
        (&["food"], &["marzipan allowed"]),
        (&["guests"], &[]),
        (&["secret"], &["marzipan secret"]),
        (&[], &[]),
    ] {
        let limited = scope_limited_to(&everything, allowed);
        assert_eq!(sorted(found(bank, &limited, "marzipan").await), expected, "found, allowed {allowed:?}");
        let total = bank.search(&limited, &query("marzipan")).await.unwrap().total_found;
        assert_eq!(total, expected.len() as u64, "counted, allowed {allowed:?}");
        let mut got = Vec::new();
        for memory in &memories {
            got.extend(get(bank, &limited, memory).await.map(|memory| memory.content.as_str().to_owned()));
        }
        assert_eq!(got, expected, "got, allowed {allowed:?}");
        if bank.capabilities().list {
            let page = bank.list(&limited, &first_page(100)).await.unwrap();
            let listed = page.memories.iter().map(|memory| memory.content.as_str().to_owned()).collect();
            assert_eq!(sorted(listed), expected, "listed, allowed {allowed:?}");
        }
    }
}

pub async fn only_memories_whose_categories_are_all_allowed_are_touched(fixture: Fixture<dyn MemoryBank>) {
    let (bank, everything) = (fixture.port(), scope_of_person(&scope()));
    let memories = fill(bank, &everything).await;
    let limited = scope_limited_to(&everything, &["food", "guests"]);
    for memory in &memories {
        let allowed = limited.categories().allows(&memory.categories);
        if !allowed {
            assert_out_of_reach(bank, &limited, &everything, memory).await;
        }
        if bank.capabilities().update {
            let changes = MemoryChanges { content: Some(content("marzipan anew")), ..MemoryChanges::default() };
            let answer = bank.update(&limited, &memory.id, &update(&changes, after(1))).await.unwrap();
            assert_eq!(answer.is_some(), allowed, "{memory:?}");
        }
        assert_eq!(bank.delete(&limited, &memory.id).await.unwrap(), allowed, "{memory:?}");
    }
}

pub async fn filters_do_not_reach_beyond_the_allowed_categories(fixture: Fixture<dyn MemoryBank>) {
    let (bank, everything) = (fixture.port(), scope());
    fill(bank, &everything).await;
    let limited = scope_limited_to(&everything, &["food"]);
    let filter = MemoryFilter { categories: categories(&["secret", "guests"]), ..MemoryFilter::default() };
    assert!(search(bank, &limited, &MemoryQuery { filter, ..query("marzipan") }).await.is_empty());
    if bank.capabilities().list {
        for name in ["secret", "guests", "foo"] {
            let filter = MemoryFilter { categories: categories(&[name]), ..MemoryFilter::default() };
            let query = ListQuery { filter, ..first_page(100) };
            assert_eq!(bank.list(&limited, &query).await.unwrap().memories, [], "{name}");
        }
    }
    let unknown: MemoryId = new_memory("x").id;
    assert_eq!(bank.get(&limited, &unknown, after(1)).await.unwrap(), None);
}
