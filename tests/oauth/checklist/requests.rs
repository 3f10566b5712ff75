//! Requests for tokens.

use memgate::domain::applications::{GrantType, NewApplication, Permission};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestGate, new_application};

use super::{Answer, GRANT, oauth_error, token};

pub(crate) async fn line_01_a_valid_request_is_answered_with_a_bearer_token(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let (id, secret) = (&application.client_id, &application.secret);
    let json = serde_json::json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret});
    let basic = gate.form("/auth/token", &[GRANT]).basic_auth(id, Some(secret));
    for answer in [
        token(&gate, &application, &[GRANT]).await,
        Answer::read(gate.http.post(gate.url("/auth/token")).json(&json).send().await.unwrap()).await,
        Answer::read(basic.send().await.unwrap()).await,
    ] {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let body = answer.json();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"].as_u64(), Some(3600));
        assert_eq!(body["scope"], "memory:read memory:write memory:delete");
        assert!(body["access_token"].is_string() && body["refresh_token"].is_string());
    }
}

pub(crate) async fn line_02_no_token_answer_may_be_stored(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let large = "a".repeat(600_000);
    let answers = [
        token(&gate, &application, &[GRANT]).await,
        token(&gate, &application, &[GRANT, ("scope", "admin")]).await,
        token(&gate, &application, &[GRANT, ("x", &large)]).await,
        Answer::read(gate.form("/auth/token", &[GRANT]).send().await.unwrap()).await,
        Answer::read(gate.http.get(gate.url("/auth/token")).send().await.unwrap()).await,
        Answer::read(gate.http.post(gate.url("/auth/token")).body("a").send().await.unwrap()).await,
        Answer::read(gate.http.get(gate.url("/auth/nowhere")).send().await.unwrap()).await,
    ];
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 400, 413, 401, 405, 400, 404]);
    for answer in answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.body);
        assert_eq!(answer.header("pragma"), Some("no-cache"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

pub(crate) async fn line_04_only_post_with_a_form_or_json_is_read(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let request = gate.http.request(method.parse().unwrap(), gate.url("/auth/token"));
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(answer.header("allow"), Some("POST"));
        assert_eq!(oauth_error(&answer, 405), "invalid_request");
    }
    for content_type in ["", "text/plain", "multipart/form-data; boundary=a", "application/xml"] {
        let request = gate.http.post(gate.url("/auth/token")).body("grant_type=client_credentials");
        let answer = Answer::read(request.header("Content-Type", content_type).send().await.unwrap()).await;
        assert_eq!(oauth_error(&answer, 400), "invalid_request", "{content_type}");
    }
}

pub(crate) async fn line_05_a_repeated_parameter_is_an_invalid_request(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    for repeated in [
        &[GRANT, GRANT][..],
        &[GRANT, ("scope", "memory:read"), ("scope", "memory:read")],
        &[GRANT, ("scope", ""), ("scope", "memory:read")],
        &[GRANT, ("client_id", &application.client_id)],
        &[GRANT, ("unknown", "a"), ("unknown", "b")],
    ] {
        assert_eq!(oauth_error(&token(&gate, &application, repeated).await, 400), "invalid_request", "{repeated:?}");
    }
    let twice =
        format!(r#"{{"grant_type":"client_credentials","client_id":"{0}","client_id":"{0}"}}"#, application.client_id);
    let json = gate.http.post(gate.url("/auth/token")).header("Content-Type", "application/json").body(twice);
    assert_eq!(oauth_error(&Answer::read(json.send().await.unwrap()).await, 400), "invalid_request");

    let empty_is_absent = [GRANT, ("scope", ""), ("refresh_token", "")];
    assert_eq!(token(&gate, &application, &empty_is_absent).await.status, 200);
    let unknown_is_ignored = [GRANT, ("resource_hint", "a"), ("state", "b")];
    assert_eq!(token(&gate, &application, &unknown_is_ignored).await.status, 200);
}

pub(crate) async fn line_06_a_missing_grant_type_is_invalid_and_an_unknown_one_unsupported(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    for missing in [&[][..], &[("grant_type", "")]] {
        assert_eq!(oauth_error(&token(&gate, &application, missing).await, 400), "invalid_request");
    }
    for unknown in ["password", "implicit", "token", "CLIENT_CREDENTIALS", "urn:x", "client_credentials refresh_token"]
    {
        let answer = token(&gate, &application, &[("grant_type", unknown)]).await;
        assert_eq!(oauth_error(&answer, 400), "unsupported_grant_type", "{unknown}");
    }
}

pub(crate) async fn line_07_a_grant_that_the_application_lacks_is_unauthorized(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let only = |grant| NewApplication { grants: [grant].into(), ..new_application() };
    let without_refresh = gate.register(only(GrantType::ClientCredentials)).await;
    let answer = token(&gate, &without_refresh, &[GRANT]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.json().get("refresh_token").is_none());
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "a")];
    assert_eq!(oauth_error(&token(&gate, &without_refresh, &refresh).await, 400), "unauthorized_client");

    let without_credentials = gate.register(only(GrantType::RefreshToken)).await;
    assert_eq!(oauth_error(&token(&gate, &without_credentials, &[GRANT]).await, 400), "unauthorized_client");
}

pub(crate) async fn line_08_a_scope_is_granted_exactly_or_refused(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let permissions = [Permission::MemoryRead, Permission::MemoryWrite].into_iter().collect();
    let application = gate.register(NewApplication { permissions, ..new_application() }).await;
    for (asked, granted) in [
        ("memory:read", "memory:read"),
        ("memory:write memory:read", "memory:read memory:write"),
        ("  memory:read  memory:read ", "memory:read"),
        ("", "memory:read memory:write"),
    ] {
        let answer = token(&gate, &application, &[GRANT, ("scope", asked)]).await;
        assert_eq!(answer.text("scope"), granted, "{asked}");
    }
    for refused in
        ["memory:delete", "memory:read memory:delete", "admin", "memory:read,memory:write", "MEMORY:READ", "*"]
    {
        let answer = token(&gate, &application, &[GRANT, ("scope", refused)]).await;
        assert_eq!(oauth_error(&answer, 400), "invalid_scope", "{refused}");
    }
}
