//! `server-memory`, the reference server of MCP: entities with observations, and relations between them.

use serde_json::Value;

use super::rows::{Found, ItemRows, Part, categories, text};
use crate::memories::import_problem::ImportProblem;

const SOURCE: &str = "server-memory";

pub(super) fn rows(value: &Value) -> Result<ItemRows, ImportProblem> {
    let row = |said: &str, categories| {
        Found { text: said, categories, source: SOURCE, ..Found::default() }.rows(Part::Memories)
    };
    match text(value, "type") {
        "entity" => {
            let (name, kind) = (text(value, "name"), text(value, "entityType"));
            let all = value.get("observations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let observations: Vec<&str> =
                all.iter().filter_map(Value::as_str).filter(|observation| !observation.trim().is_empty()).collect();
            if observations.is_empty() {
                return Err(ImportProblem::NoObservations);
            }
            let left_out =
                (observations.len() < all.len()).then(|| ImportProblem::InPart(Box::new(ImportProblem::NoText)));
            let kinds = categories([kind].into_iter());
            let rows =
                observations.iter().flat_map(|observation| row(&format!("{name}: {observation}"), kinds.clone()));
            Ok(ItemRows { rows: rows.collect(), left_out })
        }
        "relation" => {
            let parts = ["from", "relationType", "to"].map(|part| text(value, part).trim());
            if parts.contains(&"") {
                return Err(ImportProblem::NoText);
            }
            let [from, kind, to] = parts;
            Ok(row(&format!("{from} {} {to}", kind.replace('_', " ")), Vec::new()).into())
        }
        _ => Err(ImportProblem::NotOfServerMemory),
    }
}
