use std::time::Duration;

use crate::applications::{ApplicationChanges, GrantType, Permission, Permissions, Resource};
use crate::audit::AuditKind;
use crate::ids::TokenId;
use crate::oauth::harness::{HOME, Harness, parameters_of, policy, refresh_token_of, token};
use crate::oauth::{
    AccessError, Authorization, AuthorizationStore, Consent, GrantStore, OAuthError, Subject, TokenIssuer, TokenPolicy,
    TokenResponse, Unavailable,
};
use crate::people::PersonRepository;
use crate::testing::{authorization, now, unique};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An authorization with a challenge, and its code.
async fn authorized(harness: &Harness, change: impl FnOnce(&mut Authorization)) -> (Authorization, String) {
    let (mut authorization, code) = authorization(&harness.application, harness.person.id);
    authorization.challenge = Some(CHALLENGE.parse().unwrap());
    change(&mut authorization);
    let stored = harness.authorizations.create(&authorization, harness.person.sign_in_version).await.unwrap();
    assert_eq!(stored, Consent::Stored);
    (authorization, code.expose().to_owned())
}

/// Exchanges a code with valid parameters except for these; `""` removes one.
async fn exchange(harness: &Harness, code: &str, changes: &[(&str, &str)]) -> Result<TokenResponse, OAuthError> {
    let redirect_uri = authorization(&harness.application, harness.person.id).0.redirect_uri;
    let mut members = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri.as_str()),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changes {
        members.retain(|(known, _)| known != name);
        members.push((name, value));
    }
    harness.token(&members).await
}

async fn is_revoked(harness: &Harness, authorization: &Authorization) -> bool {
    harness.grants.is_revoked(authorization.grant_id, TokenId::from_uuid(unique())).await.unwrap()
}

#[track_caller]
fn assert_invalid_grant(answer: &Result<TokenResponse, OAuthError>) {
    assert!(matches!(answer, Err(OAuthError::InvalidGrant)), "{answer:?}");
}

#[tokio::test]
async fn a_code_yields_tokens_that_act_for_the_person() {
    let harness = Harness::new();
    let read: Permissions = [Permission::MemoryRead].into_iter().collect();
    let (authorization, code) = authorized(&harness, |a| a.scope = read).await;
    let answer = exchange(&harness, &code, &[]).await.unwrap();
    assert_eq!((answer.scope, answer.expires_in), (read, 3600));
    let caller = harness.guard.authenticate(answer.access_token.expose(), Resource::Api).await.unwrap();
    assert_eq!((caller.subject, caller.permissions), (Subject::Person(harness.person.id), read));
    let refresh = harness.issuer.verify_refresh_token(answer.refresh_token.unwrap().expose()).unwrap();
    assert_eq!((refresh.subject, refresh.grant_id), (Subject::Person(harness.person.id), authorization.grant_id));

    let [stored] = harness.authorizations.list_by_person(harness.person.id).await.unwrap().try_into().unwrap();
    let keep_until = now().plus(Duration::from_hours(90 * 24));
    assert_eq!(stored, Authorization { redeemed_at: Some(now()), keep_until, ..authorization });
    assert!(refresh.grant_expires_at <= keep_until, "the authorization outlives its last refresh token");
}

#[tokio::test]
async fn the_tokens_of_a_person_can_be_refreshed() {
    let harness = Harness::new();
    let (_, code) = authorized(&harness, |_| {}).await;
    let first = exchange(&harness, &code, &[]).await.unwrap();
    let second = harness.refresh(first.refresh_token.unwrap().expose()).await.unwrap();
    let caller = harness.guard.authenticate(second.access_token.expose(), Resource::Api).await.unwrap();
    assert_eq!(caller.subject, Subject::Person(harness.person.id));
}

