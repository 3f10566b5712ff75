//! `mcp-memory-service`: one `store` per tenant; tags do not isolate.
//!
//! Its ID of a memory is the hash of the lower-cased and trimmed text, and it refuses a text that *any* store already has:
//! a second tenant could not store what a first one has, and the error would reveal that. Each text therefore ends in an
//! invisible marker derived from the tenant and the write: markers differ between writes, and are equal when the same write
//! is sent twice. The marker is removed when the text is read.
//!
//! Limits (12.2.0): `page_size` of a list and `n_results` of a search are at most 100, a body 1 MiB
//! (`MCP_HTTP_MAX_BODY_BYTES`), a tag 100 characters.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::contract::{Added, Driver, Items, UnexpectedResponse, read_optional, take_list, take_object, take_text};
use crate::adapters::remote_bank::config::BankKind;
use crate::adapters::remote_bank::exchange::{BankResponse, Method, Operation, Request};
use crate::adapters::remote_bank::stored::{BankTenant, Item, metadata_of_write};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{Capabilities, NewMemory, Relevance};
use crate::domain::system::Timestamp;

/// Zero-width characters, which embedding models ignore; each encodes two bits.
const DIGITS: [char; 4] = ['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}'];
/// Length of a marker in characters: 64 bits.
const MARK: usize = 32;
/// The largest `n_results` of a search.
const MAX_SEARCHED: u32 = 100;
/// The largest `page_size` of a list.
const PAGE_SIZE: u32 = 100;

pub struct McpMemoryService {
    max_listed: u32,
}

impl McpMemoryService {
    /// Lists at most `max_listed` memories of a scope.
    pub fn new(max_listed: u32) -> Self {
        Self { max_listed }
    }
}

impl Driver for McpMemoryService {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: BankKind::McpMemoryService.as_str(),
            // It updates metadata only, since the ID is the hash of the text.
            update: false,
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
        id.as_str().len() == 64 && id.as_str().bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// The health route needs no key. A list does.
    fn health(&self) -> Request {
        list(Operation::Health, &BankTenant::nobody(), 1, PAGE_SIZE)
    }

    fn read_health(&self, response: &BankResponse) -> Result<(), UnexpectedResponse> {
        self.read_items(response.clone()).map(|_| ())
    }

    /// With a `conversation_id`, a text is not refused for being similar to another.
    fn add(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        let mut request = Request::new(Operation::Create, Method::Post, ["api", "memories"]).json(&json!({
            "content": format!("{}{}", write.content.as_str(), mark(tenant.as_str(), write.id.as_str())),
            "tags": [tag(write)],
            "metadata": metadata_of_write(tenant, write),
            "conversation_id": "memgate",
            "store": store(tenant),
        }));
        request.is_failure = |body| body["success"] == false && !is_duplicate(body);
        request
    }

    fn read_added(&self, response: &BankResponse) -> Result<Added, UnexpectedResponse> {
        let body = &response.body;
        if is_duplicate(body) {
            return Ok(Added::Duplicate);
        }
        let id = body["content_hash"].as_str().ok_or(UnexpectedResponse("a stored memory without `content_hash`"))?;
        if !body["memory"]["metadata"]["total_chunks"].is_null() {
            return Err(UnexpectedResponse(
                "a long memory was split: set MCP_ENABLE_AUTO_SPLIT=false where the bank runs",
            ));
        }
        Ok(Added::Stored(id.to_owned()))
    }

    fn find_write(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        let body = json!({"tags": [tag(write)], "match_all": true, "limit": 10, "store": store(tenant)});
        Request::new(Operation::FindWrite, Method::Post, ["api", "search", "by-tag"]).json(&body)
    }

    fn search(&self, tenant: &BankTenant, text: &str, most: u32, threshold: Option<Relevance>) -> Request {
        let mut body = json!({"query": text, "n_results": most.min(MAX_SEARCHED), "store": store(tenant)});
        if let Some(threshold) = threshold {
            // Slightly lower, so that rounding loses nothing; the excess is filtered out later.
            body["similarity_threshold"] = json!(f64::midpoint(threshold.get(), 1.0) - 0.001);
        }
        Request::new(Operation::Search, Method::Post, ["api", "search"]).json(&body)
    }

