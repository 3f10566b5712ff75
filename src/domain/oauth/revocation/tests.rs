use std::time::Duration;

use super::*;
use crate::applications::Application;
use crate::applications::{ApplicationRepository, ClientKind, Resource};
use crate::oauth::GrantStore as _;
use crate::oauth::harness::{HOME, Harness, parameters, parameters_of, refresh_token_of, token};
use crate::oauth::revoker::UNTIL_ENDED_EVERYWHERE;
use crate::oauth::{AccessError, TokenIssuer, TokenResponse};
use crate::system::{Clock as _, Timestamp};
use crate::testing::now;

impl Harness {
    async fn revoke(&self, token: &str) {
        self.service.revoke(&self.inquiry(token), HOME).await.unwrap();
    }

    async fn is_alive(&self, answer: &TokenResponse) -> bool {
        match self.guard.authenticate(answer.access_token.expose(), Resource::Api).await {
            Ok(_) => true,
            Err(AccessError::InvalidToken) => false,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn an_inquiry_names_a_token_and_who_does_not_authenticate_learns_nothing_else() {
    let credentials = [("client_id", "c"), ("client_secret", "s")];
    let all = [&credentials[..], &[("token", "t"), ("token_type_hint", "nonsense")]].concat();
    let inquiry = TokenInquiry::parse(None, &parameters(&all)).unwrap();
    assert_eq!((inquiry.credentials.client_id.as_str(), inquiry.token.as_str()), ("c", "t"));
    assert!(matches!(TokenInquiry::parse(None, &parameters(&[])), Err(OAuthError::InvalidClient)));
    let error = TokenInquiry::parse(None, &parameters(&credentials)).unwrap_err();
    assert!(matches!(&error, OAuthError::InvalidRequest(text) if text.contains("`token`")), "{error:?}");
}

#[tokio::test]
async fn a_revoked_access_token_dies_alone() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let refreshed = harness.refresh(&refresh_token_of(&answer)).await.unwrap();
    harness.revoke(answer.access_token.expose()).await;
    assert!(!harness.is_alive(&answer).await);
    assert!(harness.is_alive(&refreshed).await);
    harness.refresh(&refresh_token_of(&refreshed)).await.unwrap();
    let claims = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    let event = AuditEvent::new(AuditKind::TokenRevoked, now());
    assert_eq!(harness.audit.recorded(), [event.application(harness.application.id).grant(claims.grant_id)]);
    let expected = Revocation { what: Revoked::Token(claims.token_id), at: now(), keep_until: claims.expires_at };
    assert_eq!(harness.service.grants.revocations_since(now(), now()).await.unwrap(), [expected]);
}

#[tokio::test]
async fn a_revoked_refresh_token_takes_its_whole_grant_along() {
    let harness = Harness::new();
    let (answer, other) = (harness.client_credentials().await, harness.client_credentials().await);
    let successor = harness.refresh(&refresh_token_of(&answer)).await.unwrap();
    harness.revoke(&refresh_token_of(&successor)).await;
    assert!(!harness.is_alive(&answer).await && !harness.is_alive(&successor).await);
    assert!(matches!(harness.refresh(&refresh_token_of(&successor)).await, Err(OAuthError::InvalidGrant)));
    assert!(harness.is_alive(&other).await);
    let claims = harness.issuer.verify_refresh_token(&refresh_token_of(&answer)).unwrap();
    let event = AuditEvent::new(AuditKind::GrantRevoked, now());
    assert_eq!(harness.audit.recorded(), [event.application(harness.application.id).grant(claims.grant_id)]);
}

#[tokio::test]
async fn a_used_refresh_token_still_revokes_its_grant() {
    let harness = Harness::new();
    let first = harness.refresh_token().await;
    let successor = harness.refresh(&first).await.unwrap();
    harness.revoke(&first).await;
    assert!(!harness.is_alive(&successor).await);
    assert!(matches!(harness.refresh(&refresh_token_of(&successor)).await, Err(OAuthError::InvalidGrant)));
}

#[tokio::test]
async fn revoking_twice_is_one_event() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    for token in [answer.access_token.expose(), &refresh_token_of(&answer)] {
        harness.revoke(token).await;
        harness.revoke(token).await;
    }
    assert_eq!(harness.audit.kinds(), [AuditKind::TokenRevoked, AuditKind::GrantRevoked]);
}

#[tokio::test]
async fn unknown_and_expired_tokens_are_passed_over_in_silence() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    harness.revoke("unknown").await;
    let claims = harness.issuer.verify_access_token(answer.access_token.expose()).unwrap();
    harness.clock.set(claims.expires_at);
    harness.revoke(answer.access_token.expose()).await;
    harness.clock.advance(Duration::from_hours(10_000));
    harness.revoke(&refresh_token_of(&answer)).await;
    assert_eq!(harness.audit.recorded(), []);
    assert_eq!(harness.service.grants.revocations_since(now(), now()).await.unwrap(), []);
}

