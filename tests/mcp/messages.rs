//! What is no message is refused as JSON-RPC has it, and costs nothing.

use memgate::domain::applications::{NewApplication, RequestsPerMinute};
use memgate_test_kit::gate::new_application;
use serde_json::{Value, json};

use super::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_is_400_with_a_json_rpc_error() {
    let client = Client::new().await;
    let deep =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    for (body, code, id) in [
        ("", -32700, Value::Null),
        ("nonsense", -32700, Value::Null),
        (&deep, -32700, Value::Null),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, Value::Null),
        (r#"{"id":5,"method":"ping"}"#, -32600, json!(5)),
    ] {
        let answer = client.raw(body).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_413() {
    let client = Client::new().await;
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#, "x".repeat(600_000));
    assert_eq!(client.raw(body).await.status(), 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_tool_is_named_in_the_error() {
    let client = Client::new().await;
    let answer = client.legacy("tools/call", json!({"name": "drop_everything", "arguments": {}})).await;
    assert_eq!(answer["error"]["code"], -32602);
    assert!(answer["error"]["message"].as_str().unwrap().contains("search, fetch"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_counted_towards_the_applications_rate_limit() {
    let client = Client::new().await;
    let new = NewApplication { rate_limit: Some(RequestsPerMinute::try_from(2).unwrap()), ..new_application() };
    let application = client.gate.register(new).await;
    let token = client.gate.mcp_token(&application, "memory:read").await;
    let client = Client { gate: client.gate, token };
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(client.raw(list).await.status(), 200);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_memories","arguments":{}}}"#;
    assert_eq!(client.raw(call).await.status(), 200);
    for message in [list, call] {
        let answer = client.raw(message).await;
        assert_eq!(answer.status(), 429);
        assert!(answer.headers().contains_key("retry-after"));
    }
}
