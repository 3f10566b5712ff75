use serde_json::json;

use super::*;
use crate::audit::ContextId;
use crate::testing::{context, metadata};

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

fn refusal(value: Value) -> String {
    Metadata::from_caller(object(value)).unwrap_err().to_string()
}

fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({"x": 1}), |inner, _| json!({ "x": inner }))
}

fn members(count: usize) -> Value {
    Value::Object((0..count).map(|number| (format!("member {number}"), number.into())).collect())
}

#[test]
fn an_object_of_anything_is_kept_as_it_is() {
    let value = json!({"a": [1, 2.5, "x", null, true, {"b": {}}], "": 1});
    assert_eq!(refusal(value), "`metadata` must have member names of 1 to 128 characters");
    let value = json!({"a": [1, 2.5, "x", null, true, {"b": {}}], "é 🦊": "\n", "User_Id": 1, "user": {"user_id": 2}});
    assert_eq!(Value::Object(metadata(value.clone()).as_object().clone()), value);
}

#[test]
fn names_that_are_kept_for_the_service_are_refused_from_callers_and_accepted_from_storage() {
    for name in [
        "user_id",
        "agent_id",
        "run_id",
        "app_id",
        "org_id",
        "project_id",
        "created_at",
        "updated_at",
        "write_id",
        "memgate_",
        "memgate_scope",
    ] {
        let problem = refusal(json!({"fine": 1, name: 1}));
        assert_eq!(problem, format!("`metadata.{name}` is a reserved name"));
        assert!(Metadata::from_stored(object(json!({ name: 1 }))).is_ok());
    }
}

#[test]
fn the_limits_are_where_the_documentation_says() {
    assert!(Metadata::from_caller(object(members(64))).is_ok());
    assert_eq!(refusal(members(65)), "`metadata` must have at most 64 members");

    assert!(Metadata::from_caller(object(json!({"é".repeat(128): 1}))).is_ok());
    assert_eq!(refusal(json!({"n".repeat(129): 1})), "`metadata` must have member names of 1 to 128 characters");

    assert!(Metadata::from_caller(object(nested(5))).is_ok());
    assert_eq!(refusal(nested(6)), "`metadata` must not be nested more than 5 levels deep");
    assert!(Metadata::from_caller(object(json!({"x": [[[[]]]]}))).is_ok());
    assert_eq!(refusal(json!({"x": [[[[[]]]]]})), "`metadata` must not be nested more than 5 levels deep");

    let frame = json!({"x": ""}).to_string().len();
    assert!(Metadata::from_caller(object(json!({"x": "a".repeat(16 * 1024 - frame)}))).is_ok());
    assert_eq!(
        refusal(json!({"x": "a".repeat(16 * 1024 - frame + 1)})),
        "`metadata` is 16385 bytes long; at most 16384 are allowed"
    );
}

#[test]
fn nul_is_refused_wherever_it_hides() {
    for value in [
        json!({"x": "\0"}),
        json!({"x\0": 1}),
        json!({"x": ["a", "\0"]}),
        json!({"x": {"y": "a\0"}}),
        json!({"x": {"y\0": 1}}),
    ] {
        assert_eq!(refusal(value), "`metadata` must not contain a NUL character");
    }
}

#[test]
fn the_largest_metadata_with_the_longest_context_can_be_read_back() {
    let frame = members(64).to_string().len() - 1;
    let mut largest = object(members(64));
    largest.insert("member 0".to_owned(), "a".repeat(16 * 1024 - frame - 2).into());
    let largest = Metadata::from_caller(largest).unwrap();
    for character in ["\"", "🦊", "\\"] {
        let id = character.repeat(200);
        let stored = largest.clone().with_context(&context(&id, &id));
        assert_eq!(stored.as_object().len(), 66);
        assert_eq!(Metadata::from_stored(stored.as_object().clone()), Ok(stored));
    }
    assert!(Metadata::from_stored(object(members(67))).is_err(), "no version of this program writes so many");
    assert!(Metadata::from_stored(object(json!({"x": "a".repeat(18 * 1024)}))).is_err());
}

#[test]
fn the_context_says_where_a_memory_came_from() {
    let own = metadata(json!({"mood": "good", "conversation_id": "claimed"}));
    assert_eq!(own.conversation_id(), Some("claimed"));
    let full = own.clone().with_context(&context("g-1", "c-1"));
    assert_eq!(full, metadata(json!({"mood": "good", "custom_gpt_id": "g-1", "conversation_id": "c-1"})));
    assert_eq!(full.conversation_id(), Some("c-1"));
    assert_eq!(own.clone().with_context(&Context::default()), own);
    assert_eq!(metadata(json!({})).conversation_id(), None);
    assert_eq!(metadata(json!({"conversation_id": 1})).conversation_id(), None);
}

#[test]
fn replaced_metadata_keeps_where_the_memory_came_from_unless_it_says_so_itself() {
    let earlier = metadata(json!({"mood": "good"})).with_context(&context("g-1", "c-1"));
    let replaced = metadata(json!({"conversation_id": "c-2"})).with_origin_of(&earlier);
    assert_eq!(replaced, metadata(json!({"custom_gpt_id": "g-1", "conversation_id": "c-2"})));
    assert_eq!(metadata(json!({"a": 1})).with_origin_of(&Metadata::default()), metadata(json!({"a": 1})));
}

#[test]
fn an_id_of_the_context_is_one_line_of_up_to_200_characters() {
    assert_eq!(ContextId::parse("context.custom_gpt_id", " g-1 é").unwrap().as_str(), " g-1 é");
    assert!(ContextId::parse("x", &"🦊".repeat(200)).is_ok());
    for text in ["", " ", "a\nb", "a\0", &"x".repeat(201)] {
        assert_eq!(ContextId::parse("context.custom_gpt_id", text).unwrap_err().field(), "context.custom_gpt_id");
    }
}

#[test]
fn the_debug_form_shows_names_and_no_values() {
    assert_eq!(format!("{:?}", metadata(json!({"a": "hush", "b": {"c": 1}}))), r#"["a", "b"]"#);
}
