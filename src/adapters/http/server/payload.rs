//! JSON bodies of requests and responses.

mod exactness;

use std::borrow::Cow;

use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;
use super::json::json_response;
use crate::adapters::http::server::limits::{BODY_TIMEOUT, MAX_BODY_BYTES};
use crate::domain::validation::InvalidValue;

/// A JSON body.
///
/// poem-openapi documents it and serde parses it: its errors name the member by its path, and it rejects duplicates.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type + DeserializeOwned> ParsePayload for Json<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let essence = essence(request);
        if essence.as_deref() != Some("application/json") {
            return Err(ApiError::MediaType.into());
        }
        let bytes = read(request, body).await?;
        Ok(Self(parse(&bytes)?))
    }
}

impl<'a, T: Type + DeserializeOwned> ApiExtractor<'a> for Json<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest { description: None, content: vec![media_type::<Self>()], required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        <Self as ParsePayload>::from_request(request, body).await
    }
}

impl<T: Serialize + Send> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, "application/json", &self.0)
    }
}

impl<T: Type> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "Done.",
            status: Some(200),
            status_range: None,
            content: vec![media_type::<Self>()],
            headers: Vec::new(),
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// How a payload is documented.
pub(crate) fn media_type<P: Payload>() -> MetaMediaType {
    MetaMediaType { content_type: P::CONTENT_TYPE, schema: P::schema_ref() }
}

/// The media type of the body, in lower case and without parameters.
pub(crate) fn essence(request: &Request) -> Option<Cow<'_, str>> {
    let essence = request.content_type()?.split(';').next()?.trim();
    let is_lower = !essence.bytes().any(|b| b.is_ascii_uppercase());
    Some(if is_lower { Cow::Borrowed(essence) } else { Cow::Owned(essence.to_ascii_lowercase()) })
}

/// The complete body, if it has no content encoding, is not too large and arrives in time.
///
/// # Errors
/// [`ApiError::ContentEncoding`], [`ApiError::TooLarge`], [`ApiError::Interrupted`].
pub(crate) async fn read(request: &Request, body: &mut RequestBody) -> Result<bytes::Bytes, ApiError> {
    let mut codings = request.headers().get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(ApiError::ContentEncoding);
    }
    let body = body.take().map_err(|_| ApiError::Interrupted)?;
    let declared = request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(ApiError::TooLarge);
    }
    let arrival = async {
        match declared {
            // The server reads no more than was declared.
            Some(_) => body.into_bytes().await,
            None => body.into_bytes_limit(MAX_BODY_BYTES).await,
        }
    };
    let bytes = tokio::time::timeout(BODY_TIMEOUT, arrival).await.map_err(|_| ApiError::Interrupted)?;
    bytes.map_err(|error| match error {
        poem::error::ReadBodyError::PayloadTooLarge => ApiError::TooLarge,
        // The server aborted it to free memory.
        poem::error::ReadBodyError::Io(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
            ApiError::Overloaded
        }
        _ => ApiError::Interrupted,
    })
}

/// Parses JSON.
///
/// # Errors
/// [`ApiError::Malformed`] if it is not JSON, [`ApiError::Memory`] with an [`InvalidValue`] for an invalid member.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(ApiError::Malformed("the body is empty; send a JSON object".to_owned()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        refusal(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| refusal(".", &error))?;
    refuse_oversized_integers(bytes)?;
    Ok(value)
}

/// # Errors
/// [`InvalidValue`] that names an integer that would lose digits.
pub(crate) fn refuse_oversized_integers(json: &[u8]) -> Result<(), InvalidValue> {
    let Some(place) = exactness::oversized_integer(json) else { return Ok(()) };
    let problem = "is a whole number of more than 64 bits, which would not be kept exactly; send it as a string";
    Err(InvalidValue::new(printable(&place), problem))
}

/// Converts parsed JSON.
///
/// # Errors
/// [`InvalidValue`] for an invalid member.
pub(crate) fn from_object<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, InvalidValue> {
    serde_path_to_error::deserialize(Value::Object(object)).map_err(|error| {
        let (field, problem) = reworded(&error.path().to_string(), &error.inner().to_string());
        InvalidValue::new(printable(&field), problem)
    })
}

