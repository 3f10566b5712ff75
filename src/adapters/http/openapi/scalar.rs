//! Scalar types with a format.

use std::borrow::Cow;
use std::fmt;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::memories::{Limit, MemoryFilter, Metadata};
use crate::domain::system::Timestamp;

/// Maximum length of the filters in the address of a list, in characters.
pub(crate) const MAX_FILTERS: usize = 8192;

/// The trait implementations that poem-openapi requires of documented types. serde alone reads and writes ours.
macro_rules! documented_as {
    ($name:ident, $title:literal, $schema:expr) => {
        impl Type for $name {
            const IS_REQUIRED: bool = true;

            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $title.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl ParseFromJSON for $name {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                serde_json::from_value(value.unwrap_or_default()).map_err(ParseError::custom)
            }
        }

        impl ToJSON for $name {
            fn to_json(&self) -> Option<Value> {
                serde_json::to_value(&self.0).ok()
            }
        }
    };
}

/// The documented type of a path or query parameter. The domain parses its text, so that the error texts are the domain's.
macro_rules! text {
    ($($(#[$doc:meta])* $name:ident, $title:literal, $schema:expr;)+) => { $(
        $(#[$doc])*
        #[derive(Deserialize, Serialize)]
        #[serde(transparent)]
        pub(in super::super) struct $name(pub(in super::super) String);

        documented_as!($name, $title, $schema);

        impl ParseFromParameter for $name {
            fn parse_from_parameter(text: &str) -> ParseResult<Self> {
                Ok(Self(text.to_owned()))
            }
        }
    )+ };
}

/// The pattern of a timestamp in a request: RFC 3339 with or without an offset, or a date alone.
macro_rules! moment {
    () => {
        "[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
    };
}

fn pattern(pattern: &str) -> MetaSchema {
    MetaSchema { pattern: Some(pattern.to_owned()), ..MetaSchema::new("string") }
}

text! {
    /// A timestamp in a request. `format: date-time` would not allow a date alone.
    Moment, "moment", pattern(concat!("^", moment!(), "$"));
    /// A timestamp in a request, or `never`, because importers reject nullable members.
    MomentOrNever, "moment", pattern(concat!("^(never|", moment!(), ")$"));
    /// A timestamp in a request, or `unknown`.
    MomentOrUnknown, "moment", pattern(concat!("^(unknown|", moment!(), ")$"));
    /// A category: a single line.
    CategoryText, "category", MetaSchema {
        min_length: Some(1),
        max_length: Some(64),
        ..pattern(r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")
    };
    /// The id of a memory.
    MemoryIdText, "memory_id", MetaSchema {
        min_length: Some(1),
        max_length: Some(128),
        ..pattern("^[A-Za-z0-9._:-]+$")
    };
    /// The id of a request.
    RequestIdText, "request_id", pattern(
        "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
    );
    /// The date by which a list is sorted.
    ListOrderText, "order", MetaSchema {
        enum_items: vec!["created_at".into(), "occurred_at".into()],
        default: Some("created_at".into()),
        ..MetaSchema::new("string")
    };
    /// Filters as JSON.
    FiltersText, "filters", MetaSchema { max_length: Some(MAX_FILTERS), ..MetaSchema::new("string") };
    /// A cursor of a list.
    CursorText, "cursor", pattern("^[A-Za-z0-9_-]+$");
}

/// A timestamp in a response, in RFC 3339.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(in super::super) struct DateTime(pub(in super::super) String);

documented_as!(DateTime, "date-time", MetaSchema::new_with_format("string", "date-time"));

impl From<Timestamp> for DateTime {
    fn from(at: Timestamp) -> Self {
        Self(at.to_string())
    }
}

/// Any JSON object.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(in super::super) struct FreeObject(pub(in super::super) Map<String, Value>);

documented_as!(
    FreeObject,
    "object",
    MetaSchema {
        additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
        ..MetaSchema::new("object")
    }
);

/// The audiences of a token: a text if there is one, else a list (RFC 7519 §4.1.3).
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(in super::super) struct Audiences(pub(in super::super) Value);

impl From<Vec<String>> for Audiences {
    fn from(audiences: Vec<String>) -> Self {
        Self(match &audiences[..] {
            [one] => Value::from(one.as_str()),
            several => Value::from(several),
        })
    }
}

documented_as!(
    Audiences,
    "audiences",
    MetaSchema {
        one_of: vec![
            MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
            MetaSchemaRef::Inline(Box::new(MetaSchema {
                items: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))))),
                ..MetaSchema::new("array")
            })),
        ],
        ..MetaSchema::ANY
    }
);

/// The metadata of a memory in a request.
#[derive(Deserialize)]
#[serde(transparent)]
pub(in super::super) struct MetadataObject(pub(in super::super) Map<String, Value>);

/// The metadata that a memory must have to be found.
#[derive(Deserialize)]
#[serde(transparent)]
pub(in super::super) struct MetadataFilter(pub(in super::super) Map<String, Value>);

/// Conditions that are combined with AND, OR and NOT.
#[derive(Deserialize)]
#[serde(transparent)]
pub(in super::super) struct ConditionObject(pub(in super::super) Value);

fn object_of_at_most(members: usize) -> MetaSchema {
    MetaSchema {
        max_properties: Some(members),
        additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
        ..MetaSchema::new("object")
    }
}

documented_as!(MetadataObject, "object", object_of_at_most(Metadata::MAX_MEMBERS));
documented_as!(ConditionObject, "object", object_of_at_most(6));
documented_as!(MetadataFilter, "object", object_of_at_most(MemoryFilter::MAX_METADATA));

/// Maximum number of results: any number without a fraction, because `5.0` is an integer in JSON Schema.
#[derive(Serialize)]
#[serde(transparent)]
pub(in super::super) struct PageSize(pub(in super::super) i64);

impl<'de> Deserialize<'de> for PageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = PageSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<PageSize, E> {
                Ok(PageSize(number))
            }

            // What does not fit is out of range in any case, and is rejected for that.
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<PageSize, E> {
                Ok(PageSize(i64::try_from(number).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<PageSize, E> {
                if number.fract() != 0.0 {
                    return Err(E::invalid_value(serde::de::Unexpected::Float(number), &self));
                }
                // Without a fraction it is serialized as an integer.
                let out_of_range = if number < 0.0 { i64::MIN } else { i64::MAX };
                Ok(PageSize(number.to_string().parse().unwrap_or(out_of_range)))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

documented_as!(PageSize, "limit", limit_schema(Limit::default()));

fn limit_schema(default: Limit) -> MetaSchema {
    MetaSchema {
        minimum: Some(1.0),
        maximum: Some(f64::from(Limit::MAX)),
        default: Some(default.get().into()),
        ..MetaSchema::new_with_format("integer", "int32")
    }
}

/// Maximum number of categories, with a default of its own.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(in super::super) struct CategoryLimit(PageSize);

documented_as!(CategoryLimit, "categories", limit_schema(Limit::CATEGORIES));
