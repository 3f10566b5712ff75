//! docs/rollback.md, followed to the letter: up, use, down, up, and nothing that was accepted is lost.

use std::time::{Duration, Instant};

use memgate_test_kit::http;
use memgate_test_kit::process::{Server, installation, memgate, succeed, succeed_json};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The newest migration; what it added is what a rollback to the release before takes away.
const NEWEST: &str = "1";

async fn token(http: &reqwest::Client, url: &str, application: &Value) -> Value {
    let body = json!({
        "grant_type": "client_credentials",
        "client_id": application["client_id"], "client_secret": application["client_secret"],
    });
    http.post(format!("{url}/auth/token")).json(&body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn what_was_stored_before_a_deployment_is_there_after_its_rollback() {
    let http = http::client();
    let folder = installation();
    let start = || {
        let mut command = memgate(folder.path());
        // The issuer of the tokens must not change with the port.
        command.env("MEMGATE_PUBLIC_URL", "http://gate.test");
        Server::start(command)
    };

    // Up and use.
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let server = start();
    let tokens = token(&http, &server.url, &application).await;
    let access = tokens["access_token"].as_str().unwrap();
    let create = |url: &str, content: &str| {
        http.post(format!("{url}/api/v1/memories")).bearer_auth(access).json(&json!({ "content": content })).send()
    };
    let stored: Value = create(&server.url, "kept through a rollback").await.unwrap().json().await.unwrap();
    let id = stored["memory"]["memory_id"].as_str().unwrap().to_owned();
    assert!(server.terminate().success());

    // Down: the backup is taken first, since the newest migration may hold what must not be lost.
    let backup = folder.path().join("backup.db");
    std::fs::copy(folder.path().join("memgate.db"), &backup).unwrap();
    succeed(folder.path(), &["migrate", "down", "--yes", "--steps", NEWEST]);
    let states = succeed_json(folder.path(), &["migrate", "status"]);
    assert_eq!(states.as_array().unwrap().iter().filter(|state| state["applied"] == false).count(), 1);
    std::fs::copy(&backup, folder.path().join("memgate.db")).unwrap();

    // Up again: tokens, applications and memories are as they were.
    let server = start();
    let read = http.get(format!("{}/api/v1/memories/{id}", server.url)).bearer_auth(access).send().await.unwrap();
    assert_eq!(read.status(), 200, "the access token from before is still good, and the memory is there");
    let read: Value = read.json().await.unwrap();
    assert_eq!(read["memory"]["content"], "kept through a rollback");
    assert_eq!(create(&server.url, "stored afterwards").await.unwrap().status(), 201);
    let refreshed = http
        .post(format!("{}/auth/token", server.url))
        .json(&json!({
            "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"],
            "client_id": application["client_id"], "client_secret": application["client_secret"],
        }))
        .send()
        .await
        .unwrap();
    assert_eq!(refreshed.status(), 200, "the refresh token from before is still good");
}

#[tokio::test]
async fn a_memory_that_waited_for_its_bank_through_a_rollback_is_delivered_afterwards() {
    let http = http::client();
    let folder = installation();
    // An address of a bank that is unavailable: nobody listens there any more.
    let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = |bank: &str| {
        let mut command = memgate(folder.path());
        command.envs([
            ("MEMGATE_PUBLIC_URL", "http://gate.test"),
            ("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"),
            ("MEMGATE_MEMORY_BANK_URL", bank),
        ]);
        Server::start(command)
    };

    // Up and use: the memory is accepted, and waits.
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let server = start(&format!("http://{away}"));
    let tokens = token(&http, &server.url, &application).await;
    let access = tokens["access_token"].as_str().unwrap();
    let create = http.post(format!("{}/api/v1/memories", server.url)).bearer_auth(access);
    let accepted = create.json(&json!({ "content": "kept through a rollback" })).send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    let request = accepted.json::<Value>().await.unwrap()["request_id"].as_str().unwrap().to_owned();
    assert!(server.terminate().success());
    assert_eq!(succeed_json(folder.path(), &["queue", "list"])["pending"], 1);

    // Down and up again, without a backup, before a bank that is back.
    succeed(folder.path(), &["migrate", "down", "--yes", "--steps", NEWEST]);
    let bank = MockServer::start().await;
    let added = json!({"results": [{"id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "memory": "x", "event": "ADD"}]});
    let answer = |body: &Value| ResponseTemplate::new(200).set_body_json(body);
    Mock::given(path("/memories")).respond_with(answer(&added)).expect(1).mount(&bank).await;
    Mock::given(path("/search")).respond_with(answer(&json!({"results": []}))).mount(&bank).await;
    let server = start(&bank.uri());
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let outcome = http.get(format!("{}/api/v1/requests/{request}", server.url)).bearer_auth(access).send();
        let outcome: Value = outcome.await.unwrap().json().await.unwrap();
        if outcome["status"] == "stored" {
            assert_eq!(outcome["memory"]["content"], "kept through a rollback");
            break;
        }
        assert!(Instant::now() < deadline, "it is not delivered: {outcome}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(server.terminate().success());
}
