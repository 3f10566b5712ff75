//! The contract of [`SessionStore`], together with the [`PersonRepository`] whose people have the sessions.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::applications::SecretHash;
use crate::ids::UserId;
use crate::people::{Person, PersonRepository, Session, SessionStore};
use crate::system::Timestamp;
use crate::testing::{now, person, session, unique};

/// The sessions, and the people who have them.
pub struct Accounts {
    /// The people.
    pub people: Arc<dyn PersonRepository>,
    /// Their sessions.
    pub sessions: Arc<dyn SessionStore>,
}

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! session_store_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            session_store,
            $crate::testing::conformance::session_store::Accounts,
            $fixture,
            [
                a_session_comes_back_with_every_member,
                an_unknown_session_is_none,
                a_session_is_good_until_it_expires_and_no_longer,
                a_person_may_have_several_sessions,
                a_hundred_concurrent_sessions_of_one_person_are_all_kept,
                the_sessions_of_a_person_are_listed_newest_first_and_expired_ones_are_not,
                a_session_that_was_ended_is_gone_for_every_instance_and_the_others_stay,
                of_a_hundred_concurrent_callers_exactly_one_ends_a_session,
                every_session_of_a_person_is_ended_and_no_other,
                a_deleted_person_has_no_session_and_the_others_keep_theirs,
                nobody_who_was_deleted_gets_a_session,
                no_session_outlives_a_person_who_is_deleted_at_the_same_time,
                somebody_who_is_disabled_gets_no_session,
                what_was_verified_before_a_new_password_or_a_disablement_opens_no_session,
                of_a_hundred_sessions_that_begin_while_the_password_is_replaced_none_is_left,
                of_a_hundred_sessions_that_begin_while_the_person_is_disabled_and_enabled_none_is_left,
                a_person_has_so_many_sessions_and_no_more,
                a_sweep_forgets_what_is_over_and_keeps_the_rest,
                a_sweep_forgets_no_more_than_its_limit,
            ]
        );
    };
}

async fn somebody(accounts: &Accounts) -> Person {
    let person = person();
    accounts.people.create(&person).await.unwrap();
    person
}

async fn begun(accounts: &Accounts, person: &Person) -> Session {
    let session = session(person).0;
    accounts.sessions.create(&session, person.sign_in_version).await.unwrap();
    session
}

async fn begun_until(accounts: &Accounts, person: &Person, expires_at: Timestamp) -> Session {
    let session = Session { expires_at, ..session(person).0 };
    assert!(accounts.sessions.create(&session, person.sign_in_version).await.unwrap());
    session
}

async fn is_good(accounts: &Accounts, session: &Session) -> bool {
    let found = accounts.sessions.find(&session.id, now()).await.unwrap();
    assert!(found.as_ref().is_none_or(|found| found == session));
    found.is_some()
}

pub async fn a_session_comes_back_with_every_member(fixture: Fixture<Accounts>) {
    let person = somebody(fixture.port()).await;
    let full = Session {
        signed_in_at: now().minus(Duration::from_millis(12_345)),
        expires_at: now().plus(Duration::from_millis(67_891)),
        ..session(&person).0
    };
    assert!(fixture.port().sessions.create(&full, person.sign_in_version).await.unwrap());
    assert_eq!(fixture.other_instance().sessions.find(&full.id, now()).await.unwrap(), Some(full));
}

pub async fn an_unknown_session_is_none(fixture: Fixture<Accounts>) {
    let person = somebody(fixture.port()).await;
    begun(fixture.port(), &person).await;
    let (unknown, _) = session(&person);
    assert_eq!(fixture.port().sessions.find(&unknown.id, now()).await.unwrap(), None);
    assert!(!fixture.port().sessions.delete(&unknown.id).await.unwrap());
}

pub async fn a_session_is_good_until_it_expires_and_no_longer(fixture: Fixture<Accounts>) {
    let session = begun(fixture.port(), &somebody(fixture.port()).await).await;
    let last = session.expires_at.minus(Duration::from_millis(1));
    assert!(fixture.port().sessions.find(&session.id, last).await.unwrap().is_some());
    assert!(fixture.port().sessions.find(&session.id, session.expires_at).await.unwrap().is_none());
    assert!(fixture.port().sessions.find(&session.id, last).await.unwrap().is_some(), "to look changes nothing");
}

pub async fn the_sessions_of_a_person_are_listed_newest_first_and_expired_ones_are_not(fixture: Fixture<Accounts>) {
    let (person, bystander) = (somebody(fixture.port()).await, somebody(fixture.port()).await);
    begun(fixture.port(), &bystander).await;
    let mut expected = Vec::new();
    for minutes in [3, 1, 2] {
        let signed_in_at = now().minus(Duration::from_mins(minutes));
        let session = Session { signed_in_at, ..session(&person).0 };
        assert!(fixture.port().sessions.create(&session, person.sign_in_version).await.unwrap());
        expected.push(session);
    }
    begun_until(fixture.port(), &person, now()).await;
    expected.sort_by_key(|session| std::cmp::Reverse(session.signed_in_at));
    assert_eq!(fixture.other_instance().sessions.list_by_person(person.id, now()).await.unwrap(), expected);
}

