//! The contract of [`PasskeyRepository`], together with the [`PersonRepository`] whose people have the passkeys.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::ids::PasskeyId;
use crate::people::{
    Account, AddPasskeyError, Passkey, PasskeyRepository, Person, PersonRepository, SpentChallenge, StoredCredential,
};
use crate::system::Timestamp;
use crate::testing::{now, passkey, person, unique};

/// The passkeys, and the people who have them.
pub struct Passkeys {
    /// The people.
    pub people: Arc<dyn PersonRepository>,
    /// Their passkeys.
    pub passkeys: Arc<dyn PasskeyRepository>,
}

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! passkey_repository_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            passkey_repository,
            $crate::testing::conformance::passkey_repository::Passkeys,
            $fixture,
            [
                a_passkey_comes_back_with_every_member,
                the_passkeys_of_a_person_are_listed_from_the_oldest,
                a_credential_is_of_one_person_only,
                nobody_who_is_not_there_gets_a_passkey,
                of_a_hundred_concurrent_passkeys_of_one_person_no_more_are_stored_than_there_can_be,
                of_a_hundred_concurrent_callers_exactly_one_adds_a_credential,
                a_use_is_recorded_with_the_renewed_credential,
                of_a_hundred_concurrent_uses_exactly_one_renews_a_credential,
                a_passkey_that_was_removed_is_not_used,
                nobody_removes_a_passkey_of_somebody_else,
                a_deleted_person_has_no_passkeys_and_the_others_keep_theirs,
                a_new_password_and_a_disabled_account_keep_the_passkeys,
                of_a_hundred_concurrent_callers_exactly_one_spends_a_challenge,
                a_sweep_forgets_the_challenges_that_are_over_and_keeps_the_rest,
            ]
        );
    };
}

async fn somebody(passkeys: &Passkeys) -> Person {
    let person = person();
    passkeys.people.create(&person).await.unwrap();
    person
}

async fn add(passkeys: &Passkeys, person: &Person) -> Passkey {
    let passkey = passkey(person);
    passkeys.passkeys.add(&passkey).await.unwrap();
    passkey
}

fn credential(text: &str) -> StoredCredential {
    StoredCredential::new(text.to_owned()).unwrap()
}

