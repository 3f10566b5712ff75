use std::time::Duration;

use crate::applications::{ApplicationChanges, GrantType, Permission, Permissions, Resource};
use crate::audit::AuditKind;
use crate::ids::TokenId;
use crate::oauth::harness::{Harness, parameters_of, policy, refresh_token_of, token};
use crate::oauth::{
    GrantStore, OAuthError, RefreshTokenClaims, Revocation, Revoked, TokenIssuer, TokenPolicy, TokenResponse,
    Unavailable,
};
use crate::system::Clock;
use crate::testing::{FakeTokenIssuer, now, unique};

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn days(number: u64) -> Duration {
    Duration::from_hours(24 * number)
}

#[track_caller]
fn assert_invalid_grant(answer: &Result<TokenResponse, OAuthError>) {
    assert!(matches!(answer, Err(OAuthError::InvalidGrant)), "{answer:?}");
}

impl Harness {
    fn refresh_claims(&self, token: &str) -> RefreshTokenClaims {
        self.issuer.verify_refresh_token(token).unwrap()
    }

    async fn refresh_with_scope(&self, token: &str, scope: &str) -> Result<TokenResponse, OAuthError> {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)]).await
    }

    /// Whether an access token is still valid.
    async fn opens(&self, answer: &TokenResponse) -> bool {
        self.guard.authenticate(answer.access_token.expose(), Resource::Api).await.is_ok()
    }

    /// A token with other claims than the service would issue.
    fn forged(&self, change: impl FnOnce(&mut RefreshTokenClaims)) -> String {
        let mut claims = RefreshTokenClaims {
            issuer: self.policy.resources.issuer.clone(),
            audience: vec![self.policy.resources.api.clone()],
            subject: crate::oauth::Subject::Application,
            client_id: self.application.client_id.clone(),
            grant_id: crate::ids::GrantId::from_uuid(unique()),
            token_id: TokenId::from_uuid(unique()),
            scope: Permissions::all(),
            issued_at: now().truncated_to_seconds(),
            expires_at: now().truncated_to_seconds().plus(days(1)),
            grant_expires_at: now().truncated_to_seconds().plus(days(2)),
        };
        change(&mut claims);
        self.issuer.issue_refresh_token(&claims).unwrap().expose().to_owned()
    }
}

#[tokio::test]
async fn a_refresh_yields_an_access_token_and_a_successor_of_the_same_grant() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    harness.clock.advance(seconds(100));
    let answer = harness.refresh(&first).await.unwrap();
    let (before, after) = (harness.refresh_claims(&first), harness.refresh_claims(&refresh_token_of(&answer)));
    let issued_at = harness.clock.now().truncated_to_seconds();
    let expected = RefreshTokenClaims {
        token_id: after.token_id,
        issued_at,
        expires_at: issued_at.plus(harness.policy.refresh_token_ttl),
        ..before.clone()
    };
    assert_eq!(after, expected);
    assert_ne!(after.token_id, before.token_id);
    let access = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    assert_eq!((access.grant_id, access.scope, access.issued_at), (before.grant_id, Permissions::all(), issued_at));
    assert_eq!((answer.expires_in, answer.scope), (3600, Permissions::all()));
    assert!(harness.opens(&answer).await);
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn a_chain_of_refreshes_goes_on() {
    let harness = Harness::new();
    let mut token = harness.refresh_token().await;
    for _ in 0..20 {
        harness.clock.advance(days(1));
        token = refresh_token_of(&harness.refresh(&token).await.unwrap());
    }
}

