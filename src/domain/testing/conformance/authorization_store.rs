//! What an [`AuthorizationStore`] promises.

use std::time::Duration;

use super::Fixture;
use crate::applications::{Permission, Permissions};
use crate::ids::{GrantId, UserId};
use crate::oauth::{Authorization, AuthorizationStore, CodeDigest, Redemption};
use crate::system::Timestamp;
use crate::testing::{application, authorization, now, unique};

/// Makes a test of each case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! authorization_store_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            authorization_store,
            dyn $crate::oauth::AuthorizationStore,
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
                a_sweep_forgets_what_is_over_and_keeps_the_rest,
                a_sweep_spares_what_a_redemption_prolonged,
                a_sweep_forgets_no_more_than_its_limit,
            ]
        );
    };
}

fn later(millis: u64) -> Timestamp {
    now().plus(Duration::from_millis(millis))
}

fn somebody() -> UserId {
    UserId::from_uuid(unique())
}

fn new() -> Authorization {
    authorization(&application(), somebody()).0
}

fn redemption(authorization: &Authorization) -> Redemption {
    Redemption { grant_id: authorization.grant_id, at: later(7), keep_until: later(1_000_000_007) }
}

fn redeemed(authorization: Authorization) -> Authorization {
    let Redemption { at, keep_until, .. } = redemption(&authorization);
    Authorization { redeemed_at: Some(at), keep_until, ..authorization }
}

async fn created(store: &dyn AuthorizationStore, authorization: Authorization) -> Authorization {
    store.create(&authorization).await.unwrap();
    authorization
}

async fn found(store: &dyn AuthorizationStore, code: &CodeDigest) -> Option<Authorization> {
    store.find_by_code(code).await.unwrap()
}

pub async fn an_authorization_comes_back_with_every_member(fixture: Fixture<dyn AuthorizationStore>) {
    let full = Authorization {
        scope: [Permission::MemoryRead, Permission::MemoryDelete].into_iter().collect(),
        redirect_uri: format!("https://chatgpt.com/aip/g-1/oauth/callback?a=1,2&b=%20'\"&c={}", "x".repeat(2000)),
        challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".parse().unwrap()),
        created_at: now().minus(Duration::from_millis(12_345)),
        code_expires_at: later(1),
        redeemed_at: Some(later(2)),
        keep_until: later(3),
        ..new()
    };
    let full = created(fixture.port(), full).await;
    assert_eq!(found(fixture.other_instance(), &full.code).await, Some(full.clone()));
    assert_eq!(fixture.other_instance().of_person(full.person).await.unwrap(), [full]);
}

pub async fn a_plain_authorization_comes_back_as_plain_as_it_was(fixture: Fixture<dyn AuthorizationStore>) {
    let plain = created(fixture.port(), Authorization { scope: Permissions::default(), ..new() }).await;
    assert_eq!(found(fixture.port(), &plain.code).await, Some(plain));
}

pub async fn an_unknown_code_is_none(fixture: Fixture<dyn AuthorizationStore>) {
    created(fixture.port(), new()).await;
    assert_eq!(found(fixture.port(), &CodeDigest::of("another")).await, None);
}

pub async fn a_code_is_found_after_it_expired_and_after_it_was_exchanged(fixture: Fixture<dyn AuthorizationStore>) {
    let long_ago = now().minus(Duration::from_hours(1));
    let expired = Authorization { code_expires_at: long_ago, keep_until: long_ago, ..new() };
    let expired = created(fixture.port(), expired).await;
    assert_eq!(found(fixture.port(), &expired.code).await, Some(expired.clone()));
    assert!(fixture.port().redeem(&redemption(&expired)).await.unwrap());
    assert_eq!(found(fixture.other_instance(), &expired.code).await, Some(redeemed(expired)));
}

pub async fn a_redemption_is_noted_once_and_changes_nothing_else(fixture: Fixture<dyn AuthorizationStore>) {
    let store = fixture.port();
    let (first, bystander) = (created(store, new()).await, created(store, new()).await);
    assert!(store.redeem(&redemption(&first)).await.unwrap());
    let second = Redemption { at: later(9), keep_until: later(9), ..redemption(&first) };
    assert!(!fixture.other_instance().redeem(&second).await.unwrap());
    assert!(!store.redeem(&second).await.unwrap());
    let code = first.code;
    assert_eq!(found(fixture.other_instance(), &code).await, Some(redeemed(first)));
    assert_eq!(found(store, &bystander.code).await, Some(bystander));
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_redeems(fixture: Fixture<dyn AuthorizationStore>) {
    let authorization = created(fixture.port(), new()).await;
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
            async move { store.redeem(&redemption).await.unwrap() }
        })
        .await;
    let winners: Vec<usize> = (0..answers.len()).filter(|number| answers[*number]).collect();
    assert_eq!(winners.len(), 1, "so many of a hundred callers redeemed it: {winners:?}");
    let winner = redemptions[winners[0]];
    let expected = Authorization { redeemed_at: Some(winner.at), keep_until: winner.keep_until, ..authorization };
    assert_eq!(found(fixture.port(), &expected.code).await, Some(expected));
}

