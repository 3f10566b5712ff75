//! The contract of [`GrantStore`].

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Fixture;
use crate::ids::{ApplicationId, GrantId, TokenId};
use crate::oauth::{Consumed, Consumption, GrantStore, Revocation, Revoked};
use crate::testing::{consumption, now, unique};

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! grant_store_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            grant_store,
            dyn $crate::oauth::GrantStore,
            $fixture,
            [
                the_first_use_of_a_token_is_the_first,
                a_second_use_learns_what_the_first_recorded,
                a_second_use_learns_that_the_successor_was_used_too,
                of_a_hundred_concurrent_uses_exactly_one_is_the_first,
                a_hundred_concurrent_uses_of_different_tokens_are_all_the_first,
                a_use_is_known_to_every_instance_as_soon_as_it_is_recorded,
                no_use_is_the_first_once_the_grant_is_revoked,
                a_repeated_use_is_refused_too_once_the_grant_is_revoked,
                no_use_that_begins_after_a_revocation_has_returned_is_the_first,
                a_revocation_is_seen_at_once_where_it_was_made,
                a_revoked_token_leaves_its_grant_alive,
                a_revoked_grant_leaves_other_grants_alive,
                a_grant_and_a_token_of_the_same_id_are_different_things,
                a_revocation_is_new_only_once,
                of_a_hundred_concurrent_revocations_exactly_one_is_new,
                an_application_has_so_many_revocations_and_no_more,
                of_too_many_concurrent_revocations_of_an_application_so_many_are_kept,
                revocations_come_back_with_every_member,
                revocations_are_listed_from_a_moment_on_that_moment_included,
                revocations_that_need_not_be_retained_are_not_listed,
                a_sweep_forgets_what_is_over_and_keeps_the_rest,
                a_sweep_forgets_no_more_than_its_limit_of_each_kind,
            ]
        );
    };
}

fn grant() -> GrantId {
    GrantId::from_uuid(unique())
}

fn token() -> TokenId {
    TokenId::from_uuid(unique())
}

fn revocation(what: Revoked) -> Revocation {
    Revocation { what, at: now(), keep_until: now().plus(Duration::from_hours(48)) }
}

pub async fn the_first_use_of_a_token_is_the_first(fixture: Fixture<dyn GrantStore>) {
    let (store, first) = (fixture.port(), consumption());
    assert!(!store.is_consumed(first.token_id).await.unwrap());
    assert_eq!(store.consume(&first).await.unwrap(), Consumed::First);
    assert!(store.is_consumed(first.token_id).await.unwrap());
    assert!(!store.is_consumed(first.successor_id).await.unwrap(), "its successor is not used yet");
}

pub async fn a_second_use_learns_what_the_first_recorded(fixture: Fixture<dyn GrantStore>) {
    let (store, first) = (fixture.port(), consumption());
    store.consume(&first).await.unwrap();
    let second = Consumption { successor_id: token(), at: now().plus(Duration::from_millis(1)), ..first.clone() };
    let expected = Consumed::Before { successor_id: first.successor_id, at: first.at, successor_used: false };
    assert_eq!(store.consume(&second).await.unwrap(), expected);
    assert_eq!(store.consume(&second).await.unwrap(), expected, "a second use changes nothing");
    assert!(!store.is_consumed(second.successor_id).await.unwrap());
}

pub async fn a_second_use_learns_that_the_successor_was_used_too(fixture: Fixture<dyn GrantStore>) {
    let (store, first) = (fixture.port(), consumption());
    store.consume(&first).await.unwrap();
    let next = Consumption { token_id: first.successor_id, successor_id: token(), ..first.clone() };
    assert_eq!(store.consume(&next).await.unwrap(), Consumed::First);
    let expected = Consumed::Before { successor_id: first.successor_id, at: first.at, successor_used: true };
    assert_eq!(store.consume(&first).await.unwrap(), expected);
}

