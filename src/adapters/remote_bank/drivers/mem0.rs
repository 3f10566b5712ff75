//! mem0: one driver for all kinds of it, which differ in their [dialect](Dialect) alone.

use serde_json::{Map, Value, json};

use super::contract::{Added, Driver, Items, UnexpectedResponse, read_optional, take_list, take_object, take_text};
use super::mem0_dialect::Dialect;
use crate::adapters::remote_bank::exchange::{BankResponse, Method, Operation, Request};
use crate::adapters::remote_bank::stored::{BankTenant, Item, metadata_of_write};
use crate::domain::ids::MemoryId;
use crate::domain::memories::{Capabilities, NewMemory, Relevance};
use crate::domain::system::Timestamp;

/// The maximum number of results that a search requests: what the hosted service allows. The others state no limit.
const MAX_SEARCHED: u32 = 1_000;

pub struct Mem0 {
    dialect: Dialect,
    /// `None` if it does not list.
    max_listed: Option<u32>,
}

impl Mem0 {
    /// Lists at most `list_limit` memories of a scope, if it lists at all.
    pub fn new(dialect: Dialect, list_limit: u32) -> Self {
        Self { dialect, max_listed: dialect.max_listed(list_limit) }
    }
}

impl Driver for Mem0 {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: self.dialect.kind().as_str(),
            update: true,
            list: self.max_listed.is_some(),
            date_filter: true,
            metadata_filter: true,
            expiry: true,
            history: false,
            supersede: false,
            local: false,
            max_listed: self.max_listed,
            max_searched: Some(MAX_SEARCHED),
        }
    }

    /// IDs are UUIDs. Anything else makes pgvector fail with 502.
    fn is_possible_id(&self, id: &MemoryId) -> bool {
        uuid::Uuid::try_parse(id.as_str()).is_ok()
    }

    /// There is no health route. A list or else a search of the maximum length also verifies the key and whether the server
    /// accepts such a length; the nonexistent tenant has no memories.
    fn health(&self) -> Request {
        let nobody = BankTenant::nobody();
        let list = self.dialect.list(Operation::Health, &nobody, 1, self.dialect.page_size(self.max_listed));
        list.unwrap_or_else(|| self.dialect.search(Operation::Health, &nobody, "health", MAX_SEARCHED))
    }

    fn read_health(&self, response: &BankResponse) -> Result<(), UnexpectedResponse> {
        self.read_items(response.clone()).map(|_| ())
    }

    /// `infer` is off: the memory is stored verbatim rather than rewritten by a model.
    fn add(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        let path = self.dialect.path_of_add().iter().copied();
        Request::new(Operation::Create, Method::Post, path).json(&json!({
            "messages": [{"role": "user", "content": write.content.as_str()}],
            "user_id": tenant.as_str(),
            "metadata": metadata_of_write(tenant, write),
            "infer": false,
        }))
    }

    /// Reads a list of events, which is the response itself or its `results`, or one pending event.
    fn read_added(&self, response: &BankResponse) -> Result<Added, UnexpectedResponse> {
        read_added(response)
    }

    fn find_write(&self, tenant: &BankTenant, write: &NewMemory) -> Request {
        self.dialect.find_write(tenant, write)
    }

    /// The bank's threshold applies to only part of its score, so it is not used; scores are filtered here.
    fn search(&self, tenant: &BankTenant, text: &str, most: u32, _threshold: Option<Relevance>) -> Request {
        self.dialect.search(Operation::Search, tenant, text, most)
    }

    /// Reads a list, which is the response itself, its `results`, or its `memories`.
    fn read_items(&self, response: BankResponse) -> Result<Items, UnexpectedResponse> {
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

    /// mem0's scores are 0 to 1, and higher is better.
    fn relevance(&self, score: f64) -> Relevance {
        Relevance::clamped(score)
    }

    fn list(&self, tenant: &BankTenant, page: u32) -> Option<Request> {
        self.dialect.list(Operation::List, tenant, page, self.dialect.page_size(self.max_listed))
    }

    fn sample(&self, tenant: &BankTenant, page: u32, most: u32) -> Option<Request> {
        self.dialect.list(Operation::List, tenant, page, most)
    }

    fn get(&self, _tenant: &BankTenant, id: &MemoryId) -> Request {
        self.dialect.one(Operation::Get, Method::Get, id)
    }

    fn read_item(&self, response: &BankResponse) -> Result<Option<Item>, UnexpectedResponse> {
        read_optional(response, read_object)
    }

    fn replace(&self, id: &MemoryId, content: &str, metadata: &Map<String, Value>) -> Option<Request> {
        let body = json!({"text": content, "metadata": metadata});
        Some(self.dialect.one(Operation::Update, Method::Put, id).json(&body))
    }

    fn delete(&self, _tenant: &BankTenant, id: &MemoryId) -> Request {
        self.dialect.one(Operation::Delete, Method::Delete, id)
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
fn read_added(response: &BankResponse) -> Result<Added, UnexpectedResponse> {
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
