//! `server-memory`, the reference server of MCP: entities with observations, and relations between them.

use serde_json::Value;

use super::rows::{ForeignRow, Found, Part, categories, text};
use crate::memories::import_problem::ImportProblem;

const SOURCE: &str = "server-memory";

pub(super) fn rows(value: &Value) -> Result<Vec<ForeignRow>, ImportProblem> {
    let row = |said: &str, categories| {
        Found { text: said, categories, source: SOURCE, ..Found::default() }.rows(Part::Memories)
    };
    match text(value, "type") {
        "entity" => {
            let (name, kind) = (text(value, "name"), text(value, "entityType"));
            let observations = value.get("observations").and_then(Value::as_array);
            let observations = observations.into_iter().flatten().filter_map(Value::as_str);
            let kinds = categories([kind].into_iter());
            Ok(observations.flat_map(|observation| row(&format!("{name}: {observation}"), kinds.clone())).collect())
        }
        "relation" => {
            let kind = text(value, "relationType").replace('_', " ");
            Ok(row(&format!("{} {kind} {}", text(value, "from"), text(value, "to")), Vec::new()))
        }
        _ => Err(ImportProblem::NotOfServerMemory),
    }
}