pub async fn of_a_hundred_concurrent_uses_exactly_one_is_the_first(fixture: Fixture<dyn GrantStore>) {
    let presented = consumption();
    let uses: Vec<Consumption> = (0..100)
        .map(|number| Consumption {
            successor_id: token(),
            at: now().plus(Duration::from_millis(number)),
            ..presented.clone()
        })
        .collect();
    let answers = fixture
        .together(uses.len(), |number, store| {
            let this = uses[number].clone();
            async move { store.consume(&this).await.unwrap() }
        })
        .await;
    let winners: Vec<usize> = (0..uses.len()).filter(|number| answers[*number] == Consumed::First).collect();
    assert_eq!(winners.len(), 1, "so many of a hundred callers were the first: {winners:?}");
    let winner = &uses[winners[0]];
    let expected = Consumed::Before { successor_id: winner.successor_id, at: winner.at, successor_used: false };
    assert_eq!(answers.iter().filter(|answer| **answer == expected).count(), 99, "all others learn of the first");
}

pub async fn a_hundred_concurrent_uses_of_different_tokens_are_all_the_first(fixture: Fixture<dyn GrantStore>) {
    let answers = fixture.together(100, |_, store| async move { store.consume(&consumption()).await.unwrap() }).await;
    assert!(answers.iter().all(|answer| *answer == Consumed::First));
}

pub async fn a_use_is_known_to_every_instance_as_soon_as_it_is_recorded(fixture: Fixture<dyn GrantStore>) {
    let first = consumption();
    assert!(!fixture.other_instance().is_consumed(first.token_id).await.unwrap());
    fixture.port().consume(&first).await.unwrap();
    assert!(fixture.other_instance().is_consumed(first.token_id).await.unwrap());
    let expected = Consumed::Before { successor_id: first.successor_id, at: first.at, successor_used: false };
    assert_eq!(fixture.other_instance().consume(&first).await.unwrap(), expected);
}

pub async fn no_use_is_the_first_once_the_grant_is_revoked(fixture: Fixture<dyn GrantStore>) {
    let refused = consumption();
    fixture.port().revoke(&revocation(Revoked::Grant(refused.grant_id))).await.unwrap();
    for store in [fixture.port(), fixture.other_instance()] {
        assert_eq!(store.consume(&refused).await.unwrap(), Consumed::GrantRevoked);
        assert!(!store.is_consumed(refused.token_id).await.unwrap(), "nothing was written");
    }
}

pub async fn a_repeated_use_is_refused_too_once_the_grant_is_revoked(fixture: Fixture<dyn GrantStore>) {
    let (store, first) = (fixture.port(), consumption());
    store.consume(&first).await.unwrap();
    store.revoke(&revocation(Revoked::Grant(first.grant_id))).await.unwrap();
    assert_eq!(fixture.other_instance().consume(&first).await.unwrap(), Consumed::GrantRevoked);
}

pub async fn no_use_that_begins_after_a_revocation_has_returned_is_the_first(fixture: Fixture<dyn GrantStore>) {
    let grant_id = grant();
    let revoked = Arc::new(AtomicBool::new(false));
    let late_firsts = fixture
        .together(100, |number, store| {
            let revoked = Arc::clone(&revoked);
            async move {
                if number == 50 {
                    store.revoke(&revocation(Revoked::Grant(grant_id))).await.unwrap();
                    revoked.store(true, Ordering::SeqCst);
                    return false;
                }
                let began_after = revoked.load(Ordering::SeqCst);
                let answer = store.consume(&Consumption { grant_id, ..consumption() }).await.unwrap();
                began_after && answer != Consumed::GrantRevoked
            }
        })
        .await;
    assert!(!late_firsts.contains(&true), "a token of a revoked grant was used");
    let afterwards = Consumption { grant_id, ..consumption() };
    assert_eq!(fixture.port().consume(&afterwards).await.unwrap(), Consumed::GrantRevoked);
}

pub async fn a_revocation_is_seen_at_once_where_it_was_made(fixture: Fixture<dyn GrantStore>) {
    let store = fixture.port();
    let (grant, token) = (grant(), token());
    assert!(!store.is_revoked(grant, token).await.unwrap());
    assert!(store.revoke(&revocation(Revoked::Token(token))).await.unwrap());
    assert!(store.is_revoked(grant, token).await.unwrap());
}

