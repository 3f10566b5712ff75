//! mem0: a memory as its API returns it.

use serde_json::Value;

use super::rows::{Found, ItemRows, Part, categories, from_text, metadata};
use crate::memories::import_problem::ImportProblem;

const SOURCE: &str = "mem0";

pub(super) fn rows(value: &Value) -> Result<ItemRows, ImportProblem> {
    let text = match value.get("memory") {
        Some(Value::String(text)) => text,
        Some(Value::Null) => return Err(ImportProblem::NoText),
        _ => return Err(ImportProblem::NotOfMem0),
    };
    let names = value.get("categories").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let at = from_text(value.get("created_at"));
    let updated = from_text(value.get("updated_at"));
    let (metadata, left_out) = metadata(SOURCE, value.get("metadata"));
    let found =
        Found { text, categories: categories(names), at, updated, source: SOURCE, metadata, ..Found::default() };
    let rows = found.rows(Part::Memories);
    if rows.is_empty() { Err(ImportProblem::NoText) } else { Ok(ItemRows { rows, left_out }) }
}
