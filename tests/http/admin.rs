//! The operator's listener.

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

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
async fn invariant_9_an_operator_forces_a_breaker_open_and_closed_and_gives_it_back() {
    let bank = MockServer::start().await;
    let nothing = ResponseTemplate::new(200).set_body_json(json!({ "results": [] }));
    Mock::given(path("/search")).respond_with(nothing).mount(&bank).await;
    let url = bank.uri();
    let remote = [("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"), ("MEMGATE_MEMORY_BANK_URL", url.as_str())];
    let gate = TestGate::configured(TestDatabase::sqlite(), &remote).await;
    let token = gate.access_token(&gate.application().await).await;
    let admin = format!("http://{}/admin/breaker", gate.gate().admin_address().unwrap());
    let switch = async |body: Value| {
        let answer = gate.http.post(&admin).json(&body).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let read = |state: &str, mode: &str| json!({ "operation": "read", "state": state, "mode": mode });
    let write = json!({ "operation": "write", "state": "closed", "mode": "automatic" });

    let (status, shown) = switch(json!({ "mode": "forced_open", "operation": "read" })).await;
    assert_eq!((status.as_u16(), &shown["breakers"]), (200, &json!([read("open", "forced_open"), write])));
    let search = gate.http.post(gate.url("/api/v1/search")).bearer_auth(&token).json(&json!({ "query": "dogs" }));
    let refused = search.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let problem: Value = refused.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains(&format!("send it again in {wait} s")), "{problem}");
    assert!(bank.received_requests().await.unwrap().is_empty(), "nothing is sent while it is open");

    let (_, shown) = switch(json!({ "mode": "automatic" })).await;
    assert_eq!(shown["breakers"], json!([read("half_open", "automatic"), write]));
    assert_eq!(gate.search(&token, "dogs").await["total_found"], 0);
    let shown: Value = gate.http.get(&admin).send().await.unwrap().json().await.unwrap();
    assert_eq!(shown["breakers"], json!([read("closed", "automatic"), write]));

    let (_, shown) = switch(json!({ "mode": "forced_closed", "operation": "read" })).await;
    assert_eq!(shown["breakers"], json!([read("closed", "forced_closed"), write]));
    for wrong in [
        json!({ "mode": "ajar" }),
        json!({ "mode": "automatic", "operation": "all" }),
        json!({}),
        // In the order of the members.
        json!(["read", "forced_open"]),
        json!([null, "automatic"]),
    ] {
        let (status, problem) = switch(wrong.clone()).await;
        assert_eq!(status, 400, "{wrong}");
        assert!(problem["detail"].as_str().unwrap().contains("forced_closed"), "{problem}");
        let shown: Value = gate.http.get(&admin).send().await.unwrap().json().await.unwrap();
        assert_eq!(shown["breakers"], json!([read("closed", "forced_closed"), write]), "{wrong}");
    }
}

#[tokio::test]
async fn the_public_listener_shows_no_metrics_and_the_operators_no_memories() {
    let (gate, admin) = gate().await;
    assert_eq!(gate.http.get(gate.url("/metrics")).send().await.unwrap().status(), 404);
    assert_eq!(gate.http.get(gate.url("/admin/breaker")).send().await.unwrap().status(), 404);
    assert_eq!(gate.http.get(format!("{admin}/api/v1/me")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn web_pages_and_other_peoples_names_do_not_reach_the_operators_listener() {
    let (gate, admin) = gate().await;
    let port = gate.gate().admin_address().unwrap().port();
    for (name, value, status) in [
        ("Host", "evil.example:9090", 421),
        ("Host", "localhost.evil.example", 421),
        ("Host", "127.0.0.1.evil.example", 421),
        ("Host", "10.0.0.1:9090", 200),
        ("Host", "LOCALHOST:1", 200),
        ("Host", "[::1]:9090", 200),
        ("Origin", "null", 403),
        ("Origin", "http://127.0.0.1:9090", 403),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Sec-Fetch-Site", "none", 200),
    ] {
        let answer = gate.http.get(format!("{admin}/metrics")).header(name, value).send().await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {value}");
        let switch = gate.http.post(format!("{admin}/admin/breaker")).header(name, value);
        let switched = switch.json(&json!({ "mode": "forced_open" })).send().await.unwrap();
        assert_eq!(switched.status(), if status == 200 { 404 } else { status }, "{name}: {value}");
    }
    assert_eq!(gate.http.get(format!("http://localhost:{port}/metrics")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn with_a_token_the_operators_listener_answers_whoever_has_it_under_any_name() {
    let variables = [("MEMGATE_ADMIN_TOKEN", "a-token-of-an-operator")];
    let gate = TestGate::configured(TestDatabase::sqlite(), &variables).await;
    let url = format!("http://127.0.0.1:{}/metrics", gate.gate().admin_address().unwrap().port());
    let get = || gate.http.get(&url).header("Host", "memgate.internal:9090");
    let refused = get().send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    assert_eq!(get().bearer_auth("another-token-of-nobody").send().await.unwrap().status(), 401);
    assert_eq!(get().bearer_auth("a-token-of-an-operator").send().await.unwrap().status(), 200);
    let page = get().bearer_auth("a-token-of-an-operator").header("Origin", "https://evil.example");
    assert_eq!(page.send().await.unwrap().status(), 403);
}
