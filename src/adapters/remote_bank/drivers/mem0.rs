//! What all kinds of mem0 have in common.

use serde_json::{Map, Value, json};

use super::contract::{Added, Items, UnexpectedResponse, take_list, take_object, take_text};
use crate::adapters::remote_bank::exchange::{BankResponse, Method, Operation, Request};
use crate::adapters::remote_bank::stored::{BankTenant, Item, metadata_of_write};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{NewMemory, Relevance};
use crate::domain::system::Timestamp;

/// How much of a text is used as the query to find it again. Embeddings only cover a few hundred words.
const SEARCHED: usize = 2_000;

/// IDs are UUIDs. Anything else makes pgvector fail with 502.
pub fn is_id(id: &MemoryId) -> bool {
    uuid::Uuid::try_parse(id.as_str()).is_ok()
}

/// Adds a write at `path`. `infer` is off: the memory is stored verbatim rather than rewritten by a model.
pub fn add<'a>(path: impl IntoIterator<Item = &'a str>, tenant: &BankTenant, write: &NewMemory) -> Request {
    Request::new(Operation::Create, Method::Post, path).json(&json!({
        "messages": [{"role": "user", "content": write.content.as_str()}],
        "user_id": tenant.as_str(),
        "metadata": metadata_of_write(tenant, write),
        "infer": false,
    }))
}

/// The query to find a write again: its own text.
pub fn text_of(write: &NewMemory) -> String {
    write.content.as_str().chars().take(SEARCHED).collect()
}

/// The body of an update.
pub fn replacement(content: &str, metadata: &Map<String, Value>) -> Value {
    json!({"text": content, "metadata": metadata})
}

/// The relevance of an item: mem0's scores are 0 to 1, and higher is better.
pub fn relevance(score: f64) -> Relevance {
    Relevance::clamped(score)
}

/// Reads a list, which is the response itself, its `results`, or its `memories`.
pub fn read_items(response: BankResponse) -> Result<Items, UnexpectedResponse> {
    let has_more = !response.body["next"].is_null();
    let list = match response.body {
        Value::Array(list) => list,
        mut body => take_list(&mut body, "results")
            .or_else(|| take_list(&mut body, "memories"))
            .ok_or(UnexpectedResponse("a list without `results`"))?,
    };
    let items = list.into_iter().map(read_object).collect::<Result<_, _>>()?;
    Ok(Items { items, has_more })
}

/// Reads one item; null and 404 mean that there is none.
pub fn read_item(response: &BankResponse) -> Result<Option<Item>, UnexpectedResponse> {
    if response.is_missing() || response.body.is_null() {
        Ok(None)
    } else {
        read_object(response.body.clone()).map(Some)
    }
}

fn read_object(mut object: Value) -> Result<Item, UnexpectedResponse> {
    let mut text = |name: &str| take_text(&mut object, name);
    let id = text("id").ok_or(UnexpectedResponse("a memory without `id`"))?;
    let content = text("memory").or_else(|| text("data")).ok_or(UnexpectedResponse("a memory without `memory`"))?;
    let owner = text("user_id");
    let metadata = take_object(&mut object, "metadata").unwrap_or_default();
    let moment = |name: &str| Timestamp::parse(name, object[name].as_str()?).ok();
    Ok(Item {
        id,
        content,
        owner,
        metadata,
        created_at: moment("created_at"),
        updated_at: moment("updated_at"),
        score: object["score"].as_f64(),
    })
}

/// Reads the status of a write: a list of events, which is the response itself or its `results`, or one pending event.
pub fn read_added(response: &BankResponse) -> Result<Added, UnexpectedResponse> {
    let body = &response.body;
    match body["status"].as_str() {
        Some("PENDING" | "RUNNING") => return working(body),
        Some("FAILED") => return Ok(Added::Failed),
        _ => {}
    }
    let list = body.as_array().or_else(|| body["results"].as_array());
    let Some(first) = list.ok_or(UnexpectedResponse("a response to an add without `results`"))?.first() else {
        return Ok(Added::Discarded);
    };
    match (first["id"].as_str(), first["status"].as_str()) {
        (Some(id), _) => Ok(Added::Stored(id.to_owned())),
        (None, Some("PENDING" | "RUNNING")) => working(first),
        (None, Some("FAILED")) => Ok(Added::Failed),
        (None, _) => Err(UnexpectedResponse("an added memory without `id`")),
    }
}

fn working(body: &Value) -> Result<Added, UnexpectedResponse> {
    // An event's own ID is called `id`; references to it are called `event_id`.
    let id = body["event_id"].as_str().or_else(|| body["id"].as_str());
    let id = id
        .filter(|id| uuid::Uuid::try_parse(id).is_ok())
        .ok_or(UnexpectedResponse("a pending write without `event_id`"))?;
    Ok(Added::Pending(Box::new(event(id))))
}

/// Polls `GET /v1/event/{id}/`.
fn event(id: &str) -> Request {
    Request::new(Operation::Event, Method::Get, ["v1", "event", id, ""])
}

/// A request for one memory of the hosted API.
pub fn one(operation: Operation, method: Method, id: &MemoryId) -> Request {
    Request::new(operation, method, ["v1", "memories", id.as_str(), ""]).or_missing()
}
