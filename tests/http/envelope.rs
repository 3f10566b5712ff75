//! What every answer has in common.

use std::collections::HashSet;

use memgate::domain::memories::MockMemoryBank;
use poem::http::Method;

use super::face::{Face, request};

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let face = Face::new();
    let mut seen = HashSet::new();
    for path in ["/health/live", "/api/v1/me", "/auth/token", "/nowhere", "/openapi.json", "/"] {
        let answer = face.get(path).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!(id.parse::<uuid::Uuid>().unwrap().get_version_num(), 7, "{path}");
        assert!(seen.insert(id));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn answers_with_tokens_or_memories_must_not_be_stored() {
    let face = Face::new();
    for path in ["/api/v1/me", "/api/v1/nowhere", "/auth/token", "/auth/nowhere"] {
        assert_eq!(face.get(path).await.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_is_an_internal_error_with_a_request_id() {
    let mut bank = MockMemoryBank::new();
    bank.expect_get().returning(|_, _, _| panic!("the panic that this test is about"));
    let face = Face::on(bank);
    let problem = face.call(Method::GET, "/api/v1/memories/a", None).await.problem(500, "internal");
    assert!(!problem.to_string().contains("the panic"), "{problem}");
    assert_eq!(face.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    let face = Face::new();
    for path in [
        "/nowhere",
        "/api",
        "/api/v1/memories/a/b",
        "/api/v1/memories/",
        "/health",
        "//api/v1/me",
        "/%00",
        "/%ff",
        // Clients probe such addresses, and take a page for an answer.
        "/.well-known/nowhere",
        "/.well-known/oauth-protected-resource/nowhere",
        "/.well-known/openid-configuration/mcp",
    ] {
        face.get(path).await.problem(404, "no-such-path");
    }
    assert_eq!(face.get("/auth/nowhere").await.oauth_error(404), "invalid_request");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_refused_with_those_it_has() {
    let face = Face::new();
    for (method, path, allow) in [
        (Method::DELETE, "/api/v1/memories", "GET, HEAD, POST"),
        (Method::POST, "/api/v1/memories/a", "DELETE, GET, HEAD, PATCH"),
        (Method::GET, "/api/v1/search", "POST"),
        (Method::OPTIONS, "/api/v1/me", "GET, HEAD"),
        (Method::POST, "/openapi.json", "GET, HEAD"),
        (Method::PUT, "/docs", "GET, HEAD"),
    ] {
        let answer = face.send(request(method, path).finish()).await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
    let answer = face.get("/auth/token").await;
    assert_eq!(answer.oauth_error(405), "invalid_request");
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn head_is_answered_as_get() {
    let face = Face::new();
    for path in ["/health/live", "/openapi.json", "/.well-known/jwks.json"] {
        assert_eq!(face.send(request(Method::HEAD, path).finish()).await.status, 200, "{path}");
    }
    assert_eq!(face.send(request(Method::HEAD, "/api/v1/me").finish()).await.status, 401);
}

#[tokio::test]
async fn a_secret_in_the_url_is_refused_wherever_it_is_sent() {
    let face = Face::new();
    for query in ["access_token=a", "x=1&access%5Ftoken=a", "token", "refresh_token=a", "client_secret=a"] {
        let answer = face.get(&format!("/api/v1/me?{query}")).await;
        assert!(answer.problem(400, "invalid-request")["detail"].as_str().unwrap().contains("URL"));
        assert!(answer.header("www-authenticate").unwrap().contains("error=\"invalid_request\""));
        let answer = face.form(&format!("/auth/token?{query}"), &[("grant_type", "client_credentials")]).await;
        assert_eq!(answer.oauth_error(400), "invalid_request");
    }
}
