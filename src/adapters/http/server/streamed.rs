//! Request bodies of any length, which are processed while they arrive.

use std::collections::HashSet;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use poem::http::{HeaderValue, header};
use poem::{Body, Request, RequestBody, Result};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use super::limits::{BODY_TIMEOUT, MAX_STREAM_BYTES};
use super::listener::PiecewiseBody;
use super::payload;

/// After how long a body must have come at the least rate on average.
const GRACE: Duration = Duration::from_mins(1);
/// The least rate, in bytes per second: a body holds a slot that others wait for.
const LEAST_RATE: u64 = 1024;
/// How many imports run at the same time.
const IMPORTS: usize = 8;

/// A body of lines.
pub(crate) struct LinesBody {
    pieces: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    received: u64,
    /// How long the next piece was waited for, in all.
    waited: Duration,
}

impl LinesBody {
    /// The media types that are accepted. Client generators know the first one alone.
    const MEDIA_TYPES: [&'static str; 4] =
        ["application/octet-stream", "application/x-ndjson", "application/jsonl", "application/json-seq"];

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`ApiError::Interrupted`] if it does not arrive in time, or the body arrives too slowly as a whole;
    /// [`ApiError::StreamTooLarge`].
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        let began = tokio::time::Instant::now();
        let piece = tokio::time::timeout(BODY_TIMEOUT, self.pieces.next()).await.map_err(|_| ApiError::Interrupted)?;
        let Some(piece) = piece.transpose().map_err(|_| ApiError::Interrupted)? else { return Ok(None) };
        self.waited += began.elapsed();
        self.received += piece.len() as u64;
        if self.waited > GRACE + Duration::from_secs(self.received / LEAST_RATE) {
            return Err(ApiError::Interrupted);
        }
        if self.received > MAX_STREAM_BYTES { Err(ApiError::StreamTooLarge) } else { Ok(Some(piece)) }
    }
}

/// From now on, what the handler has read of the body of `request` does not count as held in memory.
pub(crate) fn read_piecewise(request: &Request) {
    if let Some(body) = request.data::<PiecewiseBody>() {
        body.begin();
    }
}

impl Payload for LinesBody {
    const CONTENT_TYPE: &'static str = Self::MEDIA_TYPES[0];

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "binary")))
    }
}

impl<'a> ApiExtractor<'a> for LinesBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(_registry: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }];
        Some(MetaRequest { description: Some("One JSON object per line."), content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let essence = payload::essence(request);
        if !essence.is_some_and(|essence| Self::MEDIA_TYPES.contains(&&*essence)) {
            return Err(ApiError::LinesMediaType.into());
        }
        let mut codings = request.headers().get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
            return Err(ApiError::ContentEncoding.into());
        }
        let body: Body = body.take().map_err(|_| ApiError::Interrupted)?;
        read_piecewise(request);
        Ok(Self { pieces: Box::pin(body.into_bytes_stream()), received: 0, waited: Duration::ZERO })
    }
}

/// Bounds concurrent imports: one for each tenant, and a few in all, so that others keep their share of the bank.
#[derive(Debug)]
pub struct ImportSlots {
    all: Arc<Semaphore>,
    tenants: Arc<Mutex<HashSet<String>>>,
}

impl Default for ImportSlots {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(IMPORTS)), tenants: Arc::default() }
    }
}

impl ImportSlots {
    /// The right of `tenant` to import, until the slot is dropped.
    ///
    /// # Errors
    /// [`ApiError::ImportUnderWay`].
    pub(crate) fn take(&self, tenant: String) -> Result<ImportSlot, ApiError> {
        let permit = Arc::clone(&self.all).try_acquire_owned().map_err(|_| ApiError::ImportUnderWay)?;
        let is_first = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        if !is_first {
            return Err(ApiError::ImportUnderWay);
        }
        Ok(ImportSlot { tenant, tenants: Arc::clone(&self.tenants), _permit: permit })
    }
}

/// See [`ImportSlots::take`].
#[derive(Debug)]
pub(crate) struct ImportSlot {
    tenant: String,
    tenants: Arc<Mutex<HashSet<String>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for ImportSlot {
    fn drop(&mut self) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_imports_once_at_a_time_and_all_tenants_a_few_times() {
        let slots = ImportSlots::default();
        let first = slots.take("a".to_owned()).unwrap();
        assert!(matches!(slots.take("a".to_owned()), Err(ApiError::ImportUnderWay)));
        let others: Vec<_> = (1..IMPORTS).map(|number| slots.take(number.to_string()).unwrap()).collect();
        assert!(matches!(slots.take("b".to_owned()), Err(ApiError::ImportUnderWay)));
        drop(first);
        slots.take("a".to_owned()).unwrap();
        drop(others);
    }
}
