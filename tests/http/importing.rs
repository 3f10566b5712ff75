//! `POST /api/v1/import`.

use std::sync::Arc;
use std::time::Duration;

use memgate::domain::memories::{Capabilities, Limit};
use memgate_domain::testing::InMemoryMemoryBank;
use poem::Body;
use poem::http::Method;
use serde_json::{Value, json};

use super::face::{Answer, Face, request};

async fn import(face: &Face, token: &str, media_type: &str, body: impl Into<Body>) -> Answer {
    let request = request(Method::POST, "/api/v1/import").header("Authorization", format!("Bearer {token}"));
    face.send(request.content_type(media_type).body(body.into())).await
}

pub(super) async fn import_lines(face: &Face, lines: &str) -> Answer {
    import(face, &face.token().await, "application/x-ndjson", lines.to_owned()).await
}

#[tokio::test]
async fn what_was_exported_is_imported_to_the_same_and_once() {
    let (here, there) = (Face::new(), Face::new());
    let full = json!({
        "content": "Ada's \"nuts\"\nand 日本", "categories": ["health"], "metadata": {"n": 1.5, "x": [1, null]},
        "context": {"conversation_id": "c-1"}, "priority": "high", "expires_at": "2040-01-01T00:00:00Z",
    });
    here.post("/api/v1/memories", full).await;
    here.remember("tea").await;
    let exported = here.call(Method::GET, "/api/v1/export", None).await;
    for (created, duplicates) in [(2, 0), (0, 2)] {
        let token = there.token().await;
        let answer = import(&there, &token, "application/octet-stream", exported.body.clone()).await;
        assert_eq!(answer.status, 200);
        let report = json!({
            "status": "imported", "request_id": answer.json()["request_id"], "rows": 2, "created": created,
            "duplicates": duplicates, "expired": 0, "left_out": 0, "reasons": [],
        });
        assert_eq!(answer.json(), report);
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"));
    }
    let again = there.call(Method::GET, "/api/v1/export", None).await;
    let lines = |answer: &Answer| -> Vec<Value> {
        let text = String::from_utf8(answer.body.clone()).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            line.as_object_mut().unwrap().remove("space");
        }
        lines
    };
    assert_eq!(lines(&again), lines(&exported), "ids, times, categories, metadata");
}

