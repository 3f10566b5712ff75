use std::time::Duration;

use serde_json::json;

use super::*;
use crate::applications::Application;
use crate::memories::NewMemory;
use crate::testing::{
    application, caller, caller_for, categories, content, context, metadata, new_memory, now, space, unique,
};

#[test]
fn content_is_kept_as_it_is_up_to_its_limit() {
    for text in ["x", "  spaces around \n", &"🦊".repeat(Content::MAX)] {
        assert_eq!(Content::try_from(text.to_owned()).unwrap().as_str(), text);
    }
    for text in ["", " \n ", "a\0b", &"x".repeat(Content::MAX + 1)] {
        assert_eq!(Content::try_from(text.to_owned()).unwrap_err().field(), "content");
    }
    assert_eq!(format!("{:?}", content("hush")), "Content(…)");
}

#[test]
fn categories_are_trimmed_lower_case_lines() {
    for (text, expected) in
        [("Food", "food"), ("  Née  ÄÖ ", "née  äö"), ("ΣΑΣ", "σας"), (&"x".repeat(64), &"x".repeat(64))]
    {
        let category: Category = text.parse().unwrap();
        assert_eq!(category.as_str(), expected);
        assert_eq!(category.to_string().parse(), Ok(category), "reading it again changes nothing");
    }
    for text in ["", "  ", "a\nb", "a\0", &"x".repeat(65)] {
        assert_eq!(text.parse::<Category>().unwrap_err().field(), "category", "{text:?}");
    }
}

#[test]
fn a_list_of_categories_drops_repetitions_and_names_the_bad_entry() {
    let list =
        |texts: &[&str]| Category::parse_list("categories", &texts.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(list(&["b", "A", "B ", "a"]).unwrap(), categories(&["b", "a"]), "the order is kept");
    assert_eq!(list(&[]).unwrap(), []);
    let error = list(&["a", "", "b"]).unwrap_err();
    assert_eq!(error.to_string(), "`categories[1]` must not be empty");
    let numbers: Vec<String> = (0..17).map(|number| number.to_string()).collect();
    assert_eq!(Category::parse_list("categories", &numbers[..16]).unwrap().len(), 16);
    let error = Category::parse_list("categories", &numbers).unwrap_err();
    assert_eq!(error.to_string(), "`categories` must have at most 16 entries");
}

#[test]
fn priorities_have_names_and_an_order() {
    for (priority, name) in [(Priority::Low, "low"), (Priority::Normal, "normal"), (Priority::High, "high")] {
        assert_eq!((priority.as_str(), name.parse()), (name, Ok(priority)));
    }
    assert!("High".parse::<Priority>().is_err());
    assert!(Priority::Low < Priority::Normal && Priority::Normal < Priority::High);
    assert_eq!(Priority::default(), Priority::Normal);
}

#[test]
fn changes_change_what_they_name_and_the_date() {
    let new = NewMemory {
        categories: categories(&["a"]),
        metadata: metadata(json!({"n": 1})).with_context(&context("g", "c")),
        expires_at: Some(now()),
        ..new_memory("before")
    };
    let before = new.clone().into_memory();
    assert_eq!((before.created_at, before.updated_at), (new.created_at, new.created_at));
    let later = now().plus(Duration::from_secs(1));
    let changed_before = NewMemory { updated_at: Some(later), ..new.clone() };
    assert_eq!(changed_before.clone().into_memory().updated_at, later);
    assert_eq!(NewMemory::from(changed_before.clone().into_memory()), changed_before);
    let before_creation = NewMemory { updated_at: Some(now().minus(Duration::from_secs(1))), ..new.clone() };
    assert_eq!(before_creation.updated(), now(), "nothing is changed before it is created");
    let changed = |changes: &MemoryChanges| {
        let mut memory = before.clone();
        changes.apply_to(&mut memory, later);
        memory
    };
    let none = MemoryChanges::default;
    assert!(none().is_empty());
    let untouched = Memory { updated_at: later, ..before.clone() };
    assert_eq!(changed(&none()), untouched);
    for (changes, expected) in [
        (
            MemoryChanges { content: Some(content("after")), ..none() },
            Memory { content: content("after"), ..untouched.clone() },
        ),
        (
            MemoryChanges { categories: Some(Vec::new()), ..none() },
            Memory { categories: Vec::new(), ..untouched.clone() },
        ),
        (
            MemoryChanges { metadata: Some(metadata(json!({"m": 2}))), ..none() },
            Memory { metadata: metadata(json!({"m": 2})).with_context(&context("g", "c")), ..untouched.clone() },
        ),
        (
            MemoryChanges { priority: Some(Priority::High), ..none() },
            Memory { priority: Priority::High, ..untouched.clone() },
        ),
        (MemoryChanges { expires_at: Some(None), ..none() }, Memory { expires_at: None, ..untouched.clone() }),
        (
            MemoryChanges { expires_at: Some(Some(later)), ..none() },
            Memory { expires_at: Some(later), ..untouched.clone() },
        ),
    ] {
        assert!(!changes.is_empty(), "{changes:?}");
        assert_eq!(changed(&changes), expected, "{changes:?}");
    }
}

#[test]
fn a_scope_is_the_space_the_person_and_the_categories_of_the_caller() {
    let limited = CategoryAccess::Only(categories(&["food"]).into_iter().collect());
    let application = Application { space: space("team"), categories: limited.clone(), ..application() };
    let own = MemoryScope::of(&caller(&application));
    assert_eq!((own.space(), own.person(), own.categories()), (&space("team"), None, &limited));
    assert_eq!(own, MemoryScope::of_application(&application));
    let user = UserId::from_uuid(unique());
    let personal = MemoryScope::of(&caller_for(&application, Subject::Person(user)));
    assert_eq!((personal.space(), personal.person(), personal.categories()), (&space("team"), Some(user), &limited));
    let stored = MemoryScope::from_stored(space("team"), Some(user));
    assert_eq!((stored.person(), stored.categories()), (Some(user), &CategoryAccess::All));
}

#[test]
fn no_two_scopes_share_a_tenant() {
    let user = UserId::from_uuid(unique());
    let own = MemoryScope::from_stored(space("team"), None);
    let personal = MemoryScope::from_stored(space("team"), Some(user));
    assert_eq!(own.tenant(), "team/app");
    assert_eq!(personal.tenant(), format!("team/user/{user}"), "and a slash cannot be part of a space's name");
}
