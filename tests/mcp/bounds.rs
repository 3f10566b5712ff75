//! That the tools have the bounds of the REST API.

use memgate::adapters::http::openapi_document;
use serde_json::{Value, json};

use super::Client;

/// The bounds that a schema states.
fn bounds(schema: &Value) -> Value {
    let names = ["minLength", "maxLength", "maxItems"];
    let stated = names.iter().filter_map(|name| Some((*name, schema.get(name)?.clone())));
    let mut bounds: serde_json::Map<String, Value> = stated.map(|(name, value)| (name.to_owned(), value)).collect();
    if let Some(items) = schema.get("items") {
        bounds.insert("items".to_owned(), self::bounds(items));
    }
    bounds.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_arguments_of_the_tools_have_the_bounds_of_the_rest_api() {
    let client = Client::new().await;
    let listed = client.legacy("tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    let argument = |tool: &str, name: &str| {
        let tool = tools.iter().find(|known| known["name"] == tool).unwrap_or_else(|| panic!("there is a tool {tool}"));
        bounds(&tool["inputSchema"]["properties"][name])
    };
    let document: Value = serde_json::from_str(&openapi_document("https://gate.example")).unwrap();
    let member = |schema: &str, name: &str| bounds(&document["components"]["schemas"][schema]["properties"][name]);
    let parameter = |path: &str, method: &str, name: &str| {
        let parameters = document["paths"][path][method]["parameters"].as_array().unwrap();
        bounds(&parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"])
    };
    let id = parameter("/api/v1/memories/{memory_id}", "get", "memory_id");
    let category = parameter("/api/v1/memories", "get", "category");
    let mut compared = 0;
    for (arguments, expected) in [
        (&[("search", "query")][..], member("MemorySearch", "query")),
        (&[("add_memory", "content"), ("update_memory", "content")], member("NewMemory", "content")),
        (&[("add_memory", "categories"), ("update_memory", "categories")], member("NewMemory", "categories")),
        (&[("add_memory", "supersedes")], member("NewMemory", "supersedes")),
        (&[("fetch", "id"), ("update_memory", "id"), ("delete_memory", "id")], id),
        (&[("search", "category"), ("list_memories", "category")], category),
    ] {
        assert!(expected.get("maxLength").is_some() || expected.get("maxItems").is_some(), "{arguments:?}: {expected}");
        for (tool, name) in arguments {
            assert_eq!(argument(tool, name), expected, "{name} of {tool}");
            compared += 1;
        }
    }
    // Every other argument is MCP's own: a number, a date, an order, or a cursor.
    let own = ["limit", "offset", "occurred_at", "occurred_from", "occurred_until", "order", "cursor"];
    let all = tools.iter().flat_map(|tool| tool["inputSchema"]["properties"].as_object().unwrap().keys());
    assert_eq!(all.filter(|name| !own.contains(&name.as_str())).count(), compared);
}
