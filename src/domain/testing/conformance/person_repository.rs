//! The contract of [`PersonRepository`]. That sessions are deleted with their person is in the suite of the
//! [`SessionStore`](super::session_store).

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::applications::SecretHash;
use crate::ids::UserId;
use crate::people::{
    Account, CreatePersonError, ExternalIdentity, ExternalUser, Login, Person, PersonRepository, SignInVersion,
};
use crate::system::Timestamp;
use crate::testing::{external_person, now, person, unique};

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! person_repository_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            person_repository,
            dyn $crate::people::PersonRepository,
            $fixture,
            [
                a_local_person_comes_back_with_every_member,
                an_external_person_comes_back_with_every_member,
                an_unknown_person_is_none,
                a_login_is_found_to_the_letter,
                an_id_is_taken_once,
                a_login_is_taken_once,
                an_external_identity_is_taken_once,
                two_people_may_be_shown_as_the_same,
                of_a_hundred_concurrent_callers_exactly_one_creates_a_login,
                an_external_user_is_stored_enabled,
                somebody_who_comes_again_is_the_same_person,
                somebody_who_comes_again_gets_the_label_of_today,
                somebody_who_comes_again_stays_disabled,
                a_subject_of_another_issuer_is_somebody_else,
                a_hundred_concurrent_first_visits_of_one_identity_are_one_person,
                a_hundred_concurrent_first_visits_of_different_identities_are_a_hundred_people,
                people_are_listed_in_pages_in_the_order_of_their_ids,
                disabling_and_enabling_change_nothing_else,
                a_new_password_replaces_the_old_one_and_nothing_else,
                a_password_is_changed_only_under_the_version_that_was_verified,
                of_a_hundred_concurrent_changes_of_a_password_exactly_one_succeeds,
                an_external_person_has_no_password_to_replace,
                a_renewed_hash_replaces_the_one_that_was_verified_and_no_other,
                an_unknown_person_cannot_be_changed,
                a_deleted_person_is_gone_and_the_others_stay,
                the_login_and_the_identity_of_a_deleted_person_are_free_again,
            ]
        );
    };
}

fn later(millis: u64) -> Timestamp {
    now().plus(Duration::from_millis(millis))
}

fn local(login: &str) -> Person {
    let password = SecretHash::from_stored("$2b$04$ with ' \" and 日本".to_owned());
    Person { account: Account::Local { login: login.parse().unwrap(), password }, ..person() }
}

fn external(issuer: &str, subject: &str, label: &str) -> Person {
    let identity = ExternalIdentity::new(issuer, subject).unwrap();
    Person { account: Account::External { identity, label: label.parse().unwrap() }, ..person() }
}

fn login_of(person: &Person) -> &Login {
    let Account::Local { login, .. } = &person.account else { panic!("a local person has a login") };
    login
}

/// A first visit of somebody who has the account of `person`, under an id of its own.
fn visit(person: &Person) -> ExternalUser {
    let Account::External { identity, label } = &person.account else { panic!("a user is external") };
    ExternalUser { id: UserId::from_uuid(unique()), identity: identity.clone(), label: label.clone(), at: now() }
}

async fn created(repository: &dyn PersonRepository, person: Person) -> Person {
    repository.create(&person).await.unwrap();
    person
}

async fn found(repository: &dyn PersonRepository, id: UserId) -> Person {
    repository.find(id).await.unwrap().expect("the person is there")
}

async fn assert_exists(repository: &dyn PersonRepository, person: &Person) {
    let refused = repository.create(person).await;
    assert!(matches!(refused, Err(CreatePersonError::Exists)), "{refused:?}");
}

