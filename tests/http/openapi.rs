//! The OpenAPI document: it is current, and within the limits of the assistants that import it.

use std::collections::{BTreeMap, HashSet};

use memgate::adapters::http::openapi_document;
use serde_json::Value;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/openapi.json");
/// The public URL of a service without configuration, which `memgate openapi` uses too.
const PUBLIC_URL: &str = "http://127.0.0.1:8080";

fn document() -> Value {
    serde_json::from_str(&openapi_document(PUBLIC_URL)).unwrap()
}

/// Every operation with its method and path.
pub(super) fn operations(document: &Value) -> Vec<(String, &Value)> {
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
fn the_documentation_names_every_operation_of_the_memory_api_with_what_it_needs() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md")).unwrap();
    let (_, table) = text.split_once("| operation | needs |\n| --- | --- |\n").unwrap();
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut documented = BTreeMap::new();
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        let mut cells = row.split('|').skip(1);
        let (operations, needs) = (quoted(cells.next().unwrap()), quoted(cells.next().unwrap()));
        for operation in operations {
            assert_eq!(documented.insert(operation.clone(), needs.clone()), None, "{operation} is there twice");
        }
    }
    let document = document();
    let mut expected = BTreeMap::new();
    for (place, operation) in operations(&document) {
        let (method, path) = place.split_once(' ').unwrap();
        if let Some(permissions) = operation["security"][0]["OAuth2"].as_array() {
            let needs = permissions.iter().map(|permission| permission.as_str().unwrap().to_owned()).collect();
            expected.insert(format!("{} {path}", method.to_uppercase()), needs);
        }
    }
    assert_eq!(documented, expected, "the table of operations in docs/api.md");
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
            let alternatives = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
            let typed = !alternatives.is_empty() && alternatives.iter().all(|one| one["type"].is_string());
            assert!(schema["type"].is_string() || typed, "{name}.{member} has no type");
            assert!(schema["description"].is_string(), "{name}.{member} has no description");
        }
    }
}

/// Every object in the document, with the path to it.
pub(super) fn objects<'a>(
    value: &'a Value,
    place: &str,
    found: &mut Vec<(String, &'a serde_json::Map<String, Value>)>,
) {
    match value {
        Value::Object(object) => {
            found.push((place.to_owned(), object));
            object.iter().for_each(|(name, value)| objects(value, &format!("{place}/{name}"), found));
        }
        Value::Array(array) => array.iter().for_each(|value| objects(value, place, found)),
        _ => {}
    }
}

#[test]
fn generators_of_clients_find_one_media_type_a_body_and_one_type_of_success() {
    let document = document();
    for (place, operation) in operations(&document) {
        let body = operation["requestBody"]["content"].as_object();
        assert!(body.is_none_or(|content| content.len() == 1), "{place}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(!responses.contains_key("default"), "{place}");
        let schemas = |success: bool| {
            let wanted = responses.iter().filter(move |(status, _)| status.starts_with('2') == success);
            let contents = wanted.flat_map(|(_, response)| response["content"].as_object().into_iter().flatten());
            contents.map(|(_, media)| media["schema"].to_string()).collect::<HashSet<_>>()
        };
        assert!(schemas(true).len() <= 1, "{place}: {:?}", schemas(true));
        assert!(schemas(false).len() <= 1, "{place}: {:?}", schemas(false));
    }
}

#[test]
fn importers_find_no_value_that_may_be_null() {
    let document = document();
    let mut all = Vec::new();
    objects(&document, "", &mut all);
    for (place, object) in all {
        assert!(!object.contains_key("nullable"), "{place}");
        assert!(!object.get("type").is_some_and(Value::is_array), "{place}");
    }
}

#[test]
fn every_answer_that_an_operation_has_is_listed() {
    let document = document();
    for (place, operation) in operations(&document) {
        let listed = |status: &str| operation["responses"][status].is_object();
        let by_id = place.contains("{memory_id}") || place.contains("{request_id}");
        let with_body = operation["requestBody"].is_object();
        let memories = operation["tags"] == serde_json::json!(["Memories"]);
        // Of several creates each has an outcome of its own, within a successful answer.
        let of_bank = memories && !place.contains("/requests/") && operation["operationId"] != "createMemories";
        let secured = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
        for (status, expected) in [
            ("400", secured),
            ("401", secured),
            ("403", memories),
            ("404", by_id),
            ("409", operation["operationId"] == "createMemory" || operation["operationId"] == "deleteMemories"),
            ("413", with_body),
            ("415", with_body),
            ("422", of_bank),
            ("429", secured),
            ("500", secured),
            ("501", of_bank),
            ("502", of_bank),
            ("503", secured || place.ends_with("/ready")),
        ] {
            assert_eq!(listed(status), expected, "{place}: {status}");
        }
        for status in ["429", "503"] {
            if secured {
                let header = &operation["responses"][status]["headers"]["Retry-After"];
                assert_eq!(header["schema"]["type"], "integer", "{place}: {status}");
            }
        }
    }
}

#[test]
fn schemas_of_requests_say_what_is_checked() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    for name in ["NewMemory", "MemoryChanges", "MemorySearch", "SearchFilters", "DateRange", "Context"] {
        assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
    }
    for name in ["TokenRequest", "TokenInquiry"] {
        assert!(schemas[name]["additionalProperties"].is_null(), "{name}: RFC 6749 §3.2 has others ignored");
    }
    assert_eq!(schemas["MemoryChanges"]["minProperties"], 1);
    for (name, member) in [("NewMemory", "content"), ("MemorySearch", "query"), ("NewMemory", "idempotency_key")] {
        let schema = &schemas[name]["properties"][member];
        assert!(schema["pattern"].is_string() && schema["minLength"] == 1, "{name}.{member}");
    }
    let category = &schemas["NewMemory"]["properties"]["categories"]["items"];
    assert_eq!((&category["minLength"], &category["maxLength"]), (&1.into(), &64.into()));
    assert_eq!(schemas["NewMemory"]["properties"]["metadata"]["maxProperties"], 64);
    assert_eq!(schemas["SearchFilters"]["properties"]["metadata"]["maxProperties"], 16);
    // `date-time` would not allow a date alone, nor `never`.
    for (name, member) in [("NewMemory", "expires_at"), ("MemoryChanges", "expires_at"), ("DateRange", "end")] {
        let schema = &schemas[name]["properties"][member];
        assert!(schema["format"].is_null() && schema["pattern"].is_string(), "{name}.{member}");
    }
}

#[test]
fn no_schema_has_the_name_of_an_operation() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let names: HashSet<String> = schemas.keys().map(|name| name.to_lowercase()).collect();
    for (place, operation) in operations(&document) {
        assert!(!names.contains(&operation["operationId"].as_str().unwrap().to_lowercase()), "{place}");
    }
    // A part of the document becomes a module, and `OAuth` reads `o_auth` there.
    let tags = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap());
    for name in tags.chain(schemas.keys().map(String::as_str)) {
        assert!(!name.starts_with("OAuth"), "{name}");
    }
}

#[test]
fn bodies_are_documented_with_the_exact_media_types() {
    let document = document();
    let known = [
        "application/json",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "application/problem+json",
    ];
    for (place, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().values();
        for content in std::iter::once(&operation["requestBody"]).chain(responses) {
            for media_type in content["content"].as_object().into_iter().flat_map(|content| content.keys()) {
                assert!(known.contains(&media_type.as_str()), "{place}: {media_type}");
            }
        }
    }
}
