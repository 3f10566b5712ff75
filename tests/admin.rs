//! The operator's listener.

mod support;

use serde_json::{Value, json};
use support::database::TestDatabase;
use support::gate::TestGate;

async fn gate() -> (TestGate, String) {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let admin = format!("http://{}", gate.gate().admin_address().unwrap());
    (gate, admin)
}

#[tokio::test]
async fn metrics_count_requests_by_operation_and_status_and_name_no_caller() {
    let (gate, admin) = gate().await;
    let application = gate.application().await;
    let token = gate.access_token(&application).await;
    gate.remember(&token, "a very private memory").await;
    gate.search(&token, "a very private question").await;
    gate.token_request(&application, &[("grant_type", "password")]).await;
    gate.http.get(gate.url("/made/up/by/a/caller")).send().await.unwrap();
    let answer = gate.http.get(format!("{admin}/metrics")).send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text().await.unwrap();
    for line in [
        r#"memgate_http_requests_total{operation="issueToken",status="200"} 1"#,
        r#"memgate_http_requests_total{operation="issueToken",status="400"} 1"#,
        r#"memgate_http_requests_total{operation="createMemory",status="201"} 1"#,
        r#"memgate_http_requests_total{operation="searchMemories",status="200"} 1"#,
        r#"memgate_http_requests_total{operation="none",status="404"} 1"#,
        r#"memgate_http_request_duration_seconds_count{operation="createMemory"} 1"#,
    ] {
        assert!(text.lines().any(|present| present == line), "{line} is missing:\n{text}");
    }
    for private in ["private", "made", &application.client_id, &token] {
        assert!(!text.contains(private), "{private} must not be in metrics");
    }
}

#[tokio::test]
async fn the_embedded_bank_has_no_breaker_to_switch() {
    let (gate, admin) = gate().await;
    let url = format!("{admin}/admin/breaker");
    let shown = gate.http.get(&url).send().await.unwrap();
    let switched = gate.http.post(&url).json(&json!({ "mode": "forced_open" })).send().await.unwrap();
    for answer in [shown, switched] {
        assert_eq!(answer.status(), 404);
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("embedded"));
    }
}

#[tokio::test]
async fn the_public_listener_shows_no_metrics_and_the_operators_no_memories() {
    let (gate, admin) = gate().await;
    assert_eq!(gate.http.get(gate.url("/metrics")).send().await.unwrap().status(), 404);
    assert_eq!(gate.http.get(gate.url("/admin/breaker")).send().await.unwrap().status(), 404);
    assert_eq!(gate.http.get(format!("{admin}/api/v1/me")).send().await.unwrap().status(), 404);
}
