//! What the log says about the calls of tools: which client called which one, in which version of the protocol.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex};

use serde_json::json;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::{Client, LEGACY, MODERN};

type Fields = BTreeMap<&'static str, String>;

/// The calls of all tests of this process.
static CALLS: LazyLock<Mutex<Vec<Fields>>> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::registry().with(Calls);
    tracing::subscriber::set_global_default(subscriber).unwrap();
    Mutex::default()
});

struct Calls;

struct Read(Fields);

impl Visit for Read {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Calls {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() == "memgate::audit" {
            let mut read = Read(Fields::new());
            event.record(&mut read);
            CALLS.lock().unwrap().push(read.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_logged_with_the_client_the_version_and_the_tool() {
    LazyLock::force(&CALLS);
    let client = Client::new().await;
    let params = json!({"name": "search", "arguments": {"query": "audited"}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let legacy = client.post().bearer_auth(&client.token).header("User-Agent", "audited/1.0");
    let legacy = legacy.header("MCP-Protocol-Version", LEGACY).json(&message).send().await.unwrap();
    let params = json!({"name": "list_memories", "arguments": {}});
    let modern = client.modern_request("tools/call", params).build().unwrap();
    let mut body: serde_json::Value = serde_json::from_slice(modern.body().unwrap().as_bytes().unwrap()).unwrap();
    body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({"name": "audited", "version": "2.0"});
    let modern = client.gate.http.post(modern.url().clone()).headers(modern.headers().clone()).json(&body);
    let modern = modern.send().await.unwrap();
    for (answer, name, version, tool) in
        [(legacy, "audited/1.0", LEGACY, "search"), (modern, "audited 2.0", MODERN, "list_memories")]
    {
        assert_eq!(answer.status(), 200);
        let request = answer.headers()["x-request-id"].to_str().unwrap();
        let calls = CALLS.lock().unwrap().clone();
        let of_request = |call: &&Fields| call.get("request.id").is_some_and(|id| id == request);
        let call = calls.iter().filter(of_request).find(|call| call["kind"] == "tool_called").unwrap();
        assert_eq!(call["client.name"], name);
        assert_eq!((&*call["kind"], &*call["tool"], &*call["protocol.version"]), ("tool_called", tool, version));
        assert!(call["application.id"].parse::<uuid::Uuid>().is_ok());
        assert!(call.values().all(|value| name.contains(value.as_str()) || !value.contains("audited")), "{call:?}");
    }
}