pub async fn a_passkey_comes_back_with_every_member(fixture: Fixture<Passkeys>) {
    let person = somebody(fixture.port()).await;
    let longest: Vec<u8> = (0..1023).map(|byte: u16| byte.to_be_bytes()[1]).collect();
    let full = Passkey {
        credential_id: longest.try_into().unwrap(),
        name: "Martas Schlüssel 🔑".parse().unwrap(),
        credential: credential(r#"{"cred":"ä"}"#),
        created_at: now().minus(Duration::from_millis(12_345)),
        last_used_at: Some(now().plus(Duration::from_millis(67_891))),
        ..passkey(&person)
    };
    fixture.port().passkeys.add(&full).await.unwrap();
    let unused = add(fixture.port(), &person).await;
    for added in [full, unused] {
        let found = fixture.other_instance().passkeys.find(&added.credential_id).await.unwrap();
        assert_eq!(found, Some(added));
    }
    let unknown = passkey(&person).credential_id;
    assert_eq!(fixture.port().passkeys.find(&unknown).await.unwrap(), None);
}

pub async fn the_passkeys_of_a_person_are_listed_from_the_oldest(fixture: Fixture<Passkeys>) {
    let (person, other) = (somebody(fixture.port()).await, somebody(fixture.port()).await);
    add(fixture.port(), &other).await;
    let mut added = Vec::new();
    for age in [2, 3, 1] {
        let new = Passkey { created_at: now().minus(Duration::from_millis(age)), ..passkey(&person) };
        fixture.port().passkeys.add(&new).await.unwrap();
        added.push(new);
    }
    added.sort_by_key(|passkey| passkey.created_at);
    assert_eq!(fixture.other_instance().passkeys.list_by_person(person.id).await.unwrap(), added);
    assert_eq!(fixture.port().passkeys.list_by_person(crate::testing::person().id).await.unwrap(), []);
}

pub async fn a_credential_is_of_one_person_only(fixture: Fixture<Passkeys>) {
    let (person, other) = (somebody(fixture.port()).await, somebody(fixture.port()).await);
    let first = add(fixture.port(), &person).await;
    for same in [
        Passkey { credential_id: first.credential_id.clone(), ..passkey(&other) },
        Passkey { credential_id: first.credential_id.clone(), ..passkey(&person) },
        Passkey { id: first.id, ..passkey(&other) },
    ] {
        let refused = fixture.other_instance().passkeys.add(&same).await;
        assert!(matches!(refused, Err(AddPasskeyError::Exists)), "{refused:?}");
    }
    assert_eq!(fixture.port().passkeys.find(&first.credential_id).await.unwrap(), Some(first));
}

pub async fn nobody_who_is_not_there_gets_a_passkey(fixture: Fixture<Passkeys>) {
    let of_nobody = passkey(&person());
    let refused = fixture.port().passkeys.add(&of_nobody).await;
    assert!(matches!(refused, Err(AddPasskeyError::TooMany)), "{refused:?}");
    assert_eq!(fixture.port().passkeys.find(&of_nobody.credential_id).await.unwrap(), None);
}

pub async fn of_a_hundred_concurrent_passkeys_of_one_person_no_more_are_stored_than_there_can_be(
    fixture: Fixture<Passkeys>,
) {
    let person = somebody(fixture.port()).await;
    let id = person.id;
    let outcomes = fixture
        .together(100, move |_, passkeys| {
            let passkey = passkey(&person);
            async move { passkeys.passkeys.add(&passkey).await }
        })
        .await;
    let most = usize::try_from(Passkey::MAX_PER_PERSON).unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), most);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(AddPasskeyError::TooMany))), "{outcomes:?}");
    let stored = fixture.port().passkeys.list_by_person(id).await.unwrap();
    assert_eq!(stored.len(), most);
    assert!(fixture.port().passkeys.remove(id, stored[0].id).await.unwrap());
    let one_more = Passkey { person: id, ..passkey(&crate::testing::person()) };
    fixture.port().passkeys.add(&one_more).await.unwrap();
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_adds_a_credential(fixture: Fixture<Passkeys>) {
    let people = [somebody(fixture.port()).await, somebody(fixture.port()).await];
    let credential_id = passkey(&people[0]).credential_id;
    let outcomes = fixture
        .together(100, move |number, passkeys| {
            let passkey = Passkey { credential_id: credential_id.clone(), ..passkey(&people[number % 2]) };
            async move { passkeys.passkeys.add(&passkey).await }
        })
        .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(AddPasskeyError::Exists))), "{outcomes:?}");
}

pub async fn a_use_is_recorded_with_the_renewed_credential(fixture: Fixture<Passkeys>) {
    let person = somebody(fixture.port()).await;
    let first = add(fixture.port(), &person).await;
    let at = now().plus(Duration::from_secs(7));
    assert!(fixture.port().passkeys.record_use(&first, &credential("1"), at).await.unwrap());
    let used = Passkey { credential: credential("1"), last_used_at: Some(at), ..first.clone() };
    assert_eq!(fixture.other_instance().passkeys.find(&first.credential_id).await.unwrap(), Some(used.clone()));
    assert!(!fixture.port().passkeys.record_use(&first, &credential("2"), at).await.unwrap(), "it is another by now");
    // An authenticator without a counter leaves the credential as it is.
    let later = at.plus(Duration::from_secs(1));
    assert!(fixture.port().passkeys.record_use(&used, &used.credential, later).await.unwrap());
    let found = fixture.port().passkeys.find(&first.credential_id).await.unwrap().unwrap();
    assert_eq!((found.credential, found.last_used_at), (credential("1"), Some(later)));
}

pub async fn of_a_hundred_concurrent_uses_exactly_one_renews_a_credential(fixture: Fixture<Passkeys>) {
    let person = somebody(fixture.port()).await;
    let passkey = add(fixture.port(), &person).await;
    let outcomes = fixture
        .together(100, move |number, passkeys| {
            let (passkey, renewed) = (passkey.clone(), credential(&(number + 1).to_string()));
            async move { passkeys.passkeys.record_use(&passkey, &renewed, now()).await.unwrap() }
        })
        .await;
    assert_eq!(outcomes.iter().filter(|recorded| **recorded).count(), 1);
}

