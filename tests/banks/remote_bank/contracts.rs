//! The published contracts: what is sent to each kind of bank, and what is made of its answers, odd shapes included.

mod mcp_memory_service;
mod mem0_oss;
mod mem0_platform;
mod mem0_v1;

use std::time::Duration;

use memgate::adapters::remote_bank::{
    AuthScheme, BankKind, HttpTransport, Method, Operation, RemoteMemoryBank, Request as BankRequest, Transport as _,
};
use memgate::domain::memories::{MemoryBank, MemoryBankError, MemoryScope, NewMemory, Priority};
use memgate_domain::testing::{categories, content, metadata, new_memory, now, scope};
use memgate_test_kit::banks::mcp_memory_service::mcp_memory_service;
use memgate_test_kit::banks::mem0;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::support::{client, config, query};

const ID: &str = "01937a5e-0000-7000-8000-000000000001";

/// A bank that answers with these, one after the other, and with the last one forever.
async fn bank(kind: BankKind, answers: impl IntoIterator<Item = ResponseTemplate>) -> (MockServer, RemoteMemoryBank) {
    let server = MockServer::start().await;
    let answers: Vec<ResponseTemplate> = answers.into_iter().collect();
    let last = answers.len() - 1;
    for (number, answer) in answers.into_iter().enumerate() {
        let mock = Mock::given(any()).respond_with(answer);
        if number == last { mock.mount(&server).await } else { mock.up_to_n_times(1).mount(&server).await }
    }
    let client = client(config(kind, &server.uri().parse().unwrap()));
    (server, client)
}

fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// Method and path with its query.
fn line(request: &Request) -> String {
    let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{} {}{query}", request.method, request.url.path())
}

/// A write with everything that a write can have.
fn write() -> NewMemory {
    NewMemory {
        content: content("The spare key is under the fern."),
        categories: categories(&["home"]),
        metadata: metadata(json!({"user_name": "Ada", "AND": [{"user_id": "bob"}], "expiration_date": "2020-01-01"})),
        priority: Priority::High,
        expires_at: Some(now().plus(std::time::Duration::from_hours(1))),
        ..new_memory("x")
    }
}

/// What is in the metadata that is sent with it.
fn assert_stored(stored: &Value, scope: &MemoryScope, write: &NewMemory) {
    let expected = json!({
        "memgate_tenant": scope.tenant(),
        "memgate_write_id": write.id.as_str(),
        "memgate_categories": "[\"home\"]",
        "memgate_metadata": stored["memgate_metadata"],
        "memgate_priority": "high",
        "memgate_created_at": 2_000_000_000_123_i64,
        "memgate_updated_at": 2_000_000_000_123_i64,
        "memgate_expires_at": 2_000_003_600_123_i64,
    });
    assert_eq!(stored, &expected, "nothing of the caller's is the name of a member");
    let own: Value = serde_json::from_str(stored["memgate_metadata"].as_str().unwrap()).unwrap();
    assert_eq!(own, Value::Object(write.metadata.as_object().clone()));
}

#[track_caller]
fn assert_inconsistent<T: std::fmt::Debug>(answer: Result<T, MemoryBankError>) {
    match answer {
        Err(MemoryBankError::Inconsistent(_)) => {}
        answer => panic!("the answer makes no sense, and not {answer:?}"),
    }
}

#[tokio::test]
async fn the_key_is_sent_as_is_usual_with_the_kind_or_as_configured() {
    for (kind, scheme, name, value) in [
        (BankKind::Mem0Oss, None, "x-api-key", "the-key-of-the-bank"),
        (BankKind::Mem0Platform, None, "authorization", "Token the-key-of-the-bank"),
        (BankKind::Mem0V1, None, "authorization", "Token the-key-of-the-bank"),
        (BankKind::McpMemoryService, None, "authorization", "Bearer the-key-of-the-bank"),
        (BankKind::Mem0V1, Some(AuthScheme::Bearer), "authorization", "Bearer the-key-of-the-bank"),
        (BankKind::McpMemoryService, Some(AuthScheme::XApiKey), "x-api-key", "the-key-of-the-bank"),
        (BankKind::Mem0Oss, Some(AuthScheme::Token), "authorization", "Token the-key-of-the-bank"),
    ] {
        let (server, _) = bank(kind, [ok(&json!({"results": []}))]).await;
        let mut config = config(kind, &server.uri().parse().unwrap());
        config.auth_scheme = scheme;
        client(config).search(&scope(), &query("key")).await.unwrap();
        let request = &requests(&server).await[0];
        assert_eq!(request.headers[name], value, "{kind}");
        assert_eq!(request.headers.contains_key("authorization"), name == "authorization", "{kind}");
        assert!(request.headers["user-agent"].to_str().unwrap().starts_with("memgate/"));
    }
}

