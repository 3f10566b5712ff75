//! The contract of [`AuthorizationStore`], together with the people and applications that it refers to.

use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use crate::applications::{
    Application, ApplicationChanges, ApplicationRepository, Permission, Permissions, RegisteredBy, SecretHash,
};
use crate::ids::{GrantId, UserId};
use crate::oauth::{Authorization, AuthorizationStore, CodeDigest, Consent, Redeemed, Redemption};
use crate::people::{Person, PersonRepository, SignInVersion};
use crate::system::Timestamp;
use crate::testing::{application, authorization, now, person, unique};

/// Authorizations, and who granted them to whom.
pub struct Consents {
    /// The people.
    pub people: Arc<dyn PersonRepository>,
    /// The applications.
    pub applications: Arc<dyn ApplicationRepository>,
    /// The authorizations.
    pub authorizations: Arc<dyn AuthorizationStore>,
}

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! authorization_store_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            authorization_store,
            $crate::testing::conformance::authorization_store::Consents,
            $fixture,
            [
                an_authorization_comes_back_with_every_member,
                a_plain_authorization_comes_back_as_plain_as_it_was,
                an_unknown_code_is_none,
                a_code_is_found_after_it_expired_and_after_it_was_exchanged,
                a_redemption_is_noted_once_and_changes_nothing_else,
                of_a_hundred_concurrent_callers_exactly_one_redeems,
                a_hundred_concurrent_redemptions_of_different_codes_all_succeed,
                an_unknown_authorization_is_not_redeemed,
                nothing_is_redeemed_once_it_was_ended,
                what_a_person_allowed_is_listed_newest_first,
                what_others_allowed_is_not_listed,
                an_authorization_that_was_ended_is_gone_and_the_others_stay,
                of_a_hundred_concurrent_callers_exactly_one_ends_an_authorization,
                nothing_is_stored_of_somebody_who_is_gone_or_disabled_or_has_to_prove_it_anew,
                nothing_is_stored_for_an_application_that_is_gone_or_disabled,
                what_a_hundred_callers_allow_while_the_person_is_disabled_is_listed_when_that_has_returned,
                of_too_many_concurrent_callers_so_many_are_stored_as_there_is_room_for,
                no_code_is_redeemed_of_somebody_or_for_something_that_is_disabled_or_gone,
                a_sweep_forgets_what_is_over_and_keeps_the_rest,
                a_sweep_spares_what_a_redemption_prolonged,
                a_sweep_forgets_no_more_than_its_limit,
                an_application_that_came_by_itself_goes_when_nobody_uses_it,
            ]
        );
    };
}

fn later(millis: u64) -> Timestamp {
    now().plus(Duration::from_millis(millis))
}

async fn somebody(consents: &Consents) -> UserId {
    let person = person();
    consents.people.create(&person).await.unwrap();
    person.id
}

async fn something(consents: &Consents) -> Application {
    let application = application();
    consents.applications.create(&application).await.unwrap();
    application
}

async fn new(consents: &Consents) -> Authorization {
    authorization(&something(consents).await, somebody(consents).await).0
}

fn redemption(authorization: &Authorization) -> Redemption {
    Redemption { grant_id: authorization.grant_id, at: later(7), keep_until: later(1_000_000_007) }
}

fn redeemed(authorization: Authorization) -> Authorization {
    let Redemption { at, keep_until, .. } = redemption(&authorization);
    Authorization { redeemed_at: Some(at), keep_until, ..authorization }
}

/// Stores an authorization of a person who was verified a moment ago.
async fn created(consents: &Consents, authorization: Authorization) -> Authorization {
    let stored = consents.authorizations.create(&authorization, SignInVersion::default()).await.unwrap();
    assert_eq!(stored, Consent::Stored);
    authorization
}

async fn found(consents: &Consents, code: &CodeDigest) -> Option<Authorization> {
    consents.authorizations.find_by_code(code).await.unwrap()
}

