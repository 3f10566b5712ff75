//! Access tokens at the memory API (RFC 6750).

use std::time::Duration;

use poem::http::{HeaderValue, Method};

use super::face::{Answer, FORM, Face, request};

async fn me(face: &Face, authorization: impl TryInto<HeaderValue>) -> Answer {
    let value = authorization.try_into().ok().unwrap();
    face.send(request(Method::GET, "/api/v1/me").header("Authorization", value).finish()).await
}

#[tokio::test]
async fn without_credentials_the_challenge_names_no_error() {
    let face = Face::new();
    let answer = face.get("/api/v1/me").await;
    answer.problem(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="memgate""#));
}

#[tokio::test]
async fn credentials_of_another_scheme_count_as_none() {
    let face = Face::new();
    for header in ["Basic YTpi", "Bearer", "bearertoken", "Digest x", "", "🦀 token"] {
        let answer = me(&face, header.as_bytes()).await;
        answer.problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer realm="memgate""#), "{header}");
    }
}

#[tokio::test]
async fn the_name_of_the_scheme_may_be_written_in_any_case() {
    let face = Face::new();
    let token = face.token().await;
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer  "] {
        assert_eq!(me(&face, format!("{scheme} {token}")).await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn garbage_for_a_token_is_an_invalid_token() {
    let face = Face::new();
    let dots = ".".repeat(10_000);
    let long = "a".repeat(1 << 20);
    let token = face.token().await;
    let cut = &token[..token.len() - 1];
    for garbage in [b" ".as_slice(), b"\xff\xfe", b"a b", b"a.b.c", dots.as_bytes(), long.as_bytes(), cut.as_bytes()] {
        let answer = me(&face, [b"Bearer ", garbage].concat()).await;
        answer.problem(401, "invalid-token");
        assert!(answer.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
    }
}

#[tokio::test]
async fn an_expired_token_is_an_invalid_token() {
    let face = Face::new();
    let token = face.token().await;
    face.clock.advance(Duration::from_secs(3601));
    me(&face, format!("Bearer {token}")).await.problem(401, "invalid-token");
}

#[tokio::test]
async fn a_missing_permission_is_named_in_the_challenge() {
    let face = Face::new();
    let token = face.scoped_token("memory:read").await;
    let create = request(Method::POST, "/api/v1/memories").header("Authorization", format!("Bearer {token}"));
    // Permission comes before the body: nothing is learned by sending bodies.
    let answer = face.send(create.content_type("application/json").body("nonsense")).await;
    let problem = answer.problem(403, "insufficient-scope");
    assert!(problem["detail"].as_str().unwrap().contains("memory:write"));
    assert_eq!(
        answer.header("www-authenticate"),
        Some(r#"Bearer realm="memgate", error="insufficient_scope", scope="memory:write""#)
    );
}

#[tokio::test]
async fn two_tokens_in_one_request_are_refused() {
    let face = Face::new();
    let header = format!("Bearer {}", face.token().await);
    let twice = request(Method::GET, "/api/v1/me").header("Authorization", &*header).header("Authorization", &*header);
    face.send(twice.finish()).await.problem(400, "invalid-request");

    let search = || request(Method::POST, "/api/v1/search").header("Authorization", &*header).content_type(FORM);
    face.send(search().body("access_token=a")).await.problem(400, "invalid-request");
    face.send(search().body("access_token=a&access_token=b")).await.problem(400, "invalid-request");
    face.send(search().body("query=a")).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn a_database_that_is_away_is_not_blamed_on_the_token() {
    let face = Face::new();
    let token = face.token().await;
    face.applications_outage.begin();
    let answer = me(&face, format!("Bearer {token}")).await;
    answer.problem(503, "unavailable");
    assert!(answer.header("retry-after").is_some() && answer.header("www-authenticate").is_none());
}
