//! What is not the caller's fault.

use std::time::Duration;

use memgate::domain::applications::{Application, CategoryAccess};
use memgate::domain::memories::{Capability, MemoryBankError, MockMemoryBank};
use memgate_domain::testing::{InMemoryMemoryBank, application_with_secret, category, database_unavailable};
use poem::Body;
use poem::http::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::face::{FORM, Face, Parts, request};

fn failing(error: fn() -> MemoryBankError) -> Face {
    let mut bank = MockMemoryBank::new();
    bank.expect_capabilities().return_const(InMemoryMemoryBank::CAPABILITIES);
    bank.expect_search().returning(move |_, _| Err(error()));
    bank.expect_check_health().returning(move || Err(error()));
    Face::on(bank)
}

fn unavailable(retry_after: Option<Duration>) -> MemoryBankError {
    MemoryBankError::Unavailable { retry_after, reached: false, source: "http://secret.internal:9".into() }
}

#[tokio::test]
async fn each_failure_of_the_bank_has_its_status_and_hides_its_cause() {
    for (error, status, kind, retry_after) in [
        ((|| unavailable(None)) as fn() -> _, 503, "unavailable", Some("2")),
        (|| unavailable(Some(Duration::from_millis(6200))), 503, "unavailable", Some("7")),
        (|| unavailable(Some(Duration::ZERO)), 503, "unavailable", Some("1")),
        (|| MemoryBankError::Rejected("too odd".to_owned()), 422, "rejected-by-bank", None),
        (|| MemoryBankError::Unsupported(Capability::List), 501, "not-supported", None),
        (|| MemoryBankError::Misconfigured("secret key".into()), 502, "bank-failure", None),
        (|| MemoryBankError::Inconsistent("secret row".into()), 502, "bank-failure", None),
    ] {
        let answer = failing(error).post("/api/v1/search", json!({"query": "a"})).await;
        let problem = answer.problem(status, kind);
        assert!(!problem.to_string().contains("secret"), "{problem}");
        assert_eq!(answer.header("retry-after"), retry_after);
    }
}

#[tokio::test]
async fn an_application_that_calls_too_often_is_told_to_wait() {
    for (method, path, body) in [
        (Method::POST, "/api/v1/search", Some(json!({"query": "a"}))),
        (Method::GET, "/api/v1/memories", None),
        (Method::GET, "/api/v1/me", None),
        (Method::GET, "/api/v1/capabilities", None),
    ] {
        let face = Face::of(Parts { rate_limit: 1, ..Parts::default() });
        assert_eq!(face.call(method.clone(), path, body.clone()).await.status, 200);
        let answer = face.call(method, path, body).await;
        answer.problem(429, "rate-limited");
        assert_eq!(answer.header("retry-after"), Some("60"));
    }
}

#[tokio::test]
async fn a_category_that_the_application_may_not_write_is_forbidden() {
    let (application, secret) = application_with_secret();
    let categories = CategoryAccess::Only([category("work")].into());
    let application = Application { categories, ..application };
    let face = Face::of(Parts { application, secret, ..Parts::default() });
    let memory = json!({"content": "a", "categories": ["family"]});
    let answer = face.post("/api/v1/memories", memory).await;
    answer.problem(403, "category-not-allowed");
    assert_eq!(answer.header("www-authenticate"), None);
}

#[tokio::test]
async fn readiness_names_what_is_missing_and_no_address() {
    let face = Face::new();
    let ready = face.get("/health/ready").await;
    assert_eq!(ready.status, 200);
    let ok = json!([{"name": "database", "status": "ok"}, {"name": "memory_bank", "status": "ok"}]);
    assert_eq!(ready.json(), json!({"status": "ready", "checks": ok}));

    let face = Face::new();
    face.database.begin_outage();
    let answer = face.get("/health/ready").await;
    assert_eq!(answer.status, 503);
    let body = answer.json();
    assert_eq!(body["status"], "not_ready");
    assert_eq!(body["checks"][0]["reason"], database_unavailable().to_string());
    assert_eq!(body["checks"][1]["status"], "ok");

    let answer = failing(|| unavailable(None)).get("/health/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["checks"][1]["reason"], "the memory bank is not available");
    assert!(!answer.json().to_string().contains("secret"));
}

#[tokio::test]
async fn the_process_is_alive_even_when_nothing_else_is() {
    let face = Face::new();
    face.database.begin_outage();
    face.applications_outage.begin();
    assert_eq!(face.get("/health/live").await.json(), json!({"status": "alive"}));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_not_waited_for_longer_than_half_a_minute() {
    let face = Face::new();
    let token = face.token().await;
    let (mut sender, body) = tokio::io::duplex(64);
    let drip = tokio::spawn(async move {
        while sender.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let asked = Instant::now();
    let form = request(Method::POST, "/auth/token").content_type(FORM);
    assert_eq!(face.send(form.body(Body::from_async_read(body))).await.oauth_error(400), "invalid_request");
    assert_eq!(asked.elapsed(), Duration::from_secs(30));
    drip.await.unwrap();

    let (_sender, body) = tokio::io::duplex(64);
    let search = request(Method::POST, "/api/v1/search").content_type("application/json");
    let search = search.header("Authorization", format!("Bearer {token}"));
    let answer = face.send(search.body(Body::from_async_read(body))).await;
    let problem = answer.problem(400, "interrupted-body");
    assert!(problem["detail"].as_str().unwrap().contains("30 seconds"), "{problem}");
}
