use std::time::Duration;

use crate::applications::{
    ApplicationChanges, ClientKind, GrantType, GrantTypes, LONGEST_ACCESS_TOKEN_LIFETIME,
    LONGEST_REFRESH_TOKEN_LIFETIME, Permission, Permissions,
};
use crate::oauth::harness::{Harness, policy, refresh_token_of};
use crate::oauth::{Audience, OAuthError, Subject, TokenIssuer, TokenPolicy};
use crate::system::Timestamp;
use crate::testing::now;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// Tokens count in whole seconds.
fn second() -> Timestamp {
    now().truncated_to_seconds()
}

fn days(number: u64) -> Duration {
    Duration::from_hours(24 * number)
}

#[tokio::test]
async fn the_access_token_says_what_the_request_was_answered() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    assert_eq!((answer.expires_in, answer.scope), (3600, Permissions::all()));
    let claims = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    assert_eq!(claims.issuer, harness.policy.resources.issuer);
    assert_eq!(claims.audience, harness.policy.resources.uris(Audience::Api));
    assert_eq!(claims.subject, Subject::Application);
    assert_eq!(claims.client_id, harness.application.client_id);
    assert_eq!(claims.scope, Permissions::all());
    assert_eq!((claims.issued_at, claims.expires_at), (second(), second().plus(Duration::from_hours(1))));
}

#[tokio::test]
async fn the_refresh_token_belongs_to_the_same_grant() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let access = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    let refresh = harness.issuer.verify_refresh_token(&refresh_token_of(&answer)).unwrap();
    assert_eq!(refresh.issuer, harness.policy.resources.issuer);
    assert_eq!(refresh.audience, harness.policy.resources.uris(Audience::Api));
    assert_eq!(refresh.subject, Subject::Application);
    assert_eq!(refresh.client_id, harness.application.client_id);
    assert_eq!(refresh.grant_id, access.grant_id);
    assert_ne!(refresh.token_id, access.token_id);
    assert_eq!(refresh.scope, Permissions::all());
    assert_eq!((refresh.issued_at, refresh.expires_at), (second(), second().plus(days(30))));
    assert_eq!(refresh.grant_expires_at, second().plus(days(90)));
}

#[tokio::test]
async fn every_answer_is_a_grant_of_its_own() {
    let harness = Harness::new();
    let mut grants = Vec::new();
    for _ in 0..3 {
        let answer = harness.client_credentials().await;
        grants.push(harness.issuer.verify_access_token(answer.access_token.expose()).unwrap().grant_id);
    }
    grants.dedup();
    assert_eq!(grants.len(), 3);
}

#[tokio::test]
async fn nothing_is_written() {
    let harness = Harness::new();
    harness.client_credentials().await;
    harness.grants.outage().begin();
    harness.client_credentials().await;
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn an_application_without_the_grant_refresh_token_gets_none() {
    let harness = Harness::with_application(|application| application.grants = [GrantType::ClientCredentials].into());
    assert!(harness.client_credentials().await.refresh_token.is_none());
}

#[tokio::test]
async fn an_application_without_the_grant_is_unauthorized() {
    let without = Harness::with_application(|application| application.grants = [GrantType::RefreshToken].into());
    let nothing = Harness::with_application(|application| application.grants = GrantTypes::new());
    for harness in [without, nothing] {
        let error = harness.token(&[GRANT]).await.unwrap_err();
        assert!(matches!(error, OAuthError::UnauthorizedClient(GrantType::ClientCredentials)), "{error:?}");
    }
}

#[tokio::test]
async fn a_public_application_is_unauthorized_even_if_it_holds_the_grant() {
    let harness = Harness::with_application(|application| application.kind = ClientKind::Public);
    let error = harness.token(&[GRANT]).await.unwrap_err();
    assert!(matches!(error, OAuthError::UnauthorizedClient(GrantType::ClientCredentials)), "{error:?}");
}

#[tokio::test]
async fn the_scope_is_what_was_asked_for_and_never_more_than_is_held() {
    let held: Permissions = [Permission::MemoryRead, Permission::MemoryWrite].into_iter().collect();
    let harness = Harness::with_application(|application| application.permissions = held);
    for (scope, expected) in [
        ("", Some("memory:read memory:write")),
        ("memory:read", Some("memory:read")),
        ("memory:write memory:read", Some("memory:read memory:write")),
        ("memory:delete", None),
        ("memory:read memory:delete", None),
        ("admin", None),
    ] {
        match (harness.token(&[GRANT, ("scope", scope)]).await, expected) {
            (Ok(answer), Some(expected)) => {
                assert_eq!(answer.scope.to_string(), expected);
                let access = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
                let refresh = harness.issuer.verify_refresh_token(&refresh_token_of(&answer)).unwrap();
                assert_eq!((access.scope, refresh.scope), (answer.scope, answer.scope));
            }
            (Err(OAuthError::InvalidScope), None) => {}
            (other, _) => panic!("{scope}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn lifetimes_of_the_application_go_before_those_of_the_configuration() {
    let harness = Harness::new();
    harness
        .change(ApplicationChanges {
            access_token_ttl: Some(Some(Duration::from_mins(5).try_into().unwrap())),
            refresh_token_ttl: Some(Some(days(2).try_into().unwrap())),
            ..ApplicationChanges::default()
        })
        .await;
    let answer = harness.client_credentials().await;
    let access = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    let refresh = harness.issuer.verify_refresh_token(&refresh_token_of(&answer)).unwrap();
    assert_eq!((answer.expires_in, access.expires_at), (300, second().plus(Duration::from_mins(5))));
    assert_eq!(refresh.expires_at, second().plus(days(2)));
}

#[tokio::test]
async fn no_configuration_makes_a_token_outlive_the_keys_that_are_kept_for_it() {
    let forever = days(10_000);
    let generous =
        TokenPolicy { access_token_ttl: forever, refresh_token_ttl: forever, grant_ttl: forever, ..policy() };
    let harness = Harness::with_policy(generous);
    let answer = harness.client_credentials().await;
    let access = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    let refresh = harness.issuer.verify_refresh_token(&refresh_token_of(&answer)).unwrap();
    assert_eq!(answer.expires_in, LONGEST_ACCESS_TOKEN_LIFETIME.as_secs());
    assert_eq!(access.expires_at, second().plus(LONGEST_ACCESS_TOKEN_LIFETIME));
    assert_eq!(refresh.expires_at, second().plus(LONGEST_REFRESH_TOKEN_LIFETIME));
    assert_eq!(refresh.grant_expires_at, second().plus(LONGEST_REFRESH_TOKEN_LIFETIME));
}

#[tokio::test]
async fn a_refresh_token_does_not_outlive_its_grant() {
    let harness = Harness::with_policy(TokenPolicy { grant_ttl: days(7), ..policy() });
    let refresh = harness.issuer.verify_refresh_token(&harness.refresh_token().await).unwrap();
    assert_eq!((refresh.expires_at, refresh.grant_expires_at), (second().plus(days(7)), second().plus(days(7))));
}

#[tokio::test]
async fn without_a_signing_key_the_answer_is_an_internal_error() {
    let harness = Harness::new();
    harness.issuer.set_without_key(true);
    assert!(matches!(harness.token(&[GRANT]).await, Err(OAuthError::Internal(_))));
}
