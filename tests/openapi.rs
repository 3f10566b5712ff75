//! The OpenAPI document: it is current, and within the limits of the assistants that import it.

use std::collections::HashSet;

use memgate::adapters::http::openapi_document;
use serde_json::Value;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json");
/// The public URL of a service without configuration, which `memgate openapi` uses too.
const PUBLIC_URL: &str = "http://127.0.0.1:8080";

fn document() -> Value {
    serde_json::from_str(&openapi_document(PUBLIC_URL)).unwrap()
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    operations.collect()
}

#[test]
fn the_committed_document_is_current() {
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == openapi_document(PUBLIC_URL),
        "openapi/openapi.json is not current; renew it with: cargo run -- openapi > openapi/openapi.json"
    );
}

#[test]
fn the_document_says_where_the_service_and_its_token_endpoint_are() {
    for public_url in ["https://gate.example.org", "https://gate.example.org/"] {
        let document: Value = serde_json::from_str(&openapi_document(public_url)).unwrap();
        assert_eq!(document["servers"][0]["url"], "https://gate.example.org");
        let flow = &document["components"]["securitySchemes"]["OAuth2"]["flows"]["clientCredentials"];
        assert_eq!(flow["tokenUrl"], "https://gate.example.org/auth/token");
        assert_eq!(flow["scopes"].as_object().unwrap().len(), 3);
    }
}

#[test]
fn every_operation_has_its_own_id_in_camel_case() {
    let document = document();
    let mut seen = HashSet::new();
    for (place, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{place} has no operationId"));
        assert!(id.starts_with(|c: char| c.is_ascii_lowercase()), "{id}");
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
        assert!(seen.insert(id), "{id} is there twice");
    }
}

#[test]
fn descriptions_are_short_enough_for_gpt_actions() {
    let document = document();
    for (place, operation) in operations(&document) {
        let length = |member: &str| operation[member].as_str().unwrap_or_default().chars().count();
        assert!((1..300).contains(&length("summary")), "{place}: summary");
        assert!(length("description") < 300, "{place}: description");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let description = parameter["description"].as_str().unwrap_or_default();
            assert!((1..700).contains(&description.chars().count()), "{place}: {parameter}");
            assert_ne!(parameter["in"], "header", "{place}: GPT actions have no parameters in headers");
        }
    }
}

#[test]
fn every_schema_has_a_type_and_every_member_a_description() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} has no description");
        assert!(schema["type"].is_string(), "{name} has no type");
        for (member, schema) in schema["properties"].as_object().into_iter().flatten() {
            if schema["$ref"].is_string() {
                continue;
            }
            assert!(schema["type"].is_string(), "{name}.{member} has no type");
            assert!(schema["description"].is_string(), "{name}.{member} has no description");
        }
    }
}

#[test]
fn bodies_are_documented_with_the_exact_media_types() {
    let document = document();
    let known = ["application/json", "application/x-www-form-urlencoded", "application/problem+json"];
    for (place, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().values();
        for content in std::iter::once(&operation["requestBody"]).chain(responses) {
            for media_type in content["content"].as_object().into_iter().flat_map(|content| content.keys()) {
                assert!(known.contains(&media_type.as_str()), "{place}: {media_type}");
            }
        }
    }
}
