//! An upload on its way into a temporary file. Nothing of it is held in memory but the piece that arrives.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use poem::http::{HeaderValue, header};
use poem::web::{Field, Multipart};
use poem::{Body, FromRequest, Request, RequestBody, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::super::error::PageError;
use super::super::forms::refuse_other_sites;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::limits::BODY_TIMEOUT;
use crate::adapters::http::server::streamed::read_piecewise;

/// Maximum size of an uploaded file in bytes.
pub(super) const MAX_UPLOAD_BYTES: u64 = 256 << 20;
/// Up to this size the rest of a file that is too large is read and dropped: a browser shows no answer before it has sent all.
const MAX_DROPPED_BYTES: u64 = 2 << 30;
/// How much may come before a field, between two, and after the last.
const MAX_BETWEEN_FIELDS: u64 = 2 << 20;
/// Maximum length of a field that is not a file.
const MAX_FIELD: u64 = 4096;
/// How long an upload may take.
const UPLOAD_TIMEOUT: Duration = Duration::from_mins(20);
const PIECE: usize = 64 * 1024;

/// Why an upload was not received.
#[derive(Debug)]
pub(super) enum RefusedUpload {
    /// It is not what the page sends.
    Form,
    /// It came to an end too early, or did not come in time.
    Interrupted,
    /// The file is larger than [`MAX_UPLOAD_BYTES`].
    TooLarge,
    /// No file was chosen, or it is empty.
    Empty,
    /// The disk.
    Disk(io::Error),
}

/// A form with a file, which another site has not sent.
pub(super) struct UploadForm {
    fields: Multipart,
    watch: Arc<Watch>,
}

/// An uploaded file.
pub(super) struct Uploaded {
    pub(super) file: File,
    pub(super) name: String,
}

impl<'a> FromRequest<'a> for UploadForm {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let exchange = Exchange::of(request)?;
        refuse_other_sites(request, &exchange.services.policy.resources.issuer, None)?;
        let mut codings = request.headers().get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
            return Err(PageError::InvalidForm.into());
        }
        read_piecewise(request);
        let watch = Arc::new(Watch::default());
        let pieces = watched(body.take().map_err(|_| PageError::InvalidForm)?, Arc::clone(&watch));
        let mut body = RequestBody::new(Body::from_bytes_stream(pieces));
        let fields = Multipart::from_request(request, &mut body).await.map_err(|_| PageError::InvalidForm)?;
        Ok(Self { fields, watch })
    }
}

impl UploadForm {
    /// The value of the next field, which must have this name.
    pub(super) async fn text(&mut self, name: &str) -> Result<String, RefusedUpload> {
        let field = self.next(name).await?;
        let mut text = String::new();
        let read = within(field.into_async_read().take(MAX_FIELD + 1).read_to_string(&mut text)).await?;
        match read {
            Ok(_) if text.len() as u64 <= MAX_FIELD => Ok(text),
            Err(_) if self.watch.was_interrupted() => Err(RefusedUpload::Interrupted),
            _ => Err(RefusedUpload::Form),
        }
    }

    /// The file in the next field, which must have this name.
    pub(super) async fn file(mut self, name: &str) -> Result<Uploaded, RefusedUpload> {
        let field = self.next(name).await?;
        let name = shown(field.file_name().unwrap_or_default());
        within(self.copy(field.into_async_read())).await?.map(|file| Uploaded { file, name })
    }

    async fn copy(&self, input: impl AsyncRead) -> Result<File, RefusedUpload> {
        let mut input = std::pin::pin!(input);
        let file = tempfile::tempfile().map_err(RefusedUpload::Disk)?;
        let mut output = tokio::fs::File::from_std(file);
        let (mut piece, mut received) = (vec![0; PIECE], 0_u64);
        loop {
            let length = input.read(&mut piece).await.map_err(|_| RefusedUpload::Interrupted)?;
            if length == 0 {
                break;
            }
            received += length as u64;
            if received > MAX_DROPPED_BYTES {
                return Err(RefusedUpload::TooLarge);
            }
            if received <= MAX_UPLOAD_BYTES {
                output.write_all(&piece[..length]).await.map_err(RefusedUpload::Disk)?;
            } else if received - (length as u64) <= MAX_UPLOAD_BYTES {
                output.set_len(0).await.map_err(RefusedUpload::Disk)?;
            }
        }
        match received {
            0 => Err(RefusedUpload::Empty),
            received if received > MAX_UPLOAD_BYTES => Err(RefusedUpload::TooLarge),
            _ => {
                output.flush().await.map_err(RefusedUpload::Disk)?;
                let mut file = output.into_std().await;
                io::Seek::rewind(&mut file).map_err(RefusedUpload::Disk)?;
                Ok(file)
            }
        }
    }

    async fn next(&mut self, name: &str) -> Result<Field, RefusedUpload> {
        self.watch.between_fields();
        let field = within(self.fields.next_field()).await?;
        self.watch.within_field();
        match field {
            Ok(Some(field)) if field.name() == Some(name) => Ok(field),
            Err(_) if self.watch.was_interrupted() => Err(RefusedUpload::Interrupted),
            _ => Err(RefusedUpload::Form),
        }
    }
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, RefusedUpload> {
    tokio::time::timeout(UPLOAD_TIMEOUT, work).await.map_err(|_| RefusedUpload::Interrupted)
}

/// The last part of a path, as it is shown.
fn shown(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Bounds what a parser of forms would hold: what is between fields is read as a whole.
#[derive(Default)]
struct Watch {
    between: AtomicU64,
    is_within: AtomicBool,
    is_interrupted: AtomicBool,
}

impl Watch {
    fn between_fields(&self) {
        self.between.store(0, Ordering::Relaxed);
        self.is_within.store(false, Ordering::Relaxed);
    }

    fn within_field(&self) {
        self.is_within.store(true, Ordering::Relaxed);
    }

    fn was_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed)
    }

    fn allows(&self, length: usize) -> bool {
        self.is_within.load(Ordering::Relaxed)
            || self.between.fetch_add(length as u64, Ordering::Relaxed) + length as u64 <= MAX_BETWEEN_FIELDS
    }
}

/// The pieces of a body, one at a time: a parser that takes all that is ready gets no more than one.
fn watched(body: Body, watch: Arc<Watch>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let pieces = Box::pin(body.into_bytes_stream());
    stream::try_unfold((pieces, watch, true), |(mut pieces, watch, is_first)| async move {
        if !is_first {
            tokio::task::yield_now().await;
        }
        let interrupted = || {
            watch.is_interrupted.store(true, Ordering::Relaxed);
            io::Error::from(io::ErrorKind::UnexpectedEof)
        };
        let piece = tokio::time::timeout(BODY_TIMEOUT, pieces.next()).await.map_err(|_| interrupted())?;
        let Some(piece) = piece.transpose().map_err(|_| interrupted())? else { return Ok(None) };
        if !watch.allows(piece.len()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some((piece, (pieces, watch, false))))
    })
}
