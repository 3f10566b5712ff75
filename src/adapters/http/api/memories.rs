//! `/api/v1/memories`: storing, listing, reading, changing and deleting.

#![expect(clippy::too_many_arguments, reason = "poem-openapi takes each parameter of a request as an argument")]

use poem::Request;
use poem_openapi::param::Path;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::{Deserialize, Serialize};

use super::assistant;
use super::assistant::{Fit, Origin, fit_all};
use super::dto::create::{CreateBody, CreatedMemory};
use super::dto::filters::read_filters;
use super::dto::memory::{DeletedAnswer, MemoryAnswer, PriorityName, fit_into_answer, parse_categories, parse_expiry};
use crate::adapters::http::openapi::object::read_from_objects;
use crate::adapters::http::openapi::scalar::{
    CategoryText, CursorText, FiltersText, ListOrderText, MAX_FILTERS, MemoryIdText, MetadataObject, Moment,
    MomentOrNever, MomentOrUnknown, PageSize,
};
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::{CreateFailure, DeleteFailure, GetFailure, ListFailure, UpdateFailure};
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::adapters::http::server::query;
use crate::adapters::http::server::query::Parameter;
use crate::domain::applications::{Category, Permission};
use crate::domain::ids::{MemoryId, RequestId};
use crate::domain::memories::{
    Content, Created, CreatedBeside, DateRange, Limit, ListMemories, ListOrder, Memory, MemoryChanges, MemoryList,
    Metadata, OnNearDuplicate, Priority, UpdatedMemory,
};
use crate::domain::oauth::{Delete, Read, Write};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

#[derive(ApiResponse)]
enum CreateAnswer {
    /// The memory was stored.
    #[oai(status = 201)]
    Stored(Json<CreatedMemory>),
    /// The memory was accepted and will be delivered to the memory bank, which has not confirmed it yet. Do not send it again.
    #[oai(status = 202)]
    Accepted(Json<CreatedMemory>),
}

pub(crate) struct MemoriesApi;

#[OpenApi(prefix_path = "/api/v1/memories", tag = "Tag::Memories")]
impl MemoriesApi {
    /// Store a memory
    ///
    /// Stores something for later conversations. After 201 or 202 the memory is safe, so do not send it again. Send an
    /// idempotency key if you may have to repeat the request.
    #[oai(path = "/", method = "post", operation_id = "createMemory")]
    async fn create(
        &self,
        request: &Request,
        origin: Origin,
        exchange: &Exchange,
        caller: Bearer<Write>,
        body: Json<CreateBody>,
    ) -> Result<CreateAnswer, CreateFailure> {
        let Exchange { services, request_id, .. } = exchange;
        let (create, mut on_near_duplicate) =
            body.0.read(origin.context.clone(), assistant::idempotency_key(request)?)?;
        if origin.is_chatgpt && caller.require(Permission::MemoryRead).is_ok() {
            // ChatGPT has somebody to ask what should become of them.
            on_near_duplicate = OnNearDuplicate::Report;
        }
        exchange.answer.reserve(&caller, 1).await?;
        let CreatedBeside { created, near_duplicates } =
            services.memories.create_beside(&caller, *request_id, create, on_near_duplicate).await?;
        let near_duplicates = near_duplicates.as_deref();
        Ok(match created {
            Created::Stored(stored) => {
                CreateAnswer::Stored(origin.answer(CreatedMemory::from(*stored).beside(near_duplicates)))
            }
            Created::Accepted { request_id } => {
                CreateAnswer::Accepted(Json(CreatedMemory::accepted(request_id).beside(near_duplicates)))
            }
        })
    }

