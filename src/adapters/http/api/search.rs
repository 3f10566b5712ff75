//! `/api/v1/search`: finding memories.

use std::time::Duration;

use poem_openapi::{Enum, Object, OpenApi};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::assistant::{Fit, Origin, Shorten, fit_all};
use super::dto::filters::FiltersBody;
use super::dto::memory::{ContextBody, names};
use crate::adapters::http::openapi::object::read_from_objects;
use crate::adapters::http::openapi::scalar::{DateTime, FreeObject, PageSize};
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::SearchFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::audit::Context;
use crate::domain::ids::RequestId;
use crate::domain::memories::{Finding, Findings, Limit, QueryText, Relevance, ResultOrder, SearchMemories};
use crate::domain::oauth::Read;
use crate::domain::validation::InvalidValue;

pub(crate) struct SearchApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Memories")]
impl SearchApi {
    /// Search memories
    ///
    /// Finds memories that were stored before. Ask a question or give key words; the best matches come first. Search before
    /// answering anything that depends on what the person said earlier.
    #[oai(path = "/search", method = "post", operation_id = "searchMemories")]
    async fn search(
        &self,
        origin: Origin,
        exchange: &Exchange,
        caller: Bearer<Read>,
        body: Json<SearchBody>,
    ) -> Result<Json<SearchAnswer>, SearchFailure> {
        let started = Instant::now();
        let Exchange { services, request_id, .. } = exchange;
        let search = body.0.read(origin.context.clone())?;
        exchange.answer.reserve(&caller, search.limit.get()).await?;
        let found = services.memories.search(&caller, *request_id, search).await?;
        Ok(origin.answer(SearchAnswer::new(*request_id, found, started.elapsed())))
    }
}

read_from_objects!(SearchBody);

/// A search.
#[derive(Deserialize, Object)]
#[oai(rename = "MemorySearch")]
#[serde(deny_unknown_fields, remote = "Self")]
struct SearchBody {
    /// What to search for, as a question or in key words.
    #[oai(validator(min_length = 1, max_length = 4096, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"))]
    query: String,
    /// Maximum number of results.
    limit: Option<PageSize>,
    /// Minimum relevance score of a result.
    #[oai(validator(minimum(value = "0"), maximum(value = "1")))]
    threshold: Option<f64>,
    filters: Option<FiltersBody>,
    order: Option<ResultOrderName>,
    context: Option<ContextBody>,
}

/// The order of the results, which does not change what is found: best first, or what was said last first.
#[derive(Clone, Copy, Deserialize, Enum, Serialize)]
#[oai(rename = "ResultOrder", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
enum ResultOrderName {
    /// Best first.
    Relevance,
    /// By `occurred_at`, or `created_at` of a memory without it, newest first.
    OccurredAt,
}

impl From<ResultOrderName> for ResultOrder {
    fn from(name: ResultOrderName) -> Self {
        match name {
            ResultOrderName::Relevance => Self::Relevance,
            ResultOrderName::OccurredAt => Self::Occurred,
        }
    }
}

impl SearchBody {
    /// Converts it, with the context from the headers.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    fn read(self, context: Context) -> Result<SearchMemories, InvalidValue> {
        Ok(SearchMemories {
            text: QueryText::try_from(self.query)?,
            limit: self.limit.map(|PageSize(number)| Limit::try_from(number)).transpose()?.unwrap_or_default(),
            threshold: self.threshold.map(Relevance::try_from).transpose()?,
            filter: self
                .filters
                .map(|filters| filters.read().map_err(|error| error.within("filters")))
                .transpose()?
                .unwrap_or_default(),
            order: self.order.map(ResultOrder::from).unwrap_or_default(),
            context: ContextBody::or(self.context, context)?,
        })
    }
}

/// How to get what a response has no room for.
const NARROWER: &str = "Search again for something narrower, by other words, `filters` or a smaller `date_range`.";

/// The results, in the order asked for: by default the best first.
#[derive(Object, Serialize)]
struct SearchAnswer {
    /// `success`, or `stale` if the memory bank is unavailable and this is an earlier response to the same search.
    status: String,
    /// Age of a stale response, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    /// Identifies this request in the log.
    request_id: String,
    /// The results, in the order asked for: by default the best first.
    results: Vec<SearchResult>,
    /// Total number of matching memories, as far as is known.
    total_found: u64,
    /// Duration of the search, in milliseconds.
    processing_time_ms: f64,
    /// What was left out because the memories are large, and how to get it; usually left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A matching memory.
#[derive(Object, Serialize)]
struct SearchResult {
    /// Its ID, by which it can be read, updated and deleted.
    memory_id: String,
    /// The text.
    content: String,
    /// Its relevance: 0 (not at all) to 1 (perfectly).
    relevance_score: f64,
    /// Its categories.
    categories: Vec<String>,
    /// Its metadata.
    metadata: FreeObject,
    /// When it was created.
    created_at: DateTime,
    /// When it was said or happened; left out if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<DateTime>,
    /// `true` if its delivery to the memory bank is pending: it can be used and deleted, but not yet be read or updated by its
    /// ID. Left out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<bool>,
}

impl SearchAnswer {
    fn new(request_id: RequestId, found: Findings, took: Duration) -> Self {
        Self {
            status: if found.stale_for.is_some() { "stale" } else { "success" }.to_owned(),
            age_seconds: found.stale_for.map(|age| age.as_secs()),
            request_id: request_id.to_string(),
            results: found.hits.into_iter().map(SearchResult::from).collect(),
            total_found: found.total_found,
            processing_time_ms: (took.as_secs_f64() * 1e6).round() / 1e3,
            note: found.left_out.then(|| format!("More results did not fit into this answer. {NARROWER}")),
        }
    }
}

impl Fit for SearchAnswer {
    fn fit(&mut self) {
        let fitted = fit_all(&mut self.results);
        self.note = fitted.note(NARROWER).or(self.note.take());
    }
}

impl Shorten for SearchResult {
    fn text(&mut self) -> &mut String {
        &mut self.content
    }
}

impl From<Finding> for SearchResult {
    fn from(Finding { hit, pending }: Finding) -> Self {
        Self {
            memory_id: hit.memory.id.to_string(),
            content: hit.memory.content.into_string(),
            relevance_score: (hit.relevance.get() * 1e4).round() / 1e4,
            categories: names(&hit.memory.categories),
            metadata: FreeObject(hit.memory.metadata.into_object()),
            created_at: hit.memory.created_at.into(),
            occurred_at: hit.memory.occurred_at.map(DateTime::from),
            pending: pending.then_some(true),
        }
    }
}