#[tokio::test]
async fn without_the_grant_refresh_token_the_authorization_ends_with_its_access_token() {
    let harness = Harness::with_application(|application| {
        application.grants = [GrantType::AuthorizationCode].into();
        application.access_token_ttl = Some(Duration::from_mins(10).try_into().unwrap());
    });
    let (_, code) = authorized(&harness, |_| {}).await;
    assert!(exchange(&harness, &code, &[]).await.unwrap().refresh_token.is_none());
    let [stored] = harness.authorizations.list_by_person(harness.person.id).await.unwrap().try_into().unwrap();
    assert_eq!(stored.keep_until, now().plus(Duration::from_mins(10)));
}

#[tokio::test]
async fn a_second_use_of_a_code_kills_what_the_first_one_got() {
    let harness = Harness::new();
    let (authorization, code) = authorized(&harness, |_| {}).await;
    let first = exchange(&harness, &code, &[]).await.unwrap();
    // Long after the code has expired.
    harness.clock.advance(Duration::from_hours(1));
    assert_invalid_grant(&exchange(&harness, &code, &[]).await);
    assert!(is_revoked(&harness, &authorization).await);
    assert!(harness.guard.authenticate(first.access_token.expose(), Resource::Api).await.is_err());
    assert_invalid_grant(&harness.refresh(first.refresh_token.unwrap().expose()).await);
    assert_eq!(harness.audit.kinds(), [AuditKind::AuthorizationCodeReused]);
    assert_invalid_grant(&exchange(&harness, &code, &[]).await);
}

#[tokio::test]
async fn whoever_could_not_have_exchanged_a_code_does_not_end_what_came_of_it() {
    let harness = Harness::new();
    let (authorization, code) = authorized(&harness, |_| {}).await;
    let first = exchange(&harness, &code, &[]).await.unwrap();
    for changes in [
        [("code_verifier", "")],
        [("code_verifier", CHALLENGE)],
        [("redirect_uri", "https://chatgpt.com/aip/g-2/oauth/callback")],
    ] {
        assert_invalid_grant(&exchange(&harness, &code, &changes).await);
    }
    assert!(!is_revoked(&harness, &authorization).await);
    assert!(harness.guard.authenticate(first.access_token.expose(), Resource::Api).await.is_ok());
    assert_eq!(harness.audit.kinds(), []);
}

#[tokio::test]
async fn an_access_token_does_not_outlive_its_grant() {
    let grant_ttl = Duration::from_mins(90);
    let harness = Harness::with_policy(TokenPolicy { grant_ttl, ..policy() });
    let (_, code) = authorized(&harness, |_| {}).await;
    let first = exchange(&harness, &code, &[]).await.unwrap();
    assert_eq!(first.expires_in, 3600);
    harness.clock.advance(Duration::from_mins(50));
    let second = harness.refresh(first.refresh_token.unwrap().expose()).await.unwrap();
    assert_eq!(second.expires_in, 2400, "what is left of the grant");
    harness.clock.advance(Duration::from_mins(40));
    assert!(harness.guard.authenticate(second.access_token.expose(), Resource::Api).await.is_err());
    assert_invalid_grant(&harness.refresh(second.refresh_token.unwrap().expose()).await);

    let short = Harness::with_policy(TokenPolicy { grant_ttl: Duration::from_mins(10), ..policy() });
    assert_eq!(short.client_credentials().await.expires_in, 600);
}

#[tokio::test]
async fn everything_of_a_person_stops_with_the_person_whatever_was_revoked() {
    for change in [0, 1] {
        let harness = Harness::new();
        let (_, code) = authorized(&harness, |_| {}).await;
        let tokens = exchange(&harness, &code, &[]).await.unwrap();
        let (access, refresh) = (tokens.access_token.expose(), refresh_token_of(&tokens));
        // No grant is revoked here, as if its authorization had been swept before.
        if change == 0 {
            harness.people.set_enabled(harness.person.id, false, now()).await.unwrap();
        } else {
            harness.people.delete(harness.person.id).await.unwrap();
        }
        assert!(matches!(harness.guard.authenticate(access, Resource::Api).await, Err(AccessError::InvalidToken)));
        for token in [access, &refresh] {
            let inquiry = harness.inquiry(token);
            assert_eq!(harness.service.introspect(&harness.guard, &inquiry, HOME).await.unwrap(), None);
        }
        assert_invalid_grant(&harness.refresh(&refresh).await);
        harness.people.outage().begin();
        assert!(matches!(harness.guard.authenticate(access, Resource::Api).await, Err(AccessError::Storage(_))));
    }
}