#[tokio::test]
async fn what_is_wrong_is_left_out_and_named_by_its_line() {
    let face = Face::new();
    let lines = "\u{feff}{\"content\": \"a\", \"categories\": null}\r\n\n{\"content\": \"a\"\n{\"content\": \"\"}\n\
                 {\"content\": \"x\", \"expires_at\": \"2000-01-01\"}\n{\"content\": \"b\"}\n{\"content\": \"b\"}\n[]";
    let answer = import_lines(&face, lines).await.json();
    let counts = ["rows", "created", "duplicates", "expired", "left_out"].map(|name| answer[name].as_u64().unwrap());
    assert_eq!(counts, [7, 2, 1, 1, 3]);
    let reasons = answer["reasons"].as_array().unwrap();
    assert_eq!(reasons.iter().map(|reason| reason["line"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4, 8]);
    assert!(reasons[1]["reason"].as_str().unwrap().contains("`content`"), "{reasons:?}");
}

#[tokio::test]
async fn a_broken_line_900001_is_named() {
    let face = Face::new();
    let lines = format!("{}{}\n{}", "\n".repeat(900_000), "{\"content\": ", "{\"content\": \"the last\"}");
    let answer = import_lines(&face, &lines).await.json();
    assert_eq!((&answer["created"], &answer["reasons"][0]["line"]), (&json!(1), &json!(900_001)));
    assert_eq!(answer["reasons"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn another_media_type_and_a_compressed_body_are_refused_before_anything_is_read() {
    let face = Face::new();
    let token = face.token().await;
    for media_type in ["application/json", "text/csv", "multipart/form-data; boundary=x"] {
        let answer = import(&face, &token, media_type, "{\"content\": \"a\"}").await;
        answer.problem(415, "unsupported-media-type");
    }
    let compressed = request(Method::POST, "/api/v1/import")
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Encoding", "gzip")
        .content_type("application/x-ndjson")
        .body("x");
    face.send(compressed).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn it_needs_a_token_that_may_write() {
    let face = Face::new();
    let reads = face.scoped_token("memory:read").await;
    import(&face, &reads, "application/x-ndjson", "{}").await.problem(403, "insufficient-scope");
    let nobody = request(Method::POST, "/api/v1/import").content_type("application/x-ndjson").body("{}");
    face.send(nobody).await.problem(401, "unauthenticated");
}

/// A body that sends `lines`, and then does not go on.
fn stuck(lines: &str) -> Body {
    use futures_util::{StreamExt as _, stream};
    let sent = stream::iter([Ok::<_, std::io::Error>(lines.to_owned())]);
    Body::from_bytes_stream(sent.chain(stream::pending()))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_go_on_ends_with_an_account_of_what_was_done() {
    let face = Face::new();
    let token = face.token().await;
    let lines = "{\"content\": \"a\"}\n{\"content\": \"b\"}\n{\"content\": \"half";
    let started = tokio::time::Instant::now();
    let answer = import(&face, &token, "application/x-ndjson", stuck(lines)).await;
    assert!(started.elapsed() >= Duration::from_secs(30));
    let problem = answer.problem(400, "interrupted-body");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("after 2 rows: 2 were stored, 0 were there already"), "{detail}");
}

#[tokio::test]
async fn an_import_ends_with_its_token_and_says_what_was_done() {
    use futures_util::{StreamExt as _, stream};
    let face = Arc::new(Face::new());
    let token = face.token().await;
    let (revoking, revoked) = (Arc::clone(&face), token.clone());
    let second = stream::once(async move {
        let answer = revoking.client_form("/auth/revoke", &[("token", &revoked)]).await;
        assert_eq!(answer.status, 200);
        Ok("{\"content\": \"after\"}\n")
    });
    let first = stream::iter([Ok::<_, std::io::Error>("{\"content\": \"before\"}\n")]);
    let answer = import(&face, &token, "application/x-ndjson", Body::from_bytes_stream(first.chain(second))).await;
    assert_eq!(answer.status, 401, "{}", answer.json());
    assert!(answer.json()["detail"].as_str().unwrap().contains("after 1 rows: 1 were stored"), "{}", answer.json());
    let listed = face.call(Method::GET, "/api/v1/memories", None).await.json();
    let contents: Vec<_> = listed["memories"].as_array().unwrap().iter().map(|memory| &memory["content"]).collect();
    assert_eq!(contents, ["before"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_gives_its_slot_back() {
    use futures_util::stream;
    let face = Face::new();
    let token = face.token().await;
    let trickle = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        Some((Ok::<_, std::io::Error>("\n"), ()))
    });
    let answer = import(&face, &token, "application/x-ndjson", Body::from_bytes_stream(trickle)).await;
    answer.problem(400, "interrupted-body");
}

#[tokio::test]
async fn what_a_row_calls_its_members_is_repeated_in_part() {
    let face = Face::new();
    let lines = format!("{{\"{}\": 1}}\n", "x".repeat(500_000)).repeat(3);
    let answer = import_lines(&face, &lines).await;
    assert_eq!(answer.json()["left_out"], 3);
    assert!(answer.body.len() < 2_000, "{}", answer.body.len());
}

#[tokio::test]
async fn an_export_is_read_while_it_is_sent_and_ends_with_its_token() {
    use futures_util::StreamExt as _;
    let face = Face::new();
    let lines: Vec<String> =
        (0..2_500).map(|number| json!({"content": format!("memory {number}")}).to_string()).collect();
    assert_eq!(import_lines(&face, &lines.join("\n")).await.json()["created"], 2_500);
    for revoke_after in [None, Some(1)] {
        let token = face.token().await;
        let request = request(Method::GET, "/api/v1/export").header("Authorization", format!("Bearer {token}"));
        let response = face.unread(request.finish()).await;
        let (headers, body) = (response.headers().clone(), response.into_body());
        assert_eq!(headers.get("content-length"), None);
        let (mut pages, mut received, mut is_whole) = (body.into_bytes_stream(), 0, true);
        for number in 1.. {
            let page = match pages.next().await {
                Some(Ok(page)) => page,
                Some(Err(_)) => {
                    is_whole = false;
                    break;
                }
                None => break,
            };
            received += std::str::from_utf8(&page).unwrap().lines().count();
            if revoke_after == Some(number) {
                assert_eq!(face.client_form("/auth/revoke", &[("token", &token)]).await.status, 200);
            }
        }
        let page = usize::try_from(Limit::PAGE.get()).unwrap();
        assert_eq!((received, is_whole), if revoke_after.is_some() { (page, false) } else { (2_500, true) });
    }
}

#[tokio::test(start_paused = true)]
async fn one_import_at_a_time_is_enough_for_a_space() {
    let face = Face::new();
    let token = face.token().await;
    let first = import(&face, &token, "application/x-ndjson", stuck("\n"));
    let second = async {
        tokio::task::yield_now().await;
        import(&face, &token, "application/x-ndjson", "{\"content\": \"a\"}").await
    };
    let (first, second) = tokio::join!(first, second);
    first.problem(400, "interrupted-body");
    assert_eq!(second.problem(429, "import-under-way")["status"], 429);
    assert!(second.header("retry-after").is_some());
    assert_eq!(import_lines(&face, "{\"content\": \"a\"}").await.status, 200, "the slot is free again");
}

#[tokio::test]
async fn a_bank_that_refuses_what_it_cannot_do_leaves_the_others() {
    let bank =
        InMemoryMemoryBank::with_capabilities(Capabilities { expiry: false, ..InMemoryMemoryBank::CAPABILITIES });
    let face = Face::on(bank);
    let lines = "{\"content\": \"a\", \"expires_at\": \"2040-01-01\"}\n{\"content\": \"b\"}";
    let answer = import_lines(&face, lines).await.json();
    assert_eq!(
        (&answer["created"], &answer["left_out"], &answer["reasons"][0]["line"]),
        (&json!(1), &json!(1), &json!(1))
    );
}
