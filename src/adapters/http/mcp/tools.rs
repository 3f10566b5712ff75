//! The tools: their names, their permissions, and their descriptions for a model.

use std::sync::{Arc, LazyLock};

use rmcp::model::{JsonObject, Tool as ToolDefinition, ToolAnnotations};
use serde_json::{Value, json};

use crate::domain::applications::{Category, Permission, Permissions};
use crate::domain::memories::Content;

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Search,
    Fetch,
    AddMemory,
    UpdateMemory,
    DeleteMemory,
    ListMemories,
    ListCategories,
}

impl Tool {
    /// All tools, in the order in which they are listed: ChatGPT looks for the first two.
    pub(super) const ALL: [Self; 7] = [
        Self::Search,
        Self::Fetch,
        Self::AddMemory,
        Self::UpdateMemory,
        Self::DeleteMemory,
        Self::ListMemories,
        Self::ListCategories,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Fetch => "fetch",
            Self::AddMemory => "add_memory",
            Self::UpdateMemory => "update_memory",
            Self::DeleteMemory => "delete_memory",
            Self::ListMemories => "list_memories",
            Self::ListCategories => "list_categories",
        }
    }

    pub(super) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    pub(super) fn permission(self) -> Permission {
        match self {
            Self::Search | Self::Fetch | Self::ListMemories | Self::ListCategories => Permission::MemoryRead,
            Self::AddMemory | Self::UpdateMemory => Permission::MemoryWrite,
            Self::DeleteMemory => Permission::MemoryDelete,
        }
    }

    /// The tools that these permissions allow.
    pub(super) fn allowed(permissions: Permissions) -> Vec<ToolDefinition> {
        Self::ALL
            .into_iter()
            .filter(|tool| permissions.contains(tool.permission()))
            .map(|tool| tool.definition().clone())
            .collect()
    }

    pub(super) fn definition(self) -> &'static ToolDefinition {
        static DEFINITIONS: LazyLock<Vec<ToolDefinition>> =
            LazyLock::new(|| Tool::ALL.into_iter().map(Tool::describe).collect());
        &DEFINITIONS[self as usize]
    }

    fn describe(self) -> ToolDefinition {
        let (title, description) = self.words();
        let read_only = self.permission() == Permission::MemoryRead;
        let annotations = ToolAnnotations::with_title(title)
            .read_only(read_only)
            .destructive(matches!(self, Self::UpdateMemory | Self::DeleteMemory))
            .idempotent(self != Self::AddMemory)
            .open_world(false);
        ToolDefinition::new(self.name(), description, object(self.input()))
            .with_title(title)
            .with_raw_output_schema(object(self.output()))
            .with_annotations(annotations)
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Search => (
                "Search memories",
                "Finds what is stored about the person you talk to: facts, preferences, plans, people, earlier decisions. Call it \
                 before you answer anything that may depend on them. Ask in plain language, in any language. An empty result is \
                 final: nothing is stored about it.",
            ),
            Self::Fetch => (
                "Read one memory",
                "Returns one memory in full by the id that search or list_memories gave. A long text comes in parts: call again \
                 with next_offset as offset to read on.",
            ),
            Self::AddMemory => (
                "Store a memory",
                "Stores something worth knowing in later conversations, when the person asks for it or states a lasting fact, \
                 preference or decision. Search first: if it changes what is stored, use update_memory instead; with supersedes the older memory is no longer found. Never store \
                 passwords, keys, card numbers, or what the person asked you not to keep.",
            ),
            Self::UpdateMemory => (
                "Change a memory",
                "Replaces the text, the categories or the date of a stored memory when a fact has changed or was wrong. What is left out \
                 stays as it is.",
            ),
            Self::DeleteMemory => (
                "Delete a memory",
                "Deletes one memory for good, when the person asks to forget it. It cannot be undone from here. Tell the person \
                 what was deleted.",
            ),
            Self::ListMemories => (
                "List memories",
                "Lists what is stored, newest first, for an overview or a period. To find something, use search. Send next_cursor \
                 as cursor for the next page, with the same other arguments.",
            ),
            Self::ListCategories => (
                "List the categories",
                "Lists the categories that exist, the most used first, and how many memories have each. Call it before you store \
                 something in a category, to reuse one that exists.",
            ),
        }
    }

    fn input(self) -> Value {
        let id = json!({"type": "string", "minLength": 1, "maxLength": 128, "description": "The id of the memory, as search or list_memories gave it."});
        let content = json!({
            "type": "string", "minLength": 1, "maxLength": Content::MAX,
            "description": "The memory in whole sentences that will be understood without this conversation: names instead of pronouns, dates instead of \"yesterday\".",
        });
        let categories = json!({
            "type": "array", "maxItems": Category::MAX_PER_MEMORY, "items": {"type": "string", "minLength": 1, "maxLength": 64},
            "description": "What it is about, such as work, family or health. Reuse categories that exist.",
        });
        let occurred_at = json!({
            "type": "string", "minLength": 10, "maxLength": 40,
            "description": "When it was said or happened, if that is not now, as 2026-05-08 or in RFC 3339.",
        });
        let occurred_from = json!({
            "type": "string", "minLength": 10, "maxLength": 40,
            "description": "Only what was said or happened on this day or later, as 2026-05-08 or in RFC 3339.",
        });
        let occurred_until = json!({
            "type": "string", "minLength": 10, "maxLength": 40,
            "description": "Only what was said or happened on this day or earlier.",
        });
        let (properties, required) = match self {
            Self::Search => (
                json!({
                    "query": {"type": "string", "minLength": 1, "maxLength": 4096, "description": "What to look for, as a question or in key words."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10, "description": "How many results at most."},
                    "category": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Only memories of this category."},
                    "occurred_from": occurred_from,
                    "occurred_until": occurred_until,
                    "order": {"type": "string", "enum": ["relevance", "occurred_at"], "default": "relevance", "description": "Best first, or what was said last first. It does not change what is found."},
                }),
                json!(["query"]),
            ),
            Self::Fetch => (
                json!({
                    "id": id,
                    "offset": {"type": "integer", "minimum": 0, "maximum": Content::MAX, "default": 0, "description": "Where to go on in a long text: the next_offset of the part before."},
                }),
                json!(["id"]),
            ),
            Self::AddMemory => {
                let supersedes = json!({"type": "string", "minLength": 1, "maxLength": 128, "description": "The id of an older memory that this one replaces and that should stay in its history. To correct a mistake, use update_memory."});
                (
                    json!({
                        "content": content, "categories": categories, "occurred_at": occurred_at,
                        "supersedes": supersedes,
                    }),
                    json!(["content"]),
                )
            }
            Self::UpdateMemory => (
                json!({"id": id, "content": content, "categories": categories, "occurred_at": occurred_at}),
                json!(["id"]),
            ),
            Self::DeleteMemory => (json!({"id": id}), json!(["id"])),
            Self::ListMemories => (
                json!({
                    "cursor": {"type": "string", "minLength": 1, "maxLength": 1024, "description": "The next_cursor of the page before."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20, "description": "How many memories at most."},
                    "category": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Only memories of this category."},
                    "occurred_from": occurred_from,
                    "occurred_until": occurred_until,
                    "order": {"type": "string", "enum": ["created_at", "occurred_at"], "default": "created_at", "description": "What was stored last first, or what was said last."},
                }),
                json!([]),
            ),
            Self::ListCategories => (json!({}), json!([])),
        };
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }

    fn output(self) -> Value {
        let summary = json!({
            "type": "object",
            "properties": {
                "id": {"type": "string", "description": "The id of the memory."},
                "title": {"type": "string", "description": "The beginning of the memory."},
                "url": {"type": "string", "description": "A page that shows the memory to the person it belongs to. Cite it."},
                "text": {"type": "string", "description": "The text; one that ends with […] goes on, see fetch."},
                "categories": {"type": "array", "items": {"type": "string"}, "description": "What it is about."},
                "created_at": {"type": "string", "description": "When it was stored, in RFC 3339."},
                "occurred_at": {"type": "string", "description": "When it was said or happened, in RFC 3339; left out if that is not known."},
                "relevance_score": {"type": "number", "description": "How well it fits the query, from 0 to 1."},
                "pending": {"type": "boolean", "description": "true if it is still on its way to the memory bank: it can be deleted, but not fetched or changed yet."},
            },
            "required": ["id", "title", "url"],
        });
        let note = json!({"type": "string", "description": "What was left out, and how to get it."});
        let status = json!({"type": "string", "description": "What was done."});
        let (properties, required) = match self {
            Self::Search => (
                json!({
                    "results": {"type": "array", "items": summary, "description": "The memories, in the order asked for: by default the best first."},
                    "note": note,
                }),
                json!(["results"]),
            ),
            Self::Fetch => (
                json!({
                    "id": {"type": "string", "description": "The id of the memory."},
                    "title": {"type": "string", "description": "The beginning of the memory."},
                    "text": {"type": "string", "description": "The text, or this part of it."},
                    "url": {"type": "string", "description": "A page that shows the memory to the person it belongs to. Cite it."},
                    "metadata": {"type": "object", "description": "What else is known: categories, priority, times, where it came from."},
                    "next_offset": {"type": "integer", "description": "Send it as offset to read on; left out at the end of the text."},
                }),
                json!(["id", "title", "text", "url", "metadata"]),
            ),
            Self::AddMemory => (
                json!({
                    "status": status, "memory": summary, "note": note,
                    "near_duplicates": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "id": {"type": "string", "description": "The id of the memory."},
                                "title": {"type": "string", "description": "The beginning of the memory."},
                                "url": {"type": "string", "description": "A page that shows the memory to the person it belongs to."},
                                "similarity": {"type": "number", "description": "How similar the texts are, up to 1."},
                            },
                            "required": ["id", "title", "url", "similarity"],
                        },
                        "description": "Memories that were there already and are nearly the same; left out if there are none.",
                    },
                }),
                json!(["status"]),
            ),
            Self::UpdateMemory => (json!({"status": status, "memory": summary, "note": note}), json!(["status"])),
            Self::DeleteMemory => (
                json!({
                    "status": status,
                    "id": {"type": "string", "description": "The id that the memory had."},
                    "title": {"type": "string", "description": "The beginning of what was deleted; left out if it cannot be read."},
                }),
                json!(["status", "id"]),
            ),
            Self::ListMemories => (
                json!({
                    "memories": {"type": "array", "items": summary, "description": "The memories, newest first by the date asked for."},
                    "next_cursor": {"type": "string", "description": "Send it as cursor for the next page; left out on the last one. A page can be empty and not be the last."},
                    "note": note,
                }),
                json!(["memories"]),
            ),
            Self::ListCategories => (
                json!({
                    "categories": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "category": {"type": "string", "description": "The category."},
                                "memories": {"type": "integer", "description": "How many memories have it."},
                            },
                            "required": ["category", "memories"],
                        },
                        "description": "The categories, the most used first; at most 100, and as many as fit.",
                    },
                    "total": {"type": "integer", "description": "How many categories there are in all."},
                    "uncategorized": {"type": "integer", "description": "How many memories have no category."},
                }),
                json!(["categories", "total", "uncategorized"]),
            ),
        };
        json!({"type": "object", "properties": properties, "required": required})
    }
}