#[tokio::test]
async fn within_the_window_the_same_token_yields_the_very_same_successor() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let answer = harness.refresh(&first).await.unwrap();
    for wait in [0, 1, 28, 1] {
        harness.clock.advance(seconds(wait));
        let again = harness.refresh(&first).await.unwrap();
        assert_eq!(refresh_token_of(&again), refresh_token_of(&answer), "to the byte");
        assert_ne!(again.access_token.expose(), answer.access_token.expose());
        assert!(harness.opens(&again).await);
    }
    harness.refresh(&refresh_token_of(&answer)).await.unwrap();
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn after_the_window_a_second_use_revokes_the_grant() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let answer = harness.refresh(&first).await.unwrap();
    harness.clock.advance(seconds(30) + Duration::from_millis(1));
    assert_invalid_grant(&harness.refresh(&first).await);
    assert_invalid_grant(&harness.refresh(&refresh_token_of(&answer)).await);
    assert!(!harness.opens(&answer).await, "its access tokens are dead too");
    let events = harness.audit.recorded();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].kind, events[0].at), (AuditKind::RefreshTokenReused, harness.clock.now()));
    assert_eq!(events[0].application_id, Some(harness.application.id));
    assert_eq!(events[0].grant_id, Some(harness.refresh_claims(&first).grant_id));
}

#[tokio::test]
async fn once_its_successor_was_used_a_second_use_revokes_the_grant_at_once() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let second = harness.refresh(&first).await.unwrap();
    let third = harness.refresh(&refresh_token_of(&second)).await.unwrap();
    assert_invalid_grant(&harness.refresh(&first).await);
    assert_invalid_grant(&harness.refresh(&refresh_token_of(&third)).await);
    assert!(!harness.opens(&second).await && !harness.opens(&third).await);
    assert_eq!(harness.audit.kinds(), [AuditKind::RefreshTokenReused]);
}

#[tokio::test]
async fn a_revoked_grant_is_retained_until_its_last_access_token_has_expired() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    harness.refresh(&first).await.unwrap();
    harness.clock.advance(seconds(31));
    assert_invalid_grant(&harness.refresh(&first).await);
    let claims = harness.refresh_claims(&first);
    let expected = Revocation {
        what: Revoked::Grant(claims.grant_id),
        at: harness.clock.now(),
        keep_until: claims.grant_expires_at.plus(Duration::from_hours(24)),
    };
    assert_eq!(harness.grants.revocations_since(now(), now()).await.unwrap(), [expected]);
}

#[tokio::test]
async fn a_use_is_retained_as_long_as_the_token_could_come_again() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    harness.refresh(&first).await.unwrap();
    let claims = harness.refresh_claims(&first);
    assert_eq!(harness.grants.sweep(claims.expires_at, 10).await.unwrap(), 0);
    assert_eq!(harness.grants.sweep(claims.expires_at.plus(Duration::from_millis(1)), 10).await.unwrap(), 1);
}

#[tokio::test]
async fn other_grants_survive_the_reuse_of_a_token() {
    let harness = Harness::new();
    let (stolen, other) = (harness.refresh_token().await, harness.refresh_token().await);
    harness.refresh(&stolen).await.unwrap();
    harness.clock.advance(seconds(31));
    assert_invalid_grant(&harness.refresh(&stolen).await);
    harness.refresh(&other).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_jumps_back_does_not_make_a_retry_a_theft() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let answer = harness.refresh(&first).await.unwrap();
    harness.clock.jump_back(seconds(50));
    assert_eq!(refresh_token_of(&harness.refresh(&first).await.unwrap()), refresh_token_of(&answer));
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn a_token_from_the_future_is_accepted_within_the_leeway_only() {
    let harness = Harness::new();
    let token = harness.refresh_token().await;
    let issued_at = harness.refresh_claims(&token).issued_at;
    harness.clock.set(issued_at.minus(seconds(60) + Duration::from_millis(1)));
    assert_invalid_grant(&harness.refresh(&token).await);
    harness.clock.set(issued_at.minus(seconds(60)));
    harness.refresh(&token).await.unwrap();
    assert_eq!(harness.audit.recorded(), [], "it was not taken for a theft");
}

#[tokio::test]
async fn an_unused_token_dies_when_its_time_is_over_to_the_second() {
    let harness = Harness::new();
    let (first, second) = (harness.refresh_token().await, harness.refresh_token().await);
    let expiry = harness.refresh_claims(&first).expires_at;
    harness.clock.set(expiry.minus(Duration::from_millis(1)));
    harness.refresh(&first).await.unwrap();
    harness.clock.set(expiry);
    assert_invalid_grant(&harness.refresh(&second).await);
}

#[tokio::test]
async fn no_refresh_prolongs_the_grant() {
    let harness = Harness::with_policy(TokenPolicy { grant_ttl: days(40), ..policy() });
    let first = harness.refresh_token().await;
    let grant_expiry = harness.refresh_claims(&first).grant_expires_at;
    harness.clock.advance(days(29));
    let second = refresh_token_of(&harness.refresh(&first).await.unwrap());
    let claims = harness.refresh_claims(&second);
    assert_eq!((claims.expires_at, claims.grant_expires_at), (grant_expiry, grant_expiry));
    harness.clock.set(grant_expiry);
    assert_invalid_grant(&harness.refresh(&second).await);
}

#[tokio::test]
async fn a_narrower_scope_narrows_the_access_token_and_not_the_grant() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let narrow = harness.refresh_with_scope(&first, "memory:read").await.unwrap();
    assert_eq!(narrow.scope.to_string(), "memory:read");
    let access = harness.issuer.verify_access_token(narrow.access_token.expose()).unwrap();
    assert_eq!(access.scope.to_string(), "memory:read");
    let wide = harness.refresh(&refresh_token_of(&narrow)).await.unwrap();
    assert_eq!(wide.scope, Permissions::all());
}