pub async fn a_person_may_have_several_sessions(fixture: Fixture<Accounts>) {
    let person = somebody(fixture.port()).await;
    let sessions = [begun(fixture.port(), &person).await, begun(fixture.other_instance(), &person).await];
    for session in &sessions {
        assert!(is_good(fixture.port(), session).await);
    }
}

pub async fn a_hundred_concurrent_sessions_of_one_person_are_all_kept(fixture: Fixture<Accounts>) {
    let person = somebody(fixture.port()).await;
    let sessions = fixture
        .together(100, |_, accounts| {
            let person = person.clone();
            async move { begun(&accounts, &person).await }
        })
        .await;
    for session in &sessions {
        assert!(is_good(fixture.port(), session).await);
    }
}

pub async fn a_session_that_was_ended_is_gone_for_every_instance_and_the_others_stay(fixture: Fixture<Accounts>) {
    let person = somebody(fixture.port()).await;
    let (ended, kept) = (begun(fixture.port(), &person).await, begun(fixture.port(), &person).await);
    assert!(is_good(fixture.other_instance(), &ended).await);
    assert!(fixture.port().sessions.delete(&ended.id).await.unwrap());
    assert!(!is_good(fixture.other_instance(), &ended).await);
    assert!(!is_good(fixture.port(), &ended).await);
    assert!(!fixture.other_instance().sessions.delete(&ended.id).await.unwrap());
    assert!(is_good(fixture.port(), &kept).await);
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_ends_a_session(fixture: Fixture<Accounts>) {
    let session = begun(fixture.port(), &somebody(fixture.port()).await).await;
    let id = session.id;
    let answers =
        fixture.together(100, |_, accounts| async move { accounts.sessions.delete(&id).await.unwrap() }).await;
    assert_eq!(answers.iter().filter(|ended| **ended).count(), 1);
}

pub async fn every_session_of_a_person_is_ended_and_no_other(fixture: Fixture<Accounts>) {
    let accounts = fixture.port();
    let (person, bystander) = (somebody(accounts).await, somebody(accounts).await);
    let sessions = [begun(accounts, &person).await, begun(accounts, &person).await, begun(accounts, &person).await];
    let kept = begun(accounts, &bystander).await;
    assert_eq!(accounts.sessions.delete_by_person(person.id).await.unwrap(), 3);
    for session in &sessions {
        assert!(!is_good(fixture.other_instance(), session).await);
    }
    assert!(is_good(fixture.other_instance(), &kept).await);
    assert_eq!(accounts.sessions.delete_by_person(person.id).await.unwrap(), 0);
    assert_eq!(accounts.sessions.delete_by_person(UserId::from_uuid(unique())).await.unwrap(), 0);
}

pub async fn a_deleted_person_has_no_session_and_the_others_keep_theirs(fixture: Fixture<Accounts>) {
    let accounts = fixture.port();
    let (person, bystander) = (somebody(accounts).await, somebody(accounts).await);
    let (gone, kept) = (begun(accounts, &person).await, begun(accounts, &bystander).await);
    assert!(accounts.people.delete(person.id).await.unwrap());
    assert!(!is_good(fixture.other_instance(), &gone).await);
    assert!(!accounts.sessions.delete(&gone.id).await.unwrap());
    assert!(is_good(accounts, &kept).await);
}

pub async fn nobody_who_was_deleted_gets_a_session(fixture: Fixture<Accounts>) {
    let accounts = fixture.port();
    let person = somebody(accounts).await;
    accounts.people.delete(person.id).await.unwrap();
    let late = begun(fixture.other_instance(), &person).await;
    assert!(!is_good(accounts, &late).await);
}

pub async fn no_session_outlives_a_person_who_is_deleted_at_the_same_time(fixture: Fixture<Accounts>) {
    let person = somebody(fixture.port()).await;
    let sessions = fixture
        .together(20, |number, accounts| {
            let person = person.clone();
            async move {
                if number == 10 {
                    accounts.people.delete(person.id).await.unwrap();
                    return None;
                }
                Some(begun(&accounts, &person).await)
            }
        })
        .await;
    for session in sessions.iter().flatten() {
        assert!(!is_good(fixture.port(), session).await);
    }
}

async fn is_refused(accounts: &Accounts, person: &Person) -> bool {
    let session = session(person).0;
    let stored = accounts.sessions.create(&session, person.sign_in_version).await.unwrap();
    assert_eq!(stored, is_good(accounts, &session).await);
    !stored
}

fn another_password() -> SecretHash {
    SecretHash::from_stored("another hash".to_owned())
}

pub async fn somebody_who_is_disabled_gets_no_session(fixture: Fixture<Accounts>) {
    let accounts = fixture.port();
    let person = somebody(accounts).await;
    let before = begun(accounts, &person).await;
    accounts.people.set_enabled(person.id, false, now()).await.unwrap();
    assert!(!is_good(fixture.other_instance(), &before).await);
    let disabled = accounts.people.find(person.id).await.unwrap().unwrap();
    assert!(is_refused(fixture.other_instance(), &disabled).await);
}

pub async fn what_was_verified_before_a_new_password_or_a_disablement_opens_no_session(fixture: Fixture<Accounts>) {
    let accounts = fixture.port();
    let verified = somebody(accounts).await;
    let before = begun(accounts, &verified).await;
    assert!(accounts.people.set_password(verified.id, &another_password(), now()).await.unwrap());
    assert!(!is_good(fixture.other_instance(), &before).await);
    assert!(is_refused(fixture.other_instance(), &verified).await);
    let verified = accounts.people.find(verified.id).await.unwrap().unwrap();
    assert!(!is_refused(accounts, &verified).await);

    accounts.people.set_enabled(verified.id, false, now()).await.unwrap();
    accounts.people.set_enabled(verified.id, true, now()).await.unwrap();
    assert!(is_refused(fixture.other_instance(), &verified).await);
    let verified = accounts.people.find(verified.id).await.unwrap().unwrap();
    assert!(!is_refused(accounts, &verified).await);
    assert!(accounts.people.set_enabled(verified.id, true, now()).await.unwrap());
    assert!(!is_refused(accounts, &verified).await, "to enable who is enabled changes nothing");
}

/// What is left of a hundred sign-ins whose proof was verified before `change`, which one caller makes among them.
async fn left_after<F>(fixture: &Fixture<Accounts>, change: impl Fn(Arc<Accounts>, Person) -> F) -> usize
where
    F: Future<Output = ()> + Send + 'static,
{
    let verified = somebody(fixture.port()).await;
    let sessions = fixture
        .together(101, |number, accounts| {
            let (verified, change) =
                (verified.clone(), (number == 50).then(|| change(accounts.clone(), verified.clone())));
            async move {
                match change {
                    Some(change) => {
                        change.await;
                        None
                    }
                    None => Some(begun(&accounts, &verified).await),
                }
            }
        })
        .await;
    let mut left = 0;
    for session in sessions.iter().flatten() {
        left += usize::from(is_good(fixture.port(), session).await);
    }
    left
}

pub async fn of_a_hundred_sessions_that_begin_while_the_password_is_replaced_none_is_left(fixture: Fixture<Accounts>) {
    let left = left_after(&fixture, |accounts, person| async move {
        accounts.people.set_password(person.id, &another_password(), now()).await.unwrap();
    });
    assert_eq!(left.await, 0);
}

pub async fn of_a_hundred_sessions_that_begin_while_the_person_is_disabled_and_enabled_none_is_left(
    fixture: Fixture<Accounts>,
) {
    let left = left_after(&fixture, |accounts, person| async move {
        accounts.people.set_enabled(person.id, false, now()).await.unwrap();
        accounts.people.set_enabled(person.id, true, now()).await.unwrap();
    });
    assert_eq!(left.await, 0);
}

pub async fn a_person_has_so_many_sessions_and_no_more(fixture: Fixture<Accounts>) {
    let accounts = fixture.port();
    let (person, bystander) = (somebody(accounts).await, somebody(accounts).await);
    let kept = begun(accounts, &bystander).await;
    let mut sessions = Vec::new();
    for second in 0..u64::from(Session::MAX_PER_PERSON) + 3 {
        let signed_in_at = now().plus(Duration::from_secs(second));
        let session = Session { signed_in_at, ..session(&person).0 };
        assert!(accounts.sessions.create(&session, person.sign_in_version).await.unwrap());
        sessions.push(session);
    }
    for (number, session) in sessions.iter().enumerate() {
        assert_eq!(is_good(fixture.other_instance(), session).await, number >= 3, "{number}");
    }
    assert!(is_good(accounts, &kept).await);
}

pub async fn a_sweep_forgets_what_is_over_and_keeps_the_rest(fixture: Fixture<Accounts>) {
    let accounts = fixture.port();
    let person = somebody(accounts).await;
    let (soon, late) = (now().plus(Duration::from_secs(1)), now().plus(Duration::from_secs(2)));
    let over = begun_until(accounts, &person, soon).await;
    let kept = begun_until(accounts, &person, late).await;
    assert_eq!(accounts.sessions.sweep(soon, 100).await.unwrap(), 0, "it expired at that moment, and not before");
    assert_eq!(accounts.sessions.sweep(late, 100).await.unwrap(), 1);
    assert_eq!(fixture.other_instance().sessions.sweep(late, 100).await.unwrap(), 0);
    assert!(!is_good(accounts, &over).await);
    assert!(is_good(accounts, &kept).await);
}

pub async fn a_sweep_forgets_no_more_than_its_limit(fixture: Fixture<Accounts>) {
    let accounts = fixture.port();
    let person = somebody(accounts).await;
    for _ in 0..5 {
        begun(accounts, &person).await;
    }
    let later = now().plus(Duration::from_hours(100));
    for expected in [3, 2, 0] {
        assert_eq!(accounts.sessions.sweep(later, 3).await.unwrap(), expected);
    }
}