fn object(schema: Value) -> Arc<JsonObject> {
    match schema {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `look` with each schema inside `schema` that describes a value.
    fn each_property(schema: &Value, look: &mut impl FnMut(&str, &Value)) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            look(name, property);
            each_property(property, look);
            each_property(&property["items"], look);
        }
    }

    #[test]
    fn every_tool_can_be_read_by_every_client() {
        for (index, tool) in Tool::ALL.into_iter().enumerate() {
            let definition = tool.definition();
            assert_eq!(tool as usize, index, "the definitions are in the order of the variants");
            assert_eq!(Tool::find(&definition.name), Some(tool));
            assert!(
                definition.name.len() <= 64 && definition.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert!(definition.description.as_ref().is_some_and(|text| (60..1000).contains(&text.len())));
            let schemas = [&definition.input_schema, definition.output_schema.as_ref().unwrap()];
            for schema in schemas.map(|schema| Value::Object(schema.as_ref().clone())) {
                assert_eq!(schema["type"], "object", "{}", definition.name);
                let text = schema.to_string();
                assert!(!text.contains("$ref") && !text.contains("oneOf") && !text.contains("anyOf"), "{text}");
                each_property(&schema, &mut |name, property| {
                    let described = property["description"].as_str().is_some_and(|text| !text.is_empty());
                    assert!(described || name == "memory", "{}: {name} is described", definition.name);
                    assert!(property["type"].is_string(), "{}: {name} has one type", definition.name);
                });
                for required in schema["required"].as_array().unwrap() {
                    assert!(schema["properties"].get(required.as_str().unwrap()).is_some(), "{required}");
                }
            }
        }
    }

    #[test]
    fn a_client_sees_the_tools_that_its_token_allows_and_what_they_do() {
        let names = |permissions: &[Permission]| {
            let allowed = Tool::allowed(permissions.iter().copied().collect());
            allowed.iter().map(|tool| tool.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&[Permission::MemoryRead]), ["search", "fetch", "list_memories", "list_categories"]);
        assert_eq!(names(&[Permission::MemoryWrite]), ["add_memory", "update_memory"]);
        assert_eq!(names(&[Permission::MemoryDelete]), ["delete_memory"]);
        assert_eq!(names(&Permission::ALL).len(), 7);
        assert_eq!(names(&Permission::ALL)[..2], ["search", "fetch"]);
        let annotations = |tool: Tool| tool.definition().annotations.clone().unwrap();
        for (tool, read_only, destructive, idempotent) in [
            (Tool::Search, true, false, true),
            (Tool::Fetch, true, false, true),
            (Tool::AddMemory, false, false, false),
            (Tool::UpdateMemory, false, true, true),
            (Tool::DeleteMemory, false, true, true),
            (Tool::ListMemories, true, false, true),
            (Tool::ListCategories, true, false, true),
        ] {
            let hints = annotations(tool);
            assert_eq!(hints.read_only_hint, Some(read_only), "{tool:?}");
            assert_eq!(hints.destructive_hint, Some(destructive), "{tool:?}");
            assert_eq!(hints.idempotent_hint, Some(idempotent), "{tool:?}");
            assert_eq!(hints.open_world_hint, Some(false), "{tool:?}");
        }
    }
}