    /// List memories
    ///
    /// All memories, newest first, one page at a time. To find something in particular, search instead.
    #[oai(path = "/", method = "get", operation_id = "listMemories")]
    async fn list(
        &self,
        request: &Request,
        origin: Origin,
        exchange: &Exchange,
        caller: Bearer<Read>,
        /// Maximum number of memories per page.
        limit: Parameter<PageSize>,
        /// The `next_cursor` of the previous page; left out for the first page.
        cursor: Parameter<CursorText>,
        /// Only memories in this category.
        category: Parameter<CategoryText>,
        /// The date by which the list is sorted, newest first: `created_at` (default) or `occurred_at`, when it was said.
        order: Parameter<ListOrderText>,
        /// Only what was said or happened at or after this time, or the beginning of this day in UTC.
        occurred_from: Parameter<Moment>,
        /// Only what was said or happened at or before this time, or the end of this day in UTC.
        occurred_until: Parameter<Moment>,
        /// The `filters` of a search, as JSON; for programs.
        filters: Parameter<FiltersText>,
    ) -> Result<Json<MemoryListAnswer>, ListFailure> {
        let Exchange { services, request_id, .. } = exchange;
        query::refuse_unknown(
            request,
            &["limit", "cursor", "category", "order", "occurred_from", "occurred_until", "filters"],
        )?;
        let (from, until) = (occurred_from.text.as_deref(), occurred_until.text.as_deref());
        let occurred = DateRange::parse(("occurred_from", from), ("occurred_until", until))?;
        if filters.text.as_ref().is_some_and(|text| text.chars().count() > MAX_FILTERS) {
            return Err(InvalidValue::new("filters", format!("must have at most {MAX_FILTERS} characters")).into());
        }
        let mut filter = filters.text.as_deref().map(read_filters).transpose()?.unwrap_or_default();
        if let Some(category) = category.text.as_deref().map(str::parse::<Category>).transpose()? {
            if !filter.categories.is_empty() {
                return Err(InvalidValue::new("category", "is in `filters` too; send one of them").into());
            }
            filter.categories.push(category);
        }
        if occurred != DateRange::default() {
            if filter.occurred != DateRange::default() {
                return Err(InvalidValue::new("filters.occurred", "is in a parameter too; send one of them").into());
            }
            filter.occurred = occurred;
        }
        let list = ListMemories {
            limit: limit.text.as_deref().map(page_size).transpose()?.unwrap_or_default(),
            cursor: cursor.text,
            order: order.text.as_deref().map(list_order).transpose()?.unwrap_or_default(),
            filter,
        };
        exchange.answer.reserve(&caller, list.limit.get()).await?;
        let list = services.memories.list(&caller, *request_id, list).await?;
        Ok(origin.answer(MemoryListAnswer::new(*request_id, list)))
    }

    /// Read a memory
    ///
    /// One memory with all its attributes.
    #[oai(path = "/:memory_id", method = "get", operation_id = "getMemory")]
    async fn get(
        &self,
        origin: Origin,
        exchange: &Exchange,
        caller: Bearer<Read>,
        /// The id of the memory, as a search, a list or a create returned it.
        memory_id: Path<MemoryIdText>,
    ) -> Result<Json<OneMemoryAnswer>, GetFailure> {
        let Exchange { services, request_id, .. } = exchange;
        exchange.answer.reserve(&caller, 1).await?;
        let memory = services.memories.get(&caller, *request_id, &memory_id.0.0.parse()?).await?;
        Ok(origin.answer(OneMemoryAnswer::new(*request_id, memory)))
    }

    /// Update a memory
    ///
    /// Changes the members in the body. Members that are left out stay unchanged.
    #[oai(path = "/:memory_id", method = "patch", operation_id = "updateMemory")]
    async fn update(
        &self,
        origin: Origin,
        exchange: &Exchange,
        caller: Bearer<Write>,
        /// The id of the memory, as a search, a list or a create returned it.
        memory_id: Path<MemoryIdText>,
        body: Json<UpdateBody>,
    ) -> Result<Json<UpdatedAnswer>, UpdateFailure> {
        let Exchange { services, request_id, .. } = exchange;
        let (id, changes) = (memory_id.0.0.parse::<MemoryId>()?, body.0.read()?);
        exchange.answer.reserve(&caller, 1).await?;
        let updated = services.memories.update(&caller, *request_id, &id, &changes).await?;
        Ok(origin.answer(UpdatedAnswer::new(*request_id, updated)))
    }

    /// Delete a memory
    ///
    /// Deletes it permanently. This cannot be undone, so ask before you do it.
    #[oai(path = "/:memory_id", method = "delete", operation_id = "deleteMemory")]
    async fn delete(
        &self,
        exchange: &Exchange,
        caller: Bearer<Delete>,
        /// The id of the memory, as a search, a list or a create returned it.
        memory_id: Path<MemoryIdText>,
    ) -> Result<Json<DeletedAnswer>, DeleteFailure> {
        let Exchange { services, request_id, .. } = exchange;
        services.memories.delete(&caller, *request_id, &memory_id.0.0.parse()?).await?;
        Ok(Json(DeletedAnswer::new(*request_id, memory_id.0.0)))
    }
}

fn list_order(text: &str) -> Result<ListOrder, InvalidValue> {
    match text {
        "created_at" => Ok(ListOrder::Created),
        "occurred_at" => Ok(ListOrder::Occurred),
        _ => Err(InvalidValue::new("order", "must be created_at or occurred_at")),
    }
}

pub(super) fn page_size(text: &str) -> Result<Limit, InvalidValue> {
    let number: i64 = text.parse().map_err(|_| InvalidValue::new("limit", "must be a whole number"))?;
    Limit::try_from(number)
}