fn refusal(path: &str, error: &serde_json::Error) -> ApiError {
    let message = error.to_string();
    if error.classify() != serde_json::error::Category::Data {
        let member = path.split(['.', '[']).next().map(printable).filter(|member| !member.is_empty());
        let place = member.map(|member| format!(", in `{member}`")).unwrap_or_default();
        return ApiError::Malformed(format!("the body is not well-formed JSON: {message}{place}"));
    }
    let (field, problem) = reworded(path, without_position(&message));
    ApiError::from(InvalidValue::new(printable(&field), problem))
}

/// serde's message as a field and a problem. The values that serde repeats are left out: they may be private.
fn reworded(path: &str, message: &str) -> (String, String) {
    let inside = |name: &str| if path == "." { name.to_owned() } else { format!("{path}.{name}") };
    let quoted = || message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("missing field") {
        return (inside(quoted()), "is missing".to_owned());
    }
    if message.starts_with("duplicate field") {
        let field = if path == "." || !path.ends_with(quoted()) { inside(quoted()) } else { path.to_owned() };
        return (field, "is given more than once".to_owned());
    }
    let expected = message.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
    if message.starts_with("unknown field") {
        return (path.to_owned(), format!("is not a known member; expected {expected}"));
    }
    let field = if path == "." { "body" } else { path };
    (field.to_owned(), format!("must be {}", kind(expected)))
}

/// The public name of a type, from serde's.
fn kind(expected: &str) -> &str {
    match expected {
        "i64" | "u64" | "u32" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    }
}

fn without_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

/// A caller-supplied name, made safe to show.
fn printable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::adapters::http::openapi::object::read_from_objects;

    read_from_objects!(Outer, Inner);

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, remote = "Self")]
    struct Outer {
        name: String,
        limit: Option<i64>,
        tags: Option<Vec<String>>,
        inner: Option<Inner>,
        free: Option<serde_json::Map<String, serde_json::Value>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, remote = "Self")]
    struct Inner {
        level: Level,
        score: f64,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Level {
        Low,
        High,
    }

    fn refused(body: &str) -> String {
        parse::<Outer>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_refused_member_is_named_by_its_path_and_never_repeated() {
        for (body, expected) in [
            ("{}", "`name` is missing"),
            ("[]", "`body` must be an object"),
            (r#"["a",null,null,null,null]"#, "`body` must be an object"),
            (r#"{"name":"a","inner":["low",1]}"#, "`inner` must be an object"),
            ("null", "`body` must be an object"),
            (r#"{"name":5}"#, "`name` must be a string"),
            (r#"{"name":"a","name":"b"}"#, "`name` is given more than once"),
            (r#"{"name":"a","limit":"secret, expected nothing"}"#, "`limit` must be a whole number"),
            (r#"{"name":"a","limit":1.5}"#, "`limit` must be a whole number"),
            (r#"{"name":"a","tags":"x"}"#, "`tags` must be a list"),
            (r#"{"name":"a","tags":["x",7]}"#, "`tags[1]` must be a string"),
            (r#"{"name":"a","free":[]}"#, "`free` must be an object"),
            (r#"{"name":"a","inner":{"score":1}}"#, "`inner.level` is missing"),
            (r#"{"name":"a","inner":{"level":"mid","score":1}}"#, "`inner.level` must be `low` or `high`"),
            (r#"{"name":"a","inner":{"level":"low","score":"1"}}"#, "`inner.score` must be a number"),
            (
                r#"{"name":"a","inner":{"level":"low","score":1,"x":{}}}"#,
                "`inner.x` is not a known member; expected `level` or `score`",
            ),
            (
                r#"{"name":"a","free":{"x":[{"y":18446744073709551616}]}}"#,
                "`free.x[0].y` is a whole number of more than 64 bits, which would not be kept exactly; send it as a string",
            ),
            (r#"{"nom":"a"}"#, "`nom` is not a known member; expected one of `name`, `limit`, `tags`, `inner`, `free`"),
        ] {
            assert_eq!(refused(body), expected, "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        let deep = format!(r#"{{"name":"a","free":{{"x":{}{}}}}}"#, "[".repeat(1000), "]".repeat(1000));
        for (body, expected) in [
            ("{", "EOF while parsing an object at line 1 column 1"),
            (r#"{"name":"a"} x"#, "trailing characters at line 1 column 14"),
            (&deep, "recursion limit exceeded at line 1 column 150, in `free`"),
        ] {
            let message = refused(body);
            assert!(message.contains(expected), "{message}");
        }
        assert!(parse::<Outer>(b"{\"name\":\"\xff\"}").unwrap_err().to_string().contains("unicode"));
        assert!(refused("").contains("empty"));
    }
}
