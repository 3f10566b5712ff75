//! The document that a Custom GPT imports: current, and within every rule of ChatGPT's importer.

use std::collections::HashSet;

use memgate::adapters::http::{ConfirmWrites, gpt_actions_document, openapi_document};
use serde_json::Value;

use super::openapi::{objects, operations};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/gpt-actions.json");
const PUBLIC_URL: &str = "https://memgate.example.com";

fn document() -> Value {
    serde_json::from_str(&gpt_actions_document(PUBLIC_URL, ConfirmWrites::Always)).unwrap()
}

/// Every schema in the document, with the path to it.
fn schemas(document: &Value) -> Vec<(String, &serde_json::Map<String, Value>)> {
    fn walk<'a>(schema: &'a Value, place: &str, found: &mut Vec<(String, &'a serde_json::Map<String, Value>)>) {
        let Some(object) = schema.as_object() else { return };
        found.push((place.to_owned(), object));
        for (name, member) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            walk(member, &format!("{place}.{name}"), found);
        }
        for keyword in ["items", "additionalProperties"] {
            object.get(keyword).into_iter().for_each(|inner| walk(inner, &format!("{place}/{keyword}"), found));
        }
    }
    let mut found = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        walk(schema, name, &mut found);
    }
    let mut all = Vec::new();
    objects(&document["paths"], "paths", &mut all);
    for (place, object) in all {
        object.get("schema").into_iter().for_each(|schema| walk(schema, &place, &mut found));
    }
    found
}

fn length(value: &Value) -> usize {
    value.as_str().unwrap_or_default().chars().count()
}

#[test]
fn the_committed_document_is_current() {
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == gpt_actions_document(PUBLIC_URL, ConfirmWrites::Always),
        "openapi/gpt-actions.json is not current; renew it with: cargo run -- openapi --gpt-actions \
         --public-url {PUBLIC_URL} > openapi/gpt-actions.json"
    );
}

#[test]
fn the_document_is_openapi_3_1_and_has_one_https_server_without_a_path() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"], serde_json::json!([{ "url": PUBLIC_URL }]));
    let with_slash: Value =
        serde_json::from_str(&gpt_actions_document("https://memgate.example.com/", ConfirmWrites::Always)).unwrap();
    assert_eq!(with_slash, document, "a slash at the end of the public URL changes nothing");
}

#[test]
fn the_operations_are_those_on_memories_and_fewer_than_thirty() {
    let document = document();
    let operations = operations(&document);
    let ids: HashSet<&str> =
        operations.iter().map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    let expected =
        ["searchMemories", "createMemory", "listMemories", "getMemory", "updateMemory", "deleteMemory"].into();
    assert_eq!(ids, expected);
    assert_eq!(operations.len(), ids.len(), "an operationId is there twice");
    assert!(operations.len() <= 30);
}

#[test]
fn texts_are_within_the_limits_of_the_importer() {
    let document = document();
    for (place, operation) in operations(&document) {
        for member in ["summary", "description"] {
            let length = length(&operation[member]);
            assert!((1..300).contains(&length), "{place}: {member} has {length} characters");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!((1..700).contains(&length(&parameter["description"])), "{place}: {}", parameter["name"]);
        }
    }
    for (place, schema) in schemas(&document) {
        let description = schema.get("description").unwrap_or(&Value::Null);
        assert!(length(description) < 300, "{place}");
        assert!(!description.as_str().unwrap_or_default().contains('\n'), "{place}");
    }
}

#[test]
fn no_parameter_is_in_a_header_and_the_model_is_asked_for_no_id_of_its_conversation() {
    let document = document();
    for (place, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(["query", "path"].contains(&parameter["in"].as_str().unwrap()), "{place}");
        }
    }
    for (place, _) in schemas(&document) {
        assert!(!place.ends_with(".context") && !place.ends_with(".idempotency_key"), "{place}");
    }
}

#[test]
fn every_media_type_is_exactly_application_json() {
    let document = document();
    let mut all = Vec::new();
    objects(&document["paths"], "paths", &mut all);
    for (place, object) in all {
        for media_type in
            object.get("content").and_then(Value::as_object).into_iter().flat_map(|content| content.keys())
        {
            assert_eq!(media_type, "application/json", "{place}");
        }
    }
}