pub async fn an_authorization_comes_back_with_every_member(fixture: Fixture<Consents>) {
    let full = Authorization {
        scope: [Permission::MemoryRead, Permission::MemoryDelete].into_iter().collect(),
        redirect_uri: format!("https://chatgpt.com/aip/g-1/oauth/callback?a=1,2&b=%20'\"&c={}", "x".repeat(2000)),
        challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".parse().unwrap()),
        created_at: now().minus(Duration::from_millis(12_345)),
        code_expires_at: later(1),
        redeemed_at: Some(later(2)),
        keep_until: later(3),
        ..new(fixture.port()).await
    };
    let full = created(fixture.port(), full).await;
    assert_eq!(found(fixture.other_instance(), &full.code).await, Some(full.clone()));
    assert_eq!(fixture.other_instance().authorizations.list_by_person(full.person).await.unwrap(), [full]);
}

pub async fn a_plain_authorization_comes_back_as_plain_as_it_was(fixture: Fixture<Consents>) {
    let plain =
        created(fixture.port(), Authorization { scope: Permissions::default(), ..new(fixture.port()).await }).await;
    assert_eq!(found(fixture.port(), &plain.code).await, Some(plain));
}

pub async fn an_application_that_came_by_itself_goes_when_nobody_uses_it(fixture: Fixture<Consents>) {
    let store = fixture.port();
    let with = async |change: fn(&mut Application)| {
        let mut application = Application { registered_by: RegisteredBy::Itself, ..application() };
        change(&mut application);
        store.applications.create(&application).await.unwrap();
        application.id
    };
    let unused = with(|_| {}).await;
    let of_document = with(|one| one.registered_by = RegisteredBy::Document { confirmed_at: now() }).await;
    let operators = with(|one| one.registered_by = RegisteredBy::Operator).await;
    // What an operator has disabled must not come back enabled.
    let disabled = with(|one| one.enabled = false).await;
    let recent = with(|one| one.updated_at = later(10)).await;
    let used = with(|_| {}).await;
    let consent = Authorization { application_id: used, ..new(store).await };
    let consent = created(store, consent).await;

    assert_eq!(store.authorizations.sweep_unused_applications(later(10), 1).await.unwrap(), 1);
    assert_eq!(store.authorizations.sweep_unused_applications(later(10), 100).await.unwrap(), 1);
    for (id, is_left) in
        [(unused, false), (of_document, false), (operators, true), (disabled, true), (recent, true), (used, true)]
    {
        assert_eq!(fixture.other_instance().applications.find(id).await.unwrap().is_some(), is_left);
    }
    store.authorizations.delete(consent.grant_id).await.unwrap();
    assert_eq!(store.authorizations.sweep_unused_applications(later(10), 100).await.unwrap(), 1);
}

pub async fn an_unknown_code_is_none(fixture: Fixture<Consents>) {
    created(fixture.port(), new(fixture.port()).await).await;
    assert_eq!(found(fixture.port(), &CodeDigest::of("another")).await, None);
}

pub async fn a_code_is_found_after_it_expired_and_after_it_was_exchanged(fixture: Fixture<Consents>) {
    let long_ago = now().minus(Duration::from_hours(1));
    let expired = Authorization { code_expires_at: long_ago, keep_until: long_ago, ..new(fixture.port()).await };
    let expired = created(fixture.port(), expired).await;
    assert_eq!(found(fixture.port(), &expired.code).await, Some(expired.clone()));
    assert_eq!(fixture.port().authorizations.redeem(&redemption(&expired)).await.unwrap(), Redeemed::First);
    assert_eq!(found(fixture.other_instance(), &expired.code).await, Some(redeemed(expired)));
}

