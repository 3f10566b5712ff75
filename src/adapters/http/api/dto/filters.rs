//! The filters of searches, lists and deletions.

use poem_openapi::Object;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::memory::parse_categories;
use crate::adapters::http::openapi::object::read_from_objects;
use crate::adapters::http::openapi::scalar::{CategoryText, ConditionObject, MetadataFilter, Moment};
use crate::adapters::http::server::payload;
use crate::domain::memories::{Condition, DateRange, MemoryFilter};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

read_from_objects!(FiltersBody, DateRangeBody, OccurredBody);

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
