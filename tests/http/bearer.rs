//! Access tokens at the memory API (RFC 6750).

use std::time::Duration;

use poem::http::{HeaderValue, Method};

use super::face::{Answer, FORM, Face, PUBLIC_URL, request};

async fn me(face: &Face, authorization: impl TryInto<HeaderValue>) -> Answer {
    let value = authorization.try_into().ok().unwrap();
    face.send(request(Method::GET, "/api/v1/me").header("Authorization", value).finish()).await
}

/// A challenge with these parameters after the realm.
fn challenge(parameters: &str) -> String {
    let metadata = format!("{PUBLIC_URL}/.well-known/oauth-protected-resource/api");
    format!(r#"Bearer realm="memgate"{parameters}, resource_metadata="{metadata}""#)
}

#[tokio::test]
async fn every_challenge_leads_to_the_metadata_of_the_resource_that_was_asked_for() {
    let face = Face::new();
    for (path, authorization) in [
        ("/api/v1/me", None),
        ("/api/v1/me", Some("Bearer nonsense")),
        ("/api/v1/me?access_token=a", None),
        ("/api/v1/memories", None),
    ] {
        let mut get = request(Method::GET, path);
        if let Some(authorization) = authorization {
            get = get.header("Authorization", authorization);
        }
        let answer = face.send(get.finish()).await;
        let challenge = answer.header("www-authenticate").unwrap_or_else(|| panic!("{path} has no challenge"));
        let (_, url) = challenge.split_once("resource_metadata=\"").unwrap();
        let path_of_metadata = url.split('"').next().unwrap().strip_prefix(PUBLIC_URL).unwrap();
        let metadata = face.get(path_of_metadata).await;
        assert_eq!(metadata.status, 200);
        // RFC 9728 §3.3: the resource is the one from whose URL the place of the document was made.
        assert_eq!(metadata.json()["resource"], format!("{PUBLIC_URL}/api"));
        assert_eq!(metadata.json()["authorization_servers"], serde_json::json!([PUBLIC_URL]));
    }
}

#[tokio::test]
async fn without_credentials_the_challenge_names_no_error() {
    let face = Face::new();
    let answer = face.get("/api/v1/me").await;
    answer.problem(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), Some(&*challenge("")));
}

#[tokio::test]
async fn credentials_of_another_scheme_count_as_none() {
    let face = Face::new();
    for header in ["Basic YTpi", "Bearer", "bearertoken", "Digest x", "", "🦀 token"] {
        let answer = me(&face, header.as_bytes()).await;
        answer.problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some(&*challenge("")), "{header}");
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
        Some(&*challenge(r#", error="insufficient_scope", scope="memory:write""#))
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
async fn a_database_that_is_unavailable_is_not_blamed_on_the_token() {
    let face = Face::new();
    let token = face.token().await;
    face.applications_outage.begin();
    let answer = me(&face, format!("Bearer {token}")).await;
    answer.problem(503, "unavailable");
    assert!(answer.header("retry-after").is_some() && answer.header("www-authenticate").is_none());
}