#[tokio::test]
async fn a_wider_or_unknown_scope_is_refused_and_costs_nothing() {
    let harness = Harness::new();
    let answer = harness.token(&[("grant_type", "client_credentials"), ("scope", "memory:read")]).await.unwrap();
    let token = refresh_token_of(&answer);
    for scope in ["memory:write", "memory:read memory:write", "admin"] {
        let refused = harness.refresh_with_scope(&token, scope).await;
        assert!(matches!(refused, Err(OAuthError::InvalidScope)), "{scope}: {refused:?}");
    }
    let claims = harness.refresh_claims(&token);
    assert!(!harness.grants.is_consumed(claims.token_id).await.unwrap());
    assert_eq!(harness.refresh(&token).await.unwrap().scope.to_string(), "memory:read");
}

#[tokio::test]
async fn what_the_application_has_lost_is_left_out_and_comes_back_with_it() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let hold = async |permissions: &[Permission]| {
        let permissions = Some(permissions.iter().copied().collect());
        harness.change(ApplicationChanges { permissions, ..ApplicationChanges::default() }).await;
    };
    hold(&[Permission::MemoryRead]).await;
    let answer = harness.refresh(&first).await.unwrap();
    assert_eq!(answer.scope.to_string(), "memory:read");
    let second = refresh_token_of(&answer);
    let refused = harness.refresh_with_scope(&second, "memory:write").await;
    assert!(matches!(refused, Err(OAuthError::InvalidScope)), "{refused:?}");
    hold(&Permission::ALL).await;
    assert_eq!(harness.refresh(&second).await.unwrap().scope, Permissions::all());
    let reading = harness.token(&[("grant_type", "client_credentials"), ("scope", "memory:read")]).await.unwrap();
    hold(&[Permission::MemoryWrite]).await;
    let refused = harness.refresh(&refresh_token_of(&reading)).await;
    assert!(matches!(refused, Err(OAuthError::InvalidScope)), "nothing is left: {refused:?}");
}

#[tokio::test]
async fn a_token_of_another_client_is_refused_and_lives_on() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let (other, secret) = harness.register().await;
    let members = [("grant_type", "refresh_token"), ("refresh_token", first.as_str())];
    assert_invalid_grant(&token(&harness.service, &parameters_of(&other, &secret, &members)).await);
    harness.refresh(&first).await.unwrap();
}

#[tokio::test]
async fn an_application_that_lost_the_grant_type_is_unauthorized() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let grants = Some([GrantType::ClientCredentials].into());
    harness.change(ApplicationChanges { grants, ..ApplicationChanges::default() }).await;
    let refused = harness.refresh(&first).await;
    assert!(matches!(refused, Err(OAuthError::UnauthorizedClient(GrantType::RefreshToken))), "{refused:?}");
}

