//! mem0: a memory as its API returns it.

use serde_json::Value;

use super::rows::{ForeignRow, Found, Part, categories, from_text, text};
use crate::memories::import_problem::ImportProblem;

pub(super) fn rows(value: &Value) -> Result<Vec<ForeignRow>, ImportProblem> {
    if value.get("memory") == Some(&Value::Null) {
        return Err(ImportProblem::NoText);
    }
    let said = value.get("memory").and_then(Value::as_str).ok_or(ImportProblem::NotOfMem0)?;
    let names = value.get("categories").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let at = from_text(value.get("created_at"));
    let updated = from_text(value.get("updated_at"));
    let found = Found { text: said, categories: categories(names), at, updated, source: "mem0", ..Found::default() };
    if text(value, "memory").trim().is_empty() { Err(ImportProblem::NoText) } else { Ok(found.rows(Part::Memories)) }
}
