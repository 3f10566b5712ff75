//! Request bodies of any length, which are processed while they arrive.

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

use super::error::ApiError;
use super::limits::{BODY_TIMEOUT, MAX_STREAM_BYTES};
use super::listener::PiecewiseBody;
use super::payload;
use crate::domain::ids::{ApplicationId, UserId};
use crate::domain::oauth::Caller;

/// How much longer a body may take than it does at the least rate.
const SLOW_BODY_TIMEOUT: Duration = Duration::from_mins(1);
/// The least rate, in bytes per second: a body holds a slot that others wait for.
const LEAST_RATE: u64 = 1024;
/// How many imports run at the same time.
const IMPORTS: usize = 16;

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
        if self.waited > SLOW_BODY_TIMEOUT + Duration::from_secs(self.received / LEAST_RATE) {
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

/// Bounds concurrent imports: one for each tenant, and a few in all, so that others keep their share of the bank. An
/// application, and a person, get no more than they leave free, so that however few import at once, others can begin.
#[derive(Debug, Default)]
pub struct ImportSlots(Arc<Mutex<Vec<Importer>>>);

/// Whose import takes a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Importer {
    tenant: String,
    application: ApplicationId,
    person: Option<UserId>,
}

impl ImportSlots {
    /// The right of `caller` to import into `tenant`, until the slot is dropped.
    ///
    /// # Errors
    /// [`ApiError::ImportUnderWay`].
    pub(crate) fn take(&self, caller: &Caller, tenant: String) -> Result<ImportSlot, ApiError> {
        let (application, person) = (caller.application().id, caller.subject().person());
        self.take_for(Importer { tenant, application, person })
    }

    fn take_for(&self, importer: Importer) -> Result<ImportSlot, ApiError> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = IMPORTS - held.len();
        let of_application = held.iter().filter(|other| other.application == importer.application).count();
        let of_person = held.iter().filter(|other| other.person.is_some() && other.person == importer.person).count();
        let is_tenants_first = held.iter().all(|other| other.tenant != importer.tenant);
        if !is_tenants_first || of_application.max(of_person) >= free {
            return Err(ApiError::ImportUnderWay);
        }
        held.push(importer.clone());
        Ok(ImportSlot { importer, held: Arc::clone(&self.0) })
    }
}

/// See [`ImportSlots::take`].
#[derive(Debug)]
pub(crate) struct ImportSlot {
    importer: Importer,
    held: Arc<Mutex<Vec<Importer>>>,
}

impl Drop for ImportSlot {
    fn drop(&mut self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).retain(|held| *held != self.importer);
    }
}

#[cfg(test)]
mod tests {
    use memgate_domain::testing::{person, unique};

    use super::*;

    /// An import of an application for a person, into a tenant of its own.
    fn importer(application: ApplicationId, person: UserId) -> Importer {
        Importer { tenant: unique().to_string(), application, person: Some(person) }
    }

    fn application() -> ApplicationId {
        ApplicationId::from_uuid(unique())
    }

    /// The slots that imports as `next` makes them get.
    fn all(slots: &ImportSlots, next: impl Fn() -> Importer) -> Vec<ImportSlot> {
        std::iter::repeat_with(|| slots.take_for(next())).map_while(Result::ok).collect()
    }

    #[test]
    fn a_tenant_imports_once_at_a_time() {
        let slots = ImportSlots::default();
        let importer = importer(application(), person().id);
        let first = slots.take_for(importer.clone()).unwrap();
        assert!(matches!(slots.take_for(importer.clone()), Err(ApiError::ImportUnderWay)));
        drop(first);
        slots.take_for(importer).unwrap();
        assert!(slots.0.lock().unwrap().is_empty());
    }

    #[test]
    fn one_application_and_one_person_leave_half_of_what_is_free_to_others() {
        let slots = ImportSlots::default();
        let gpt = application();
        let of_gpt = all(&slots, || importer(gpt, person().id));
        assert_eq!(of_gpt.len(), IMPORTS / 2);
        let marta = person().id;
        let of_marta = all(&slots, || importer(application(), marta));
        assert_eq!(of_marta.len(), IMPORTS / 4, "through however many applications");
        let of_others = all(&slots, || importer(application(), person().id));
        assert_eq!(of_gpt.len() + of_marta.len() + of_others.len(), IMPORTS, "and no more in all");
    }
}