pub async fn a_local_person_comes_back_with_every_member(fixture: Fixture<dyn PersonRepository>) {
    let full = Person {
        enabled: false,
        sign_in_version: SignInVersion::from_stored(u32::MAX),
        created_at: now().minus(Duration::from_millis(12_345)),
        updated_at: later(1),
        ..local(&format!("a.b_c-d+e@{}", "x".repeat(244)))
    };
    let full = created(fixture.port(), full).await;
    assert_eq!(found(fixture.other_instance(), full.id).await, full);
    assert_eq!(fixture.port().find_by_login(login_of(&full)).await.unwrap().as_ref(), Some(&full));
    assert_eq!(fixture.port().list(None, 10).await.unwrap(), [full]);
}

pub async fn an_external_person_comes_back_with_every_member(fixture: Fixture<dyn PersonRepository>) {
    // As long as they may be, and of characters that do not repeat, so that no index can shorten them.
    let varied: String = (0..80).map(|_| unique().simple().to_string()).collect();
    let issuer = format!("https://id.example/{}", &varied[..2029]);
    let full = Person {
        enabled: false,
        sign_in_version: SignInVersion::from_stored(u32::MAX),
        created_at: now().minus(Duration::from_millis(12_345)),
        updated_at: later(1),
        ..external(&issuer, &varied[..255], "Marta „Zürich“ 🦊 ' \" \\ %")
    };
    let full = created(fixture.port(), full).await;
    assert_eq!(found(fixture.other_instance(), full.id).await, full);
    assert_eq!(fixture.port().find_or_create(&visit(&full)).await.unwrap(), full);
    assert_eq!(fixture.port().list(None, 10).await.unwrap(), [full]);
}

pub async fn an_unknown_person_is_none(fixture: Fixture<dyn PersonRepository>) {
    created(fixture.port(), person()).await;
    assert_eq!(fixture.port().find(UserId::from_uuid(unique())).await.unwrap(), None);
}

pub async fn a_login_is_found_to_the_letter(fixture: Fixture<dyn PersonRepository>) {
    let marta = created(fixture.port(), local("marta_m")).await;
    for other in ["marta", "martaxm", "marta_", "marta_m2"] {
        assert_eq!(fixture.port().find_by_login(&other.parse().unwrap()).await.unwrap(), None, "{other}");
    }
    let found = fixture.other_instance().find_by_login(&"marta_m".parse().unwrap()).await.unwrap();
    assert_eq!(found, Some(marta));
    // The label of an external account is no login.
    created(fixture.port(), external("https://id.example", "1", "jan")).await;
    assert_eq!(fixture.port().find_by_login(&"jan".parse().unwrap()).await.unwrap(), None);
}

pub async fn an_id_is_taken_once(fixture: Fixture<dyn PersonRepository>) {
    let first = created(fixture.port(), person()).await;
    assert_exists(fixture.port(), &Person { id: first.id, ..person() }).await;
    assert_exists(fixture.other_instance(), &Person { id: first.id, ..external_person() }).await;
    assert_eq!(fixture.port().list(None, 10).await.unwrap(), [first]);
}

pub async fn a_login_is_taken_once(fixture: Fixture<dyn PersonRepository>) {
    let first = created(fixture.port(), local("marta")).await;
    assert_exists(fixture.other_instance(), &local("marta")).await;
    assert_eq!(fixture.port().list(None, 10).await.unwrap(), [first]);
}

pub async fn an_external_identity_is_taken_once(fixture: Fixture<dyn PersonRepository>) {
    let first = created(fixture.port(), external("https://id.example", "1", "marta")).await;
    assert_exists(fixture.other_instance(), &external("https://id.example", "1", "jan")).await;
    assert_eq!(fixture.port().list(None, 10).await.unwrap(), [first]);
}

