//! The document that a Custom GPT imports, derived from the complete one.
//!
//! ChatGPT's importer supports only OpenAPI 3.1 and only a part of it, while poem-openapi generates 3.0: [`convert`]
//! translates. The texts by which a model decides when to call an operation are in this file.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::complete::{one_line, referenced};

/// Whether ChatGPT asks the person before it stores or changes a memory. It always asks before it deletes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmWrites {
    /// Every time.
    Always,
    /// The person can choose "always allow".
    Optional,
}

/// The effect of an operation, which decides whether ChatGPT asks first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    Writes,
    Deletes,
}

/// An operation of the document.
struct Action {
    operation_id: &'static str,
    effect: Effect,
    /// When to call it, in one sentence: some importers keep no more than this. The importer's limit is 300 characters.
    summary: &'static str,
    /// For the model, also within 300 characters.
    description: &'static str,
}

/// Only what an assistant needs: each additional operation is one more that a model can call by mistake.
const ACTIONS: [Action; 6] = [
    Action {
        operation_id: "searchMemories",
        effect: Effect::Reads,
        summary: "Search what is remembered, before answering anything that may depend on the person",
        description: "Call this first, before you answer anything that may depend on the person: preferences, people, \
                      plans, projects, past decisions. Call it before storing too, so that nothing is stored twice. Ask \
                      in plain words, one topic a call. No results: nothing is known about it.",
    },
    Action {
        operation_id: "createMemory",
        effect: Effect::Writes,
        summary: "Remember something new, when the person asks for it or states a lasting fact",
        description: "Call when the person asks to remember something, or states a lasting fact, preference, plan or \
                      decision. Search first; if it is known, update instead. Never store passwords, keys, card or \
                      account numbers, guesses or small talk, nor health or other sensitive facts unasked.",
    },
    Action {
        operation_id: "listMemories",
        effect: Effect::Reads,
        summary: "List all that is remembered, when the person wants to see or tidy it up",
        description: "Call only when the person wants to see or tidy up everything that is remembered; to answer a \
                      question, search instead. Newest first, a page a call: send `next_cursor` as `cursor` for the next.",
    },
    Action {
        operation_id: "getMemory",
        effect: Effect::Reads,
        summary: "Read one memory whose id a search or a list returned",
        description: "Call to see all that is known of one memory, such as its priority and dates. Take the id from a \
                      search or a list; never make one up.",
    },
    Action {
        operation_id: "updateMemory",
        effect: Effect::Writes,
        summary: "Correct a memory, when what is remembered is outdated or wrong",
        description: "Call when something remembered is outdated or wrong: search for it, then change that memory instead \
                      of storing a second one. `content` replaces the whole text. What you leave out stays as it is.",
    },
    Action {
        operation_id: "deleteMemory",
        effect: Effect::Deletes,
        summary: "Forget a memory, when the person asks for it and has confirmed it",
        description: "Call only when the person asks to forget something. Search for it, say what will be forgotten and \
                      wait for a yes, because it cannot be undone. If something merely changed, update it instead.",
    },
];

/// Request members that a model could only invent, or that are for programs. ChatGPT sends the GPT and the conversation in
/// headers.
const NOT_FOR_MODELS: [&str; 4] = ["context", "idempotency_key", "on_near_duplicate", "where"];

/// Parameters that are for programs.
const PARAMETERS_NOT_FOR_MODELS: [&str; 1] = ["filters"];

const DESCRIPTION: &str = "Long-term memory of the person you talk to: search it before you answer, and keep in it what \
                           will still matter in a later conversation.";

/// Converts the complete document into the one that ChatGPT imports, for a service at `base` (no trailing slash).
pub(crate) fn convert(document: &Value, base: &str, confirm: ConfirmWrites) -> Value {
    let components = &document["components"];
    let mut paths = Map::new();
    for action in &ACTIONS {
        let Some((path, method, operation)) = find(document, action.operation_id) else { continue };
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[method] = convert_operation(action, operation, confirm);
    }
    let paths = Value::Object(paths);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": document["info"]["title"],
            "version": document["info"]["version"],
            "description": DESCRIPTION,
        },
        "servers": [{ "url": base }],
        "components": {
            "schemas": reachable_schemas(&paths, components),
            "securitySchemes": { "OAuth2": signed_in_people(&components["securitySchemes"]["OAuth2"]) },
        },
        "paths": paths,
    })
}

/// The security scheme with the one flow that ChatGPT supports: the authorization code flow.
fn signed_in_people(scheme: &Value) -> Value {
    json!({ "type": "oauth2", "flows": { "authorizationCode": scheme["flows"]["authorizationCode"] } })
}

