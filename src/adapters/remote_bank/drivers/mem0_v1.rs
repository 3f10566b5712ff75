//! `mem0-v1`: the documented endpoints of a generic memory bank, `POST /v1/memories/` and `POST /v1/memories/search/`.
//! Trailing slashes; the identity is a top-level key; lists may be bare arrays.

use serde_json::{Map, Value, json};

use super::contract::{Added, Driver, Items, UnexpectedResponse};
use super::mem0;
use crate::adapters::remote_bank::config::BankKind;
use crate::adapters::remote_bank::exchange::{BankResponse, Method, Operation, Request};
use crate::adapters::remote_bank::stored::{BankTenant, Item};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{Capabilities, NewMemory, Relevance};

/// The maximum number of results that a search requests, as with the hosted mem0; no limit is documented.
const MAX_SEARCHED: u32 = 1_000;

pub struct Mem0V1;

impl Driver for Mem0V1 {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: BankKind::Mem0V1.as_str(),
            update: true,
            // No list endpoint is documented.
            list: false,
            date_filter: true,
            metadata_filter: true,
            expiry: true,
            history: false,
            supersede: false,
            local: false,
            max_listed: None,
            max_searched: Some(MAX_SEARCHED),
        }
    }

    fn is_possible_id(&self, id: &MemoryId) -> bool {
        mem0::is_id(id)
    }

    /// No cheaper request than a search is documented. One of the maximum length also verifies that the server accepts it; the
    /// nonexistent tenant has no memories.
    fn health(&self) -> Request {
        search(Operation::Health, &BankTenant::nobody(), "health", MAX_SEARCHED)
    }

    fn read_health(&self, response: &BankResponse) -> Result<(), UnexpectedResponse> {
        mem0::read_items(response.clone()).map(|_| ())
    }

    fn add(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        mem0::add(["v1", "memories", ""], tenant, write)
    }

    fn read_added(&self, response: &BankResponse) -> Result<Added, UnexpectedResponse> {
        mem0::read_added(response)
    }

    /// No filter by metadata is documented, so the write is searched by its text, the best match of which is itself.
    fn find_write(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        search(Operation::FindWrite, tenant, &mem0::text_of(write), 100)
    }

    fn search(&self, tenant: &BankTenant, text: &str, most: u32, _threshold: Option<Relevance>) -> Request {
        search(Operation::Search, tenant, text, most)
    }

    fn read_items(&self, response: BankResponse) -> Result<Items, UnexpectedResponse> {
        mem0::read_items(response)
    }

    fn relevance(&self, score: f64) -> Relevance {
        mem0::relevance(score)
    }

    fn list(&self, _tenant: &BankTenant, _page: u32) -> Option<Request> {
        None
    }

    fn sample(&self, _tenant: &BankTenant, _page: u32, _most: u32) -> Option<Request> {
        None
    }

    fn get(&self, _tenant: &BankTenant, id: &MemoryId) -> Request {
        mem0::one(Operation::Get, Method::Get, id)
    }

    fn read_item(&self, response: &BankResponse) -> Result<Option<Item>, UnexpectedResponse> {
        mem0::read_item(response)
    }

    fn replace(&self, id: &MemoryId, content: &str, metadata: &Map<String, Value>) -> Option<Request> {
        Some(mem0::one(Operation::Update, Method::Put, id).json(&mem0::replacement(content, metadata)))
    }

    fn delete(&self, _tenant: &BankTenant, id: &MemoryId) -> Request {
        mem0::one(Operation::Delete, Method::Delete, id)
    }
}

/// Some servers call the number of results `limit`, others `top_k`.
fn search(operation: Operation, tenant: &BankTenant, text: &str, most: u32) -> Request {
    let body = json!({"query": text, "user_id": tenant.as_str(), "limit": most, "top_k": most});
    Request::new(operation, Method::Post, ["v1", "memories", "search", ""]).json(&body)
}