/// The answer of the service at `url` to a request outside of any driver.
async fn status_of(kind: BankKind, url: &url::Url, request: &BankRequest) -> u16 {
    HttpTransport::new(&config(kind, url)).unwrap().send(request).await.unwrap().status
}

/// A double that took more than the service takes would hide a driver that asks for too much. Of a search of the self-hosted
/// mem0, and of version 1, no limit is known.
#[tokio::test]
async fn each_double_refuses_one_more_than_the_limit_of_its_driver() {
    let (oss, platform, mcp) = (mem0::oss().await, mem0::platform().await, mcp_memory_service().await);
    let capabilities = |kind, url| client(config(kind, url)).capabilities();
    let search = |path: &[&'static str], body: Value| {
        BankRequest::new(Operation::Search, Method::Post, path.iter().copied()).json(&body)
    };
    let list = |method, path: &[&'static str], query: &[(&'static str, String)]| {
        let request = BankRequest::new(Operation::List, method, path.iter().copied());
        query.iter().fold(request, |request, (name, value)| request.query(name, value.clone()))
    };

    // One more than are listed is asked for, to tell whether there are more.
    let most = capabilities(BankKind::Mem0Oss, &oss.url).max_listed.unwrap() + 1;
    for (number, status) in [(most, 200), (most + 1, 422)] {
        let query = [("user_id", "tenant".to_owned()), ("top_k", number.to_string())];
        let request = list(Method::Get, &["memories"], &query);
        assert_eq!(status_of(BankKind::Mem0Oss, &oss.url, &request).await, status, "top_k={number}");
    }

    let most = capabilities(BankKind::Mem0Platform, &platform.url).max_searched.unwrap();
    for (number, status) in [(most, 200), (most + 1, 400)] {
        let body = json!({"query": "x", "filters": {"user_id": "tenant"}, "top_k": number});
        let request = search(&["v3", "memories", "search", ""], body);
        assert_eq!(status_of(BankKind::Mem0Platform, &platform.url, &request).await, status, "top_k={number}");
    }
    for (size, status) in [(200, 200), (201, 400)] {
        let query = [("page", "1".to_owned()), ("page_size", size.to_string())];
        let request = list(Method::Post, &["v3", "memories", ""], &query);
        let request = request.json(&json!({"filters": {"user_id": "tenant"}}));
        assert_eq!(status_of(BankKind::Mem0Platform, &platform.url, &request).await, status, "page_size={size}");
    }

    let most = capabilities(BankKind::McpMemoryService, &mcp.url).max_searched.unwrap();
    for (number, status) in [(most, 200), (most + 1, 422)] {
        let request = search(&["api", "search"], json!({"query": "x", "n_results": number, "store": "tenant"}));
        assert_eq!(status_of(BankKind::McpMemoryService, &mcp.url, &request).await, status, "n_results={number}");
        // Its pages have the same limit.
        let query = [("page", "1".to_owned()), ("page_size", number.to_string())];
        let request = list(Method::Get, &["api", "memories"], &query);
        assert_eq!(status_of(BankKind::McpMemoryService, &mcp.url, &request).await, status, "page_size={number}");
    }
    let around = json!({"content": "", "tags": ["a"], "metadata": {}, "store": "tenant"}).to_string().len();
    for (length, status) in [(1024 * 1024, 200), (1024 * 1024 + 1, 413)] {
        let body = json!({"content": "x".repeat(length - around), "tags": ["a"], "metadata": {}, "store": "tenant"});
        let request = BankRequest::new(Operation::Create, Method::Post, ["api", "memories"]).json(&body);
        assert_eq!(status_of(BankKind::McpMemoryService, &mcp.url, &request).await, status, "{length} bytes");
    }
}