#[tokio::test]
async fn what_began_with_a_grant_type_stops_when_the_application_loses_it() {
    let harness = Harness::new();
    let (_, code) = authorized(&harness, |_| {}).await;
    let of_person = exchange(&harness, &code, &[]).await.unwrap();
    let of_application = harness.client_credentials().await;
    for (tokens, lost) in [(of_person, GrantType::AuthorizationCode), (of_application, GrantType::ClientCredentials)] {
        let (access, refresh) = (tokens.access_token.expose(), refresh_token_of(&tokens));
        assert!(harness.guard.authenticate(access, Resource::Api).await.is_ok());
        let grants = GrantType::ALL.into_iter().filter(|grant| *grant != lost).collect();
        harness.change(ApplicationChanges { grants: Some(grants), ..ApplicationChanges::default() }).await;
        assert!(harness.guard.authenticate(access, Resource::Api).await.is_err(), "{lost}");
        let inquiry = harness.inquiry(&refresh);
        assert_eq!(harness.service.introspect(&harness.guard, &inquiry, HOME).await.unwrap(), None, "{lost}");
        assert_invalid_grant(&harness.refresh(&refresh).await);
        let grants = Some(GrantType::ALL.into());
        harness.change(ApplicationChanges { grants, ..ApplicationChanges::default() }).await;
    }
}

#[tokio::test]
async fn of_a_hundred_who_exchange_a_code_at_once_no_two_get_tokens() {
    let harness = std::sync::Arc::new(Harness::new());
    let (authorization, code) = authorized(&harness, |_| {}).await;
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (harness, code) = (std::sync::Arc::clone(&harness), code.clone());
            tokio::spawn(async move { exchange(&harness, &code, &[]).await.is_ok() })
        })
        .collect();
    let mut successes = 0;
    for task in tasks {
        successes += u32::from(task.await.unwrap());
    }
    assert_eq!(successes, 1);
    assert!(is_revoked(&harness, &authorization).await);
}

#[tokio::test]
async fn a_code_is_refused_to_whoever_is_not_who_asked_for_it_and_is_not_used_up() {
    let harness = Harness::new();
    let (authorization, code) = authorized(&harness, |_| {}).await;
    let wrong_verifier = VERIFIER.replace('d', "e");
    for changes in [
        [("redirect_uri", "https://chatgpt.com/aip/g-2/oauth/callback")],
        [("redirect_uri", "https://chatgpt.com/aip/g-1/oauth/callback/")],
        [("code_verifier", wrong_verifier.as_str())],
        [("code_verifier", CHALLENGE)],
        [("code_verifier", "short")],
        [("code_verifier", "")],
        [("code", "unknown")],
    ] {
        assert_invalid_grant(&exchange(&harness, &code, &changes).await);
    }
    let (other, secret) = harness.register().await;
    let members = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", authorization.redirect_uri.as_str()),
        ("code_verifier", VERIFIER),
    ];
    assert_invalid_grant(&token(&harness.service, &parameters_of(&other, &secret, &members)).await);
    assert!(!is_revoked(&harness, &authorization).await);
    assert!(exchange(&harness, &code, &[]).await.is_ok());
    assert_invalid_grant(&token(&harness.service, &parameters_of(&other, &secret, &members)).await);
    assert!(!is_revoked(&harness, &authorization).await, "another client cannot revoke what it has not got");
}

#[tokio::test]
async fn a_verifier_without_a_challenge_is_refused() {
    let harness = Harness::new();
    let (_, code) = authorized(&harness, |a| a.challenge = None).await;
    assert_invalid_grant(&exchange(&harness, &code, &[]).await);
    assert!(exchange(&harness, &code, &[("code_verifier", "")]).await.is_ok());
}

