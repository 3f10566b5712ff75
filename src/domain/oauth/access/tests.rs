use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::applications::ApplicationChanges;
use crate::ids::GrantId;
use crate::oauth::Audience;
use crate::oauth::harness::Harness;
use crate::oauth::{Revocation, Revoked};
use crate::testing::{FakeTokenIssuer, now, unique};

#[test]
fn the_token_stands_behind_the_scheme() {
    // RFC 6750 §2.1.
    assert_eq!(bearer_token(b"Bearer mF_9.B5f-4.1JqM"), Some("mF_9.B5f-4.1JqM"));
    for (header, expected) in [
        (&b"bEARER  a.b.c \t"[..], Some("a.b.c")),
        (b"Bearer ", Some("")),
        (b"Bearer a b", Some("a b")),
        (b"Bearer \xff", Some("")),
        (b"Bearer", None),
        (b"", None),
        (b"Bearer\ta", None),
        (b"Basic  YTpi", None),
        (b"Bearers a", None),
    ] {
        assert_eq!(bearer_token(header), expected, "{}", String::from_utf8_lossy(header));
    }
}

proptest! {
    #[test]
    fn no_header_makes_the_reader_panic_and_what_it_reads_stood_there(header in prop::collection::vec(any::<u8>(), 0..100)) {
        for header in [header.clone(), [b"Bearer ", &header[..]].concat()] {
            if let Some(token) = bearer_token(&header) {
                prop_assert!(header.windows(token.len().max(1)).any(|part| token.is_empty() || part == token.as_bytes()));
                prop_assert_eq!(token.trim(), token);
            }
        }
    }

    #[test]
    fn a_token_comes_back_as_it_was(token in "[A-Za-z0-9._~+/=-]{1,100}", scheme in "[Bb][Ee][Aa][Rr][Ee][Rr] ") {
        let header = format!("{scheme}{token}");
        prop_assert_eq!(bearer_token(header.as_bytes()), Some(token.as_str()));
    }
}

fn claims(harness: &Harness) -> AccessTokenClaims {
    let issued_at = now().truncated_to_seconds();
    AccessTokenClaims {
        issuer: harness.policy.resources.issuer.clone(),
        audience: vec![harness.policy.resources.api.clone()],
        subject: Subject::Application,
        client_id: harness.application.client_id.clone(),
        grant_id: GrantId::from_uuid(unique()),
        token_id: TokenId::from_uuid(unique()),
        scope: Permissions::all(),
        issued_at,
        expires_at: issued_at.plus(Duration::from_hours(1)),
    }
}

async fn present(harness: &Harness, claims: &AccessTokenClaims) -> Result<Caller, AccessError> {
    harness.guard.authenticate(harness.issuer.issue_access_token(claims).unwrap().expose(), Resource::Api).await
}

#[track_caller]
fn assert_invalid_token(answer: &Result<Caller, AccessError>) {
    assert!(matches!(answer, Err(AccessError::InvalidToken)), "{answer:?}");
}

#[tokio::test]
async fn a_valid_token_tells_who_calls() {
    let harness = Harness::new();
    let person = Subject::Person(harness.person.id);
    let claims = AccessTokenClaims { subject: person.clone(), ..claims(&harness) };
    let caller = present(&harness, &claims).await.unwrap();
    assert_eq!(*caller.application, harness.application);
    assert_eq!(caller.subject, person);
    assert_eq!(caller.permissions, Permissions::all());
    assert_eq!(caller.token_id, claims.token_id);
    assert_eq!(caller.expires_at, claims.expires_at);
}

#[tokio::test]
async fn a_token_carries_what_it_was_issued_for_and_the_application_still_holds() {
    let harness = Harness::new();
    let [read, write, delete] = Permission::ALL;
    let narrow = AccessTokenClaims { scope: [read, write].into_iter().collect(), ..claims(&harness) };
    let permissions = Some([write, delete].into_iter().collect());
    harness.change(ApplicationChanges { permissions, ..ApplicationChanges::default() }).await;
    let caller = present(&harness, &narrow).await.unwrap();
    assert_eq!(caller.require(read), Err(MissingPermission(read)));
    assert_eq!(caller.require(write), Ok(()));
    assert_eq!(caller.require(delete), Err(MissingPermission(delete)));
    assert_eq!(
        MissingPermission(delete).to_string(),
        "this needs the permission memory:delete, which the access token does not carry"
    );
}

