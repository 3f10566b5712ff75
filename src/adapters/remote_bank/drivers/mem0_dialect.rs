//! What the kinds of mem0 say differently: paths, where the identity stands, and how lists are paged.

use serde_json::json;

use crate::adapters::remote_bank::config::BankKind;
use crate::adapters::remote_bank::exchange::{Method, Operation, Request};
use crate::adapters::remote_bank::stored::{BankTenant, WRITE_ID_MEMBER};
use crate::domain::ids::MemoryId;
use crate::domain::memories::NewMemory;

/// How much of a text is used as the query to find it again. Embeddings only cover a few hundred words.
const SEARCHED: usize = 2_000;
/// The number of results among which a write is looked for by its text.
const LOOKED_AT: u32 = 100;
/// The largest `top_k` of a list of the self-hosted server.
const MAX_LIST_TOP_K: u32 = 1_000;
/// Page size of the hosted service; the maximum is 200.
const PAGE_SIZE: u32 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `mem0-oss`: the self-hosted server. No prefix, no trailing slash.
    ///
    /// Limits (`server/main.py`): `top_k` of a list is at most 1,000, that of a search is unlimited; there is no pagination.
    Oss,
    /// `mem0-platform`: the hosted service, version 3 of its API. Trailing slashes; the identity is a top-level key on add, and
    /// inside `filters` on search and list.
    ///
    /// Limits (the OpenAPI document of the service): `page_size` is at most 200, `top_k` of a search 1 to 1,000.
    Platform,
    /// `mem0-v1`: the documented endpoints of a generic memory bank, `POST /v1/memories/` and `POST /v1/memories/search/`.
    /// Trailing slashes; the identity is a top-level key; lists may be bare arrays.
    V1,
}

impl Dialect {
    pub fn kind(self) -> BankKind {
        match self {
            Self::Oss => BankKind::Mem0Oss,
            Self::Platform => BankKind::Mem0Platform,
            Self::V1 => BankKind::Mem0V1,
        }
    }

    /// How many memories of a scope are listed at most. The self-hosted server has no pages, so one more is requested, to tell
    /// whether there are more; if its maximum is reached, there may be. The generic one documents no list.
    pub fn max_listed(self, list_limit: u32) -> Option<u32> {
        match self {
            Self::Oss => Some(list_limit.min(MAX_LIST_TOP_K - 1)),
            Self::Platform => Some(list_limit),
            Self::V1 => None,
        }
    }

    /// The size of a page of a list of at most `max_listed`.
    pub fn page_size(self, max_listed: Option<u32>) -> u32 {
        match (self, max_listed) {
            (Self::Oss, Some(most)) => most + 1,
            _ => PAGE_SIZE,
        }
    }

    pub fn path_of_add(self) -> &'static [&'static str] {
        match self {
            Self::Oss => &["memories"],
            Self::Platform => &["v3", "memories", "add", ""],
            Self::V1 => &["v1", "memories", ""],
        }
    }

    /// Looks for a write. Equality of one metadata key is the filter that every store behind the self-hosted server supports.
    /// The others filter no metadata, so the write is searched by its text, the best match of which is itself.
    pub fn find_write(self, tenant: &BankTenant, write: &NewMemory) -> Request {
        let text: String = write.content.as_str().chars().take(SEARCHED).collect();
        match self {
            Self::Oss => {
                let filters = json!({"user_id": tenant.as_str(), WRITE_ID_MEMBER: write.id.as_str()});
                let body = json!({"query": text, "filters": filters, "top_k": 10, "threshold": 0.0});
                Request::new(Operation::FindWrite, Method::Post, ["search"]).json(&body)
            }
            Self::Platform | Self::V1 => self.search(Operation::FindWrite, tenant, &text, LOOKED_AT),
        }
    }

    pub fn search(self, operation: Operation, tenant: &BankTenant, text: &str, most: u32) -> Request {
        let filtered =
            || json!({"query": text, "filters": {"user_id": tenant.as_str()}, "top_k": most, "threshold": 0.0});
        match self {
            Self::Oss => Request::new(operation, Method::Post, ["search"]).json(&filtered()),
            Self::Platform => Request::new(operation, Method::Post, ["v3", "memories", "search", ""]).json(&filtered()),
            // Some servers call the number of results `limit`, others `top_k`.
            Self::V1 => Request::new(operation, Method::Post, ["v1", "memories", "search", ""])
                .json(&json!({"query": text, "user_id": tenant.as_str(), "limit": most, "top_k": most})),
        }
    }

    /// A page of a list, of which the self-hosted server has one; `None` if there are no lists.
    pub fn list(self, operation: Operation, tenant: &BankTenant, page: u32, size: u32) -> Option<Request> {
        match self {
            Self::Oss => {
                let list = Request::new(operation, Method::Get, ["memories"]).query("user_id", tenant.as_str());
                Some(list.query("top_k", size.to_string()))
            }
            Self::Platform => {
                let list = Request::new(operation, Method::Post, ["v3", "memories", ""]);
                let list = list.query("page", page.to_string()).query("page_size", size.to_string());
                Some(list.json(&json!({"filters": {"user_id": tenant.as_str()}})))
            }
            Self::V1 => None,
        }
    }

    /// A request for one memory.
    pub fn one(self, operation: Operation, method: Method, id: &MemoryId) -> Request {
        match self {
            Self::Oss => Request::new(operation, method, ["memories", id.as_str()]).or_missing(),
            Self::Platform | Self::V1 => {
                Request::new(operation, method, ["v1", "memories", id.as_str(), ""]).or_missing()
            }
        }
    }
}