fn find<'a>(document: &'a Value, operation_id: &str) -> Option<(&'a str, &'a str, &'a Value)> {
    let paths = document["paths"].as_object()?;
    let mut operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    });
    operations.find(|(_, _, operation)| operation["operationId"] == operation_id)
}

fn convert_operation(action: &Action, operation: &Value, confirm: ConfirmWrites) -> Value {
    let consequential = match action.effect {
        Effect::Reads => false,
        Effect::Writes => confirm == ConfirmWrites::Always,
        Effect::Deletes => true,
    };
    let mut converted = json!({
        "operationId": action.operation_id,
        "summary": action.summary,
        "description": action.description,
        "x-openai-isConsequential": consequential,
        "responses": convert_responses(&operation["responses"]),
        "security": operation["security"],
    });
    let for_models = |parameter: &&Value| {
        let name = parameter["name"].as_str().unwrap_or_default();
        parameter["in"] != "header" && !PARAMETERS_NOT_FOR_MODELS.contains(&name)
    };
    let parameters: Vec<Value> = list(&operation["parameters"]).filter(for_models).map(parameter).collect();
    if !parameters.is_empty() {
        converted["parameters"] = parameters.into();
    }
    if let Some(body) = json_schema(&operation["requestBody"]) {
        converted["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    converted
}

/// The description is copied to the schema: some importers read it nowhere else.
fn parameter(parameter: &Value) -> Value {
    let description = text(&parameter["description"]);
    let mut schema = convert_schema(&parameter["schema"]);
    schema["description"] = json!(description);
    json!({
        "name": parameter["name"],
        "in": parameter["in"],
        "required": parameter["required"],
        "description": description,
        "schema": schema,
    })
}

/// The importer rejects the media type of problem documents; their meaning is in the description.
fn convert_responses(responses: &Value) -> Value {
    let responses = responses.as_object().into_iter().flatten();
    let converted = responses.map(|(status, response)| {
        let mut converted = json!({ "description": text(&response["description"]) });
        if let Some(schema) = json_schema(response) {
            converted["content"] = json!({ "application/json": { "schema": schema } });
        }
        (status.clone(), converted)
    });
    Value::Object(converted.collect())
}

fn json_schema(body: &Value) -> Option<Value> {
    body["content"].get("application/json").map(|media| convert_schema(&media["schema"]))
}

/// The schemas that operations reference directly. Nested references are inlined: importers follow a reference from an
/// operation, but not always one from a schema.
fn reachable_schemas(paths: &Value, components: &Value) -> Value {
    let schemas = referenced(paths).into_iter().map(|name| {
        let mut schema = convert_schema(&components["schemas"][&name]);
        keep_for_models(&mut schema);
        inline(&mut schema, components, &mut BTreeSet::from([name.clone()]));
        (name, schema)
    });
    Value::Object(schemas.collect())
}

fn keep_for_models(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|member, _| !NOT_FOR_MODELS.contains(&member.as_str()));
    }
}

