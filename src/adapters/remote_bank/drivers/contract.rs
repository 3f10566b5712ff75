//! What every driver does.

use serde_json::{Map, Value};

use crate::adapters::remote_bank::exchange::{BankResponse, Request};
use crate::adapters::remote_bank::stored::{BankTenant, Item};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{Capabilities, NewMemory, Relevance};

/// The status of a write.
#[derive(Clone, Debug)]
pub enum Added {
    /// It was stored under this ID.
    Stored(String),
    /// The bank is still processing it; this request polls its status.
    Pending(Box<Request>),
    /// The bank had stored it before.
    Duplicate,
    /// The bank accepted it, but stored nothing.
    Discarded,
    /// The bank tried and failed; a retry may succeed.
    Failed,
}

/// One page of items.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Items {
    /// The items, in the bank's order.
    pub items: Vec<Item>,
    /// Whether there is another page.
    pub has_more: bool,
}

/// A response that violates the bank's contract; the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnexpectedResponse(pub &'static str);

/// Translates for one kind of bank. The identity is built from the [`BankTenant`] alone; no caller-supplied value becomes a
/// key, a filter or a path segment.
pub trait Driver: Send + Sync {
    /// The bank's capabilities and limits.
    fn capabilities(&self) -> Capabilities;

    /// Whether this ID may be one of the bank's. Others are never sent to it.
    fn is_possible_id(&self, id: &MemoryId) -> bool;

    /// Checks that the bank responds, is of the expected kind, accepts the key, and accepts the largest list requests that
    /// memgate sends.
    fn health(&self) -> Request;

    /// Reads the response to [`health`](Self::health).
    ///
    /// # Errors
    /// [`UnexpectedResponse`].
    fn read_health(&self, response: &BankResponse) -> Result<(), UnexpectedResponse>;

    /// Adds a write.
    fn add(&self, tenant: &BankTenant, write: &NewMemory) -> Request;

    /// Reads the response to [`add`](Self::add), or to the request in [`Added::Pending`].
    ///
    /// # Errors
    /// [`UnexpectedResponse`].
    fn read_added(&self, response: &BankResponse) -> Result<Added, UnexpectedResponse>;

    /// Looks for a write. The response may contain other items too.
    fn find_write(&self, tenant: &BankTenant, write: &NewMemory) -> Request;

    /// Searches for at most `most` results with at least this relevance.
    fn search(&self, tenant: &BankTenant, text: &str, most: u32, threshold: Option<Relevance>) -> Request;

    /// Reads the response to a search, a look-up or a list.
    ///
    /// # Errors
    /// [`UnexpectedResponse`].
    fn read_items(&self, response: BankResponse) -> Result<Items, UnexpectedResponse>;

    /// Converts the bank's score to a relevance from 0 to 1.
    fn relevance(&self, score: f64) -> Relevance;

    /// One page of all memories, starting at 1; `None` if the bank does not list.
    fn list(&self, tenant: &BankTenant, page: u32) -> Option<Request>;

    /// The same, with at most `most` memories on a page, fewer than on those of [`list`](Self::list).
    fn sample(&self, tenant: &BankTenant, page: u32, most: u32) -> Option<Request>;

    /// Gets one memory.
    fn get(&self, tenant: &BankTenant, id: &MemoryId) -> Request;

    /// Reads the response to [`get`](Self::get).
    ///
    /// # Errors
    /// [`UnexpectedResponse`].
    fn read_item(&self, response: &BankResponse) -> Result<Option<Item>, UnexpectedResponse>;

    /// Replaces text and metadata of a memory; `None` if the bank does not support it.
    fn replace(&self, id: &MemoryId, content: &str, metadata: &Map<String, Value>) -> Option<Request>;

    /// Deletes one memory.
    fn delete(&self, tenant: &BankTenant, id: &MemoryId) -> Request;
}

/// Reads a response that holds one item, or none: null and 404 mean that there is none.
pub(super) fn read_optional(
    response: &BankResponse,
    read_object: impl FnOnce(Value) -> Result<Item, UnexpectedResponse>,
) -> Result<Option<Item>, UnexpectedResponse> {
    if response.is_missing() || response.body.is_null() {
        Ok(None)
    } else {
        read_object(response.body.clone()).map(Some)
    }
}

/// Takes the string `name` out of an object.
pub(super) fn take_text(object: &mut Value, name: &str) -> Option<String> {
    match object.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Takes the array `name` out of an object.
pub(super) fn take_list(object: &mut Value, name: &str) -> Option<Vec<Value>> {
    match object.get_mut(name).map(Value::take) {
        Some(Value::Array(list)) => Some(list),
        _ => None,
    }
}

/// Takes the object `name` out of an object.
pub(super) fn take_object(object: &mut Value, name: &str) -> Option<Map<String, Value>> {
    match object.get_mut(name).map(Value::take) {
        Some(Value::Object(members)) => Some(members),
        _ => None,
    }
}