pub async fn two_people_may_be_shown_as_the_same(fixture: Fixture<dyn PersonRepository>) {
    created(fixture.port(), local("marta")).await;
    created(fixture.port(), external("https://id.example", "1", "marta")).await;
    created(fixture.port(), external("https://id.example", "2", "marta")).await;
    assert_eq!(fixture.port().list(None, 10).await.unwrap().len(), 3);
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_creates_a_login(fixture: Fixture<dyn PersonRepository>) {
    let people: Arc<Vec<Person>> = Arc::new((0..100).map(|_| local("marta")).collect());
    let answers = fixture
        .together(people.len(), |number, repository| {
            let people = Arc::clone(&people);
            async move {
                match repository.create(&people[number]).await {
                    Ok(()) => true,
                    Err(CreatePersonError::Exists) => false,
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await;
    assert_eq!(answers.iter().filter(|created| **created).count(), 1);
    let winner = answers.iter().position(|created| *created).unwrap();
    assert_eq!(fixture.port().list(None, 200).await.unwrap(), [people[winner].clone()]);
}

pub async fn an_external_user_is_stored_enabled(fixture: Fixture<dyn PersonRepository>) {
    let external_user = visit(&external_person());
    let stored = fixture.port().find_or_create(&external_user).await.unwrap();
    let account = Account::External { identity: external_user.identity, label: external_user.label };
    let sign_in_version = SignInVersion::default();
    let expected =
        Person { id: external_user.id, account, enabled: true, sign_in_version, created_at: now(), updated_at: now() };
    assert_eq!(stored, expected);
    assert_eq!(found(fixture.other_instance(), external_user.id).await, expected);
}

pub async fn somebody_who_comes_again_is_the_same_person(fixture: Fixture<dyn PersonRepository>) {
    let first = visit(&external_person());
    let person = fixture.port().find_or_create(&first).await.unwrap();
    let again = ExternalUser { id: UserId::from_uuid(unique()), at: later(5), ..first };
    let same = fixture.other_instance().find_or_create(&again).await.unwrap();
    assert_eq!(same, person, "a visit alone changes nothing, not even the time of the last change");
    assert_eq!(fixture.port().list(None, 10).await.unwrap(), [person]);
}

pub async fn somebody_who_comes_again_gets_the_label_of_today(fixture: Fixture<dyn PersonRepository>) {
    let first = visit(&external_person());
    let person = fixture.port().find_or_create(&first).await.unwrap();
    let again = ExternalUser {
        id: UserId::from_uuid(unique()),
        label: "new@example.com".parse().unwrap(),
        at: later(5),
        ..first
    };
    let account = Account::External { identity: again.identity.clone(), label: again.label.clone() };
    let expected = Person { account, updated_at: again.at, ..person };
    assert_eq!(fixture.port().find_or_create(&again).await.unwrap(), expected);
    assert_eq!(found(fixture.other_instance(), expected.id).await, expected);
}

pub async fn somebody_who_comes_again_stays_disabled(fixture: Fixture<dyn PersonRepository>) {
    let disabled = created(fixture.port(), Person { enabled: false, ..external_person() }).await;
    let again = ExternalUser { label: "new@example.com".parse().unwrap(), ..visit(&disabled) };
    assert!(!fixture.port().find_or_create(&again).await.unwrap().enabled);
}

pub async fn a_subject_of_another_issuer_is_somebody_else(fixture: Fixture<dyn PersonRepository>) {
    let visits = [
        external("https://id.example", "1", "marta"),
        external("https://id.example/", "1", "marta"),
        external("https://id.example", "11", "marta"),
        external("https://id.example", "A", "marta"),
        external("https://id.example", "a", "marta"),
    ];
    for somebody in &visits {
        let external_user = visit(somebody);
        assert_eq!(fixture.port().find_or_create(&external_user).await.unwrap().id, external_user.id);
    }
    assert_eq!(fixture.port().list(None, 10).await.unwrap().len(), visits.len());
}

pub async fn a_hundred_concurrent_first_visits_of_one_identity_are_one_person(fixture: Fixture<dyn PersonRepository>) {
    let first = visit(&external_person());
    let people = fixture
        .together(100, |number, repository| {
            let at = later(number.try_into().unwrap());
            let external_user = ExternalUser { id: UserId::from_uuid(unique()), at, ..first.clone() };
            async move { repository.find_or_create(&external_user).await.unwrap() }
        })
        .await;
    assert!(people.iter().all(|person| *person == people[0]));
    assert_eq!(fixture.port().list(None, 200).await.unwrap(), people[..1]);
}

pub async fn a_hundred_concurrent_first_visits_of_different_identities_are_a_hundred_people(
    fixture: Fixture<dyn PersonRepository>,
) {
    let mut people = fixture
        .together(
            100,
            |_, repository| async move { repository.find_or_create(&visit(&external_person())).await.unwrap() },
        )
        .await;
    people.sort_by_key(|person| person.id);
    assert_eq!(fixture.port().list(None, 200).await.unwrap(), people);
}

pub async fn people_are_listed_in_pages_in_the_order_of_their_ids(fixture: Fixture<dyn PersonRepository>) {
    let mut ids = Vec::new();
    for number in 0..7 {
        let somebody = if number % 2 == 0 { person() } else { external_person() };
        ids.push(created(fixture.port(), somebody).await.id);
    }
    ids.sort_unstable();
    let mut listed: Vec<UserId> = Vec::new();
    for expected in [3, 3, 1, 0] {
        let page = fixture.other_instance().list(listed.last().copied(), 3).await.unwrap();
        assert_eq!(page.len(), expected);
        listed.extend(page.iter().map(|person| person.id));
    }
    assert_eq!(listed, ids);
}

pub async fn disabling_and_enabling_change_nothing_else(fixture: Fixture<dyn PersonRepository>) {
    for somebody in [person(), external_person()] {
        let somebody = created(fixture.port(), somebody).await;
        let bystander = created(fixture.port(), person()).await;
        for (enabled, at) in [(false, later(1)), (true, later(2))] {
            assert!(fixture.port().set_enabled(somebody.id, enabled, at).await.unwrap());
            // Disabling begins a new version, and enabling does not.
            let sign_in_version = somebody.sign_in_version.next();
            let expected = Person { enabled, sign_in_version, updated_at: at, ..somebody.clone() };
            assert_eq!(fixture.port().is_enabled(somebody.id).await.unwrap(), enabled);
            assert_eq!(found(fixture.other_instance(), somebody.id).await, expected);
        }
        assert_eq!(found(fixture.port(), bystander.id).await, bystander);
    }
}

pub async fn a_new_password_replaces_the_old_one_and_nothing_else(fixture: Fixture<dyn PersonRepository>) {
    let marta = created(fixture.port(), local("marta")).await;
    let bystander = created(fixture.port(), person()).await;
    let password = SecretHash::from_stored("another hash".to_owned());
    assert!(fixture.port().set_password(marta.id, &password, later(1)).await.unwrap());
    let account = Account::Local { login: login_of(&marta).clone(), password };
    let sign_in_version = marta.sign_in_version.next();
    let expected = Person { account, sign_in_version, updated_at: later(1), ..marta };
    assert_eq!(found(fixture.other_instance(), expected.id).await, expected);
    assert_eq!(found(fixture.port(), bystander.id).await, bystander);
}

pub async fn a_password_is_changed_only_under_the_version_that_was_verified(fixture: Fixture<dyn PersonRepository>) {
    let marta = created(fixture.port(), local("marta")).await;
    let external = created(fixture.port(), external_person()).await;
    let [new, late] = ["new", "late"].map(|text| SecretHash::from_stored(text.to_owned()));
    let (repository, verified) = (fixture.port(), marta.sign_in_version);
    assert!(repository.change_password(marta.id, verified, &new, later(1)).await.unwrap());
    assert!(!fixture.other_instance().change_password(marta.id, verified, &late, later(2)).await.unwrap());
    assert!(!repository.change_password(external.id, external.sign_in_version, &late, later(2)).await.unwrap());
    assert!(!repository.change_password(UserId::from_uuid(unique()), verified, &late, later(2)).await.unwrap());
    let account = Account::Local { login: login_of(&marta).clone(), password: new };
    let expected = Person { account, sign_in_version: verified.next(), updated_at: later(1), ..marta };
    assert_eq!(found(fixture.other_instance(), expected.id).await, expected);
}

pub async fn of_a_hundred_concurrent_changes_of_a_password_exactly_one_succeeds(
    fixture: Fixture<dyn PersonRepository>,
) {
    let marta = created(fixture.port(), local("marta")).await;
    let (id, verified) = (marta.id, marta.sign_in_version);
    let changes = (0..100).map(|number| {
        let repository = if number % 2 == 0 { fixture.port() } else { fixture.other_instance() };
        async move {
            let password = SecretHash::from_stored(format!("hash {number}"));
            repository.change_password(id, verified, &password, later(1)).await.unwrap()
        }
    });
    let outcomes = futures_util::future::join_all(changes).await;
    assert_eq!(outcomes.into_iter().filter(|succeeded| *succeeded).count(), 1);
}

pub async fn an_external_person_has_no_password_to_replace(fixture: Fixture<dyn PersonRepository>) {
    let external = created(fixture.port(), external_person()).await;
    let password = SecretHash::from_stored("a hash".to_owned());
    assert!(!fixture.port().set_password(external.id, &password, later(1)).await.unwrap());
    assert_eq!(found(fixture.port(), external.id).await, external);
}

pub async fn a_renewed_hash_replaces_the_one_that_was_verified_and_no_other(fixture: Fixture<dyn PersonRepository>) {
    let marta = created(fixture.port(), local("marta")).await;
    let external = created(fixture.port(), external_person()).await;
    let Account::Local { login, password: verified } = marta.account.clone() else { panic!("a local account") };
    let [renewed, late] = ["renewed", "late"].map(|text| SecretHash::from_stored(text.to_owned()));
    assert!(fixture.port().renew_password_hash(marta.id, &verified, &renewed).await.unwrap());
    assert!(!fixture.other_instance().renew_password_hash(marta.id, &verified, &late).await.unwrap());
    assert!(!fixture.port().renew_password_hash(external.id, &verified, &late).await.unwrap());
    assert!(!fixture.port().renew_password_hash(UserId::from_uuid(unique()), &verified, &late).await.unwrap());
    let expected = Person { account: Account::Local { login, password: renewed }, ..marta };
    assert_eq!(found(fixture.other_instance(), expected.id).await, expected);
}

pub async fn an_unknown_person_cannot_be_changed(fixture: Fixture<dyn PersonRepository>) {
    let (repository, unknown) = (fixture.port(), UserId::from_uuid(unique()));
    assert!(!repository.set_enabled(unknown, false, now()).await.unwrap());
    assert!(!repository.set_password(unknown, &SecretHash::from_stored("a hash".to_owned()), now()).await.unwrap());
    assert!(!repository.delete(unknown).await.unwrap());
    assert_eq!(repository.list(None, 10).await.unwrap(), []);
}

pub async fn a_deleted_person_is_gone_and_the_others_stay(fixture: Fixture<dyn PersonRepository>) {
    let marta = created(fixture.port(), local("marta")).await;
    let bystander = created(fixture.port(), person()).await;
    assert!(fixture.port().delete(marta.id).await.unwrap());
    assert!(!fixture.other_instance().delete(marta.id).await.unwrap());
    assert_eq!(fixture.other_instance().find(marta.id).await.unwrap(), None);
    assert_eq!(fixture.port().find_by_login(login_of(&marta)).await.unwrap(), None);
    assert_eq!(fixture.port().list(None, 10).await.unwrap(), [bystander]);
}

pub async fn the_login_and_the_identity_of_a_deleted_person_are_free_again(fixture: Fixture<dyn PersonRepository>) {
    let local_person = created(fixture.port(), local("marta")).await;
    let external_person = created(fixture.port(), external_person()).await;
    for gone in [local_person.id, external_person.id] {
        assert!(fixture.port().delete(gone).await.unwrap());
    }
    created(fixture.port(), local("marta")).await;
    let external_user = visit(&external_person);
    assert_eq!(fixture.port().find_or_create(&external_user).await.unwrap().id, external_user.id);
}