/// Inlines references. A recursive schema keeps the inner reference.
fn inline(value: &mut Value, components: &Value, within: &mut BTreeSet<String>) {
    let name = value["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()).map(str::to_owned);
    if let Some(name) = name {
        if within.insert(name.clone()) {
            *value = convert_schema(&components["schemas"][&name]);
            keep_for_models(value);
            inline(value, components, within);
            within.remove(&name);
        }
        return;
    }
    match value {
        Value::Object(object) => object.values_mut().for_each(|value| inline(value, components, within)),
        Value::Array(array) => array.iter_mut().for_each(|value| inline(value, components, within)),
        _ => {}
    }
}

/// Converts a schema of OpenAPI 3.0 to JSON Schema 2020-12, which OpenAPI 3.1 uses.
fn convert_schema(schema: &Value) -> Value {
    let Some(old) = schema.as_object() else { return schema.clone() };
    // OpenAPI 3.0 ignores siblings of a reference, and the importer rejects them.
    if let Some(reference) = reference(old) {
        return json!({ "$ref": reference });
    }
    let mut new = Map::new();
    for (keyword, value) in old {
        let value = match keyword.as_str() {
            // The last two are for programs; a model reads the format in the description.
            "nullable" | "title" | "deprecated" | "exclusiveMinimum" | "exclusiveMaximum" | "pattern" | "example" => {
                continue;
            }
            "properties" => convert_members(value),
            "additionalProperties" if value.as_object().is_some_and(Map::is_empty) => json!(true),
            "items" | "additionalProperties" => convert_schema(value),
            "oneOf" | "anyOf" | "allOf" => list(value).map(convert_schema).collect(),
            "description" => text(value).into(),
            _ => value.clone(),
        };
        new.insert(keyword.clone(), value);
    }
    // OpenAPI 3.0 marks an exclusive limit with a flag; 2020-12 has a separate keyword.
    for (limit, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if old.get(exclusive) == Some(&json!(true))
            && let Some(value) = new.remove(limit)
        {
            new.insert(exclusive.to_owned(), value);
        }
    }
    if old.get("nullable") == Some(&json!(true)) {
        if let Some(kind) = new.get("type").cloned() {
            new.insert("type".to_owned(), json!([kind, "null"]));
        }
        if let Some(Value::Array(values)) = new.get_mut("enum") {
            values.push(Value::Null);
        }
    }
    if old.get("type") == Some(&json!("object")) {
        new.entry("properties").or_insert_with(|| json!({}));
    }
    Value::Object(new)
}

/// The target if a schema is nothing but a reference. OpenAPI 3.0 wraps a reference with a description into `allOf`.
fn reference(schema: &Map<String, Value>) -> Option<&Value> {
    let wrapped = || match schema.get("allOf")?.as_array()?.as_slice() {
        [only] => only.get("$ref"),
        _ => None,
    };
    schema.get("$ref").or_else(wrapped)
}

fn convert_members(members: &Value) -> Value {
    let members = members.as_object().into_iter().flatten();
    Value::Object(members.map(|(name, schema)| (name.clone(), convert_schema(schema))).collect())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(text: &Value) -> String {
    one_line(text.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_of_3_0_are_said_in_the_words_of_3_1() {
        for (old, new) in [
            (json!({"type": "string", "nullable": true}), json!({"type": ["string", "null"]})),
            (json!({"type": "string", "nullable": false}), json!({"type": "string"})),
            (
                json!({"type": "string", "enum": ["a"], "nullable": true}),
                json!({"type": ["string", "null"], "enum": ["a", null]}),
            ),
            (
                json!({"type": "number", "minimum": 0.0, "exclusiveMinimum": true}),
                json!({"type": "number", "exclusiveMinimum": 0.0}),
            ),
            (
                json!({"type": "number", "maximum": 1.5, "exclusiveMaximum": false}),
                json!({"type": "number", "maximum": 1.5}),
            ),
            (json!({"type": "string", "pattern": "^a$", "example": "a"}), json!({"type": "string"})),
            (json!({"type": "object"}), json!({"type": "object", "properties": {}})),
            (
                json!({"type": "object", "additionalProperties": {}}),
                json!({"type": "object", "properties": {}, "additionalProperties": true}),
            ),
            (json!({"$ref": "#/a", "description": "x"}), json!({"$ref": "#/a"})),
            (json!({"allOf": [{"$ref": "#/a"}], "description": "x", "nullable": true}), json!({"$ref": "#/a"})),
            (
                json!({"title": "T", "type": "string", "description": "a\nb"}),
                json!({"type": "string", "description": "a b"}),
            ),
            (
                json!({"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string", "nullable": true}}}}),
                json!({"type": "array", "items": {"type": "object", "properties": {"x": {"type": ["string", "null"]}}}}),
            ),
        ] {
            assert_eq!(convert_schema(&old), new, "{old}");
        }
    }

    #[test]
    fn operations_that_are_not_for_assistants_and_parameters_in_headers_are_left_out() {
        let operation = |id: &str| {
            json!({
                "operationId": id,
                "tags": ["x"],
                "parameters": [{"in": "header", "name": "a"}, {"in": "query", "name": "b", "schema": {"type": "string"}}],
                "responses": {"200": {"description": "Done.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}},
            })
        };
        let document = json!({
            "paths": {"/a": {"get": operation("getMemory"), "post": operation("issueToken")}},
            "components": {"schemas": {
                "A": {"type": "object", "properties": {"b": {"$ref": "#/components/schemas/B"}}},
                "B": {"type": "string"},
                "C": {"type": "object"},
            }},
        });
        let converted = convert(&document, "https://gate.example.org", ConfirmWrites::Always);
        assert_eq!(converted["paths"]["/a"].as_object().unwrap().keys().collect::<Vec<_>>(), ["get"]);
        let parameters = converted["paths"]["/a"]["get"]["parameters"].as_array().unwrap();
        assert_eq!(parameters.iter().map(|p| &p["name"]).collect::<Vec<_>>(), ["b"]);
        let schemas = converted["components"]["schemas"].as_object().unwrap();
        assert_eq!(schemas.keys().collect::<Vec<_>>(), ["A"]);
        assert_eq!(schemas["A"]["properties"]["b"], json!({"type": "string"}), "what it refers to is in its place");
    }
}
