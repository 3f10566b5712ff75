//! Searches.

use std::time::Duration;

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fit::{self, Shorten};
use super::memory::{ContextBody, names, parse_categories};
use crate::adapters::http::openapi::object::read_from_objects;
use crate::adapters::http::openapi::scalar::{
    CategoryText, ConditionObject, DateTime, FreeObject, MetadataFilter, Moment, PageSize,
};
use crate::adapters::http::server::payload;
use crate::domain::audit::Context;
use crate::domain::ids::RequestId;
use crate::domain::memories::{
    Condition, DateRange, Finding, Findings, Limit, MemoryFilter, QueryText, Relevance, ResultOrder, SearchMemories,
};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

read_from_objects!(SearchBody, FiltersBody, DateRangeBody, OccurredBody);

/// A search.
#[derive(Deserialize, Object)]
#[oai(rename = "MemorySearch")]
#[serde(deny_unknown_fields, remote = "Self")]
pub(in super::super) struct SearchBody {
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

/// Conditions that a memory must meet.
#[derive(Deserialize, Object)]
#[oai(rename = "SearchFilters")]
#[serde(deny_unknown_fields, remote = "Self")]
pub(in super::super) struct FiltersBody {
    /// It has at least one of these categories.
    #[oai(validator(max_items = 16))]
    categories: Option<Vec<CategoryText>>,
    date_range: Option<DateRangeBody>,
    occurred: Option<OccurredBody>,
    /// Its metadata has these members with exactly these values, each a string, a number, true or false.
    metadata: Option<MetadataFilter>,
    /// It meets this condition: `{"and": […]}`, `{"or": […]}`, `{"not": {…}}`, `{"category": "…"}`, or `{"metadata": "name"}` with
    /// any of `equals`, `less_than`, `at_most`, `at_least`, `greater_than`. At most 32 conditions in 5 levels.
    #[oai(rename = "where")]
    #[serde(rename = "where")]
    condition: Option<ConditionObject>,
}

/// When a memory was created. Either end may be left out.
#[derive(Deserialize, Object)]
#[oai(rename = "DateRange")]
#[serde(deny_unknown_fields, remote = "Self")]
struct DateRangeBody {
    /// At or after this time, such as `2026-05-08T13:56:00Z`, or `2026-05-08` for the beginning of that day in UTC.
    start: Option<Moment>,
    /// At or before this time; a date alone stands for the end of that day in UTC.
    end: Option<Moment>,
}

/// When it was said or happened (`occurred_at`, or `created_at` of a memory without it). Either end may be left out.
#[derive(Deserialize, Object)]
#[oai(rename = "OccurredRange")]
#[serde(deny_unknown_fields, remote = "Self")]
struct OccurredBody {
    /// At or after this time, or the beginning of this day in UTC.
    start: Option<Moment>,
    /// At or before this time, or the end of this day in UTC.
    end: Option<Moment>,
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
    pub(in super::super) fn read(self, context: Context) -> Result<SearchMemories, InvalidValue> {
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

impl FiltersBody {
    /// Converts it.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    pub(in super::super) fn read(self) -> Result<MemoryFilter, InvalidValue> {
        Ok(MemoryFilter {
            categories: parse_categories(self.categories.unwrap_or_default())?,
            created: self
                .date_range
                .map(|range| range_of("date_range", range.start, range.end))
                .transpose()?
                .unwrap_or_default(),
            occurred: self
                .occurred
                .map(|range| range_of("occurred", range.start, range.end))
                .transpose()?
                .unwrap_or_default(),
            metadata: match self.metadata {
                Some(MetadataFilter(object)) => MemoryFilter::parse_metadata(object)?,
                None => Vec::new(),
            },
            condition: self
                .condition
                .map_or(Ok(None), |ConditionObject(value)| Condition::parse_optional("where", &value))?,
        })
    }
}

fn range_of(field: &str, start: Option<Moment>, end: Option<Moment>) -> Result<DateRange, InvalidValue> {
    let start = start.map(|Moment(text)| Timestamp::parse(&format!("{field}.start"), &text)).transpose()?;
    let end = end.map(|Moment(text)| Timestamp::parse_end(&format!("{field}.end"), &text)).transpose()?;
    DateRange::new(field, start, end)
}

/// Filters in the text of a parameter, as JSON.
///
/// # Errors
/// [`InvalidValue`] that names the member.
pub(in super::super) fn read_filters(text: &str) -> Result<MemoryFilter, InvalidValue> {
    let object = serde_json::from_str::<Map<String, Value>>(text);
    let object = object.map_err(|_| InvalidValue::new("filters", "must be a JSON object"))?;
    payload::refuse_oversized_integers(text.as_bytes()).map_err(|error| error.within("filters"))?;
    let read = payload::from_object::<FiltersBody>(object).and_then(FiltersBody::read);
    read.map_err(|error| error.within("filters"))
}

/// How to get what a response has no room for.
const NARROWER: &str = "Search again for something narrower, by other words, `filters` or a smaller `date_range`.";

/// The results, best first.
#[derive(Object, Serialize)]
pub(in super::super) struct SearchAnswer {
    /// `success`, or `stale` if the memory bank is unavailable and this is an earlier response to the same search.
    status: String,
    /// Age of a stale response, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    /// Identifies this request in the log.
    request_id: String,
    /// The results, best first.
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
    pub(in super::super) fn new(request_id: RequestId, found: Findings, took: Duration) -> Self {
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

    /// The same, within the limits of an assistant.
    pub(in super::super) fn for_assistant(mut self) -> Self {
        let fitted = fit::fit(&mut self.results);
        self.note = fitted.note(NARROWER).or(self.note);
        self
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
