//! Values with a format of their own.

use std::borrow::Cow;
use std::fmt;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::memories::Limit;
use crate::domain::system::Timestamp;

/// What poem-openapi asks of a type that it documents. serde alone reads and writes ours.
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
                serde_json::to_value(self).ok()
            }
        }
    };
}

/// A moment, as RFC 3339 writes it.
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

/// How many results at most: any number without a fraction, because `5.0` is an integer in JSON Schema.
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

            // What does not fit is out of range all the same, and is refused for that.
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<PageSize, E> {
                Ok(PageSize(i64::try_from(number).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<PageSize, E> {
                if number.fract() != 0.0 {
                    return Err(E::invalid_value(serde::de::Unexpected::Float(number), &self));
                }
                // Without a fraction it is written as an integer.
                let out_of_range = if number < 0.0 { i64::MIN } else { i64::MAX };
                Ok(PageSize(number.to_string().parse().unwrap_or(out_of_range)))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

documented_as!(
    PageSize,
    "limit",
    MetaSchema {
        minimum: Some(1.0),
        maximum: Some(f64::from(Limit::MAX)),
        default: Some(Limit::default().get().into()),
        ..MetaSchema::new_with_format("integer", "int32")
    }
);