#[tokio::test]
async fn what_is_not_a_live_refresh_token_of_ours_is_refused() {
    let harness = Harness::new();
    let valid = harness.forged(|_| {});
    let foreign_key = FakeTokenIssuer::new("another key");
    let foreign = foreign_key.issue_refresh_token(&harness.refresh_claims(&valid)).unwrap();
    let access = harness.client_credentials().await.access_token;
    for (case, token) in [
        ("garbage", "garbage".to_owned()),
        ("an access token", access.expose().to_owned()),
        ("tampered with", format!("{valid}x")),
        ("signed by somebody else", foreign.expose().to_owned()),
        ("of another issuer", harness.forged(|claims| claims.issuer.push('x'))),
        ("for another audience", harness.forged(|claims| claims.audience[0].push('x'))),
        ("expired", harness.forged(|claims| claims.expires_at = now().truncated_to_seconds())),
        ("from the future", harness.forged(|claims| claims.issued_at = now().plus(seconds(61)))),
    ] {
        let answer = harness.refresh(&token).await;
        assert!(matches!(answer, Err(OAuthError::InvalidGrant)), "{case}: {answer:?}");
    }
    harness.refresh(&valid).await.unwrap();
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn a_token_of_a_revoked_grant_is_refused() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let what = Revoked::Grant(harness.refresh_claims(&first).grant_id);
    harness.grants.revoke(&Revocation { what, at: now(), keep_until: now().plus(days(1)) }).await.unwrap();
    assert_invalid_grant(&harness.refresh(&first).await);
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn of_many_concurrent_refreshes_all_get_the_same_successor() {
    let harness = std::sync::Arc::new(Harness::new());
    let first = harness.refresh_token().await;
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (harness, first) = (std::sync::Arc::clone(&harness), first.clone());
            tokio::spawn(async move { refresh_token_of(&harness.refresh(&first).await.unwrap()) })
        })
        .collect();
    let mut successors = Vec::new();
    for task in tasks {
        successors.push(task.await.unwrap());
    }
    successors.dedup();
    assert_eq!(successors.len(), 1);
}

#[tokio::test]
async fn a_store_that_is_unavailable_is_reported_as_such_and_nothing_is_lost() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    harness.grants.outage().begin();
    let error = harness.refresh(&first).await.unwrap_err();
    assert!(matches!(error, OAuthError::TemporarilyUnavailable(Unavailable::Storage(_))), "{error:?}");
    harness.grants.outage().end();
    harness.refresh(&first).await.unwrap();
}

#[tokio::test]
async fn a_refresh_keeps_the_audience_of_the_grant_narrows_it_and_never_widens_it() {
    let harness = Harness::new();
    let (api, mcp) = (harness.policy.resources.uri(Resource::Api), harness.policy.resources.uri(Resource::Mcp));
    let begin = [("grant_type", "client_credentials"), ("resource", &*api), ("resource", &*mcp)];
    let mut token = refresh_token_of(&harness.token(&begin).await.unwrap());
    for (asked, expected) in [(None, vec![&api, &mcp]), (Some(&mcp), vec![&mcp]), (Some(&api), vec![&api])] {
        let mut members = vec![("grant_type", "refresh_token"), ("refresh_token", &*token)];
        members.extend(asked.map(|asked| ("resource", asked.as_str())));
        let answer = harness.token(&members).await.unwrap();
        let claims = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
        assert_eq!(claims.audience.iter().collect::<Vec<_>>(), expected);
        token = refresh_token_of(&answer);
    }
}

#[tokio::test]
async fn a_foreign_resource_costs_no_refresh_token() {
    let harness = Harness::new();
    let token = harness.refresh_token().await;
    let mcp = harness.policy.resources.uri(Resource::Mcp);
    for resource in ["https://evil.example", "x", mcp.as_str()] {
        let members = [("grant_type", "refresh_token"), ("refresh_token", &*token), ("resource", resource)];
        let answer = harness.token(&members).await;
        assert!(matches!(answer, Err(OAuthError::InvalidTarget(_))), "{resource}: {answer:?}");
    }
    harness.refresh(&token).await.unwrap();
}
