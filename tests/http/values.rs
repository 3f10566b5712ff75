//! Bad input to the memory API: each is refused by name, with a 4xx.

use poem::http::Method;
use serde_json::{Value, json};

use super::face::{Face, request};

/// Sends `body` as it is.
async fn refused(face: &Face, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Value {
    let request = request(method, path).header("Authorization", format!("Bearer {}", face.token().await));
    let answer = face.send(request.content_type("application/json").body(body.into())).await;
    assert!(answer.status.is_client_error(), "{}", String::from_utf8_lossy(&answer.body));
    answer.problem(answer.status.as_u16(), answer.json()["type"].as_str().unwrap().rsplit(':').next().unwrap())
}

#[tokio::test]
async fn each_value_of_a_search_that_cannot_be_is_refused_by_its_name() {
    let face = Face::new();
    for (body, field) in [
        (json!({}), "query"),
        (json!({"query": ""}), "query"),
        (json!({"query": "  \n"}), "query"),
        (json!({"query": "a\u{0}b"}), "query"),
        (json!({"query": "a".repeat(4097)}), "query"),
        (json!({"query": null}), "query"),
        (json!({"query": ["a"]}), "query"),
        (json!({"query": "a", "limit": 0}), "limit"),
        (json!({"query": "a", "limit": 1001}), "limit"),
        (json!({"query": "a", "limit": -1}), "limit"),
        (json!({"query": "a", "limit": 1e30}), "limit"),
        (json!({"query": "a", "limit": "10"}), "limit"),
        (json!({"query": "a", "limit": 5.5}), "limit"),
        (json!({"query": "a", "limit": -1e30}), "limit"),
        (json!({"query": "a", "limit": u64::MAX}), "limit"),
        (
            json!({"query": "a", "filters": {"date_range": {"start": "2026-05-08T13:56:00+"}}}),
            "filters.date_range.start",
        ),
        (json!({"query": "a", "threshold": 1.5}), "threshold"),
        (json!({"query": "a", "threshold": "high"}), "threshold"),
        (json!({"query": "a", "unknown": 1}), "unknown"),
        (json!({"query": "a", "filters": {"user_id": "*"}}), "filters.user_id"),
        (json!({"query": "a", "filters": []}), "filters"),
        (json!({"query": "a", "filters": [["work"], null, null]}), "filters"),
        (json!({"query": "a", "filters": {"date_range": ["2026-01-01", null]}}), "filters.date_range"),
        (json!({"query": "a", "context": ["g", "c"]}), "context"),
        (json!(["a", null, null, null, null]), "body"),
        (json!({"query": "a", "filters": {"categories": "work"}}), "filters.categories"),
        (json!({"query": "a", "filters": {"categories": ["a", ""]}}), "filters.categories[1]"),
        (json!({"query": "a", "filters": {"date_range": {"start": "yesterday"}}}), "filters.date_range.start"),
        (
            json!({"query": "a", "filters": {"date_range": {"start": "2026-02-01", "end": "2026-01-01"}}}),
            "filters.date_range.end",
        ),
        (json!({"query": "a", "filters": {"date_range": {"from": "2026-02-01"}}}), "filters.date_range.from"),
        (json!({"query": "a", "filters": {"metadata": {"a": {"$ne": 1}}}}), "filters.metadata.a"),
        (json!({"query": "a", "context": {"custom_gpt_id": ""}}), "context.custom_gpt_id"),
        (json!({"query": "a", "context": {"conversation_id": "a\nb"}}), "context.conversation_id"),
        (json!({"query": "a", "context": {"user": "b"}}), "context.user"),
        (json!("a"), "body"),
        (json!(null), "body"),
    ] {
        let problem = refused(&face, Method::POST, "/api/v1/search", body.to_string()).await;
        assert_eq!(problem["field"], field, "{body} {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(&format!("`{field}`")), "{problem}");
    }
}

#[tokio::test]
async fn each_value_of_a_memory_that_cannot_be_is_refused_by_its_name() {
    let face = Face::new();
    let deep = json!({"a": {"b": {"c": {"d": {"e": {}}}}}});
    for (body, field) in [
        (json!({"content": ""}), "content"),
        (json!({"content": "a\u{0}"}), "content"),
        (json!({"content": "a".repeat(32_769)}), "content"),
        (json!({"content": "a", "categories": vec!["a"; 17]}), "categories"),
        (json!({"content": "a", "metadata": "x"}), "metadata"),
        (json!({"content": "a", "metadata": {"user_id": "x"}}), "metadata.user_id"),
        (json!({"content": "a", "metadata": deep}), "metadata"),
        (json!({"content": "a", "metadata": {"a": "x".repeat(20_000)}}), "metadata"),
        (json!({"content": "a", "priority": "urgent"}), "priority"),
        (json!({"content": "a", "idempotency_key": ""}), "idempotency_key"),
        (json!({"content": "a", "expires_at": "tomorrow"}), "expires_at"),
        (json!({"content": "a", "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"content": "a", "id": "mine"}), "id"),
        (json!([]), "body"),
        (json!(["text", ["a"], {}, null, "high", null, null]), "body"),
        (json!({"content": "a", "context": ["g", "c"]}), "context"),
    ] {
        let problem = refused(&face, Method::POST, "/api/v1/memories", body.to_string()).await;
        assert_eq!(problem["field"], field, "{body} {problem}");
    }
    for (body, field) in [
        (json!({}), "body"),
        (json!({"content": ""}), "content"),
        (json!({"expires_at": 5}), "expires_at"),
        (json!({"context": {}}), "context"),
        (json!(["text", null, null, null, null]), "body"),
    ] {
        let problem = refused(&face, Method::PATCH, "/api/v1/memories/a", body.to_string()).await;
        assert_eq!(problem["field"], field, "{body} {problem}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused_in_words() {
    let face = Face::new();
    let nested = format!("{{\"query\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    let deep_metadata =
        format!(r#"{{"query":"a","filters":{{"metadata":{{"a":{}{}}}}}}}"#, "[".repeat(1000), "]".repeat(1000));
    let deep_unknown = format!(r#"{{"x":{}1{}}}"#, r#"{"a":"#.repeat(1000), "}".repeat(1000));
    for body in [
        b"".to_vec(),
        b"{".to_vec(),
        b"query=a".to_vec(),
        b"{\"query\":\"\xff\"}".to_vec(),
        b"{\"query\":\"\\ud800\"}".to_vec(),
        b"{\"query\":\"a\"}{}".to_vec(),
        b"{\"query\":\"a\",\"query\":\"b\"}".to_vec(),
        nested.into_bytes(),
        deep_metadata.into_bytes(),
        deep_unknown.into_bytes(),
    ] {
        let problem = refused(&face, Method::POST, "/api/v1/search", body).await;
        assert_eq!(problem["status"], 400, "{problem}");
    }
}

#[tokio::test]
async fn a_whole_number_that_64_bits_cannot_hold_is_refused_and_not_rounded() {
    let face = Face::new();
    let body = r#"{"content":"a","metadata":{"ids":[1,18446744073709551616]}}"#;
    let problem = refused(&face, Method::POST, "/api/v1/memories", body).await;
    assert_eq!(problem["field"], "metadata.ids[1]", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("as a string"), "{problem}");
    let kept = json!({"high": u64::MAX, "low": i64::MIN, "real": 1e30});
    let answer = face.post("/api/v1/memories", json!({"content": "a", "metadata": kept})).await;
    assert_eq!(answer.json()["memory"]["metadata"], kept);
}

#[tokio::test]
async fn what_means_the_same_is_read_the_same() {
    let face = Face::new();
    for (method, path, body) in [
        (Method::POST, "/api/v1/search", r#"{"query":"a","limit":5.0}"#),
        (Method::POST, "/api/v1/search", r#"{"query":"a","limit":1e3}"#),
        (
            Method::POST,
            "/api/v1/search",
            r#"{"query":"a","filters":{"date_range":{"start":"2026-05-08T13:56:00","end":"2026-05-08T13:56:00Z"}}}"#,
        ),
        (Method::POST, "/api/v1/memories", r#"{"content":"a","expires_at":"2100-01-01T00:00:00.5"}"#),
    ] {
        let request = request(method, path).header("Authorization", format!("Bearer {}", face.token().await));
        let answer = face.send(request.content_type("application/json").body(body)).await;
        assert!(answer.status.is_success(), "{body}: {}", String::from_utf8_lossy(&answer.body));
    }
}

#[tokio::test]
async fn the_longest_memory_is_taken_however_it_is_escaped() {
    let face = Face::new();
    let body = format!(r#"{{"content":"{}"}}"#, r"\ud83e\udd80".repeat(32_768));
    let request =
        request(Method::POST, "/api/v1/memories").header("Authorization", format!("Bearer {}", face.token().await));
    let answer = face.send(request.content_type("application/json").body(body)).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.json()["memory"]["content"].as_str().unwrap().chars().count(), 32_768);
}

#[tokio::test]
async fn a_body_that_is_encoded_is_refused_as_that() {
    let face = Face::new();
    let search = |coding: &'static str, token: String| {
        let search = request(Method::POST, "/api/v1/search").header("Authorization", format!("Bearer {token}"));
        search.header("Content-Encoding", coding).content_type("application/json").body(r#"{"query":"a"}"#)
    };
    for coding in ["gzip", "br", "gzip, identity"] {
        let answer = face.send(search(coding, face.token().await)).await;
        let problem = answer.problem(415, "unsupported-media-type");
        assert!(problem["detail"].as_str().unwrap().contains("Content-Encoding"), "{problem}");
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
    for coding in ["identity", "Identity", ""] {
        assert_eq!(face.send(search(coding, face.token().await)).await.status, 200, "{coding}");
    }
    for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
        let form = request(Method::POST, path).header("Content-Encoding", "gzip").content_type(super::face::FORM);
        assert_eq!(
            face.send(form.body("grant_type=client_credentials")).await.oauth_error(415),
            "invalid_request",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_or_of_another_type_is_refused() {
    let face = Face::new();
    let problem = refused(&face, Method::POST, "/api/v1/search", vec![b' '; 512 * 1024 + 1]).await;
    assert_eq!(problem["status"], 413);
    let token = face.token().await;
    for content_type in [None, Some("text/plain"), Some("application/jsonp"), Some(";")] {
        let mut search = request(Method::POST, "/api/v1/search").header("Authorization", format!("Bearer {token}"));
        if let Some(content_type) = content_type {
            search = search.content_type(content_type);
        }
        let problem = face.send(search.body(r#"{"query":"a"}"#)).await.problem(415, "unsupported-media-type");
        assert!(problem["detail"].as_str().unwrap().contains("Content-Type"));
    }
}

#[tokio::test]
async fn each_parameter_that_cannot_be_is_refused_by_its_name() {
    let face = Face::new();
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=", "cursor"),
        ("cursor=tampered", "cursor"),
        ("category=", "category"),
        ("category=%00", "category"),
        ("category=%ff%0a%ff", "category"),
        ("category=%ff", "category"),
        ("category=a%c3", "category"),
        ("cursor=%ff", "cursor"),
        ("limit=%ff", "limit"),
        ("page=2", "page"),
    ] {
        let answer = face.call(Method::GET, &format!("/api/v1/memories?{query}"), None).await;
        assert_eq!(answer.problem(400, "invalid-value")["field"], field, "{query}");
    }
    for id in ["%ff", "a%20b", "%00", "..%2f..%2fetc", &"a".repeat(129)] {
        let answer = face.call(Method::GET, &format!("/api/v1/memories/{id}"), None).await;
        assert!(answer.status.is_client_error(), "{id}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}