async fn admit<N: Need>(harness: &Harness, scope: Permissions) -> Result<Authorized<N>, AdmissionError> {
    let claims = AccessTokenClaims { scope, ..claims(harness) };
    harness.guard.admit(harness.issuer.issue_access_token(&claims).unwrap().expose()).await
}

#[tokio::test]
async fn each_operation_needs_its_permission_and_a_request_without_it_is_not_counted() {
    async fn check<N: Need>() {
        for held in every_set_of_permissions() {
            let harness = Harness::limited_to(1, |_| {});
            let allowed = N::PERMISSIONS.iter().all(|needed| held.contains(*needed));
            for is_first in [true, false] {
                match admit::<N>(&harness, held).await {
                    Ok(_) => assert!(allowed && is_first, "{:?} with {held}", N::PERMISSIONS),
                    Err(AdmissionError::RateLimited(limited)) => {
                        assert!(allowed && !is_first, "{:?} with {held}", N::PERMISSIONS);
                        assert_eq!(limited.retry_after, Duration::from_mins(1));
                    }
                    Err(AdmissionError::Forbidden(missing)) => {
                        let is_missing = N::PERMISSIONS.contains(&missing.0) && !held.contains(missing.0);
                        assert!(!allowed && is_missing, "{missing} with {held}");
                    }
                    Err(other) => panic!("{:?} with {held}: {other:?}", N::PERMISSIONS),
                }
            }
            assert_eq!(harness.counted(), u32::from(allowed));
        }
    }
    check::<AnyToken>().await;
    check::<Read>().await;
    check::<Write>().await;
    check::<Delete>().await;
    check::<ReadAndDelete>().await;
}

fn every_set_of_permissions() -> impl Iterator<Item = Permissions> {
    (0..1 << Permission::ALL.len()).map(|set: u32| {
        let held = (0..).zip(Permission::ALL).filter(|(number, _)| set & (1 << number) != 0);
        held.map(|(_, permission)| permission).collect()
    })
}

#[tokio::test]
async fn an_invalid_token_is_neither_authorized_nor_counted() {
    let harness = Harness::limited_to(1, |_| {});
    let refused = harness.guard.admit::<Read>("x").await;
    assert!(matches!(refused, Err(AdmissionError::Access(AccessError::InvalidToken))), "{refused:?}");
    assert_eq!(harness.counted(), 0);
}

#[tokio::test]
async fn a_request_is_counted_once_whatever_it_is_authorized_for() {
    let harness = Harness::new();
    let [read, write, _] = Permission::ALL;
    let reader = admit::<Read>(&harness, [read, write].into_iter().collect()).await.unwrap();
    assert_eq!(reader.also::<Write>().unwrap().token_id, reader.token_id);
    assert_eq!(reader.also::<Delete>().unwrap_err(), MissingPermission(Permission::MemoryDelete));
    assert_eq!(harness.counted(), 1);
}

#[tokio::test]
async fn a_request_for_a_person_is_counted_as_theirs_too() {
    let harness = Harness::new();
    let marta = harness.person.id;
    for (subject, of_person) in [(Subject::Application, 0), (Subject::Person(marta), 1)] {
        let before = harness.counted();
        let claims = AccessTokenClaims { subject, ..claims(&harness) };
        let token = harness.issuer.issue_access_token(&claims).unwrap();
        harness.guard.admit::<Read>(token.expose()).await.unwrap();
        let counted = harness.limits.counted(&harness.application, Some(marta), now());
        assert_eq!(counted, (before + 1, of_person));
    }
}

#[tokio::test]
async fn the_limit_is_the_applications_own_or_the_configured_one() {
    let harness = Harness::limited_to(600, |_| {});
    let configured = admit::<AnyToken>(&harness, Permissions::all()).await.unwrap();
    assert_eq!(harness.guard.rate_limit(&configured).get(), 600);
    let rate_limit = Some(Some(5.try_into().unwrap()));
    harness.change(ApplicationChanges { rate_limit, ..ApplicationChanges::default() }).await;
    let own = admit::<AnyToken>(&harness, Permissions::all()).await.unwrap();
    assert_eq!(harness.guard.rate_limit(&own).get(), 5);
    // The one before was a 600th of a minute, this one is a fifth.
    assert_eq!(harness.limits.counted(&own.application, None, now()).0, 1);
    for _ in 0..3 {
        admit::<AnyToken>(&harness, Permissions::all()).await.unwrap();
    }
    let refused = admit::<AnyToken>(&harness, Permissions::all()).await;
    assert!(matches!(refused, Err(AdmissionError::RateLimited(_))), "{refused:?}");
}

