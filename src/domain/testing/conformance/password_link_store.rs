//! The contract of [`PasswordLinkStore`], together with the [`PersonRepository`] whose people have the links.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::people::{LinkPurpose, PasswordLink, PasswordLinkStore, Person, PersonRepository, SignInVersion};
use crate::testing::{now, password_link, person};

/// The links, and the people who have them.
pub struct Links {
    /// The people.
    pub people: Arc<dyn PersonRepository>,
    /// Their links.
    pub links: Arc<dyn PasswordLinkStore>,
}

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! password_link_store_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            password_link_store,
            $crate::testing::conformance::password_link_store::Links,
            $fixture,
            [
                a_link_comes_back_with_every_member,
                a_new_link_takes_the_place_of_the_one_before,
                nobody_who_is_not_there_gets_a_link,
                a_link_works_until_it_expires_and_no_longer,
                of_a_hundred_concurrent_callers_exactly_one_deletes_a_link,
                a_link_that_was_replaced_does_not_delete_its_successor,
                a_deleted_person_has_no_link_and_the_others_keep_theirs,
                of_a_hundred_concurrent_links_of_one_person_one_is_left,
                a_sweep_forgets_what_is_over_and_keeps_the_rest,
            ]
        );
    };
}

async fn somebody(links: &Links) -> Person {
    let person = person();
    links.people.create(&person).await.unwrap();
    person
}

async fn put(links: &Links, person: &Person) -> PasswordLink {
    let link = password_link(person).0;
    assert!(links.links.put(&link).await.unwrap());
    link
}

pub async fn a_link_comes_back_with_every_member(fixture: Fixture<Links>) {
    for purpose in [LinkPurpose::Invitation, LinkPurpose::Reset] {
        let person = somebody(fixture.port()).await;
        let full = PasswordLink {
            purpose,
            sign_in_version: SignInVersion::from_stored(u32::MAX),
            created_at: now().minus(Duration::from_millis(12_345)),
            expires_at: now().plus(Duration::from_millis(67_891)),
            ..password_link(&person).0
        };
        assert!(fixture.port().links.put(&full).await.unwrap());
        assert_eq!(fixture.other_instance().links.find(person.id, now()).await.unwrap(), Some(full));
    }
    let without = somebody(fixture.port()).await;
    assert_eq!(fixture.port().links.find(without.id, now()).await.unwrap(), None);
}

pub async fn a_new_link_takes_the_place_of_the_one_before(fixture: Fixture<Links>) {
    let person = somebody(fixture.port()).await;
    put(fixture.port(), &person).await;
    let second = put(fixture.other_instance(), &person).await;
    assert_eq!(fixture.port().links.find(person.id, now()).await.unwrap(), Some(second));
}

pub async fn nobody_who_is_not_there_gets_a_link(fixture: Fixture<Links>) {
    let nobody = person();
    assert!(!fixture.port().links.put(&password_link(&nobody).0).await.unwrap());
    assert_eq!(fixture.port().links.find(nobody.id, now()).await.unwrap(), None);
}

pub async fn a_link_works_until_it_expires_and_no_longer(fixture: Fixture<Links>) {
    let person = somebody(fixture.port()).await;
    let link = put(fixture.port(), &person).await;
    let last = link.expires_at.minus(Duration::from_millis(1));
    assert!(fixture.port().links.find(person.id, last).await.unwrap().is_some());
    assert!(fixture.port().links.find(person.id, link.expires_at).await.unwrap().is_none());
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_deletes_a_link(fixture: Fixture<Links>) {
    let person = somebody(fixture.port()).await;
    let link = put(fixture.port(), &person).await;
    let outcomes = fixture
        .together(100, move |_, links| {
            let link = link.clone();
            async move { links.links.delete(&link).await.unwrap() }
        })
        .await;
    assert_eq!(outcomes.iter().filter(|deleted| **deleted).count(), 1);
    assert_eq!(fixture.port().links.find(person.id, now()).await.unwrap(), None);
}

pub async fn a_link_that_was_replaced_does_not_delete_its_successor(fixture: Fixture<Links>) {
    let person = somebody(fixture.port()).await;
    let (first, second) = (put(fixture.port(), &person).await, put(fixture.port(), &person).await);
    assert!(!fixture.port().links.delete(&first).await.unwrap());
    assert_eq!(fixture.port().links.find(person.id, now()).await.unwrap(), Some(second));
}

pub async fn a_deleted_person_has_no_link_and_the_others_keep_theirs(fixture: Fixture<Links>) {
    let (person, bystander) = (somebody(fixture.port()).await, somebody(fixture.port()).await);
    put(fixture.port(), &person).await;
    let kept = put(fixture.port(), &bystander).await;
    assert!(fixture.port().people.delete(person.id).await.unwrap());
    assert_eq!(fixture.port().links.find(person.id, now()).await.unwrap(), None);
    assert_eq!(fixture.port().links.find(bystander.id, now()).await.unwrap(), Some(kept));
}

pub async fn of_a_hundred_concurrent_links_of_one_person_one_is_left(fixture: Fixture<Links>) {
    let person = somebody(fixture.port()).await;
    let id = person.id;
    let made = fixture
        .together(100, move |_, links| {
            let link = password_link(&person).0;
            async move {
                assert!(links.links.put(&link).await.unwrap());
                link
            }
        })
        .await;
    let left = fixture.port().links.find(id, now()).await.unwrap().expect("one of them");
    assert!(made.contains(&left));
}

pub async fn a_sweep_forgets_what_is_over_and_keeps_the_rest(fixture: Fixture<Links>) {
    let mut people = Vec::new();
    for expires_at in [now().minus(Duration::from_millis(1)), now().minus(Duration::from_millis(2)), now()] {
        let person = somebody(fixture.port()).await;
        let link = PasswordLink { expires_at, ..password_link(&person).0 };
        assert!(fixture.port().links.put(&link).await.unwrap());
        people.push(person.id);
    }
    let links = &fixture.port().links;
    assert_eq!([links.sweep(now(), 1).await.unwrap(), links.sweep(now(), 10).await.unwrap()], [1, 1]);
    assert_eq!(links.sweep(now(), 10).await.unwrap(), 0);
    let earlier = now().minus(Duration::from_hours(1));
    let mut left = Vec::new();
    for person in people {
        left.push(links.find(person, earlier).await.unwrap().is_some());
    }
    assert_eq!(left, [false, false, true]);
}
