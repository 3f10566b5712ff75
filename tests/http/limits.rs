//! What a request may cost before it is known who sent it.

use std::time::{Duration, Instant};

use poem::Request;
use poem::http::Method;

use super::face::{FORM, Face, request};

/// A quarter of a megabyte of names without values.
fn names(count: usize) -> String {
    (0..count).map(|number| format!("{number:x}")).collect::<Vec<_>>().join("&")
}

/// The shortest of a few measurements, which a busy machine disturbs least.
async fn fastest(face: &Face, build: impl Fn() -> Request) -> Duration {
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let request = build();
        let begun = Instant::now();
        assert!(face.send(request).await.status.as_u16() < 500);
        fastest = fastest.min(begun.elapsed());
    }
    fastest
}

/// That many names cost about what as many bytes in one name cost, and not thousands of times as much, as they do where
/// all names are compared with each other.
#[track_caller]
fn assert_linear(many: Duration, one: Duration, case: &str) {
    let allowed = (one * 20).max(Duration::from_millis(100));
    assert!(many < allowed, "{case}: {many:?} for many parameters, {one:?} for one of the same length");
}

#[tokio::test]
async fn a_form_with_44_000_names_costs_what_its_bytes_cost() {
    let face = Face::new();
    let many = names(44_000);
    assert!((200_000..=256 * 1024).contains(&many.len()), "{}", many.len());
    let one = "a".repeat(many.len());
    for path in [
        "/auth/sign-in",
        "/auth/sign-out",
        "/auth/consent",
        "/auth/authorize",
        "/auth/token",
        "/auth/revoke",
        "/auth/introspect",
        "/account/connections/revoke",
    ] {
        let of = |body: &str| request(Method::POST, path).content_type(FORM).body(body.to_owned());
        let (many, one) = (fastest(&face, || of(&many)).await, fastest(&face, || of(&one)).await);
        assert_linear(many, one, path);
    }
}

#[tokio::test]
async fn a_json_body_with_many_members_costs_what_its_bytes_cost() {
    let face = Face::new();
    let many = format!("{{{}}}", names(20_000).split('&').map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
    assert!((150_000..=256 * 1024).contains(&many.len()), "{}", many.len());
    let one = format!("{{\"{}\":0}}", "a".repeat(many.len()));
    for path in ["/auth/token", "/auth/revoke"] {
        let of = |body: &str| request(Method::POST, path).content_type("application/json").body(body.to_owned());
        let (many, one) = (fastest(&face, || of(&many)).await, fastest(&face, || of(&one)).await);
        assert_linear(many, one, path);
    }
}

#[tokio::test]
async fn a_query_with_13_000_names_costs_what_its_bytes_cost() {
    let face = Face::new();
    let application = &face.application;
    let (many, one) = (names(13_000), "a".repeat(names(13_000).len()));
    for begin in [
        "/auth/authorize?x=%zz".to_owned(),
        format!("/auth/authorize?client_id={}&x=1&x=2", application.client_id),
        "/auth/callback?".to_owned(),
        "/auth/sign-in/provider?".to_owned(),
        "/api/v1/memories?".to_owned(),
    ] {
        let of = |query: &str| request(Method::GET, &format!("{begin}&{query}")).finish();
        let (many, one) = (fastest(&face, || of(&many)).await, fastest(&face, || of(&one)).await);
        assert_linear(many, one, &begin);
    }
}

#[tokio::test]
async fn a_query_with_too_many_parameters_is_refused_before_it_is_read() {
    let face = Face::new();
    let token = face.token().await;
    let get = |path: &str| request(Method::GET, path).header("Authorization", format!("Bearer {token}")).finish();
    for (count, status) in [(64, 400), (65, 400), (13_000, 400)] {
        let answer = face.send(get(&format!("/api/v1/memories?{}", names(count)))).await;
        let problem = answer.problem(status, "invalid-value");
        assert_eq!(problem["field"] == "query", count > 64, "{count}: {problem}");
    }
    assert_eq!(face.get(&format!("/auth/callback?{}", names(65))).await.status, 400);
    assert_eq!(face.get(&format!("/auth/token?{}", names(65))).await.oauth_error(400), "invalid_request");
}
