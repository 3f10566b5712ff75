//! Revocation, introspection and the metadata.

use super::{Answer, GRANT, about, is_active, me, oauth_error, refresh, token};
use memgate::domain::applications::{ClientKind, GrantType, NewApplication};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestApplication, TestGate};

pub(crate) async fn line_31_revocation_is_silent_about_tokens_and_strict_about_clients(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let (application, other) = (gate.application().await, gate.application().await);
    let tokens = token(&gate, &application, &[GRANT]).await;
    let (access_token, refresh_token) = (tokens.text("access_token"), tokens.text("refresh_token"));

    let wrong = TestApplication { secret: "wrong".to_owned(), ..application.clone() };
    let bad_client = about(&gate, "/auth/revoke", &wrong, &[("token", &access_token)]).await;
    assert_eq!(bad_client.header("www-authenticate"), None, "the header was not used (RFC 6749 §5.2)");
    assert_eq!(oauth_error(&bad_client, 401), "invalid_client");
    let request = gate.form("/auth/revoke", &[("token", &access_token)]);
    let request = request.basic_auth(&wrong.client_id, Some(&wrong.secret));
    let bad_client = Answer::read(request.send().await.unwrap()).await;
    assert!(bad_client.header("www-authenticate").unwrap().starts_with("Basic"));
    assert_eq!(oauth_error(&bad_client, 401), "invalid_client");
    for token in [&access_token, &refresh_token] {
        assert_eq!(about(&gate, "/auth/revoke", &other, &[("token", token)]).await.status, 200);
    }
    assert_eq!(me(&gate, &access_token).await.status, 200);
    assert!(is_active(&gate, &application, &refresh_token).await);

    for token in ["unknown", "a.b.c", &".".repeat(10_000)] {
        assert_eq!(about(&gate, "/auth/revoke", &application, &[("token", token)]).await.status, 200);
    }
    let absent = about(&gate, "/auth/revoke", &application, &[]).await;
    assert_eq!(oauth_error(&absent, 400), "invalid_request");

    let misleading = [("token", &*access_token), ("token_type_hint", "refresh_token")];
    assert_eq!(about(&gate, "/auth/revoke", &application, &misleading).await.status, 200);
    assert_eq!(me(&gate, &access_token).await.status, 401);
    // Of an access token, that alone is revoked; and once more changes nothing.
    assert!(is_active(&gate, &application, &refresh_token).await);
    assert_eq!(about(&gate, "/auth/revoke", &application, &misleading).await.status, 200);

    let expired = gate.access_token(&application).await;
    gate.advance(std::time::Duration::from_hours(2));
    assert_eq!(about(&gate, "/auth/revoke", &application, &[("token", &expired)]).await.status, 200);
    let unknown_hint = [("token", &*refresh_token), ("token_type_hint", "magic")];
    assert_eq!(about(&gate, "/auth/revoke", &application, &unknown_hint).await.status, 200);
    assert!(!is_active(&gate, &application, &refresh_token).await);
}

pub(crate) async fn line_32_a_revoked_refresh_token_takes_its_access_tokens_along(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let first = token(&gate, &application, &[GRANT]).await;
    let second = refresh(&gate, &application, &first.text("refresh_token")).await;
    let revoked = about(&gate, "/auth/revoke", &application, &[("token", &second.text("refresh_token"))]).await;
    assert_eq!(revoked.status, 200);
    for answer in [&first, &second] {
        let access_token = answer.text("access_token");
        assert!(!is_active(&gate, &application, &access_token).await);
        assert_eq!(me(&gate, &access_token).await.status, 401);
    }
}

