//! Categories and statistics.

use memgate::domain::memories::Capabilities;
use memgate_domain::testing::InMemoryMemoryBank;
use poem::http::Method;
use serde_json::json;

use super::face::Face;

#[tokio::test]
async fn categories_and_statistics_count_the_memories_of_the_caller() {
    let face = Face::new();
    let empty = face.call(Method::GET, "/api/v1/statistics", None).await.json();
    assert_eq!((&empty["memories"], empty.get("oldest"), empty.get("newest")), (&json!(0), None, None));
    for names in [&["food"][..], &["Food", "guests"], &[], &["travel"]] {
        let created = face.post("/api/v1/memories", json!({"content": "x", "categories": names})).await;
        assert_eq!(created.status, 201);
        face.clock.advance(std::time::Duration::from_secs(1));
    }
    let counts = json!([
        {"category": "food", "memories": 2}, {"category": "guests", "memories": 1}, {"category": "travel", "memories": 1},
    ]);
    let answer = face.call(Method::GET, "/api/v1/categories", None).await.json();
    let expected = json!({
        "status": "success", "request_id": answer["request_id"], "categories": counts, "total": 3, "uncategorized": 1,
    });
    assert_eq!(answer, expected);
    let answer = face.call(Method::GET, "/api/v1/categories?limit=1", None).await.json();
    assert_eq!((&answer["categories"], &answer["total"]), (&json!([{"category": "food", "memories": 2}]), &json!(3)));
    let answer = face.call(Method::GET, "/api/v1/statistics", None).await.json();
    let expected = json!({
        "status": "success", "request_id": answer["request_id"], "space": face.application.space.as_str(), "memories": 4,
        "oldest": "2033-05-18T03:33:20.123Z", "newest": "2033-05-18T03:33:23.123Z", "categories": counts,
        "total_categories": 3, "uncategorized": 1, "stored_by_person": 0, "stored_by_unknown": 0,
        "applications": [{"application_id": face.application.id.to_string(), "memories": 4}],
    });
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_wrong_parameter_of_the_categories_is_refused_by_its_name() {
    let face = Face::new();
    for (query, field) in [("limit=0", "limit"), ("limit=many", "limit"), ("order=name", "order")] {
        let answer = face.call(Method::GET, &format!("/api/v1/categories?{query}"), None).await;
        assert_eq!(answer.problem(400, "invalid-value")["field"], field);
    }
}

#[tokio::test]
async fn what_a_bank_cannot_list_it_cannot_count() {
    let face = Face::on(InMemoryMemoryBank::with_capabilities(Capabilities {
        list: false,
        ..InMemoryMemoryBank::CAPABILITIES
    }));
    for path in ["/api/v1/categories", "/api/v1/statistics"] {
        face.call(Method::GET, path, None).await.problem(501, "not-supported");
    }
}
