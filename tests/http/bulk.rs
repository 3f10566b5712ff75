//! Many memories in one request.

use memgate::domain::memories::Capabilities;
use memgate_domain::testing::InMemoryMemoryBank;
use poem::http::Method;
use serde_json::{Value, json};

use super::face::{Face, request};

const CREATE: &str = "/api/v1/bulk/memories";
const DELETE: &str = "/api/v1/bulk/deletions";

#[tokio::test]
async fn several_memories_are_stored_each_with_its_own_outcome() {
    let face = Face::new();
    let first = face.post("/api/v1/memories", json!({"content": "known", "idempotency_key": "k"})).await.json();
    let memories = json!([
        {"content": "new", "categories": ["Food"], "occurred_at": "2020-01-01"},
        {"content": "known", "idempotency_key": "k"},
        {"content": "another", "idempotency_key": "k"},
        {"content": " "},
        {"content": "x", "categories": ["a", 7]},
        {"content": "x", "colour": "red"},
        {"categories": []},
        {"content": "over", "expires_at": "2000-01-01"},
    ]);
    let answer = face.post(CREATE, json!({ "memories": memories })).await;
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    let counts = ["status", "stored", "accepted", "duplicates", "refused"].map(|member| answer[member].clone());
    assert_eq!(counts, [json!("done"), json!(1), json!(0), json!(1), json!(6)]);
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<&str> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["stored", "duplicate", "refused", "refused", "refused", "refused", "refused", "refused"]);
    assert_eq!(results[1]["memory_id"], first["memory"]["memory_id"]);
    assert_eq!(results[1]["request_id"], first["request_id"]);
    let errors: Vec<_> = results[2..].iter().map(|result| &result["error"]).collect();
    assert_eq!(errors[0]["type"], "urn:memgate:problem:idempotency-conflict");
    let fields: Vec<_> = errors[1..].iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(
        fields,
        [
            "memories[3].content",
            "memories[4].categories[1]",
            "memories[5].colour",
            "memories[6].content",
            "memories[7].expires_at"
        ]
    );
    let path = format!("/api/v1/memories/{}", results[0]["memory_id"].as_str().unwrap());
    let memory = face.call(Method::GET, &path, None).await.json()["memory"].clone();
    assert_eq!((&memory["content"], &memory["categories"]), (&json!("new"), &json!(["food"])));
    let status = format!("/api/v1/requests/{}", results[0]["request_id"].as_str().unwrap());
    assert_eq!(face.call(Method::GET, &status, None).await.json()["status"], "stored");
}

#[tokio::test]
async fn several_memories_are_listed_in_the_order_in_which_they_were_given() {
    let face = Face::new();
    let memories: Vec<Value> = (0..100).map(|number| json!({"content": format!("{number}")})).collect();
    assert_eq!(face.post(CREATE, json!({ "memories": memories })).await.json()["stored"], 100);
    let list = face.call(Method::GET, "/api/v1/memories?limit=100", None).await.json();
    let listed = list["memories"].as_array().unwrap().iter().rev().map(|memory| json!({"content": memory["content"]}));
    assert_eq!(listed.collect::<Vec<_>>(), memories);
}

#[tokio::test]
async fn a_body_that_is_no_list_of_1_to_100_memories_is_refused_as_a_whole() {
    let face = Face::new();
    let many: Vec<Value> = (0..101).map(|_| json!({"content": "x"})).collect();
    for (body, field) in [
        (json!({}), "memories"),
        (json!({"memories": []}), "memories"),
        (json!({ "memories": many }), "memories"),
        (json!({"memories": {"content": "x"}}), "memories"),
        (json!({"memories": [{"content": "x"}, "y"]}), "memories[1]"),
        (json!({"memories": [{"content": "x"}], "idempotency_key": "k"}), "idempotency_key"),
    ] {
        assert_eq!(face.post(CREATE, body.clone()).await.problem(400, "invalid-value")["field"], field, "{body}");
    }
    let twice = request(Method::POST, CREATE)
        .header("Authorization", format!("Bearer {}", face.token().await))
        .content_type("application/json")
        .body(r#"{"memories": [{"content": "x"}, {"content": "x", "content": "y"}]}"#);
    let problem = face.send(twice).await.problem(400, "invalid-value");
    assert_eq!(problem["field"], "memories[1].content");
    let keyed = request(Method::POST, CREATE)
        .header("Authorization", format!("Bearer {}", face.token().await))
        .header("Idempotency-Key", "k")
        .content_type("application/json")
        .body(r#"{"memories": [{"content": "x"}]}"#);
    assert_eq!(face.send(keyed).await.problem(400, "invalid-value")["field"], "Idempotency-Key");
    let list = face.call(Method::GET, "/api/v1/memories", None).await.json();
    assert_eq!(list["memories"], json!([]), "nothing was stored");
}

#[tokio::test]
async fn what_matches_is_counted_and_then_exactly_that_is_deleted() {
    let face = Face::new();
    for (text, names) in [("a", &["old"][..]), ("b", &["old", "x"]), ("c", &["new"])] {
        face.post("/api/v1/memories", json!({"content": text, "categories": names})).await;
    }
    let filters = json!({"categories": ["old"]});
    let plan = face.post(DELETE, json!({ "filters": filters })).await.json();
    assert_eq!((&plan["status"], &plan["matching"], &plan["deleted"]), (&json!("dry_run"), &json!(2), &json!(0)));
    let confirmed = json!({"filters": filters, "confirmation": plan["confirmation"]});
    face.post("/api/v1/memories", json!({"content": "late", "categories": ["old"]})).await;
    let problem = face.post(DELETE, confirmed).await.problem(409, "selection-changed");
    assert!(problem["detail"].as_str().unwrap().contains("3 of them now"), "{problem}");

    let plan = face.post(DELETE, json!({ "filters": filters })).await.json();
    let confirmed = json!({"filters": filters, "confirmation": plan["confirmation"]});
    let done = face.post(DELETE, confirmed.clone()).await.json();
    assert_eq!(done, json!({"status": "deleted", "request_id": done["request_id"], "deleted": 3}));
    let list = face.call(Method::GET, "/api/v1/memories", None).await.json();
    assert_eq!(list["memories"].as_array().unwrap().iter().map(|memory| &memory["content"]).collect::<Vec<_>>(), ["c"]);
    face.post(DELETE, confirmed).await.problem(409, "selection-changed");
}

#[tokio::test]
async fn a_deletion_without_a_condition_is_refused() {
    let face = Face::new();
    face.remember("x").await;
    for (body, field) in [
        (json!({}), "filters"),
        (json!({"filters": {}}), "filters"),
        (json!({"filters": {"categories": []}}), "filters"),
        (json!({"filters": {"colour": "red"}}), "filters.colour"),
        (json!({"filters": {"occurred": {"end": "soon"}}}), "filters.occurred.end"),
        (json!({"filters": {"categories": ["x"]}, "dry_run": false}), "dry_run"),
    ] {
        assert_eq!(face.post(DELETE, body.clone()).await.problem(400, "invalid-value")["field"], field, "{body}");
    }
    let made_up = json!({"filters": {"categories": ["x"]}, "confirmation": "made-up"});
    face.post(DELETE, made_up).await.problem(409, "selection-changed");
}

#[tokio::test]
async fn what_a_bank_cannot_list_is_not_deleted_by_filters() {
    let face = Face::on(InMemoryMemoryBank::with_capabilities(Capabilities {
        list: false,
        ..InMemoryMemoryBank::CAPABILITIES
    }));
    face.post(DELETE, json!({"filters": {"categories": ["x"]}})).await.problem(501, "not-supported");
}
