//! Parameters of the query string.

use std::borrow::Cow;
use std::marker::PhantomData;

use percent_encoding::percent_decode_str;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::error::ApiError;
use crate::domain::validation::InvalidValue;

/// One parameter as text, documented as a `T`. The domain validates it, so that the error texts are the domain's.
pub(crate) struct Parameter<T> {
    pub(crate) text: Option<String>,
    documented: PhantomData<fn() -> T>,
}

impl<'a, T: Type> ApiExtractor<'a> for Parameter<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];

    type ParamType = T;
    type ParamRawType = T::RawValueType;

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<T>,
    ) -> Result<Self> {
        let refuse = |problem: &str| ApiError::from(InvalidValue::new(options.name, problem));
        let mut values = written_pairs(request).filter(|(name, _)| lossily(name) == options.name);
        let text = values.next().map(|(_, value)| String::from_utf8(decode(value)));
        if values.next().is_some() {
            return Err(refuse("is given more than once").into());
        }
        let text = text.transpose().map_err(|_| refuse("must be percent-encoded UTF-8"))?;
        Ok(Self { text, documented: PhantomData })
    }
}

/// Rejects parameters other than `known`: a misspelled one must not silently change the result.
pub(crate) fn refuse_unknown(request: &Request, known: &[&str]) -> Result<(), InvalidValue> {
    match pairs(request).find(|(name, _)| !known.contains(&name.as_ref())) {
        None => Ok(()),
        Some((name, _)) => Err(InvalidValue::new(
            name.chars().filter(|c| !c.is_control()).take(64).collect::<String>(),
            format!("is not a parameter of this operation; it has: {}", known.join(", ")),
        )),
    }
}

/// The decoded names and values of the query string; invalid UTF-8 is replaced by U+FFFD. The envelope has already rejected
/// too many of them.
pub(crate) fn pairs(request: &Request) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    written_pairs(request).map(|(name, value)| (lossily(name), lossily(value)))
}

/// The names and values of the query string, not decoded.
fn written_pairs(request: &Request) -> impl Iterator<Item = (&str, &str)> {
    let query = request.uri().query().unwrap_or_default();
    // Spelled out, because the trait `Type` has another `is_empty` for `&str`.
    query.split('&').filter(|pair| !str::is_empty(pair)).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn lossily(written: &str) -> Cow<'static, str> {
    Cow::Owned(String::from_utf8_lossy(&decode(written)).into_owned())
}

/// Decodes `application/x-www-form-urlencoded`.
fn decode(written: &str) -> Vec<u8> {
    percent_decode_str(&written.replace('+', " ")).collect()
}
