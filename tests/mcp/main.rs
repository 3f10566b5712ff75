//! MCP: over HTTP, before a served gate, and over standard input and output.

mod audience;
mod audit;
mod bounds;
mod cancelling;
mod doors;
mod messages;
mod protocol;
mod stdio;
mod tools;

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// What clients pass to a model.
const MAX_ANSWER: usize = 30_000;

/// A gate, and a client of its MCP endpoint.
struct Client {
    gate: TestGate,
    token: String,
}

impl Client {
    /// With a token for everything.
    async fn new() -> Self {
        Self::with_scope("memory:read memory:write memory:delete").await
    }

    async fn with_scope(scope: &str) -> Self {
        let gate = TestGate::on(TestDatabase::sqlite()).await;
        let application = gate.application().await;
        let token = gate.mcp_token(&application, scope).await;
        Self { gate, token }
    }

    fn post(&self) -> RequestBuilder {
        self.gate.http.post(self.gate.url("/mcp")).header("Content-Type", "application/json")
    }

    /// Sends a body as it is, with the token.
    async fn raw(&self, body: impl Into<String>) -> Response {
        let accept = "application/json, text/event-stream";
        self.post().bearer_auth(&self.token).header("Accept", accept).body(body.into()).send().await.unwrap()
    }

    /// The answer to a request of the protocol versions with `initialize`.
    async fn legacy(&self, method: &str, params: Value) -> Value {
        let answer = self.legacy_request(method, &params).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{method}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        assert!(answer.headers().get("mcp-session-id").is_none(), "there are no sessions");
        let text = answer.text().await.unwrap();
        assert!(method != "tools/call" || text.len() < MAX_ANSWER, "{params}: {}", text.len());
        serde_json::from_str(&text).unwrap()
    }

    /// A request of the protocol versions with `initialize`.
    fn legacy_request(&self, method: &str, params: &Value) -> RequestBuilder {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self.post().bearer_auth(&self.token).header("Accept", "application/json, text/event-stream");
        request.header("MCP-Protocol-Version", LEGACY).json(&message)
    }

    /// The result of a modern request.
    async fn modern(&self, method: &str, params: Value) -> Value {
        let answer = self.modern_request(method, params).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{method}");
        answer.json::<Value>().await.unwrap()["result"].clone()
    }

    /// A request of the protocol versions without `initialize`.
    fn modern_request(&self, method: &str, mut params: Value) -> RequestBuilder {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        });
        let mut request = self.post().bearer_auth(&self.token).header("Accept", "application/json, text/event-stream");
        request = request.header("MCP-Protocol-Version", MODERN).header("Mcp-Method", method);
        if let Some(name) = params["name"].as_str() {
            request = request.header("Mcp-Name", name);
        }
        request.json(&json!({"jsonrpc": "2.0", "id": "m", "method": method, "params": params}))
    }

    /// The schema of what a tool returns.
    async fn output_schema(&self, tool: &str) -> Value {
        let listed = self.legacy("tools/list", json!({})).await;
        let tools = listed["result"]["tools"].as_array().unwrap();
        tools.iter().find(|listed| listed["name"] == tool).unwrap()["outputSchema"].clone()
    }

    /// The result of a tool, whose value and text say the same, as the tool promised it.
    async fn call(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.legacy("tools/call", json!({"name": tool, "arguments": arguments})).await;
        let result = &answer["result"];
        assert_ne!(result["isError"], true, "{tool}: {answer}");
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"], "{tool}");
        assert_satisfies(&text, &self.output_schema(tool).await, tool);
        text
    }

    /// The words of a tool that fails.
    async fn failing_call(&self, tool: &str, arguments: Value) -> String {
        let answer = self.legacy("tools/call", json!({"name": tool, "arguments": arguments})).await;
        let result = &answer["result"];
        assert_eq!(result["isError"], true, "{tool}: {answer}");
        assert!(result.get("structuredContent").is_none(), "a failure has no value: {answer}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

/// Checks a value against a schema with what the schemas of tools use: types, required members, and no others than are named.
fn assert_satisfies(value: &Value, schema: &Value, place: &str) {
    match schema["type"].as_str().unwrap() {
        "string" => assert!(value.is_string(), "{place}: {value}"),
        "boolean" => assert!(value.is_boolean(), "{place}: {value}"),
        "integer" => assert!(value.is_u64(), "{place}: {value}"),
        "number" => assert!(value.is_number(), "{place}: {value}"),
        "array" => {
            let items = value.as_array().unwrap_or_else(|| panic!("{place}: {value}"));
            for item in items {
                assert_satisfies(item, &schema["items"], place);
            }
        }
        "object" => {
            let members = value.as_object().unwrap_or_else(|| panic!("{place}: {value}"));
            let Some(properties) = schema["properties"].as_object() else { return };
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(members.contains_key(required.as_str().unwrap()), "{place}: {required} is missing in {value}");
            }
            for (name, member) in members {
                let property = properties.get(name).unwrap_or_else(|| panic!("{place}: {name} was not announced"));
                assert_satisfies(member, property, &format!("{place}.{name}"));
            }
        }
        other => panic!("{place}: {other}"),
    }
}