pub(crate) async fn line_33_of_a_dead_token_nothing_is_said(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let (application, other) = (gate.application().await, gate.application().await);
    let tokens = token(&gate, &application, &[GRANT, ("scope", "memory:read")]).await;
    let live = about(&gate, "/auth/introspect", &application, &[("token", &tokens.text("access_token"))]).await.json();
    assert_eq!(live["active"], true);
    assert_eq!(live["scope"], "memory:read");
    assert_eq!(live["client_id"], application.client_id);
    assert_eq!(live["token_type"], "Bearer");
    assert_eq!(live["exp"], gate.now() + 3600);
    assert_eq!(live["iss"], gate.gate().public_url());

    let (access_token, used) = (tokens.text("access_token"), tokens.text("refresh_token"));
    let next = refresh(&gate, &application, &used).await.text("refresh_token");
    assert!(is_active(&gate, &application, &next).await);
    for (asker, dead) in [(&application, "unknown"), (&application, &*used), (&other, &*access_token), (&other, &*next)]
    {
        let answer = about(&gate, "/auth/introspect", asker, &[("token", dead)]).await;
        assert_eq!((answer.status, &*answer.body), (200, r#"{"active":false}"#));
    }
    for token in [&*access_token, "unknown", ""] {
        let request = gate.form("/auth/introspect", &[("token", token)]);
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(oauth_error(&answer, 401), "invalid_client", "{token}");
    }
}

pub(crate) async fn line_34_the_metadata_is_true(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let path = "/.well-known/oauth-authorization-server";
    let metadata = Answer::read(gate.http.get(gate.url(path)).send().await.unwrap()).await.json();
    let issuer = gate.gate().public_url();
    assert_eq!(metadata["issuer"], issuer);
    let token = gate.access_token(&application).await;
    let introspected = about(&gate, "/auth/introspect", &application, &[("token", &token)]).await;
    assert_eq!(introspected.json()["iss"], metadata["issuer"]);

    let public = NewApplication {
        kind: ClientKind::Public,
        grants: [GrantType::RefreshToken].into(),
        ..memgate_test_kit::gate::new_application()
    };
    let public = gate.register(public).await;
    for (endpoint, parameters) in [
        ("token_endpoint", &[GRANT][..]),
        ("introspection_endpoint", &[("token", &*token)]),
        ("revocation_endpoint", &[("token", &*token)]),
    ] {
        let path = metadata[endpoint].as_str().unwrap().strip_prefix(issuer).unwrap();
        for method in metadata[format!("{endpoint}_auth_methods_supported")].as_array().unwrap() {
            let answer = match method.as_str().unwrap() {
                "client_secret_post" => about(&gate, path, &application, parameters).await,
                "client_secret_basic" => {
                    let request = gate.form(path, parameters);
                    let request = request.basic_auth(&application.client_id, Some(&application.secret));
                    Answer::read(request.send().await.unwrap()).await
                }
                // A public client has no secret; what it is refused for is not its authentication.
                "none" => {
                    let public = [("client_id", &*public.client_id)];
                    let request = gate.form(path, &[&public, parameters].concat());
                    let answer = Answer::read(request.send().await.unwrap()).await;
                    assert!(!answer.body.contains("invalid_client"), "{endpoint}: {}", answer.body);
                    continue;
                }
                other => panic!("{other} is advertised, and this test does not know how to try it"),
            };
            assert_eq!(answer.status, 200, "{endpoint} {method}: {}", answer.body);
        }
    }
    let path = metadata["authorization_endpoint"].as_str().unwrap().strip_prefix(issuer).unwrap();
    let asked = gate.http.get(gate.url(path)).send().await.unwrap();
    assert_eq!(asked.status(), 400, "the authorization endpoint answers, and misses its parameters");
    assert_eq!(metadata["response_types_supported"], serde_json::json!(["code"]));
    assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    for document in ["jwks_uri", "service_documentation"] {
        let path = metadata[document].as_str().unwrap().strip_prefix(issuer).unwrap();
        assert_eq!(gate.http.get(gate.url(path)).send().await.unwrap().status(), 200, "{document}");
    }
    for grant in metadata["grant_types_supported"].as_array().unwrap() {
        let answer = super::token(&gate, &application, &[("grant_type", grant.as_str().unwrap())]).await;
        assert!(!answer.body.contains("unsupported_grant_type"), "{grant}");
    }
    for scope in metadata["scopes_supported"].as_array().unwrap() {
        let answer = super::token(&gate, &application, &[GRANT, ("scope", scope.as_str().unwrap())]).await;
        assert_eq!(answer.status, 200, "{scope}");
    }
}