#[test]
fn schemas_hold_nothing_that_the_importer_refuses() {
    let document = document();
    assert!(schemas(&document).len() > 40, "the schemas are found");
    for (place, schema) in schemas(&document) {
        assert!(!schema.contains_key("nullable"), "{place}: nullable");
        for keyword in ["oneOf", "anyOf", "allOf"] {
            assert!(!schema.contains_key(keyword), "{place}: {keyword}");
        }
        for keyword in ["exclusiveMinimum", "exclusiveMaximum"] {
            assert!(schema.get(keyword).is_none_or(Value::is_number), "{place}: {keyword}");
        }
        if schema.contains_key("$ref") {
            assert_eq!(schema.len(), 1, "{place}: a reference has siblings");
            continue;
        }
        let kind = schema.get("type").unwrap_or_else(|| panic!("{place} has no type"));
        if *kind == "object" {
            assert!(schema.get("properties").is_some_and(Value::is_object), "{place} has no properties");
        }
        if *kind == "array" {
            assert!(schema.contains_key("items"), "{place} has no items");
        }
    }
}

#[test]
fn a_schema_refers_to_no_other_one() {
    let document = document();
    let mut all = Vec::new();
    objects(&document["components"]["schemas"], "schemas", &mut all);
    for (place, object) in all {
        assert!(!object.contains_key("$ref"), "{place}");
    }
}

#[test]
fn every_place_where_an_importer_looks_says_when_to_call_and_what_to_send() {
    let document = document();
    for (place, operation) in operations(&document) {
        let summary = operation["summary"].as_str().unwrap();
        let says_when = ["before", "when", "whose id"].iter().any(|word| summary.contains(word));
        assert!(says_when, "{place}: {summary}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert_eq!(parameter["schema"]["description"], parameter["description"], "{place}: {}", parameter["name"]);
        }
    }
}

#[test]
fn every_reference_leads_to_a_schema_and_no_schema_is_left_over() {
    let document = document();
    let defined: HashSet<&str> =
        document["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut all = Vec::new();
    objects(&document, "", &mut all);
    let used: HashSet<&str> = all
        .iter()
        .filter_map(|(_, object)| object.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/"))
        .collect();
    assert_eq!(used, defined);
}

#[test]
fn there_is_one_security_scheme_whose_addresses_are_on_the_host_of_the_api() {
    let document = document();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["OAuth2"]);
    let flows = schemes["OAuth2"]["flows"].as_object().unwrap();
    assert_eq!(flows.len(), 1);
    for flow in flows.values() {
        let urls = ["authorizationUrl", "tokenUrl", "refreshUrl"].iter().filter_map(|name| flow.get(*name)?.as_str());
        assert!(urls.clone().count() > 0);
        urls.for_each(|url| assert!(url.starts_with("https://memgate.example.com/auth/"), "{url}"));
        assert_eq!(flow["scopes"].as_object().unwrap().len(), 3);
    }
    for (place, operation) in operations(&document) {
        let scopes = operation["security"][0]["OAuth2"].as_array().unwrap();
        assert_eq!(scopes.len(), 1, "{place}");
    }
}

#[test]
fn reading_never_asks_deleting_always_does_and_writing_as_the_operator_says() {
    for (confirm, asks) in [(ConfirmWrites::Always, true), (ConfirmWrites::Optional, false)] {
        let document: Value = serde_json::from_str(&gpt_actions_document(PUBLIC_URL, confirm)).unwrap();
        for (place, operation) in operations(&document) {
            let expected = match operation["operationId"].as_str().unwrap() {
                "searchMemories" | "getMemory" | "listMemories" => false,
                "deleteMemory" => true,
                "createMemory" | "updateMemory" => asks,
                other => panic!("{other} is not judged"),
            };
            assert_eq!(operation["x-openai-isConsequential"], expected, "{place}");
        }
    }
}

#[test]
fn the_operations_take_and_return_what_the_whole_document_says() {
    let whole: Value = serde_json::from_str(&openapi_document(PUBLIC_URL)).unwrap();
    let document = document();
    for (place, operation) in operations(&document) {
        let (method, path) = place.split_once(' ').unwrap();
        let original = &whole["paths"][path][method];
        assert_eq!(operation["operationId"], original["operationId"]);
        let statuses =
            |operation: &Value| operation["responses"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(statuses(operation), statuses(original), "{place}");
        assert_eq!(operation["requestBody"].is_object(), original["requestBody"].is_object(), "{place}");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let original = &whole["components"]["schemas"][name];
        assert_eq!(schema["required"], original["required"], "{name}");
        for (member, _) in schema["properties"].as_object().into_iter().flatten() {
            assert!(original["properties"][member].is_object(), "{name}.{member}");
        }
    }
}
