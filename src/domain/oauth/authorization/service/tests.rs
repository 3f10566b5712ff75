use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::{AuthorizationError, Connection, UntrustedRequest};
use crate::applications::{
    ApplicationChanges, ApplicationRepository as _, ClientKind, GrantType, Permission, Permissions, PkceRule,
};
use crate::audit::AuditKind;
use crate::ids::TokenId;
use crate::oauth::harness::{HOME, Harness};
use crate::oauth::{
    Audience, Authorization, AuthorizationCode, AuthorizationRequest, AuthorizationStore, CodeDigest, Consent,
    GrantStore, Redeemed, Redemption,
};
use crate::people::{PersonAuthorizations as _, PersonRepository as _};
use crate::system::StorageError;
use crate::testing::{authorization, now, person, unique};

const REDIRECT_URI: &str = "https://app.example/callback?kept=1";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// An application with the authorization code grant, with or without PKCE.
fn harness(pkce: PkceRule) -> Harness {
    Harness::with_application(|application| {
        application.redirect_uris = vec![REDIRECT_URI.parse().unwrap(), "gpt-callback".parse().unwrap()];
        application.pkce = pkce;
    })
}

/// The query of a valid request, with these parameters changed; `""` removes one.
fn query(harness: &Harness, changes: &[(&str, &str)]) -> String {
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", harness.application.client_id.as_str()),
        ("redirect_uri", REDIRECT_URI),
        ("state", "a+b &c"),
        ("scope", "memory:read"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        match parameters.iter_mut().find(|(known, _)| known == name) {
            Some(parameter) => parameter.1 = value,
            None => parameters.push((name, value)),
        }
    }
    let mut url = Url::parse("https://x.example").unwrap();
    url.query_pairs_mut().extend_pairs(parameters.into_iter().filter(|(_, value)| !value.is_empty()));
    url.query().unwrap().to_owned()
}

async fn begin(harness: &Harness, changes: &[(&str, &str)]) -> Result<AuthorizationRequest, AuthorizationError> {
    harness.authorizing.validate(query(harness, changes).as_bytes(), HOME).await
}

