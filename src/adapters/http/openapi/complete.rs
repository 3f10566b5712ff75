//! Completes the document where poem-openapi falls short.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::security::name_scopes;

/// Completes the document.
pub(crate) fn complete(document: &mut Value) {
    close_request_bodies(document);
    extend(&mut document["components"]["schemas"]["MemoryChanges"], json!({ "minProperties": 1 }));
    for (name, example) in examples() {
        extend(&mut document["components"]["schemas"][name], json!({ "example": example }));
    }
    for operation in operations(document) {
        // Without it, an open operation looks like one whose security was forgotten.
        name_scopes(operation.entry("security").or_insert_with(|| json!([])));
    }
    tidy(document);
}

/// Request examples that work as they are. Tools show them to people.
fn examples() -> [(&'static str, Value); 7] {
    [
        (
            "NewMemory",
            json!({
                "content": "Marta is allergic to hazelnuts and all other tree nuts.",
                "categories": ["health"],
                "metadata": { "person": "Marta" },
                "priority": "high",
            }),
        ),
        (
            "NewMemories",
            json!({
                "memories": [
                    { "content": "Marta does not eat mushrooms.", "categories": ["health"] },
                    { "content": "Marta's sister Ines lives in Porto.", "categories": ["family"] },
                ],
            }),
        ),
        ("BulkDeletion", json!({ "filters": { "categories": ["health"] } })),
        ("MemoryChanges", json!({ "content": "Marta is allergic to hazelnuts alone.", "expires_at": "never" })),
        ("MemorySearch", json!({ "query": "Which nuts must Marta not eat?", "limit": 5 })),
        (
            "TokenRequest",
            json!({
                "grant_type": "client_credentials",
                "client_id": "67e55044-10b1-426f-9247-bb680e5fe0c8",
                "client_secret": "mgs_…",
            }),
        ),
        (
            "TokenInquiry",
            json!({
                "token": "eyJ…",
                "client_id": "67e55044-10b1-426f-9247-bb680e5fe0c8",
                "client_secret": "mgs_…",
            }),
        ),
    ]
}

fn extend(schema: &mut Value, members: Value) {
    if let (Value::Object(schema), Value::Object(members)) = (schema, members) {
        schema.extend(members);
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let methods = paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    methods.filter_map(Value::as_object_mut)
}

/// Objects do not allow additional properties. (Additional form fields are ignored, RFC 6749 §3.2.)
fn close_request_bodies(document: &mut Value) {
    let bodies = operations(document).filter_map(|operation| {
        let media = operation.get("requestBody")?.get("content")?.get("application/json")?;
        referenced(&media["schema"]).pop_first()
    });
    let mut wanted: BTreeSet<String> = bodies.collect();
    let mut closed = BTreeSet::new();
    while let Some(name) = wanted.pop_first() {
        let schema = &mut document["components"]["schemas"][&name];
        wanted.extend(referenced(schema));
        if schema["type"] == "object"
            && let Some(schema) = schema.as_object_mut()
        {
            schema.entry("additionalProperties").or_insert(json!(false));
        }
        closed.insert(name);
        wanted.retain(|name| !closed.contains(name));
    }
}

/// The names of the schemas that `value` refers to.
pub(crate) fn referenced(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => {
            let own = object.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
            own.map(str::to_owned).into_iter().chain(object.values().flat_map(referenced)).collect()
        }
        Value::Array(array) => array.iter().flat_map(referenced).collect(),
        _ => BTreeSet::new(),
    }
}

/// Removes line breaks from descriptions, and writes integer limits without a fraction.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let whole_numbers = object.get("type") == Some(&json!("integer"));
            for (member, value) in object {
                match value {
                    Value::String(text) if member == "description" && text.contains('\n') => {
                        *text = one_line(text);
                    }
                    Value::Number(number) if whole_numbers => *value = whole(number),
                    value => tidy(value),
                }
            }
        }
        Value::Array(array) => array.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The text with single spaces.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn whole(number: &serde_json::Number) -> Value {
    let text = number.to_string();
    let integer = text.strip_suffix(".0").and_then(|text| text.parse::<i64>().ok());
    integer.map_or_else(|| Value::Number(number.clone()), Value::from)
}