#[tokio::test]
async fn a_code_lives_for_a_minute() {
    let harness = Harness::new();
    let (_, code) = authorized(&harness, |_| {}).await;
    harness.clock.advance(Duration::from_millis(59_999));
    let (_, late) = authorized(&harness, |_| {}).await;
    assert!(exchange(&harness, &code, &[]).await.is_ok());
    harness.clock.advance(Duration::from_millis(1));
    assert_invalid_grant(&exchange(&harness, &late, &[]).await);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let harness = Harness::new();
    let (_, code) = authorized(&harness, |_| {}).await;
    for missing in ["code", "redirect_uri"] {
        let answer = exchange(&harness, &code, &[(missing, "")]).await;
        assert!(matches!(&answer, Err(OAuthError::InvalidRequest(text)) if text.contains(missing)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_person_who_is_shut_out_or_gone_gives_no_tokens_any_more() {
    let harness = Harness::new();
    let (_, code) = authorized(&harness, |_| {}).await;
    harness.people.set_enabled(harness.person.id, false, now()).await.unwrap();
    assert_invalid_grant(&exchange(&harness, &code, &[]).await);
    harness.people.set_enabled(harness.person.id, true, now()).await.unwrap();
    harness.people.delete(harness.person.id).await.unwrap();
    assert_invalid_grant(&exchange(&harness, &code, &[]).await);
}

#[tokio::test]
async fn what_the_application_has_lost_since_is_not_granted() {
    let harness = Harness::new();
    let (_, code) = authorized(&harness, |_| {}).await;
    let read: Permissions = [Permission::MemoryRead].into_iter().collect();
    harness.change(ApplicationChanges { permissions: Some(read), ..ApplicationChanges::default() }).await;
    assert_eq!(exchange(&harness, &code, &[]).await.unwrap().scope, read);

    let write: Permissions = [Permission::MemoryWrite].into_iter().collect();
    let (_, code) = authorized(&harness, |a| a.scope = write).await;
    assert_invalid_grant(&exchange(&harness, &code, &[]).await);

    let grants = Some([GrantType::ClientCredentials].into());
    harness.change(ApplicationChanges { grants, ..ApplicationChanges::default() }).await;
    let answer = exchange(&harness, &code, &[]).await;
    assert!(matches!(answer, Err(OAuthError::UnauthorizedClient(GrantType::AuthorizationCode))), "{answer:?}");
}

#[tokio::test]
async fn a_database_that_is_unavailable_is_never_an_invalid_grant() {
    for outage in [
        |harness: &Harness| harness.authorizations.outage().begin(),
        |harness: &Harness| harness.people.outage().begin(),
    ] {
        let harness = Harness::new();
        let (_, code) = authorized(&harness, |_| {}).await;
        outage(&harness);
        let answer = exchange(&harness, &code, &[]).await;
        assert!(matches!(answer, Err(OAuthError::TemporarilyUnavailable(Unavailable::Storage(_)))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_person_who_revokes_without_end_ends_their_own_grant_and_nobody_elses_tokens() {
    let harness = Harness::new();
    let (_, code) = authorized(&harness, |_| {}).await;
    let own = harness.client_credentials().await;
    harness.clock.advance(Duration::from_secs(1));
    let mut tokens = exchange(&harness, &code, &[]).await.unwrap();
    let is_alive = async |tokens: &TokenResponse| {
        harness.guard.authenticate(tokens.access_token.expose(), Resource::Api).await.is_ok()
    };
    let mut revoked = 0;
    loop {
        let refreshed = harness.refresh(&refresh_token_of(&tokens)).await;
        let Ok(refreshed) = refreshed else { break };
        tokens = refreshed;
        harness.service.revoke(&harness.inquiry(tokens.access_token.expose()), HOME).await.unwrap();
        revoked += 1;
        assert!(revoked <= 101, "the grant outlives its revocations");
        assert!(!is_alive(&tokens).await);
    }
    assert_eq!(revoked, 101, "the last one took the grant with it");
    assert!(is_alive(&own).await, "the application's other tokens live on");
    assert_eq!(harness.grants.revocations_since(now(), now()).await.unwrap().len(), 101);
}