fn answer(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// The error reported to the client, which must include its state and our issuer.
#[track_caller]
fn told(answer_to: Result<AuthorizationRequest, AuthorizationError>) -> String {
    let Err(AuthorizationError::Refused { location }) = answer_to else { panic!("not refused: {answer_to:?}") };
    assert!(location.as_str().starts_with("https://app.example/callback?kept=1&error="), "{location}");
    let answer = answer(&location);
    assert_eq!(answer["iss"], "https://memory.example");
    assert!(!answer["error_description"].is_empty());
    assert!(!answer.contains_key("code"));
    answer["error"].clone()
}

#[tokio::test]
async fn a_valid_request_is_understood_and_nothing_is_written_for_it() {
    let harness = harness(PkceRule::Required);
    let request = begin(&harness, &[]).await.unwrap();
    assert_eq!(*request.application, harness.application);
    assert_eq!(request.scope, [Permission::MemoryRead].into_iter().collect());
    assert_eq!(request.redirect_uri().as_str(), REDIRECT_URI);
    let everything = begin(&harness, &[("scope", "")]).await.unwrap();
    assert_eq!(everything.scope, Permissions::all(), "an empty scope asks for all that the application holds");
    assert_eq!(harness.authorizations.list_by_person(harness.person.id).await.unwrap(), []);
    assert_eq!(harness.audit.kinds(), []);
}

#[tokio::test]
async fn what_may_come_from_anybody_is_never_redirected() {
    let harness = harness(PkceRule::Required);
    let (other, _) = harness.register().await;
    let unusable = |problem: &str| UntrustedRequest::UnusableRedirectUri { problem: problem.to_owned() };
    for (changes, expected) in [
        (vec![("client_id", "")], UntrustedRequest::NoClient),
        (vec![("client_id", "nobody")], UntrustedRequest::UnknownClient),
        (vec![("client_id", "5f0e3a1c-0000-4000-8000-000000000000")], UntrustedRequest::UnknownClient),
        (vec![("client_id", other.client_id.as_str())], UntrustedRequest::UnregisteredRedirectUri),
        (vec![("redirect_uri", "")], UntrustedRequest::NoRedirectUri),
        (vec![("redirect_uri", "https://evil.example/callback")], UntrustedRequest::UnregisteredRedirectUri),
        (vec![("redirect_uri", "https://app.example/callback")], UntrustedRequest::UnregisteredRedirectUri),
        (
            vec![("redirect_uri", "gpt-callback")],
            unusable(
                "must be an absolute URI such as https://example.com/callback, or gpt-callback, chatgpt-connector or claude for the callbacks of these",
            ),
        ),
        (
            vec![("redirect_uri", "http://app.example/callback")],
            unusable("must use https; http is for loopback addresses only"),
        ),
        (
            vec![("redirect_uri", "javascript:alert(1)")],
            unusable("must use https, http on a loopback address, or an app's own scheme such as com.example.app:/"),
        ),
        // The more severe of two mistakes decides.
        (vec![("redirect_uri", "https://evil.example"), ("scope", "x")], UntrustedRequest::UnregisteredRedirectUri),
    ] {
        match begin(&harness, &changes).await {
            Err(AuthorizationError::Untrusted(untrusted)) => assert_eq!(untrusted, expected, "{changes:?}"),
            other => panic!("{changes:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_or_a_redirect_uri_that_is_given_twice_is_nobodys() {
    let harness = harness(PkceRule::Required);
    for twice in
        ["client_id=x", "redirect_uri=https://evil.example", "redirect_uri=%ff", "client_id=%00", "redirect%5furi=x"]
    {
        for query in [format!("{}&{twice}", query(&harness, &[])), format!("{twice}&{}", query(&harness, &[]))] {
            let answer = harness.authorizing.validate(query.as_bytes(), HOME).await;
            assert!(matches!(answer, Err(AuthorizationError::Untrusted(UntrustedRequest::Malformed))), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_disabled_application_is_unknown() {
    let harness = harness(PkceRule::Required);
    harness.change(ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() }).await;
    let answer = begin(&harness, &[]).await;
    assert!(matches!(answer, Err(AuthorizationError::Untrusted(UntrustedRequest::UnknownClient))), "{answer:?}");
}

#[tokio::test]
async fn a_mistake_of_a_known_client_is_told_to_it_with_its_state() {
    let harness = harness(PkceRule::Required);
    for (changes, expected) in [
        (vec![("response_type", "")], "invalid_request"),
        (vec![("response_type", "token")], "unsupported_response_type"),
        (vec![("response_type", "code id_token")], "unsupported_response_type"),
        (vec![("response_mode", "fragment")], "invalid_request"),
        (vec![("scope", "memory:admin")], "invalid_scope"),
        (vec![("code_challenge", "")], "invalid_request"),
        (vec![("code_challenge", ""), ("code_challenge_method", "")], "invalid_request"),
        (vec![("code_challenge", "short")], "invalid_request"),
        (vec![("code_challenge_method", "")], "invalid_request"),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
    ] {
        let refused = begin(&harness, &changes).await;
        if let Err(AuthorizationError::Refused { location }) = &refused {
            assert_eq!(answer(location)["state"], "a+b &c", "{changes:?}");
        }
        assert_eq!(told(refused), expected, "{changes:?}");
    }
    assert!(begin(&harness, &[("response_mode", "query")]).await.is_ok());
}

#[tokio::test]
async fn a_parameter_that_is_given_twice_is_told_to_the_client_and_not_used() {
    let harness = harness(PkceRule::Required);
    for fault in ["scope=memory:write", "state=other", "scope=a&scope=b"] {
        let query = format!("{}&{fault}", query(&harness, &[]));
        let refused = harness.authorizing.validate(query.as_bytes(), HOME).await;
        if let Err(AuthorizationError::Refused { location }) = &refused {
            let state = answer(location).get("state").cloned();
            assert_eq!(state.as_deref(), if fault.starts_with("state") { None } else { Some("a+b &c") }, "{fault}");
        }
        assert_eq!(told(refused), "invalid_request", "{fault}");
    }
    // Unknown parameters are ignored (RFC 6749 §3.1), even if repeated or badly escaped.
    for ignored in ["unknown=1&unknown=2", "x=%zz", "y=a%0Ab"] {
        for query in [format!("{}&{ignored}", query(&harness, &[])), format!("{ignored}&{}", query(&harness, &[]))] {
            assert!(harness.authorizing.validate(query.as_bytes(), HOME).await.is_ok(), "{query}");
        }
    }
    let many: Vec<String> = (0..64).map(|number| format!("&p{number}=x")).collect();
    let many = many.concat();
    let too_many = format!("{}{many}", query(&harness, &[]));
    assert_eq!(told(harness.authorizing.validate(too_many.as_bytes(), HOME).await), "invalid_request");
}

#[tokio::test]
async fn the_grant_must_be_allowed_and_no_more_is_asked_of_a_person_than_is_held() {
    let harness = harness(PkceRule::Required);
    let read: Permissions = [Permission::MemoryRead].into_iter().collect();
    harness.change(ApplicationChanges { permissions: Some(read), ..ApplicationChanges::default() }).await;
    assert_eq!(begin(&harness, &[("scope", "memory:read memory:write")]).await.unwrap().scope, read);
    assert_eq!(told(begin(&harness, &[("scope", "memory:write memory:delete")]).await), "invalid_scope");
    assert_eq!(told(begin(&harness, &[("scope", "memory:read memory:admin")]).await), "invalid_scope");
    let grants = Some([GrantType::ClientCredentials, GrantType::RefreshToken].into());
    harness.change(ApplicationChanges { grants, ..ApplicationChanges::default() }).await;
    assert_eq!(told(begin(&harness, &[]).await), "unauthorized_client");
}

#[tokio::test]
async fn pkce_is_optional_only_where_the_application_says_so() {
    let harness = harness(PkceRule::Optional);
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    assert!(begin(&harness, &without).await.unwrap().challenge.is_none());
    assert!(begin(&harness, &[]).await.unwrap().challenge.is_some());
    assert_eq!(told(begin(&harness, &[("code_challenge_method", "plain")]).await), "invalid_request");
    assert_eq!(told(begin(&harness, &[("code_challenge", "")]).await), "invalid_request");
}

#[tokio::test]
async fn agreeing_stores_the_authorization_and_sends_a_code_that_is_not_stored() {
    let harness = harness(PkceRule::Required);
    let request = begin(&harness, &[]).await.unwrap();
    let location = harness.authorizing.approve(&request, &harness.person).await.unwrap();
    let sent = answer(&location);
    assert_eq!((sent["state"].as_str(), sent["iss"].as_str()), ("a+b &c", "https://memory.example"));
    assert_eq!(sent["kept"], "1", "the query of the redirect URI stays");
    assert_eq!(sent["code"].len(), 43);

    let [stored] = harness.authorizations.list_by_person(harness.person.id).await.unwrap().try_into().unwrap();
    let expected = Authorization {
        grant_id: stored.grant_id,
        application_id: harness.application.id,
        person: harness.person.id,
        scope: [Permission::MemoryRead].into_iter().collect(),
        audience: Audience::Api,
        redirect_uri: REDIRECT_URI.to_owned(),
        challenge: Some(CHALLENGE.parse().unwrap()),
        code: CodeDigest::of(&sent["code"]),
        created_at: now(),
        code_expires_at: now().plus(Duration::from_mins(1)),
        redeemed_at: None,
        keep_until: now().plus(Duration::from_hours(24)),
    };
    assert_eq!(stored, expected);
    let [event] = harness.audit.recorded().try_into().unwrap();
    assert_eq!(event.kind, AuditKind::AuthorizationGranted);
    assert_eq!(
        (event.application_id, event.person_id, event.grant_id),
        (Some(harness.application.id), Some(harness.person.id), Some(stored.grant_id))
    );
    let again = harness.authorizing.approve(&request, &harness.person).await.unwrap();
    assert_ne!(answer(&again)["code"], sent["code"]);
}

#[tokio::test]
async fn declining_is_told_to_the_client_and_stores_nothing() {
    let harness = harness(PkceRule::Required);
    let request = begin(&harness, &[]).await.unwrap();
    let sent = answer(&harness.authorizing.deny(&request));
    assert_eq!((sent["error"].as_str(), sent["state"].as_str()), ("access_denied", "a+b &c"));
    assert_eq!(harness.authorizations.list_by_person(harness.person.id).await.unwrap(), []);
}

#[tokio::test]
async fn a_client_without_a_state_gets_none() {
    let harness = harness(PkceRule::Required);
    let request = begin(&harness, &[("state", "")]).await.unwrap();
    assert!(!answer(&harness.authorizing.deny(&request)).contains_key("state"));
}

/// An authorization of the harness's application whose code was exchanged.
async fn exchanged(harness: &Harness, change: impl FnOnce(&mut Authorization)) -> Authorization {
    let (mut authorization, _): (Authorization, AuthorizationCode) =
        authorization(&harness.application, harness.person.id);
    authorization.redeemed_at = Some(now());
    authorization.keep_until = now().plus(Duration::from_hours(48));
    change(&mut authorization);
    let stored = harness.authorizations.create(&authorization, harness.person.sign_in_version).await.unwrap();
    assert_eq!(stored, Consent::Stored);
    authorization
}

#[tokio::test]
async fn a_person_sees_each_connected_application_once_with_all_it_holds() {
    let harness = harness(PkceRule::Required);
    let (other, _) = harness.register().await;
    let hour = Duration::from_hours(1);
    exchanged(&harness, |a| {
        a.scope = [Permission::MemoryRead].into_iter().collect();
        a.created_at = now().minus(hour);
        a.keep_until = now().plus(hour);
    })
    .await;
    exchanged(&harness, |a| a.scope = [Permission::MemoryWrite].into_iter().collect()).await;
    exchanged(&harness, |a| {
        a.application_id = other.id;
        a.created_at = now().plus(hour);
    })
    .await;
    let somebody_else = person();
    harness.people.create(&somebody_else).await.unwrap();
    // None of these is a connection.
    exchanged(&harness, |a| a.redeemed_at = None).await;
    exchanged(&harness, |a| a.keep_until = now().minus(Duration::from_millis(1))).await;
    exchanged(&harness, |a| a.person = somebody_else.id).await;

    let own = Connection {
        application_id: harness.application.id,
        application: Some(Arc::new(harness.application.clone())),
        scope: [Permission::MemoryRead, Permission::MemoryWrite].into_iter().collect(),
        since: now().minus(hour),
        until: now().plus(Duration::from_hours(48)),
    };
    let newer = Connection {
        application_id: other.id,
        application: Some(Arc::new(other)),
        scope: Permissions::all(),
        since: now().plus(hour),
        until: now().plus(Duration::from_hours(48)),
    };
    assert_eq!(harness.authorizing.connections(harness.person.id).await.unwrap(), [newer, own]);
}

#[tokio::test]
async fn a_connection_outlives_its_application() {
    let harness = harness(PkceRule::Required);
    exchanged(&harness, |_| {}).await;
    harness.applications.delete(harness.application.id).await.unwrap();
    let [connection] = harness.authorizing.connections(harness.person.id).await.unwrap().try_into().unwrap();
    assert_eq!(connection.application, None);
}

#[tokio::test]
async fn disconnecting_revokes_every_grant_of_that_application_and_no_other() {
    let harness = harness(PkceRule::Required);
    let (other, _) = harness.register().await;
    let token = TokenId::from_uuid(unique());
    let somebody_else = person();
    harness.people.create(&somebody_else).await.unwrap();
    let ended = [exchanged(&harness, |_| {}).await, exchanged(&harness, |a| a.redeemed_at = None).await];
    let kept = [
        exchanged(&harness, |a| a.application_id = other.id).await,
        exchanged(&harness, |a| a.person = somebody_else.id).await,
    ];
    assert!(harness.authorizing.disconnect(harness.person.id, harness.application.id).await.unwrap());
    for authorization in &ended {
        assert!(harness.grants.is_revoked(authorization.grant_id, token).await.unwrap());
        let redemption =
            Redemption { grant_id: authorization.grant_id, at: now(), keep_until: authorization.keep_until };
        let redeemed = harness.authorizations.redeem(&redemption).await.unwrap();
        assert_eq!(redeemed, Redeemed::Refused, "a pending code yields nothing");
    }
    for authorization in &kept {
        assert!(!harness.grants.is_revoked(authorization.grant_id, token).await.unwrap());
    }
    assert_eq!(harness.audit.kinds(), [AuditKind::AuthorizationEnded; 2]);
    assert!(!harness.authorizing.disconnect(harness.person.id, harness.application.id).await.unwrap());

    assert!(harness.authorizing.disconnect_all(harness.person.id).await.unwrap());
    assert!(harness.grants.is_revoked(kept[0].grant_id, token).await.unwrap());
    assert!(!harness.grants.is_revoked(kept[1].grant_id, token).await.unwrap());
}

#[tokio::test]
async fn who_connects_and_disconnects_without_end_has_to_wait_and_nobody_else() {
    let harness = harness(PkceRule::Required);
    let somebody_else = person();
    harness.people.create(&somebody_else).await.unwrap();
    let request = begin(&harness, &[]).await.unwrap();
    for _ in 0..100 {
        harness.authorizing.approve(&request, &harness.person).await.unwrap();
        assert!(harness.authorizing.disconnect(harness.person.id, harness.application.id).await.unwrap());
    }
    for person in [&harness.person, &somebody_else, &harness.person] {
        let answered = harness.authorizing.approve(&request, person).await.map(|_| request.clone());
        if person.id == harness.person.id {
            assert_eq!(told(answered), "temporarily_unavailable");
        } else {
            answered.unwrap();
        }
    }
    assert_eq!(harness.grants.revocations_since(now(), now()).await.unwrap().len(), 100);
    harness.clock.advance(Duration::from_mins(10));
    harness.authorizing.approve(&request, &harness.person).await.unwrap();
    assert_eq!(
        told(harness.authorizing.approve(&request, &harness.person).await.map(|_| request.clone())),
        "temporarily_unavailable"
    );
}

#[tokio::test]
async fn a_revocation_is_retained_until_the_last_token_must_have_expired() {
    let harness = harness(PkceRule::Required);
    let short = exchanged(&harness, |a| a.keep_until = now().plus(Duration::from_hours(1))).await;
    let long = exchanged(&harness, |a| a.keep_until = now().plus(Duration::from_hours(24 * 300))).await;
    harness.authorizing.disconnect_all(harness.person.id).await.unwrap();
    let day = Duration::from_hours(24);
    let revocations = harness.grants.revocations_since(now(), now()).await.unwrap();
    for (authorization, days) in [(short, 90 + 1), (long, 300 + 1)] {
        let what = crate::oauth::Revoked::Grant(authorization.grant_id);
        let found = revocations.iter().find(|revocation| revocation.what == what).unwrap();
        assert_eq!((found.at, found.keep_until), (now(), now().plus(day * days)));
    }
}

#[tokio::test]
async fn a_database_that_is_unavailable_is_said_to_be() {
    let harness = harness(PkceRule::Required);
    let request = begin(&harness, &[]).await.unwrap();
    harness.applications.outage().begin();
    assert!(matches!(begin(&harness, &[]).await, Err(AuthorizationError::TemporarilyUnavailable(_))));
    harness.authorizations.outage().begin();
    let approved = harness.authorizing.approve(&request, &harness.person).await;
    assert!(matches!(approved, Err(AuthorizationError::TemporarilyUnavailable(_))), "{approved:?}");
    assert_eq!(harness.audit.kinds(), []);
    assert!(harness.authorizing.connections(harness.person.id).await.is_err());
    assert!(harness.authorizing.disconnect_all(harness.person.id).await.is_err());
    let inconsistent = StorageError::InconsistentRow { table: "t", key: "k".to_owned(), detail: "d".to_owned() };
    assert!(matches!(AuthorizationError::from(inconsistent), AuthorizationError::Internal(_)));
}

#[tokio::test]
async fn a_public_application_is_authorized_with_pkce() {
    let harness = Harness::with_application(|application| {
        application.kind = ClientKind::Public;
        application.redirect_uris = vec![REDIRECT_URI.parse().unwrap()];
    });
    assert!(begin(&harness, &[]).await.is_ok());
    assert_eq!(
        told(begin(&harness, &[("code_challenge", ""), ("code_challenge_method", "")]).await),
        "invalid_request"
    );
}