pub async fn a_redemption_is_noted_once_and_changes_nothing_else(fixture: Fixture<Consents>) {
    let store = fixture.port();
    let (first, bystander) = (created(store, new(store).await).await, created(store, new(store).await).await);
    assert_eq!(store.authorizations.redeem(&redemption(&first)).await.unwrap(), Redeemed::First);
    let second = Redemption { at: later(9), keep_until: later(9), ..redemption(&first) };
    assert_eq!(fixture.other_instance().authorizations.redeem(&second).await.unwrap(), Redeemed::Before);
    assert_eq!(store.authorizations.redeem(&second).await.unwrap(), Redeemed::Before);
    let code = first.code;
    assert_eq!(found(fixture.other_instance(), &code).await, Some(redeemed(first)));
    assert_eq!(found(store, &bystander.code).await, Some(bystander));
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_redeems(fixture: Fixture<Consents>) {
    let authorization = created(fixture.port(), new(fixture.port()).await).await;
    let redemptions: Vec<Redemption> = (0..100)
        .map(|number| Redemption {
            grant_id: authorization.grant_id,
            at: later(number),
            keep_until: later(1_000_000 + number),
        })
        .collect();
    let answers = fixture
        .together(redemptions.len(), |number, store| {
            let redemption = redemptions[number];
            async move { store.authorizations.redeem(&redemption).await.unwrap() }
        })
        .await;
    let winners: Vec<usize> = (0..answers.len()).filter(|number| answers[*number] == Redeemed::First).collect();
    assert_eq!(winners.len(), 1, "so many of a hundred callers redeemed it: {winners:?}");
    let winner = redemptions[winners[0]];
    let expected = Authorization { redeemed_at: Some(winner.at), keep_until: winner.keep_until, ..authorization };
    assert_eq!(found(fixture.port(), &expected.code).await, Some(expected));
}

pub async fn a_hundred_concurrent_redemptions_of_different_codes_all_succeed(fixture: Fixture<Consents>) {
    let answers = fixture
        .together(100, |_, store| async move {
            let authorization = created(&store, new(&store).await).await;
            store.authorizations.redeem(&redemption(&authorization)).await.unwrap()
        })
        .await;
    assert!(answers.into_iter().all(|redeemed| redeemed == Redeemed::First));
}

pub async fn an_unknown_authorization_is_not_redeemed(fixture: Fixture<Consents>) {
    assert_eq!(
        fixture.port().authorizations.redeem(&redemption(&new(fixture.port()).await)).await.unwrap(),
        Redeemed::Refused
    );
}

pub async fn nothing_is_redeemed_once_it_was_ended(fixture: Fixture<Consents>) {
    let authorization = created(fixture.port(), new(fixture.port()).await).await;
    assert!(fixture.port().authorizations.delete(authorization.grant_id).await.unwrap());
    assert_eq!(
        fixture.other_instance().authorizations.redeem(&redemption(&authorization)).await.unwrap(),
        Redeemed::Refused
    );
    assert_eq!(found(fixture.port(), &authorization.code).await, None);
}

pub async fn what_a_person_allowed_is_listed_newest_first(fixture: Fixture<Consents>) {
    let person = somebody(fixture.port()).await;
    let mut expected = Vec::new();
    for number in 0..3 {
        let created_at = later(number);
        let allowed = Authorization { created_at, ..authorization(&something(fixture.port()).await, person).0 };
        expected.insert(0, created(fixture.port(), allowed).await);
    }
    assert_eq!(fixture.port().authorizations.redeem(&redemption(&expected[1])).await.unwrap(), Redeemed::First);
    expected[1] = redeemed(expected[1].clone());
    assert_eq!(fixture.other_instance().authorizations.list_by_person(person).await.unwrap(), expected);
}

pub async fn what_others_allowed_is_not_listed(fixture: Fixture<Consents>) {
    let (application, me, them) =
        (something(fixture.port()).await, somebody(fixture.port()).await, somebody(fixture.port()).await);
    let (mine, theirs) = (authorization(&application, me).0, authorization(&application, them).0);
    let (mine, theirs) = (created(fixture.port(), mine).await, created(fixture.port(), theirs).await);
    assert_eq!(fixture.port().authorizations.list_by_person(mine.person).await.unwrap(), std::slice::from_ref(&mine));
    assert_eq!(fixture.port().authorizations.list_by_person(theirs.person).await.unwrap(), [theirs]);
    assert_eq!(fixture.port().authorizations.list_by_person(UserId::from_uuid(unique())).await.unwrap(), []);
}

pub async fn an_authorization_that_was_ended_is_gone_and_the_others_stay(fixture: Fixture<Consents>) {
    let store = fixture.port();
    let (ended, kept) = (created(store, new(store).await).await, created(store, new(store).await).await);
    assert!(store.authorizations.delete(ended.grant_id).await.unwrap());
    assert!(!fixture.other_instance().authorizations.delete(ended.grant_id).await.unwrap());
    assert_eq!(fixture.other_instance().authorizations.list_by_person(ended.person).await.unwrap(), []);
    assert_eq!(found(store, &kept.code).await, Some(kept));
    assert!(!store.authorizations.delete(GrantId::from_uuid(unique())).await.unwrap());
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_ends_an_authorization(fixture: Fixture<Consents>) {
    let grant = created(fixture.port(), new(fixture.port()).await).await.grant_id;
    let answers =
        fixture.together(100, |_, store| async move { store.authorizations.delete(grant).await.unwrap() }).await;
    assert_eq!(answers.iter().filter(|ended| **ended).count(), 1);
}

pub async fn a_sweep_forgets_what_is_over_and_keeps_the_rest(fixture: Fixture<Consents>) {
    let store = fixture.port();
    let (soon, late) = (later(1000), later(2000));
    let over = created(store, Authorization { keep_until: soon, ..new(fixture.port()).await }).await;
    let kept = created(store, Authorization { keep_until: late, ..new(fixture.port()).await }).await;
    assert_eq!(store.authorizations.sweep(soon, 100).await.unwrap(), 0, "what is to be kept until now is still kept");
    assert_eq!(store.authorizations.sweep(late, 100).await.unwrap(), 1);
    assert_eq!(fixture.other_instance().authorizations.sweep(late, 100).await.unwrap(), 0);
    assert_eq!(found(store, &over.code).await, None);
    assert_eq!(found(store, &kept.code).await, Some(kept));
}

pub async fn a_sweep_spares_what_a_redemption_prolonged(fixture: Fixture<Consents>) {
    let authorization =
        created(fixture.port(), Authorization { keep_until: later(1000), ..new(fixture.port()).await }).await;
    assert_eq!(fixture.port().authorizations.redeem(&redemption(&authorization)).await.unwrap(), Redeemed::First);
    assert_eq!(fixture.other_instance().authorizations.sweep(later(2000), 100).await.unwrap(), 0);
    let code = authorization.code;
    assert_eq!(found(fixture.port(), &code).await, Some(redeemed(authorization)));
}

pub async fn a_sweep_forgets_no_more_than_its_limit(fixture: Fixture<Consents>) {
    let store = fixture.port();
    for _ in 0..5 {
        created(store, new(store).await).await;
    }
    let later = now().plus(Duration::from_hours(100));
    for expected in [3, 2, 0] {
        assert_eq!(store.authorizations.sweep(later, 3).await.unwrap(), expected);
    }
}

/// The outcome of an authorization whose person was verified under `person`'s version.
async fn consent(consents: &Consents, application: &Application, person: &Person) -> Consent {
    let authorization = authorization(application, person.id).0;
    let consent = consents.authorizations.create(&authorization, person.sign_in_version).await.unwrap();
    let stored = found(consents, &authorization.code).await.is_some();
    assert_eq!(stored, consent == Consent::Stored);
    consent
}

async fn set_application_enabled(consents: &Consents, application: &Application, enabled: bool) {
    let changes = ApplicationChanges { enabled: Some(enabled), ..ApplicationChanges::default() };
    consents.applications.update(application.id, &changes, now()).await.unwrap();
}

pub async fn nothing_is_stored_of_somebody_who_is_gone_or_disabled_or_has_to_prove_it_anew(fixture: Fixture<Consents>) {
    let consents = fixture.port();
    let application = something(consents).await;
    let nobody = person();
    assert_eq!(consent(consents, &application, &nobody).await, Consent::Outdated);
    consents.people.create(&nobody).await.unwrap();
    let somebody = nobody;
    assert_eq!(consent(fixture.other_instance(), &application, &somebody).await, Consent::Stored);
    let hash = SecretHash::from_stored("another hash".to_owned());
    assert!(consents.people.set_password(somebody.id, &hash, now()).await.unwrap());
    assert_eq!(consent(fixture.other_instance(), &application, &somebody).await, Consent::Outdated);
    let somebody = consents.people.find(somebody.id).await.unwrap().unwrap();
    assert_eq!(consent(consents, &application, &somebody).await, Consent::Stored);
    consents.people.set_enabled(somebody.id, false, now()).await.unwrap();
    let disabled = consents.people.find(somebody.id).await.unwrap().unwrap();
    assert_eq!(consent(consents, &application, &disabled).await, Consent::Outdated);
    consents.people.delete(somebody.id).await.unwrap();
    assert_eq!(consent(fixture.other_instance(), &application, &disabled).await, Consent::Outdated);
}

pub async fn nothing_is_stored_for_an_application_that_is_gone_or_disabled(fixture: Fixture<Consents>) {
    let consents = fixture.port();
    let (application, somebody) = (something(consents).await, person());
    consents.people.create(&somebody).await.unwrap();
    set_application_enabled(consents, &application, false).await;
    assert_eq!(consent(fixture.other_instance(), &application, &somebody).await, Consent::Outdated);
    set_application_enabled(consents, &application, true).await;
    assert_eq!(consent(fixture.other_instance(), &application, &somebody).await, Consent::Stored);
    assert!(consents.applications.delete(application.id).await.unwrap());
    assert_eq!(consent(fixture.other_instance(), &application, &somebody).await, Consent::Outdated);
}

pub async fn what_a_hundred_callers_allow_while_the_person_is_disabled_is_listed_when_that_has_returned(
    fixture: Fixture<Consents>,
) {
    let (application, somebody) = (something(fixture.port()).await, person());
    fixture.port().people.create(&somebody).await.unwrap();
    let answers = fixture
        .together(100, |number, consents| {
            let (application, somebody) = (application.clone(), somebody.clone());
            async move {
                if number == 50 {
                    consents.people.set_enabled(somebody.id, false, now()).await.unwrap();
                    return Some(consents.authorizations.list_by_person(somebody.id).await.unwrap());
                }
                let authorization = authorization(&application, somebody.id).0;
                consents.authorizations.create(&authorization, somebody.sign_in_version).await.unwrap();
                None
            }
        })
        .await;
    let listed = answers.into_iter().flatten().next().unwrap();
    let left = fixture.port().authorizations.list_by_person(somebody.id).await.unwrap();
    assert_eq!(left.len(), listed.len(), "nothing was stored afterwards");
}

pub async fn of_too_many_concurrent_callers_so_many_are_stored_as_there_is_room_for(fixture: Fixture<Consents>) {
    let (application, somebody) = (something(fixture.port()).await, person());
    fixture.port().people.create(&somebody).await.unwrap();
    let most = usize::try_from(Authorization::MAX_PER_CONNECTION).unwrap();
    let answers = fixture
        .together(most + 10, |_, consents| {
            let (application, somebody) = (application.clone(), somebody.clone());
            async move { consent(&consents, &application, &somebody).await }
        })
        .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Consent::Stored).count(), most);
    assert_eq!(answers.iter().filter(|answer| **answer == Consent::TooMany).count(), 10);
    assert_eq!(fixture.port().authorizations.list_by_person(somebody.id).await.unwrap().len(), most);
    assert_eq!(consent(fixture.port(), &something(fixture.port()).await, &somebody).await, Consent::Stored);
}

pub async fn no_code_is_redeemed_of_somebody_or_for_something_that_is_disabled_or_gone(fixture: Fixture<Consents>) {
    let consents = fixture.port();
    let (application, somebody) = (something(consents).await, somebody(consents).await);
    let authorization = created(consents, authorization(&application, somebody).0).await;
    let redeem = || async { consents.authorizations.redeem(&redemption(&authorization)).await.unwrap() };
    set_application_enabled(consents, &application, false).await;
    assert_eq!(redeem().await, Redeemed::Refused);
    set_application_enabled(consents, &application, true).await;
    consents.people.set_enabled(somebody, false, now()).await.unwrap();
    assert_eq!(redeem().await, Redeemed::Refused);
    consents.people.set_enabled(somebody, true, now()).await.unwrap();
    assert_eq!(redeem().await, Redeemed::First);
    consents.people.delete(somebody).await.unwrap();
    assert_eq!(redeem().await, Redeemed::Before);
}
