//! The whole service before the bank: tokens, the memory API, and two applications that do not reach each other.

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use memgate_test_kit::real_bank::{KEY, shared};
use reqwest::Response;
use serde_json::{Value, json};

async fn gate() -> Option<TestGate> {
    let bank = shared()?;
    let variables = [
        ("MEMGATE_MEMORY_BANK_KIND", "mcp-memory-service"),
        ("MEMGATE_MEMORY_BANK_URL", bank.url.as_str()),
        ("MEMGATE_MEMORY_BANK_API_KEY", KEY),
    ];
    Some(TestGate::configured(TestDatabase::sqlite(), &variables).await)
}

async fn get(gate: &TestGate, token: &str, path: &str) -> Response {
    gate.http.get(gate.url(path)).bearer_auth(token).send().await.unwrap()
}

async fn delete(gate: &TestGate, token: &str, id: &str) -> u16 {
    let request = gate.http.delete(gate.url(&format!("/api/v1/memories/{id}"))).bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

fn texts(answer: &Value, list: &str) -> Vec<String> {
    answer[list].as_array().unwrap().iter().map(|memory| memory["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_memory_is_created_found_listed_got_and_deleted() {
    let Some(gate) = gate().await else { return };
    assert_eq!(gate.http.get(gate.url("/health/ready")).send().await.unwrap().status(), 200);
    let token = gate.access_token(&gate.application().await).await;
    let created = gate.http.post(gate.url("/api/v1/memories")).bearer_auth(&token).json(&json!({
        "content": "The spare key is under the fern.",
        "categories": ["home"],
        "metadata": {"room": "hall", "tags": ["a", "b"], "nested": {"n": 9_007_199_254_740_993_i64}},
        "priority": "high",
    }));
    let created = created.send().await.unwrap();
    assert_eq!(created.status(), 201);
    let memory = created.json::<Value>().await.unwrap()["memory"].clone();
    let id = memory["memory_id"].as_str().unwrap();
    gate.remember(&token, "The bakery opens at seven.").await;

    let found = gate.search(&token, "Where is the spare key?").await;
    assert_eq!(texts(&found, "results"), ["The spare key is under the fern."]);
    let relevance = found["results"][0]["relevance_score"].as_f64().unwrap();
    assert!(relevance > 0.0 && relevance <= 1.0, "{found}");

    let got: Value = get(&gate, &token, &format!("/api/v1/memories/{id}")).await.json().await.unwrap();
    for member in ["content", "categories", "metadata", "priority", "created_at"] {
        let got = if got["memory"].is_object() { &got["memory"][member] } else { &got[member] };
        assert_eq!(got, &memory[member], "{member}");
    }
    let listed: Value = get(&gate, &token, "/api/v1/memories").await.json().await.unwrap();
    assert_eq!(texts(&listed, "memories").len(), 2, "{listed}");

    assert_eq!(delete(&gate, &token, id).await, 200);
    assert_eq!(delete(&gate, &token, id).await, 404);
    assert_eq!(get(&gate, &token, &format!("/api/v1/memories/{id}")).await.status(), 404);
    assert!(texts(&gate.search(&token, "spare key").await, "results").is_empty());
}

#[tokio::test]
async fn two_applications_do_not_reach_each_other_though_they_remember_the_same() {
    let Some(gate) = gate().await else { return };
    let one = gate.access_token(&gate.application().await).await;
    let other = gate.access_token(&gate.application().await).await;
    // The bank itself would refuse the second one: it keeps each text once, whoever's it is.
    let first = gate.remember(&one, "The safe opens with 0451.").await;
    let second = gate.remember(&other, "The safe opens with 0451.").await;
    assert_ne!(first["memory_id"], second["memory_id"]);
    let id = first["memory_id"].as_str().unwrap();
    assert_eq!(get(&gate, &other, &format!("/api/v1/memories/{id}")).await.status(), 404);
    assert_eq!(delete(&gate, &other, id).await, 404);
    assert_eq!(delete(&gate, &one, id).await, 200);
    assert_eq!(texts(&gate.search(&one, "safe").await, "results"), Vec::<String>::new());
    assert_eq!(texts(&gate.search(&other, "safe").await, "results"), ["The safe opens with 0451."]);
}

#[tokio::test]
async fn what_the_bank_cannot_do_is_said() {
    let Some(gate) = gate().await else { return };
    let token = gate.access_token(&gate.application().await).await;
    let memory = gate.remember(&token, "The bakery opens at seven.").await;
    let path = format!("/api/v1/memories/{}", memory["memory_id"].as_str().unwrap());
    let change = gate.http.patch(gate.url(&path)).bearer_auth(&token).json(&json!({"content": "It opens at eight."}));
    assert_eq!(change.send().await.unwrap().status(), 501);
    let capabilities: Value = get(&gate, &token, "/api/v1/capabilities").await.json().await.unwrap();
    assert!(capabilities.to_string().contains("mcp-memory-service"), "{capabilities}");
}
