//! A client that closes its connection ends the work for it.

use std::time::Duration;

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use memgate_test_kit::http;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Client, LEGACY};

/// A memory bank that answers nothing. It says when a request has arrived that contains `sought`, and when nobody waits for
/// the answer any more.
async fn silent_bank(sought: &'static str) -> (String, mpsc::UnboundedReceiver<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (says, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let says = says.clone();
            tokio::spawn(async move {
                let (mut request, mut piece) = (Vec::new(), [0; 4096]);
                let mut asked = false;
                while let Ok(read @ 1..) = connection.read(&mut piece).await {
                    request.extend_from_slice(&piece[..read]);
                    if !asked && String::from_utf8_lossy(&request).contains(sought) {
                        asked = true;
                        says.send("arrived").unwrap();
                    }
                }
                if asked {
                    let _nobody_listens = says.send("left");
                }
            });
        }
    });
    (url, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_closes_the_connection_ends_the_call_within_a_second() {
    let search = json!({"name": "search", "arguments": {"query": "hazelnuts"}});
    ends_with_its_connection("hazelnuts", "tools/call", search).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_closes_the_connection_ends_the_prompt_within_a_second() {
    ends_with_its_connection("GET /memories", "prompts/get", json!({"name": "personal_context"})).await;
}

/// Calls, of which the bank gets a request that contains `sought`, and closes the connection before the bank answers.
async fn ends_with_its_connection(sought: &'static str, method: &str, params: Value) {
    let (bank, mut heard) = silent_bank(sought).await;
    let variables = [
        ("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"),
        ("MEMGATE_MEMORY_BANK_URL", &*bank),
        ("MEMGATE_MEMORY_BANK_DEADLINE", "40s"),
        ("MEMGATE_MEMORY_BANK_ATTEMPT_TIMEOUT", "40s"),
        ("MEMGATE_MEMORY_BANK_HEDGE_AFTER", "off"),
    ];
    let gate = TestGate::configured(TestDatabase::sqlite(), &variables).await;
    let application = gate.application().await;
    let token = gate.mcp_token(&application, "memory:read").await;
    let client = Client { gate, token };
    let legacy: Value = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    for accept in ["application/json", "text/event-stream"] {
        for modern in [false, true] {
            let request = if modern {
                client.modern_request(method, params.clone())
            } else {
                client.post().bearer_auth(&client.token).header("MCP-Protocol-Version", LEGACY).json(&legacy)
            };
            let mut request = request.build().unwrap();
            request.headers_mut().insert("accept", accept.parse().unwrap());
            // A client of its own, so that its connection ends with the call.
            let http = http::client();
            let call = tokio::spawn(async move { http.execute(request).await.unwrap().bytes().await });
            let arrived = timeout(Duration::from_secs(30), heard.recv()).await.unwrap();
            assert_eq!(arrived, Some("arrived"), "{accept} {modern}");
            call.abort();
            let left = timeout(Duration::from_secs(1), heard.recv()).await;
            assert_eq!(left, Ok(Some("left")), "{accept} {modern}");
        }
    }
}