#[tokio::test]
async fn a_path_in_the_base_url_is_kept_with_or_without_a_slash_at_its_end() {
    for path in ["/banks/one", "/banks/one/"] {
        let (server, _) = bank(BankKind::Mem0Platform, [ok(&json!({"results": []}))]).await;
        let url = format!("{}{path}", server.uri()).parse().unwrap();
        client(config(BankKind::Mem0Platform, &url)).search(&scope(), &query("key")).await.unwrap();
        assert_eq!(line(&requests(&server).await[0]), "POST /banks/one/v3/memories/search/");
    }
}

#[tokio::test]
async fn every_kind_of_error_body_is_understood_and_its_secrets_are_not_passed_on() {
    for (body, expected) in [
        (json!({"detail": "Invalid user_id"}), "Invalid user_id (status 400)"),
        (json!({"error": "use filters"}), "use filters (status 400)"),
        (json!({"message": "no"}), "no (status 400)"),
        (
            json!({"error": "bad_request", "details": {"message": "top_k is too large"}}),
            "top_k is too large (status 400)",
        ),
        (
            json!({"detail": [
                {"loc": ["body", "messages", 0, "content"], "msg": "Field required", "input": "the secret of the caller"},
                {"loc": ["query", "page"], "msg": "must be positive", "input": -1},
            ]}),
            "body.messages.0.content: Field required; query.page: must be positive (status 400)",
        ),
        (
            json!({"detail": {"error": "invalid", "error_description": "the store is read-only"}}),
            "the store is read-only (status 400)",
        ),
        (json!({"detail": "two\nlines\u{7}"}), "two lines (status 400)"),
        (json!({"unknown": 1}), "no reason was given (status 400)"),
        (json!([1]), "no reason was given (status 400)"),
    ] {
        let (_server, client) = bank(BankKind::Mem0Oss, [ResponseTemplate::new(400).set_body_json(&body)]).await;
        match client.search(&scope(), &query("key")).await {
            Err(MemoryBankError::Rejected(why)) => assert_eq!(why, expected),
            answer => panic!("{body}: {answer:?}"),
        }
    }
    let (_server, client) =
        bank(BankKind::Mem0Oss, [ResponseTemplate::new(400).set_body_string("x".repeat(5_000))]).await;
    let answer = client.search(&scope(), &query("key")).await;
    assert!(matches!(&answer, Err(MemoryBankError::Rejected(why)) if why == "no reason was given (status 400)"));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    for kind in BankKind::ALL {
        let huge = json!({"results": [], "memories": [], "padding": "x".repeat(2_000)});
        let (server, _) = bank(kind, [ok(&huge)]).await;
        let mut config = config(kind, &server.uri().parse().unwrap());
        config.answer_limit = 1_000;
        assert_inconsistent(client(config).search(&scope(), &query("key")).await);
        assert_eq!(requests(&server).await.len(), 1, "asking again would not make it smaller");
    }
}

#[tokio::test]
async fn answers_together_take_no_more_than_their_limit() {
    let huge = json!({"results": [], "padding": "x".repeat(60_000)});
    let (server, _) = bank(BankKind::Mem0Oss, [ok(&huge)]).await;
    let mut config = config(BankKind::Mem0Oss, &server.uri().parse().unwrap());
    (config.answer_limit, config.answers_limit) = (100_000, 200_000);
    let transport = HttpTransport::new(&config).unwrap();
    let search = BankRequest::new(Operation::Search, Method::Post, ["search"]);
    // 60 kB each, and 200 kB in all.
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(transport.send(&search).await.unwrap());
    }
    tokio::time::timeout(Duration::from_secs(1), transport.send(&search)).await.expect_err("it waits");
    held.pop();
    transport.send(&search).await.unwrap();
}

#[tokio::test]
async fn redirects_are_not_followed_with_somebodys_memory() {
    let (other, _) = bank(BankKind::Mem0Oss, [ok(&json!({"results": []}))]).await;
    let redirect = ResponseTemplate::new(307).insert_header("location", format!("{}/search", other.uri()).as_str());
    let (_server, client) = bank(BankKind::Mem0Oss, [redirect]).await;
    let answer = client.search(&scope(), &query("key")).await;
    assert!(matches!(answer, Err(MemoryBankError::Misconfigured(_))), "{answer:?}");
    assert_eq!(requests(&other).await.len(), 0);
}
