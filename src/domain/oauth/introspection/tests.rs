use std::time::Duration;

use super::*;
use crate::applications::{ApplicationChanges, ClientKind, Permission};
use crate::oauth::harness::{HOME, Harness, parameters, parameters_of, refresh_token_of};
use crate::oauth::{MockTokenIssuer, TokenIssuer};

impl Harness {
    async fn introspect(&self, token: &str) -> Option<ActiveToken> {
        self.service.introspect(&self.guard, &self.inquiry(token), HOME).await.unwrap()
    }
}

#[tokio::test]
async fn a_public_client_cannot_authenticate_and_learns_nothing() {
    let harness = Harness::with_application(|application| application.kind = ClientKind::Public);
    let members = [("client_id", harness.application.client_id.as_str()), ("token", "unknown")];
    let inquiry = TokenInquiry::parse(None, &parameters(&members)).unwrap();
    let answer = harness.service.introspect(&harness.guard, &inquiry, HOME).await;
    assert!(matches!(answer, Err(OAuthError::InvalidClient)), "{answer:?}");
}

#[tokio::test]
async fn a_live_access_token_is_described() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let claims = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    let expected = ActiveToken {
        kind: TokenKind::AccessToken,
        client_id: harness.application.client_id.clone(),
        subject: Subject::Application,
        scope: Permissions::all(),
        token_id: claims.token_id,
        issuer: harness.policy.resources.issuer.clone(),
        audience: vec![harness.policy.resources.api.clone()],
        issued_at: claims.issued_at,
        expires_at: claims.expires_at,
    };
    assert_eq!(harness.introspect(answer.access_token.expose()).await, Some(expected));
}

#[tokio::test]
async fn the_signature_of_an_access_token_is_verified_once() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let claims = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    let token_id = claims.token_id;
    let mut issuer = MockTokenIssuer::new();
    issuer.expect_verify_access_token().times(1).return_once(move |_| Ok(claims));
    // The guard has another issuer, which would refuse this token.
    let described = harness.service_with(issuer).introspect(&harness.guard, &harness.inquiry("opaque"), HOME).await;
    assert_eq!(described.unwrap().unwrap().token_id, token_id);
}

#[tokio::test]
async fn a_live_refresh_token_is_described() {
    let harness = Harness::new();
    let token = harness.refresh_token().await;
    let claims = harness.issuer.verify_refresh_token(&token).unwrap();
    let expected = ActiveToken {
        kind: TokenKind::RefreshToken,
        client_id: harness.application.client_id.clone(),
        subject: Subject::Application,
        scope: Permissions::all(),
        token_id: claims.token_id,
        issuer: harness.policy.resources.issuer.clone(),
        audience: vec![harness.policy.resources.api.clone()],
        issued_at: claims.issued_at,
        expires_at: claims.expires_at,
    };
    assert_eq!(harness.introspect(&token).await, Some(expected));
}

#[tokio::test]
async fn the_scope_is_what_the_token_can_do_now() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let permissions = Some([Permission::MemoryRead].into_iter().collect());
    harness.change(ApplicationChanges { permissions, ..ApplicationChanges::default() }).await;
    for token in [answer.access_token.expose(), &refresh_token_of(&answer)] {
        assert_eq!(harness.introspect(token).await.unwrap().scope.to_string(), "memory:read");
    }
}

#[tokio::test]
async fn dead_tokens_are_inactive() {
    let harness = Harness::new();
    assert_eq!(harness.introspect("unknown").await, None);
    let answer = harness.client_credentials().await;
    let (access, refresh) = (answer.access_token.expose(), refresh_token_of(&answer));
    harness.refresh(&refresh).await.unwrap();
    assert_eq!(harness.introspect(&refresh).await, None, "used");
    assert!(harness.introspect(access).await.is_some());
    harness.service.revoke(&harness.inquiry(&refresh), HOME).await.unwrap();
    assert_eq!(harness.introspect(access).await, None, "revoked with its grant");

    let unused = harness.refresh_token().await;
    harness.service.revoke(&harness.inquiry(&unused), HOME).await.unwrap();
    assert_eq!(harness.introspect(&unused).await, None, "revoked");

    let later = harness.client_credentials().await;
    harness.clock.advance(Duration::from_hours(1));
    assert_eq!(harness.introspect(later.access_token.expose()).await, None, "expired");
    assert!(harness.introspect(&refresh_token_of(&later)).await.is_some());
    harness.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(harness.introspect(&refresh_token_of(&later)).await, None, "expired");
}

#[tokio::test]
async fn a_refresh_token_that_the_application_may_not_use_any_more_is_inactive() {
    let harness = Harness::new();
    let token = harness.refresh_token().await;
    let grants = Some([crate::applications::GrantType::ClientCredentials].into());
    harness.change(ApplicationChanges { grants, ..ApplicationChanges::default() }).await;
    assert_eq!(harness.introspect(&token).await, None);
}

#[tokio::test]
async fn tokens_of_another_application_are_inactive() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let (other, secret) = harness.register().await;
    for token in [answer.access_token.expose(), &refresh_token_of(&answer)] {
        let inquiry = TokenInquiry::parse(None, &parameters_of(&other, &secret, &[("token", token)])).unwrap();
        assert_eq!(harness.service.introspect(&harness.guard, &inquiry, HOME).await.unwrap(), None);
        assert!(harness.introspect(token).await.is_some());
    }
}

#[tokio::test]
async fn who_does_not_authenticate_learns_nothing_whatever_the_token() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    for token in [answer.access_token.expose(), "unknown"] {
        let members = [("client_id", harness.application.client_id.as_str()), ("client_secret", "x"), ("token", token)];
        let inquiry = TokenInquiry::parse(None, &parameters(&members)).unwrap();
        let refused = harness.service.introspect(&harness.guard, &inquiry, HOME).await;
        assert!(matches!(refused, Err(OAuthError::InvalidClient)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_unavailable_is_reported_and_not_taken_for_inactive() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    harness.grants.outage().begin();
    for token in [answer.access_token.expose(), &refresh_token_of(&answer)] {
        let answer = harness.service.introspect(&harness.guard, &harness.inquiry(token), HOME).await;
        assert!(matches!(answer, Err(OAuthError::TemporarilyUnavailable(_))), "{answer:?}");
    }
}