read_from_objects!(UpdateBody);

/// The changes to a memory. Members that are left out stay unchanged.
#[derive(Deserialize, Object)]
#[oai(rename = "MemoryChanges")]
#[serde(deny_unknown_fields, remote = "Self")]
struct UpdateBody {
    /// The new text.
    #[oai(validator(min_length = 1, max_length = 32768, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    content: Option<String>,
    /// The new categories, replacing all existing ones.
    #[oai(validator(max_items = 16))]
    categories: Option<Vec<CategoryText>>,
    /// The new metadata, replacing all existing metadata. The IDs of the GPT and the conversation that wrote it stay.
    metadata: Option<MetadataObject>,
    priority: Option<PriorityName>,
    /// When it was said or happened, such as `2026-05-08T13:56:00Z` or `2026-05-08`, or `unknown`.
    #[serde(default)]
    occurred_at: MaybeUndefined<MomentOrUnknown>,
    /// When the memory expires, such as `2030-05-08T13:56:00Z` (a date alone means its beginning in UTC), or `never`.
    #[serde(default)]
    expires_at: MaybeUndefined<MomentOrNever>,
}

impl UpdateBody {
    /// Converts it.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    fn read(self) -> Result<MemoryChanges, InvalidValue> {
        Ok(MemoryChanges {
            content: self.content.map(Content::try_from).transpose()?,
            categories: self.categories.map(parse_categories).transpose()?,
            metadata: self.metadata.map(|MetadataObject(object)| Metadata::from_caller(object)).transpose()?,
            priority: self.priority.map(Priority::from),
            occurred_at: match self.occurred_at {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(MomentOrUnknown(text)) if text == "unknown" => Some(None),
                MaybeUndefined::Value(MomentOrUnknown(text)) => Some(Some(Timestamp::parse("occurred_at", &text)?)),
            },
            expires_at: match self.expires_at {
                MaybeUndefined::Undefined => None,
                // The form of `never` for clients that predate it.
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(moment) => Some(parse_expiry(moment)?),
            },
        })
    }
}

/// One memory.
#[derive(Object, Serialize)]
struct OneMemoryAnswer {
    /// Always `success`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    memory: MemoryAnswer,
    /// What was left out of a response to ChatGPT, and how to get it; usually left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl OneMemoryAnswer {
    fn new(request_id: RequestId, memory: Memory) -> Self {
        Self { status: "success".to_owned(), request_id: request_id.to_string(), memory: memory.into(), note: None }
    }
}

impl Fit for OneMemoryAnswer {
    fn fit(&mut self) {
        self.note = fit_into_answer(&mut self.memory);
    }
}
/// A memory after its update; it is left out if the token may not read.
#[derive(Object, Serialize)]
struct UpdatedAnswer {
    /// Always `updated`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// The ID of the memory.
    memory_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<MemoryAnswer>,
    /// What was left out of a response to ChatGPT, and how to get it; usually left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl UpdatedAnswer {
    fn new(request_id: RequestId, updated: UpdatedMemory) -> Self {
        Self {
            status: "updated".to_owned(),
            request_id: request_id.to_string(),
            memory_id: updated.id.to_string(),
            memory: updated.memory.map(MemoryAnswer::from),
            note: None,
        }
    }
}

impl Fit for UpdatedAnswer {
    fn fit(&mut self) {
        self.note = self.memory.as_mut().and_then(fit_into_answer);
    }
}
/// One page of a list, newest first.
#[derive(Object, Serialize)]
struct MemoryListAnswer {
    /// Always `success`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// The memories.
    memories: Vec<MemoryAnswer>,
    /// Send it as `cursor` to get the next page; left out on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// What was left out of a response to ChatGPT, and how to get it; usually left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The cursor of what follows each memory, for a response that ends early.
    #[oai(skip)]
    #[serde(skip)]
    cursors: Vec<String>,
}

impl MemoryListAnswer {
    fn new(request_id: RequestId, list: MemoryList) -> Self {
        Self {
            status: "success".to_owned(),
            request_id: request_id.to_string(),
            memories: list.memories.into_iter().map(MemoryAnswer::from).collect(),
            next_cursor: list.next,
            note: None,
            cursors: list.cursors,
        }
    }
}

impl Fit for MemoryListAnswer {
    /// What does not fit is on the next page.
    fn fit(&mut self) {
        let fitted = fit_all(&mut self.memories);
        if fitted.left_out > 0
            && let Some(after_last) = self.memories.len().checked_sub(1).and_then(|last| self.cursors.get(last))
        {
            self.next_cursor = Some(after_last.clone());
        }
        self.note = fitted.note("Send `next_cursor` as `cursor` to get them.");
    }
}