#[tokio::test]
async fn tokens_that_are_not_for_us_open_nothing() {
    let harness = Harness::new();
    let valid = claims(&harness);
    assert_invalid_token(&present(&harness, &AccessTokenClaims { issuer: "x".to_owned(), ..valid.clone() }).await);
    assert_invalid_token(
        &present(&harness, &AccessTokenClaims { audience: vec!["x".to_owned()], ..valid.clone() }).await,
    );
    assert_invalid_token(
        &present(&harness, &AccessTokenClaims { client_id: "x".parse().unwrap(), ..valid.clone() }).await,
    );
    let foreign = FakeTokenIssuer::new("another key").issue_access_token(&valid).unwrap();
    assert_invalid_token(&harness.guard.authenticate(foreign.expose(), Resource::Api).await);
    assert_invalid_token(&harness.guard.authenticate(&harness.refresh_token().await, Resource::Api).await);
    for garbage in ["", ".", "..", "at..", &"a".repeat(1 << 20), &".".repeat(10_000), "\0"] {
        assert_invalid_token(&harness.guard.authenticate(garbage, Resource::Api).await);
    }
    present(&harness, &valid).await.unwrap();
}

#[tokio::test]
async fn a_token_opens_the_resources_that_it_is_for_and_no_other() {
    let harness = Harness::new();
    for audience in [Audience::Api, Audience::Mcp, Audience::Both] {
        let claims = AccessTokenClaims { audience: harness.policy.resources.uris(audience), ..claims(&harness) };
        let token = harness.issuer.issue_access_token(&claims).unwrap();
        for resource in [Resource::Api, Resource::Mcp] {
            match harness.guard.authenticate(token.expose(), resource).await {
                Ok(_) => assert!(audience.opens(resource), "{audience:?} {resource:?}"),
                Err(AccessError::WrongAudience { expected, actual }) => {
                    assert!(!audience.opens(resource), "{audience:?} {resource:?}");
                    assert_eq!((expected, actual), (harness.policy.resources.uri(resource), claims.audience.join(" ")));
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_token_ends_at_its_second_and_begins_within_the_leeway() {
    let harness = Harness::new();
    let claims = claims(&harness);
    for (at, valid) in [
        (claims.issued_at.minus(Duration::from_millis(60_001)), false),
        (claims.issued_at.minus(Duration::from_mins(1)), true),
        (claims.issued_at, true),
        (claims.expires_at.minus(Duration::from_millis(1)), true),
        (claims.expires_at, false),
        (claims.expires_at.plus(Duration::from_secs(1)), false),
    ] {
        harness.clock.set(at);
        assert_eq!(present(&harness, &claims).await.is_ok(), valid, "at {at}");
    }
}

#[tokio::test]
async fn a_disabled_or_deleted_application_stops_at_once() {
    let harness = Harness::new();
    let claims = claims(&harness);
    harness.change(ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() }).await;
    assert_invalid_token(&present(&harness, &claims).await);
    harness.change(ApplicationChanges { enabled: Some(true), ..ApplicationChanges::default() }).await;
    present(&harness, &claims).await.unwrap();
    harness.applications.delete(harness.application.id).await.unwrap();
    assert_invalid_token(&present(&harness, &claims).await);
}

#[tokio::test]
async fn a_revoked_token_or_grant_opens_nothing() {
    let harness = Harness::new();
    for revoke_grant in [false, true] {
        let (claims, other) = (claims(&harness), claims(&harness));
        let what = if revoke_grant { Revoked::Grant(claims.grant_id) } else { Revoked::Token(claims.token_id) };
        harness.grants.revoke(&Revocation { what, at: now(), keep_until: claims.expires_at }).await.unwrap();
        assert_invalid_token(&present(&harness, &claims).await);
        present(&harness, &other).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_is_unavailable_is_never_an_invalid_token() {
    let harness = Harness::new();
    let claims = claims(&harness);
    for outage in [harness.applications.outage(), harness.grants.outage()] {
        outage.begin();
        let answer = present(&harness, &claims).await;
        assert!(matches!(answer, Err(AccessError::Storage(_))), "{answer:?}");
        outage.end();
    }
    present(&harness, &claims).await.unwrap();
}