pub async fn a_revoked_token_leaves_its_grant_alive(fixture: Fixture<dyn GrantStore>) {
    let (store, first) = (fixture.port(), consumption());
    store.revoke(&revocation(Revoked::Token(token()))).await.unwrap();
    assert!(!store.is_revoked(first.grant_id, token()).await.unwrap());
    assert_eq!(store.consume(&first).await.unwrap(), Consumed::First);
}

pub async fn a_revoked_grant_leaves_other_grants_alive(fixture: Fixture<dyn GrantStore>) {
    let (store, revoked) = (fixture.port(), grant());
    store.revoke(&revocation(Revoked::Grant(revoked))).await.unwrap();
    assert!(store.is_revoked(revoked, token()).await.unwrap(), "each token of the grant is revoked");
    assert!(!store.is_revoked(grant(), token()).await.unwrap());
    assert_eq!(store.consume(&consumption()).await.unwrap(), Consumed::First);
}

pub async fn a_grant_and_a_token_of_the_same_id_are_different_things(fixture: Fixture<dyn GrantStore>) {
    let (store, id) = (fixture.port(), unique());
    assert!(store.revoke(&revocation(Revoked::Token(TokenId::from_uuid(id)))).await.unwrap());
    assert!(!store.is_revoked(GrantId::from_uuid(id), token()).await.unwrap());
    let first = Consumption { grant_id: GrantId::from_uuid(id), ..consumption() };
    assert_eq!(store.consume(&first).await.unwrap(), Consumed::First);
    assert!(store.revoke(&revocation(Revoked::Grant(GrantId::from_uuid(id)))).await.unwrap(), "this one is new");
    assert!(store.is_revoked(GrantId::from_uuid(id), token()).await.unwrap());
}

pub async fn a_revocation_is_new_only_once(fixture: Fixture<dyn GrantStore>) {
    let revocation = revocation(Revoked::Grant(grant()));
    assert!(fixture.port().revoke(&revocation).await.unwrap());
    assert!(!fixture.port().revoke(&revocation).await.unwrap());
    let later = Revocation { at: now().plus(Duration::from_secs(1)), ..revocation };
    assert!(!fixture.other_instance().revoke(&later).await.unwrap());
}

pub async fn of_a_hundred_concurrent_revocations_exactly_one_is_new(fixture: Fixture<dyn GrantStore>) {
    let what = Revoked::Grant(grant());
    let answers = fixture.together(100, |_, store| async move { store.revoke(&revocation(what)).await.unwrap() }).await;
    assert_eq!(answers.iter().filter(|is_new| **is_new).count(), 1);
}

pub async fn revocations_come_back_with_every_member(fixture: Fixture<dyn GrantStore>) {
    let of_grant = revocation(Revoked::Grant(grant()));
    let of_token = Revocation {
        what: Revoked::Token(token()),
        at: now().plus(Duration::from_millis(1)),
        keep_until: now().plus(Duration::from_millis(999)),
    };
    for revocation in [&of_grant, &of_token] {
        fixture.port().revoke(revocation).await.unwrap();
    }
    let mut listed = fixture.other_instance().revocations_since(now(), now()).await.unwrap();
    listed.sort_by_key(|revocation| revocation.at);
    assert_eq!(listed, [of_grant, of_token]);
}

pub async fn revocations_are_listed_from_a_moment_on_that_moment_included(fixture: Fixture<dyn GrantStore>) {
    let store = fixture.port();
    for number in 0..10 {
        let at = now().plus(Duration::from_millis(number));
        store.revoke(&Revocation { at, ..revocation(Revoked::Token(token())) }).await.unwrap();
    }
    for (since, expected) in [(0, 10), (4, 6), (9, 1), (10, 0)] {
        let listed = store.revocations_since(now().plus(Duration::from_millis(since)), now()).await.unwrap();
        assert_eq!(listed.len(), expected, "since {since} ms");
    }
}

pub async fn revocations_that_need_not_be_retained_are_not_listed(fixture: Fixture<dyn GrantStore>) {
    let store = fixture.port();
    let revocation = revocation(Revoked::Grant(grant()));
    store.revoke(&revocation).await.unwrap();
    let listed = store.revocations_since(now(), revocation.keep_until).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&revocation), "to its last moment it is");
    let after = revocation.keep_until.plus(Duration::from_millis(1));
    assert!(store.revocations_since(now(), after).await.unwrap().is_empty());
}