    fn read_items(&self, response: BankResponse) -> Result<Items, UnexpectedResponse> {
        let mut body = response.body;
        if let Some(results) = take_list(&mut body, "results") {
            let items = results
                .into_iter()
                .map(|mut result| {
                    let memory = result.get_mut("memory").map(Value::take).unwrap_or_default();
                    let item = read_object(memory)?;
                    Ok(Item { score: result["similarity_score"].as_f64(), ..item })
                })
                .collect::<Result<_, _>>()?;
            return Ok(Items { items, has_more: false });
        }
        let memories =
            take_list(&mut body, "memories").ok_or(UnexpectedResponse("a list without `results` or `memories`"))?;
        let items = memories.into_iter().map(read_object).collect::<Result<_, _>>()?;
        Ok(Items { items, has_more: body["has_more"] == true })
    }

    /// The bank's score is `(1 + cosine) / 2`, so unrelated texts have 0.5. This is the cosine, with negative values as 0.
    fn relevance(&self, score: f64) -> Relevance {
        Relevance::clamped(2.0 * score - 1.0)
    }

    fn list(&self, tenant: &BankTenant, page: u32) -> Option<Request> {
        Some(list(Operation::List, tenant, page, PAGE_SIZE))
    }

    fn sample(&self, tenant: &BankTenant, page: u32, most: u32) -> Option<Request> {
        Some(list(Operation::List, tenant, page, most))
    }

    fn get(&self, tenant: &BankTenant, id: &MemoryId) -> Request {
        one(Operation::Get, Method::Get, tenant, id)
    }

    fn read_item(&self, response: &BankResponse) -> Result<Option<Item>, UnexpectedResponse> {
        read_optional(response, read_object)
    }

    fn replace(&self, _id: &MemoryId, _content: &str, _metadata: &Map<String, Value>) -> Option<Request> {
        None
    }

    fn delete(&self, tenant: &BankTenant, id: &MemoryId) -> Request {
        one(Operation::Delete, Method::Delete, tenant, id)
    }
}

/// The name of the tenant's store. The one character of a tenant's name that store names may treat specially is replaced
/// by one that tenant names never contain, so different tenants have different stores.
fn store(tenant: &BankTenant) -> String {
    format!("memgate:{}", tenant.as_str().replace('/', ":"))
}

fn tag(write: &NewMemory) -> String {
    format!("memgate-{}", write.id)
}

fn mark(tenant: &str, write_id: &str) -> String {
    let digest = Sha256::new()
        .chain_update("memgate mark\0")
        .chain_update(tenant)
        .chain_update("\0")
        .chain_update(write_id)
        .finalize();
    let digits = |byte: &u8| [6, 4, 2, 0].map(|shift| DIGITS[usize::from((byte >> shift) & 3)]);
    digest.iter().take(MARK / 4).flat_map(digits).collect()
}

fn is_duplicate(body: &Value) -> bool {
    let message = body["message"].as_str().unwrap_or_default();
    body["success"] == false && message.starts_with("Duplicate content detected")
}

fn list(operation: Operation, tenant: &BankTenant, page: u32, page_size: u32) -> Request {
    Request::new(operation, Method::Get, ["api", "memories"])
        .query("page", page.to_string())
        .query("page_size", page_size.to_string())
        .query("store", store(tenant))
}

fn one(operation: Operation, method: Method, tenant: &BankTenant, id: &MemoryId) -> Request {
    Request::new(operation, method, ["api", "memories", id.as_str()]).query("store", store(tenant)).or_missing()
}

fn read_object(mut object: Value) -> Result<Item, UnexpectedResponse> {
    let mut text = |name: &str| take_text(&mut object, name);
    let id = text("content_hash").ok_or(UnexpectedResponse("a memory without `content_hash`"))?;
    let content = text("content").ok_or(UnexpectedResponse("a memory without `content`"))?;
    let metadata = take_object(&mut object, "metadata").unwrap_or_default();
    let mut item = Item {
        id,
        content,
        owner: None,
        metadata,
        created_at: moment(&object["created_at"]),
        updated_at: moment(&object["updated_at"]),
        score: None,
    };
    if let (Some(tenant), Some(write_id)) = (item.written_tenant(), item.write_id())
        && let Some(content) = item.content.strip_suffix(&mark(tenant, write_id))
    {
        item.content = content.to_owned();
    }
    Ok(item)
}

/// A Unix timestamp in seconds, with a fraction.
fn moment(value: &Value) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "fractions of milliseconds are not kept")]
    value.as_f64().map(|seconds| Timestamp::from_unix_millis((seconds * 1_000.0) as i64))
}
