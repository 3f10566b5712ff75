//! `mem0-oss`: the self-hosted mem0 server. No prefix, no trailing slash.
//!
//! Limits (`server/main.py`): `top_k` of a list is at most 1,000, that of a search is unlimited; there is no pagination.

use serde_json::{Map, Value, json};

use super::contract::{Added, Driver, Items, UnexpectedResponse};
use super::mem0;
use crate::adapters::remote_bank::config::BankKind;
use crate::adapters::remote_bank::exchange::{BankResponse, Method, Operation, Request};
use crate::adapters::remote_bank::stored::{BankTenant, Item, WRITE_ID_MEMBER};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{Capabilities, NewMemory, Relevance};

/// The largest `top_k` of a list.
const MAX_LIST_TOP_K: u32 = 1_000;
/// The maximum number of results that a search requests, though the server sets no limit.
const MAX_SEARCHED: u32 = 1_000;

pub struct Mem0Oss {
    max_listed: u32,
}

impl Mem0Oss {
    /// Lists at most `list_limit` memories of a scope. There is no pagination, so one more is requested, to tell whether
    /// there are more; if the server's maximum is reached, there may be.
    pub fn new(list_limit: u32) -> Self {
        Self { max_listed: list_limit.min(MAX_LIST_TOP_K - 1) }
    }
}

impl Driver for Mem0Oss {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: BankKind::Mem0Oss.as_str(),
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

    /// There is no health route. A list of the maximum length also verifies the key and whether the server accepts such a
    /// `top_k`; the nonexistent tenant has no memories.
    fn health(&self) -> Request {
        list(Operation::Health, &BankTenant::nobody(), self.max_listed + 1)
    }

    fn read_health(&self, response: &BankResponse) -> Result<(), UnexpectedResponse> {
        mem0::read_items(response.clone()).map(|_| ())
    }

    fn add(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        mem0::add(["memories"], tenant, write)
    }

    fn read_added(&self, response: &BankResponse) -> Result<Added, UnexpectedResponse> {
        mem0::read_added(response)
    }

    /// Equality of one metadata key is the filter that every backing store supports.
    fn find_write(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        let filters = json!({"user_id": tenant.as_str(), WRITE_ID_MEMBER: write.id.as_str()});
        let body = json!({"query": mem0::text_of(write), "filters": filters, "top_k": 10, "threshold": 0.0});
        Request::new(Operation::FindWrite, Method::Post, ["search"]).json(&body)
    }

    /// The bank's threshold applies to only part of its score, so it is not used; scores are filtered here.
    fn search(&self, tenant: &BankTenant, text: &str, most: u32, _threshold: Option<Relevance>) -> Request {
        let body = json!({"query": text, "filters": {"user_id": tenant.as_str()}, "top_k": most, "threshold": 0.0});
        Request::new(Operation::Search, Method::Post, ["search"]).json(&body)
    }

    fn read_items(&self, response: BankResponse) -> Result<Items, UnexpectedResponse> {
        mem0::read_items(response)
    }

    fn relevance(&self, score: f64) -> Relevance {
        mem0::relevance(score)
    }

    fn list(&self, tenant: &BankTenant, _page: u32) -> Option<Request> {
        Some(list(Operation::List, tenant, self.max_listed + 1))
    }

    /// There is one page.
    fn sample(&self, tenant: &BankTenant, _page: u32, most: u32) -> Option<Request> {
        Some(list(Operation::List, tenant, most))
    }

    fn get(&self, _tenant: &BankTenant, id: &MemoryId) -> Request {
        Request::new(Operation::Get, Method::Get, ["memories", id.as_str()]).or_missing()
    }

    fn read_item(&self, response: &BankResponse) -> Result<Option<Item>, UnexpectedResponse> {
        mem0::read_item(response)
    }

    fn replace(&self, id: &MemoryId, content: &str, metadata: &Map<String, Value>) -> Option<Request> {
        let request = Request::new(Operation::Update, Method::Put, ["memories", id.as_str()]);
        Some(request.json(&mem0::replacement(content, metadata)).or_missing())
    }

    fn delete(&self, _tenant: &BankTenant, id: &MemoryId) -> Request {
        Request::new(Operation::Delete, Method::Delete, ["memories", id.as_str()]).or_missing()
    }
}

fn list(operation: Operation, tenant: &BankTenant, most: u32) -> Request {
    Request::new(operation, Method::Get, ["memories"])
        .query("user_id", tenant.as_str())
        .query("top_k", most.to_string())
}
