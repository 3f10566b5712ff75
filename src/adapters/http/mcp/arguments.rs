//! The arguments of the tools.

use rmcp::model::JsonObject;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::adapters::http::server::payload;
use crate::domain::ids::MemoryId;
use crate::domain::memories::{DateRange, Limit, MemoryError, MemoryFilter};
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchArguments {
    pub(super) query: String,
    #[serde(default, deserialize_with = "whole_number")]
    pub(super) limit: Option<u32>,
    pub(super) category: Option<String>,
    pub(super) occurred_from: Option<String>,
    pub(super) occurred_until: Option<String>,
    pub(super) order: Option<OrderArgument>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OrderArgument {
    #[default]
    Relevance,
    OccurredAt,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FetchArguments {
    pub(super) id: String,
    #[serde(default, deserialize_with = "whole_number")]
    pub(super) offset: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddArguments {
    pub(super) content: String,
    pub(super) categories: Option<Vec<String>>,
    pub(super) occurred_at: Option<String>,
    pub(super) supersedes: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateMemoryArguments {
    pub(super) id: String,
    pub(super) content: Option<String>,
    pub(super) categories: Option<Vec<String>>,
    pub(super) occurred_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoArguments {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteArguments {
    pub(super) id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListMemoriesArguments {
    pub(super) cursor: Option<String>,
    #[serde(default, deserialize_with = "whole_number")]
    pub(super) limit: Option<u32>,
    pub(super) category: Option<String>,
    pub(super) occurred_from: Option<String>,
    pub(super) occurred_until: Option<String>,
    pub(super) order: Option<ListOrderArgument>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ListOrderArgument {
    #[default]
    CreatedAt,
    OccurredAt,
}

/// A number without a fraction, because `5.0` is an integer in JSON Schema.
fn whole_number<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    // Without a fraction it is written as an integer.
    let whole = || number.as_f64().filter(|number| number.fract() == 0.0)?.to_string().parse().ok();
    let number = number.as_u64().or_else(whole).and_then(|number| T::try_from(number).ok());
    number.map(Some).ok_or_else(|| D::Error::custom("invalid value, expected a whole number that is not negative"))
}

/// Parses the arguments of a tool, with the error texts of the REST API.
pub(super) fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, InvalidValue> {
    payload::from_object(arguments)
}

/// An impossible ID is treated like any unknown one.
pub(super) fn memory_id(text: &str) -> Result<MemoryId, MemoryError> {
    text.parse().map_err(|_| MemoryError::NotFound)
}

pub(super) fn moment(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, InvalidValue> {
    text.map(|text| Timestamp::parse(field, text)).transpose()
}

/// The filter of these arguments.
pub(super) fn filter(
    category: Option<&str>,
    occurred_from: Option<&str>,
    occurred_until: Option<&str>,
) -> Result<MemoryFilter, InvalidValue> {
    Ok(MemoryFilter {
        categories: category.map(str::parse).transpose()?.into_iter().collect(),
        occurred: DateRange::parse(("occurred_from", occurred_from), ("occurred_until", occurred_until))?,
        ..MemoryFilter::default()
    })
}

pub(super) fn page_size(asked: Option<u32>, default: u32, most: u32) -> Result<Limit, InvalidValue> {
    let limit = asked.unwrap_or(default);
    if !(1..=most).contains(&limit) {
        return Err(InvalidValue::new("limit", format!("must be 1 to {most}")));
    }
    Limit::try_from(i64::from(limit))
}