pub async fn a_hundred_concurrent_redemptions_of_different_codes_all_succeed(fixture: Fixture<dyn AuthorizationStore>) {
    let answers = fixture
        .together(100, |_, store| async move {
            let authorization = created(&*store, new()).await;
            store.redeem(&redemption(&authorization)).await.unwrap()
        })
        .await;
    assert!(answers.into_iter().all(|redeemed| redeemed));
}

pub async fn an_unknown_authorization_is_not_redeemed(fixture: Fixture<dyn AuthorizationStore>) {
    assert!(!fixture.port().redeem(&redemption(&new())).await.unwrap());
}

pub async fn nothing_is_redeemed_once_it_was_ended(fixture: Fixture<dyn AuthorizationStore>) {
    let authorization = created(fixture.port(), new()).await;
    assert!(fixture.port().end(authorization.grant_id).await.unwrap());
    assert!(!fixture.other_instance().redeem(&redemption(&authorization)).await.unwrap());
    assert_eq!(found(fixture.port(), &authorization.code).await, None);
}

pub async fn what_a_person_allowed_is_listed_newest_first(fixture: Fixture<dyn AuthorizationStore>) {
    let person = somebody();
    let mut expected = Vec::new();
    for (number, application) in [application(), application(), application()].iter().enumerate() {
        let created_at = later(number.try_into().unwrap());
        let allowed = Authorization { created_at, ..authorization(application, person).0 };
        expected.insert(0, created(fixture.port(), allowed).await);
    }
    assert!(fixture.port().redeem(&redemption(&expected[1])).await.unwrap());
    expected[1] = redeemed(expected[1].clone());
    assert_eq!(fixture.other_instance().of_person(person).await.unwrap(), expected);
}

pub async fn what_others_allowed_is_not_listed(fixture: Fixture<dyn AuthorizationStore>) {
    let application = application();
    let (mine, theirs) = (authorization(&application, somebody()).0, authorization(&application, somebody()).0);
    let (mine, theirs) = (created(fixture.port(), mine).await, created(fixture.port(), theirs).await);
    assert_eq!(fixture.port().of_person(mine.person).await.unwrap(), std::slice::from_ref(&mine));
    assert_eq!(fixture.port().of_person(theirs.person).await.unwrap(), [theirs]);
    assert_eq!(fixture.port().of_person(somebody()).await.unwrap(), []);
}

pub async fn an_authorization_that_was_ended_is_gone_and_the_others_stay(fixture: Fixture<dyn AuthorizationStore>) {
    let store = fixture.port();
    let (ended, kept) = (created(store, new()).await, created(store, new()).await);
    assert!(store.end(ended.grant_id).await.unwrap());
    assert!(!fixture.other_instance().end(ended.grant_id).await.unwrap());
    assert_eq!(fixture.other_instance().of_person(ended.person).await.unwrap(), []);
    assert_eq!(found(store, &kept.code).await, Some(kept));
    assert!(!store.end(GrantId::from_uuid(unique())).await.unwrap());
}

pub async fn of_a_hundred_concurrent_callers_exactly_one_ends_an_authorization(
    fixture: Fixture<dyn AuthorizationStore>,
) {
    let grant = created(fixture.port(), new()).await.grant_id;
    let answers = fixture.together(100, |_, store| async move { store.end(grant).await.unwrap() }).await;
    assert_eq!(answers.iter().filter(|ended| **ended).count(), 1);
}

pub async fn a_sweep_forgets_what_is_over_and_keeps_the_rest(fixture: Fixture<dyn AuthorizationStore>) {
    let store = fixture.port();
    let (soon, late) = (later(1000), later(2000));
    let over = created(store, Authorization { keep_until: soon, ..new() }).await;
    let kept = created(store, Authorization { keep_until: late, ..new() }).await;
    assert_eq!(store.sweep(soon, 100).await.unwrap(), 0, "what is to be kept until now is still kept");
    assert_eq!(store.sweep(late, 100).await.unwrap(), 1);
    assert_eq!(fixture.other_instance().sweep(late, 100).await.unwrap(), 0);
    assert_eq!(found(store, &over.code).await, None);
    assert_eq!(found(store, &kept.code).await, Some(kept));
}

pub async fn a_sweep_spares_what_a_redemption_prolonged(fixture: Fixture<dyn AuthorizationStore>) {
    let authorization = created(fixture.port(), Authorization { keep_until: later(1000), ..new() }).await;
    assert!(fixture.port().redeem(&redemption(&authorization)).await.unwrap());
    assert_eq!(fixture.other_instance().sweep(later(2000), 100).await.unwrap(), 0);
    let code = authorization.code;
    assert_eq!(found(fixture.port(), &code).await, Some(redeemed(authorization)));
}

pub async fn a_sweep_forgets_no_more_than_its_limit(fixture: Fixture<dyn AuthorizationStore>) {
    let store = fixture.port();
    for _ in 0..5 {
        created(store, new()).await;
    }
    let later = now().plus(Duration::from_hours(100));
    for expected in [3, 2, 0] {
        assert_eq!(store.sweep(later, 3).await.unwrap(), expected);
    }
}