pub async fn a_passkey_that_was_removed_is_not_used(fixture: Fixture<Passkeys>) {
    let person = somebody(fixture.port()).await;
    let (removed, kept) = (add(fixture.port(), &person).await, add(fixture.port(), &person).await);
    assert!(fixture.other_instance().passkeys.remove(person.id, removed.id).await.unwrap());
    assert!(!fixture.port().passkeys.remove(person.id, removed.id).await.unwrap());
    assert_eq!(fixture.port().passkeys.find(&removed.credential_id).await.unwrap(), None);
    assert!(!fixture.port().passkeys.record_use(&removed, &removed.credential, now()).await.unwrap());
    assert_eq!(fixture.port().passkeys.list_by_person(person.id).await.unwrap(), [kept]);
}

pub async fn nobody_removes_a_passkey_of_somebody_else(fixture: Fixture<Passkeys>) {
    let (person, other) = (somebody(fixture.port()).await, somebody(fixture.port()).await);
    let passkey = add(fixture.port(), &person).await;
    assert!(!fixture.port().passkeys.remove(other.id, passkey.id).await.unwrap());
    assert!(!fixture.port().passkeys.remove(person.id, PasskeyId::from_uuid(unique())).await.unwrap());
    assert_eq!(fixture.port().passkeys.list_by_person(person.id).await.unwrap(), [passkey]);
}

pub async fn a_deleted_person_has_no_passkeys_and_the_others_keep_theirs(fixture: Fixture<Passkeys>) {
    let (person, bystander) = (somebody(fixture.port()).await, somebody(fixture.port()).await);
    let passkey = add(fixture.port(), &person).await;
    let kept = add(fixture.port(), &bystander).await;
    assert!(fixture.port().people.delete(person.id).await.unwrap());
    assert_eq!(fixture.port().passkeys.find(&passkey.credential_id).await.unwrap(), None);
    assert_eq!(fixture.port().passkeys.list_by_person(person.id).await.unwrap(), []);
    assert_eq!(fixture.port().passkeys.list_by_person(bystander.id).await.unwrap(), [kept]);
}

pub async fn a_new_password_and_a_disabled_account_keep_the_passkeys(fixture: Fixture<Passkeys>) {
    let person = somebody(fixture.port()).await;
    let passkey = add(fixture.port(), &person).await;
    let Account::Local { password, .. } = &person.account else { panic!("it is local") };
    assert!(fixture.port().people.set_password(person.id, password, now()).await.unwrap());
    assert!(fixture.port().people.set_enabled(person.id, false, now()).await.unwrap());
    assert_eq!(fixture.port().passkeys.list_by_person(person.id).await.unwrap(), [passkey]);
}

fn spent(expires_at: Timestamp) -> SpentChallenge {
    let id = *unique().as_bytes();
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&id);
    digest[16..].copy_from_slice(&id);
    SpentChallenge { digest, expires_at }
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_spends_a_challenge(fixture: Fixture<Passkeys>) {
    let challenge = spent(now().plus(Duration::from_mins(5)));
    let outcomes = fixture
        .together(100, move |_, passkeys| {
            let challenge = challenge.clone();
            async move { passkeys.passkeys.spend(&challenge).await.unwrap() }
        })
        .await;
    assert_eq!(outcomes.iter().filter(|first| **first).count(), 1);
    assert!(fixture.port().passkeys.spend(&spent(now())).await.unwrap());
}

pub async fn a_sweep_forgets_the_challenges_that_are_over_and_keeps_the_rest(fixture: Fixture<Passkeys>) {
    let challenges = [now().minus(Duration::from_millis(1)), now().minus(Duration::from_millis(2)), now()].map(spent);
    let passkeys = &fixture.port().passkeys;
    for challenge in &challenges {
        assert!(passkeys.spend(challenge).await.unwrap());
    }
    assert_eq!([passkeys.sweep(now(), 1).await.unwrap(), passkeys.sweep(now(), 10).await.unwrap()], [1, 1]);
    assert_eq!(passkeys.sweep(now(), 10).await.unwrap(), 0);
    let mut forgotten = Vec::new();
    for challenge in &challenges {
        forgotten.push(passkeys.spend(challenge).await.unwrap());
    }
    assert_eq!(forgotten, [true, true, false]);
}
