//! The two protocol eras on one endpoint, and the way in: method, host, origin, token, permission, rate limit.

use memgate::domain::applications::{NewApplication, Permission};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestGate, new_application};
use poem::http::Method;
use reqwest::Response;
use serde_json::{Value, json};

use super::{Client, LEGACY, MODERN};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_each_legacy_version_initializes_and_lists_tools() {
    let client = Client::new().await;
    for (asked, answered) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        (LEGACY, LEGACY),
        ("2024-11-05", LEGACY),
        ("2099-01-01", LEGACY),
        (MODERN, LEGACY),
    ] {
        let params = json!({"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let answer = client.raw(message.to_string()).await;
        assert_eq!(answer.status(), 200, "{asked}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["result"]["protocolVersion"], answered, "{asked}: {answer}");
        assert_eq!(answer["result"]["serverInfo"]["name"], "memgate");
        assert!(answer["result"]["instructions"].as_str().unwrap().contains("search"));
        assert!(answer["result"].get("resultType").is_none(), "a member of the newer protocol");
    }
    let initialized = client.raw(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    assert_eq!(initialized.status(), 202);
    assert_eq!(initialized.text().await.unwrap(), "");

    // No header means 2025-03-26.
    let listed = client.raw(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#).await.json::<Value>().await.unwrap();
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 7);
    assert_eq!(listed["result"]["tools"][0]["name"], "search");
    assert_eq!(client.legacy("ping", json!({})).await["result"], json!({}));
    assert_eq!(client.legacy("no/such", json!({})).await["error"]["code"], -32601);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_modern_version_needs_no_handshake() {
    let client = Client::new().await;
    let discovered = client.modern_request("server/discover", json!({})).send().await.unwrap();
    assert_eq!(discovered.status(), 200);
    let discovered: Value = discovered.json().await.unwrap();
    let versions = discovered["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(MODERN)) && versions.contains(&json!("2025-03-26")), "{discovered}");
    assert_eq!(discovered["result"]["resultType"], "complete");
    let extensions = &discovered["result"]["capabilities"]["extensions"];
    assert_eq!(extensions["io.modelcontextprotocol/oauth-client-credentials"], json!({}), "{discovered}");
    assert!(discovered["result"]["ttlMs"].is_u64() && discovered["result"]["cacheScope"].is_string(), "{discovered}");

    for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list"] {
        let listed = client.modern(method, json!({})).await;
        assert_eq!(listed["resultType"], "complete", "{method}");
        assert_eq!((&listed["ttlMs"], &listed["cacheScope"]), (&json!(60_000), &json!("private")), "{method}");
    }

    let call = json!({"name": "add_memory", "arguments": {"content": "Marta lives in Porto."}});
    let called: Value = client.modern_request("tools/call", call).send().await.unwrap().json().await.unwrap();
    assert_eq!(called["result"]["resultType"], "complete");
    assert_eq!(called["result"]["structuredContent"]["status"], "stored");

    let unknown = client.modern_request("no/such", json!({})).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.json::<Value>().await.unwrap()["error"]["code"], -32601);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_contradict_the_body_are_refused() {
    let client = Client::new().await;
    let meta = |version: &str| json!({"_meta": {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}});
    for (headers, version, code) in [
        (vec![("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/call")], MODERN, -32020),
        (vec![("MCP-Protocol-Version", MODERN)], MODERN, -32020),
        (vec![("MCP-Protocol-Version", LEGACY), ("Mcp-Method", "tools/list")], MODERN, -32020),
        (vec![("MCP-Protocol-Version", "2030-01-01"), ("Mcp-Method", "tools/list")], "2030-01-01", -32022),
    ] {
        let message = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": meta(version)});
        let mut request = client.post().bearer_auth(&client.token).json(&message);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{headers:?}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &json!(9)), "{headers:?}: {answer}");
        if code == -32022 {
            assert_eq!(answer["error"]["data"]["requested"], "2030-01-01");
            assert!(answer["error"]["data"]["supported"].as_array().unwrap().contains(&json!(MODERN)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_names_its_tool_in_its_headers_too() {
    let client = Client::new().await;
    let params = || json!({"name": "search", "arguments": {"query": "tea"}});
    for (header, status) in [(Some("search"), 200), (Some("delete_memory"), 400), (None, 400)] {
        let mut request = client.modern_request("tools/call", params()).build().unwrap();
        request.headers_mut().remove("mcp-name");
        if let Some(name) = header {
            request.headers_mut().insert("mcp-name", name.parse().unwrap());
        }
        let answer = client.gate.http.execute(request).await.unwrap();
        assert_eq!(answer.status(), status, "{header:?}");
        let answer: Value = answer.json().await.unwrap();
        let code = answer["error"]["code"].as_i64();
        assert_eq!((code, &answer["id"]), ((status == 400).then_some(-32020), &json!("m")), "{header:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_sent_in_another_way_is_400_with_the_way_to_the_metadata_of_mcp() {
    let client = Client::new().await;
    let metadata = format!("resource_metadata=\"{}\"", client.gate.url("/.well-known/oauth-protected-resource/mcp"));
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let twice = client.post().bearer_auth(&client.token).header("Authorization", "Bearer other");
    let in_url = client.gate.http.post(client.gate.url("/mcp?access_token=x"));
    for request in [twice, in_url] {
        let answer = request.json(&ping).send().await.unwrap();
        assert_eq!(answer.status(), 400);
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("invalid_request") && challenge.contains(&metadata), "{challenge}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_the_application_may_not_use_is_refused_in_words() {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let permissions = [Permission::MemoryRead].into_iter().collect();
    let application = gate.register(NewApplication { permissions, ..new_application() }).await;
    let token = gate.mcp_token(&application, "memory:read").await;
    let client = Client { gate, token };
    // Nobody could grant it, so asking a person again would not help.
    let words = client.failing_call("add_memory", json!({"content": "x"})).await;
    assert!(words.contains("memory:write"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_method_is_405_before_the_token_is_looked_at() {
    let client = Client::new().await;
    for path in ["/mcp", "/mcp/"] {
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::PUT] {
            let answer = client.gate.http.request(method.clone(), client.gate.url(path)).send().await.unwrap();
            assert_eq!(answer.status(), 405, "{method} {path}");
            assert_eq!(answer.headers()["allow"], "POST");
        }
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let request = client.gate.http.post(client.gate.url(path)).bearer_auth(&client.token);
        let answer = request.header("Content-Type", "application/json").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_valid_token_every_message_is_401_with_the_way_to_get_one() {
    let client = Client::new().await;
    let metadata = client.gate.url("/.well-known/oauth-protected-resource/mcp");
    let everything = r#"scope="memory:read memory:write memory:delete""#;
    for method in ["initialize", "server/discover", "tools/list", "tools/call", "ping"] {
        for token in [None, Some("made-up")] {
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}});
            let mut request = client.post().json(&message);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 401, "{method} {token:?}");
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Bearer "), "{challenge}");
            assert!(challenge.contains(&format!(r#"resource_metadata="{metadata}""#)), "{challenge}");
            assert!(challenge.contains(everything), "{challenge}");
            assert_eq!(challenge.contains(r#"error="invalid_token""#), token.is_some(), "{challenge}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_without_its_scope_is_403_that_names_the_scopes_to_ask_for() {
    let client = Client::with_scope("memory:read").await;
    let listed = client.legacy("tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 4, "only what the token allows");
    let add = json!({"name": "add_memory", "arguments": {"content": "x"}});
    assert_names_the_scopes(&client.legacy_request("tools/call", &add).send().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prompt_without_its_scope_is_403_that_names_the_scopes_to_ask_for() {
    let client = Client::with_scope("memory:write").await;
    let context = json!({"name": "personal_context"});
    assert_names_the_scopes(&client.legacy_request("prompts/get", &context).send().await.unwrap());
    assert_names_the_scopes(&client.modern_request("prompts/get", context).send().await.unwrap());
}

fn assert_names_the_scopes(answer: &Response) {
    assert_eq!(answer.status(), 403);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    assert!(challenge.contains(r#"scope="memory:read memory:write memory:delete""#), "{challenge}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_host_or_origin_is_refused() {
    let client = Client::new().await;
    let own = client.gate.url("");
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (header, value, status) in [
        ("Origin", own.as_str(), 200),
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
        ("Host", "evil.example", 403),
        ("Mcp-Session-Id", "made-up", 200),
    ] {
        let request = client.post().bearer_auth(&client.token).header(header, value).body(body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{header}: {value}");
        assert!(answer.headers().get("mcp-session-id").is_none(), "{header}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_client_accepts_it_gets_an_answer_that_it_can_read() {
    let client = Client::new().await;
    for (accept, media_type) in [
        (None, "application/json"),
        (Some("*/*"), "application/json"),
        (Some("application/json"), "application/json"),
        (Some("text/event-stream, application/json"), "application/json"),
        (Some("text/event-stream"), "text/event-stream"),
    ] {
        let mut request = client.post().bearer_auth(&client.token);
        if let Some(accept) = accept {
            request = request.header("Accept", accept);
        }
        let answer = request.body(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{accept:?}");
        assert_eq!(answer.headers()["content-type"], media_type, "{accept:?}");
        let text = answer.text().await.unwrap();
        let json = text.lines().find_map(|line| line.strip_prefix("data:").or(line.starts_with('{').then_some(line)));
        let message: Value = serde_json::from_str(json.unwrap()).unwrap();
        assert_eq!(message["result"]["tools"].as_array().unwrap().len(), 7, "{accept:?}");
    }
}