pub async fn a_sweep_forgets_what_is_over_and_keeps_the_rest(fixture: Fixture<dyn GrantStore>) {
    let store = fixture.port();
    let (soon, late) = (now().plus(Duration::from_secs(1)), now().plus(Duration::from_secs(2)));
    let over = Consumption { keep_until: soon, ..consumption() };
    let kept = Consumption { keep_until: late, ..consumption() };
    let over_revocation = Revocation { keep_until: soon, ..revocation(Revoked::Grant(grant())) };
    let kept_revocation = Revocation { keep_until: late, ..revocation(Revoked::Token(token())) };
    for consumption in [&over, &kept] {
        store.consume(consumption).await.unwrap();
    }
    for revocation in [&over_revocation, &kept_revocation] {
        store.revoke(revocation).await.unwrap();
    }
    assert_eq!(store.sweep(soon, 100).await.unwrap(), 0, "what is to be kept until now is still kept");
    assert_eq!(store.sweep(late, 100).await.unwrap(), 2);
    assert_eq!(store.sweep(late, 100).await.unwrap(), 0);
    assert!(!store.is_consumed(over.token_id).await.unwrap());
    assert!(store.is_consumed(kept.token_id).await.unwrap());
    assert_eq!(store.revocations_since(now(), now()).await.unwrap(), [kept_revocation]);
}

pub async fn a_sweep_forgets_no_more_than_its_limit_of_each_kind(fixture: Fixture<dyn GrantStore>) {
    let store = fixture.port();
    let mut tokens = HashSet::new();
    for _ in 0..5 {
        let consumption = consumption();
        tokens.insert(consumption.token_id);
        store.consume(&consumption).await.unwrap();
        store.revoke(&revocation(Revoked::Token(token()))).await.unwrap();
    }
    let later = now().plus(Duration::from_hours(100));
    assert_eq!(store.sweep(later, 3).await.unwrap(), 6);
    let mut left = 0;
    for token in &tokens {
        left += usize::from(store.is_consumed(*token).await.unwrap());
    }
    assert_eq!(left, 2);
    assert_eq!(store.revocations_since(now(), now()).await.unwrap().len(), 2);
    assert_eq!(store.sweep(later, 3).await.unwrap(), 4);
    assert_eq!(store.sweep(later, 3).await.unwrap(), 0);
}

pub async fn an_application_has_so_many_revocations_and_no_more(fixture: Fixture<dyn GrantStore>) {
    let (store, application) = (fixture.port(), ApplicationId::from_uuid(unique()));
    let revocations: Vec<Revocation> = (0..4).map(|_| revocation(Revoked::Grant(grant()))).collect();
    for expected in [true, false] {
        for kept in &revocations[..3] {
            assert_eq!(store.revoke_within(application, 3, kept).await.unwrap(), Some(expected));
        }
        let one_more = fixture.other_instance().revoke_within(application, 3, &revocations[3]).await.unwrap();
        assert_eq!(one_more, None);
    }
    let Revoked::Grant(refused) = revocations[3].what else { panic!("a grant") };
    assert!(!store.is_revoked(refused, token()).await.unwrap(), "nothing was recorded");
    let other = ApplicationId::from_uuid(unique());
    assert_eq!(store.revoke_within(other, 3, &revocations[3]).await.unwrap(), Some(true));
    assert!(store.is_revoked(refused, token()).await.unwrap());
    // Expired records do not count.
    let later = Revocation { at: now().plus(Duration::from_hours(49)), ..revocation(Revoked::Token(token())) };
    assert_eq!(store.revoke_within(application, 3, &later).await.unwrap(), Some(true));
}

pub async fn of_too_many_concurrent_revocations_of_an_application_so_many_are_kept(fixture: Fixture<dyn GrantStore>) {
    let application = ApplicationId::from_uuid(unique());
    let answers = fixture
        .together(100, |_, store| async move {
            store.revoke_within(application, 40, &revocation(Revoked::Grant(grant()))).await.unwrap()
        })
        .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Some(true)).count(), 40);
    assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 60);
}
