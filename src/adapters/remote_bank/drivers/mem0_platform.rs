//! `mem0-platform`: the hosted mem0, version 3 of its API. Trailing slashes; the identity is a top-level key on add, and
//! inside `filters` on search and list.
//!
//! Limits (the OpenAPI document of the service): `page_size` is at most 200, `top_k` of a search 1 to 1,000.

use serde_json::{Map, Value, json};

use super::contract::{Added, Driver, Items, UnexpectedResponse};
use super::mem0;
use crate::adapters::remote_bank::config::BankKind;
use crate::adapters::remote_bank::exchange::{BankResponse, Method, Operation, Request};
use crate::adapters::remote_bank::stored::{BankTenant, Item};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{Capabilities, NewMemory, Relevance};

/// Page size; the maximum is 200.
const PAGE_SIZE: u32 = 100;
/// The largest `top_k` of a search.
const MAX_SEARCHED: u32 = 1_000;

pub struct Mem0Platform {
    max_listed: u32,
}

impl Mem0Platform {
    /// Lists at most `max_listed` memories of a scope.
    pub fn new(max_listed: u32) -> Self {
        Self { max_listed }
    }
}

impl Driver for Mem0Platform {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: BankKind::Mem0Platform.as_str(),
            update: true,
            list: true,
            date_filter: true,
            metadata_filter: true,
            expiry: true,
            history: false,
            supersede: false,
            local: false,
            max_listed: Some(self.max_listed),
            max_searched: Some(MAX_SEARCHED),
        }
    }

    fn is_possible_id(&self, id: &MemoryId) -> bool {
        mem0::is_id(id)
    }

    fn health(&self) -> Request {
        list(Operation::Health, &BankTenant::nobody(), 1, PAGE_SIZE)
    }

    fn read_health(&self, response: &BankResponse) -> Result<(), UnexpectedResponse> {
        mem0::read_items(response.clone()).map(|_| ())
    }

    fn add(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        mem0::add(["v3", "memories", "add", ""], tenant, write)
    }

    fn read_added(&self, response: &BankResponse) -> Result<Added, UnexpectedResponse> {
        mem0::read_added(response)
    }

    /// The filters do not support metadata, so the write is searched by its text, the best match of which is itself.
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

    fn list(&self, tenant: &BankTenant, page: u32) -> Option<Request> {
        Some(list(Operation::List, tenant, page, PAGE_SIZE))
    }

    fn sample(&self, tenant: &BankTenant, page: u32, most: u32) -> Option<Request> {
        Some(list(Operation::List, tenant, page, most))
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

fn search(operation: Operation, tenant: &BankTenant, text: &str, most: u32) -> Request {
    let body = json!({"query": text, "filters": {"user_id": tenant.as_str()}, "top_k": most, "threshold": 0.0});
    Request::new(operation, Method::Post, ["v3", "memories", "search", ""]).json(&body)
}

fn list(operation: Operation, tenant: &BankTenant, page: u32, page_size: u32) -> Request {
    Request::new(operation, Method::Post, ["v3", "memories", ""])
        .query("page", page.to_string())
        .query("page_size", page_size.to_string())
        .json(&json!({"filters": {"user_id": tenant.as_str()}}))
}
