//! One driver a kind of bank. A driver holds no connection and does nothing: it turns what the port is asked into requests,
//! and answers into what the port returns.

mod mcp_memory_service;
mod mem0;
mod mem0_oss;
mod mem0_platform;
mod mem0_v1;

use std::sync::Arc;

use serde_json::{Map, Value};

use super::config::{BankKind, RemoteBankConfig};
use super::exchange::{BankResponse, Request};
use super::stored::{BankTenant, Item};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{Capabilities, NewMemory, Relevance};

/// The driver of the configured kind.
pub fn driver(config: &RemoteBankConfig) -> Arc<dyn Driver> {
    match config.kind {
        BankKind::Mem0Oss => Arc::new(mem0_oss::Mem0Oss::new(config.list_limit)),
        BankKind::Mem0Platform => Arc::new(mem0_platform::Mem0Platform::new(config.list_limit)),
        BankKind::Mem0V1 => Arc::new(mem0_v1::Mem0V1),
        BankKind::McpMemoryService => Arc::new(mcp_memory_service::McpMemoryService::new(config.list_limit)),
    }
}

/// What has become of a write.
#[derive(Clone, Debug)]
pub enum Added {
    /// It is there, under this id.
    Stored(String),
    /// The bank goes on with it; this is how to ask what has become of it.
    Pending(Box<Request>),
    /// The bank has it from before.
    Duplicate,
    /// The bank took it, and kept nothing.
    Discarded,
    /// The bank tried, and could not; it may be able to another time.
    Failed,
}

/// Some items of a longer answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Items {
    /// The items, in the bank's order.
    pub items: Vec<Item>,
    /// Whether there are more on the next page.
    pub has_more: bool,
}

/// An answer that the bank's contract does not know; what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnexpectedResponse(pub &'static str);

/// How one kind of bank is spoken to. Identity is built of the [`BankTenant`] alone, and nothing of a caller's becomes the name
/// of a member, a filter or a part of a path.
pub trait Driver: Send + Sync {
    /// What the bank can do, and within which limits.
    fn capabilities(&self) -> Capabilities;

    /// Whether the bank may have given this id. Another is never sent to it.
    fn is_possible_id(&self, id: &MemoryId) -> bool;

    /// Whether the bank is there, is what it is taken for, accepts the key, and answers requests as large as the largest
    /// that lists are made of.
    fn health(&self) -> Request;

    /// Reads the answer to it.
    ///
    /// # Errors
    /// [`UnexpectedResponse`].
    fn read_health(&self, response: &BankResponse) -> Result<(), UnexpectedResponse>;

    /// Adds a write.
    fn add(&self, tenant: &BankTenant, write: &NewMemory) -> Request;

    /// Reads the answer to it, or to the request that [`Added::Pending`] holds.
    ///
    /// # Errors
    /// [`UnexpectedResponse`].
    fn read_added(&self, response: &BankResponse) -> Result<Added, UnexpectedResponse>;

    /// Looks for a write. Its answer may hold other items too.
    fn find_write(&self, tenant: &BankTenant, write: &NewMemory) -> Request;

    /// Searches, for so many results of at least this relevance.
    fn search(&self, tenant: &BankTenant, text: &str, most: u32, threshold: Option<Relevance>) -> Request;

    /// Reads the answer to a search, a look-up or a list.
    ///
    /// # Errors
    /// [`UnexpectedResponse`].
    fn read_items(&self, response: BankResponse) -> Result<Items, UnexpectedResponse>;

    /// How well an item of that score fits, 0 to 1.
    fn relevance(&self, score: f64) -> Relevance;

    /// One page of all memories, the first is 1; `None` if the bank does not list.
    fn list(&self, tenant: &BankTenant, page: u32) -> Option<Request>;

    /// Gets one.
    fn get(&self, tenant: &BankTenant, id: &MemoryId) -> Request;

    /// Reads the answer to it.
    ///
    /// # Errors
    /// [`UnexpectedResponse`].
    fn read_item(&self, response: &BankResponse) -> Result<Option<Item>, UnexpectedResponse>;

    /// Writes text and metadata over one; `None` if the bank does not.
    fn replace(&self, id: &MemoryId, content: &str, metadata: &Map<String, Value>) -> Option<Request>;

    /// Deletes one.
    fn delete(&self, tenant: &BankTenant, id: &MemoryId) -> Request;
}

/// The member `name` of an object, taken out of it, if it is text.
fn take_text(object: &mut Value, name: &str) -> Option<String> {
    match object.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The same, if it is a list.
fn take_list(object: &mut Value, name: &str) -> Option<Vec<Value>> {
    match object.get_mut(name).map(Value::take) {
        Some(Value::Array(list)) => Some(list),
        _ => None,
    }
}

/// The same, if it is an object.
fn take_object(object: &mut Value, name: &str) -> Option<Map<String, Value>> {
    match object.get_mut(name).map(Value::take) {
        Some(Value::Object(members)) => Some(members),
        _ => None,
    }
}
