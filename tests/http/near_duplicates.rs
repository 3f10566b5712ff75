//! Memories that say nearly the same.

use serde_json::{Value, json};

use super::face::{Face, request};

const TEXT: &str = "Marta drinks green tea.";

#[tokio::test]
async fn near_duplicates_are_named_if_the_request_asks_for_them() {
    let face = Face::new();
    let known = face.remember(TEXT).await;
    let plain = face.post("/api/v1/memories", json!({"content": TEXT})).await.json();
    assert_eq!(plain.get("near_duplicates"), None);
    face.call(
        poem::http::Method::DELETE,
        &format!("/api/v1/memories/{}", plain["memory"]["memory_id"].as_str().unwrap()),
        None,
    )
    .await;
    let body = |text: &str| json!({"content": text, "on_near_duplicate": "report"});
    let stored = face.post("/api/v1/memories", body("Marta drinks green tea")).await;
    assert_eq!(stored.status, 201);
    let near = json!([{"memory_id": known["memory_id"], "similarity": 1.0}]);
    assert_eq!(stored.json()["near_duplicates"], near);
    let stored = face.post("/api/v1/memories", body("Nils has a bicycle.")).await.json();
    assert_eq!(stored["near_duplicates"], json!([]));
    let refused = face.post("/api/v1/memories", json!({"content": TEXT, "on_near_duplicate": "ask"})).await;
    refused.problem(400, "invalid-value");
}

#[tokio::test]
async fn a_near_duplicate_is_refused_if_the_request_says_so() {
    let face = Face::new();
    let known = face.remember(TEXT).await;
    let body = json!({"content": "Marta drinks green tea!", "on_near_duplicate": "reject"});
    let problem = face.post("/api/v1/memories", body.clone()).await.problem(409, "near-duplicate");
    let near = json!([{"memory_id": known["memory_id"], "similarity": 1.0}]);
    assert_eq!(problem["near_duplicates"], near);
    assert!(problem["detail"].as_str().unwrap().contains(known["memory_id"].as_str().unwrap()));
    let memories = json!([body, {"content": "Nils has a bicycle.", "on_near_duplicate": "reject"},
        {"content": "Marta drinks green tea", "on_near_duplicate": "report"}]);
    let answer = face.post("/api/v1/bulk/memories", json!({ "memories": memories })).await.json();
    let results = &answer["results"];
    assert_eq!(results[0]["error"]["near_duplicates"], near);
    assert_eq!((&results[1]["status"], &results[1]["near_duplicates"]), (&json!("stored"), &json!([])));
    assert_eq!((&results[2]["status"], &results[2]["near_duplicates"]), (&json!("stored"), &near));
}

#[tokio::test]
async fn only_who_may_read_learns_of_near_duplicates() {
    let face = Face::new();
    face.remember(TEXT).await;
    let writes = face.scoped_token("memory:write").await;
    let create = |body: Value| {
        let request = request(poem::http::Method::POST, "/api/v1/memories");
        let request = request.header("Authorization", format!("Bearer {writes}")).content_type("application/json");
        face.send(request.body(body.to_string()))
    };
    for on_near_duplicate in ["report", "reject"] {
        let refused = create(json!({"content": TEXT, "on_near_duplicate": on_near_duplicate})).await;
        refused.problem(403, "insufficient-scope");
        assert!(refused.header("www-authenticate").unwrap().contains("memory:read"));
    }
    assert_eq!(create(json!({"content": TEXT})).await.status, 201);
}

#[tokio::test]
async fn chatgpt_is_told_of_near_duplicates_unasked() {
    let face = Face::new();
    let known = face.remember(TEXT).await;
    for (scope, expected) in [
        ("memory:read memory:write", Some(json!([{"memory_id": known["memory_id"], "similarity": 1.0}]))),
        ("memory:write", None),
    ] {
        let token = face.scoped_token(scope).await;
        let request = request(poem::http::Method::POST, "/api/v1/memories");
        let request = request.header("Authorization", format!("Bearer {token}")).header("openai-gpt-id", "g-1");
        let body = json!({"content": "Marta drinks green tea"}).to_string();
        let answer = face.send(request.content_type("application/json").body(body)).await;
        assert_eq!(answer.status, 201);
        let answer = answer.json();
        assert_eq!(answer.get("near_duplicates"), expected.as_ref());
        assert_eq!(answer["note"].as_str().is_some_and(|note| note.contains("near_duplicates")), expected.is_some());
    }
}