#[tokio::test]
async fn a_token_of_another_client_stays_alive() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let (other, secret) = harness.register().await;
    for token in [answer.access_token.expose(), &refresh_token_of(&answer)] {
        let inquiry = TokenInquiry::parse(None, &parameters_of(&other, &secret, &[("token", token)])).unwrap();
        harness.service.revoke(&inquiry, HOME).await.unwrap();
    }
    assert!(harness.is_alive(&answer).await);
    harness.refresh(&refresh_token_of(&answer)).await.unwrap();
    assert_eq!(harness.audit.recorded(), []);
}

#[tokio::test]
async fn a_bad_client_revokes_nothing() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let token = answer.access_token.expose();
    let members = [("client_id", harness.application.client_id.as_str()), ("client_secret", "wrong"), ("token", token)];
    let inquiry = TokenInquiry::parse(None, &parameters(&members)).unwrap();
    assert!(matches!(harness.service.revoke(&inquiry, HOME).await, Err(OAuthError::InvalidClient)));
    assert!(harness.is_alive(&answer).await);
}

#[tokio::test]
async fn a_store_that_is_unavailable_is_reported() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    harness.grants.outage().begin();
    let refused = harness.service.revoke(&harness.inquiry(answer.access_token.expose()), HOME).await;
    assert!(matches!(refused, Err(OAuthError::TemporarilyUnavailable(_))), "{refused:?}");
    assert!(harness.applications.find(harness.application.id).await.unwrap().is_some());
}

#[tokio::test]
async fn tokens_are_issued_revoked_and_introspected_within_the_rate_limit_of_the_application() {
    let harness = Harness::limited_to(600, |application| application.rate_limit = Some(3.try_into().unwrap()));
    let tokens = harness.client_credentials().await;
    let inquiry = harness.inquiry(tokens.access_token.expose());
    assert!(harness.service.introspect(&harness.guard, &inquiry, HOME).await.unwrap().is_some());
    harness.service.revoke(&inquiry, HOME).await.unwrap();
    let refused = [
        harness.token(&[("grant_type", "client_credentials")]).await.map(drop),
        harness.service.revoke(&inquiry, HOME).await,
        harness.service.introspect(&harness.guard, &inquiry, HOME).await.map(drop),
    ];
    for answer in refused {
        assert!(matches!(answer, Err(OAuthError::RateLimited(_))), "{answer:?}");
    }
    assert_eq!(harness.counted(), 3);
}

#[tokio::test]
async fn whoever_only_names_a_public_application_does_not_use_up_its_rate_limit() {
    let harness = Harness::limited_to(1, |application| {
        application.kind = ClientKind::Public;
        application.secrets.clear();
    });
    let credentials = [("client_id", harness.application.client_id.as_str())];
    for _ in 0..5 {
        let members = [&credentials[..], &[("grant_type", "refresh_token"), ("refresh_token", "made up")]].concat();
        let answer = token(&harness.service, &parameters(&members)).await;
        assert!(matches!(answer, Err(OAuthError::InvalidGrant)), "{answer:?}");
        let inquiry = TokenInquiry::parse(None, &parameters(&[&credentials[..], &[("token", "made up")]].concat()));
        harness.service.revoke(&inquiry.unwrap(), HOME).await.unwrap();
    }
    assert_eq!(harness.counted(), 0);
}

#[tokio::test]
async fn an_application_that_revokes_without_end_ends_all_of_its_tokens_and_keeps_few_revocations() {
    let harness = Harness::new();
    let alive = harness.client_credentials().await;
    harness.clock.advance(Duration::from_secs(1));
    let (other, secret) = harness.register().await;
    let members = [("grant_type", "client_credentials")];
    let of_other = token(&harness.service, &parameters_of(&other, &secret, &members)).await.unwrap();
    for _ in 0..Application::MAX_REVOCATIONS {
        let refresh = harness.refresh_token().await;
        harness.revoke(&refresh).await;
    }
    assert!(harness.is_alive(&alive).await);
    let one_more = harness.client_credentials().await;
    harness.revoke(&refresh_token_of(&one_more)).await;
    assert!(!harness.is_alive(&one_more).await);
    assert!(!harness.is_alive(&alive).await, "and everything that was issued before");
    assert!(matches!(harness.refresh(&refresh_token_of(&alive)).await, Err(OAuthError::InvalidGrant)));
    assert!(harness.is_alive(&of_other).await);
    harness.clock.advance(Duration::from_secs(1));
    let later = harness.client_credentials().await;
    assert!(harness.is_alive(&later).await, "what is issued afterwards works");
    harness.clock.advance(UNTIL_ENDED_EVERYWHERE);
    let since = Timestamp::from_unix_millis(0);
    let kept = harness.grants.revocations_since(since, harness.clock.now()).await.unwrap();
    assert_eq!(kept.len(), usize::try_from(Application::MAX_REVOCATIONS).unwrap());
}
