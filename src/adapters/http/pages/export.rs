//! `/account/export`: everything about a person, to take away.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use askama::Template;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use futures_util::stream;
use poem::http::{StatusCode, header};
use poem::{Body, IntoResponse as _, Response, handler};
use rawzip::time::UtcDateTime;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::account::signed_in;
use super::application_names::application_names;
use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::frame::Frame;
use super::memory_error::memory_problem;
use super::return_to::ReturnTo;
use super::texts::{Filled, Language};
use super::view::{self, PageContext};
use crate::adapters::http::server::answers::Reservation;
use crate::adapters::http::server::json_lines::{JsonLines, lines};
use crate::adapters::http::server::services::Services;
use crate::domain::audit::EventPage;
use crate::domain::memories::{Capability, Export, Limit, MemoryBankError, MemoryError, OwnMemory};
use crate::domain::people::{SessionToken, SignedInUser};
use crate::domain::system::Timestamp;

/// How many events the document about the account has at most.
const EVENTS: u32 = 10_000;

#[derive(Template)]
#[template(path = "export.html")]
struct ExportPage<'a> {
    t: &'a Frame,
    account: &'a str,
    /// Whether memories can be exported.
    exportable: bool,
    problem: Option<Filled>,
    form_token: &'a str,
}

/// `GET /account/export`.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Export).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    show_with(&browser, &user, StatusCode::OK, None)
}

fn show_with(
    browser: &Browser<'_>,
    user: &SignedInUser,
    status: StatusCode,
    problem: Option<Filled>,
) -> Result<Response, PageError> {
    let form_token = user.token.form_token();
    let exportable = browser.services.memories.capabilities().list;
    let page = ExportPage {
        t: &browser.t,
        account: user.person.label(),
        exportable,
        problem: problem.or_else(|| (!exportable).then(|| browser.t.cannot_export.into())),
        form_token: form_token.as_str(),
    };
    view::show(status, PageContext::Standalone, &page)
}

/// The page that says why an export did not begin.
fn refuse(browser: &Browser<'_>, user: &SignedInUser, error: MemoryError) -> Result<Response, PageError> {
    let (status, problem) = match error {
        MemoryError::Bank(MemoryBankError::Unsupported(Capability::List)) => (StatusCode::NOT_IMPLEMENTED, None),
        error => {
            let (status, problem) = memory_problem(error, &browser.t)?;
            (status, Some(problem))
        }
    };
    show_with(browser, user, status, problem)
}

/// `GET /account/export/memories.jsonl`.
#[handler]
pub(crate) async fn memories(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Export).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    // A stream holds a page at a time, until its end.
    let reservation = reserve(&browser, &user).await?;
    let export = match browser.services.own_memories.export(user.person.id).await {
        Ok(export) => export,
        Err(error) => return refuse(&browser, &user, error),
    };
    let session = Arc::new(StandingSession::of(&browser, &user));
    let may_go_on = move || {
        let (session, _held) = (Arc::clone(&session), &reservation);
        async move { session.check().await }
    };
    match JsonLines::of(export, may_go_on).await {
        Ok(lines) => Ok(lines.into_response()),
        Err(error) => refuse(&browser, &user, error.into()),
    }
}

/// `GET /account/export/account.json`: the account, its connections and what happened.
#[handler]
pub(crate) async fn account(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Export).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let document = document(&browser, &user).await?;
    Ok(Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_DISPOSITION, "attachment; filename=\"account.json\"")
        .body(format!("{document:#}\n")))
}

/// `GET /account/export/memgate.zip`: everything in one archive, written while it is read.
#[handler]
pub(crate) async fn everything(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Export).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let reservation = reserve(&browser, &user).await?;
    let document = format!("{:#}\n", document(&browser, &user).await?);
    let mut export = match browser.services.own_memories.export(user.person.id).await {
        Ok(export) => export,
        Err(error) => return refuse(&browser, &user, error),
    };
    // The first page is read at once, so that a failure is a page.
    let first = match export.next().await {
        Ok(first) => first,
        Err(error) => return refuse(&browser, &user, error.into()),
    };
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(1);
    let now = browser.services.clock.now();
    let session = StandingSession::of(&browser, &user);
    tokio::spawn(async move {
        if let Err(error) = write_archive(&sender, &document, first, export, &session, now).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "an export was broken off");
            // A response that breaks off is not taken for the whole.
            drop(sender.send(Err(error)).await);
        }
    });
    let pieces = stream::unfold((receiver, reservation), |(mut receiver, reservation)| async move {
        receiver.recv().await.map(|piece| (piece, (receiver, reservation)))
    });
    Ok(Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "application/zip")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_DISPOSITION, "attachment; filename=\"memgate.zip\"")
        .body(Body::from_bytes_stream(pieces)))
}

/// Reserves what the response holds in memory.
async fn reserve(browser: &Browser<'_>, user: &SignedInUser) -> Result<Reservation, PageError> {
    let reserved = browser.services.answers.reserve_for_person(user.person.id, Limit::PAGE.get()).await;
    reserved.map_err(|error| PageError::Unavailable(error.into()))
}

/// The session of an export, which asks again as it goes on.
struct StandingSession {
    services: Arc<Services>,
    token: SessionToken,
}

impl StandingSession {
    fn of(browser: &Browser<'_>, user: &SignedInUser) -> Self {
        Self { services: Arc::clone(&browser.services), token: user.token.clone() }
    }

    /// An export ends with the session, which ends with its person and with a new password.
    async fn check(&self) -> io::Result<()> {
        if self.services.sign_in.is_signed_in(&self.token).await.map_err(io::Error::other)? {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "the session has ended"))
        }
    }
}

/// Writes the archive a page at a time; whoever reads it slowly holds no more than one.
async fn write_archive(
    sender: &mpsc::Sender<io::Result<Bytes>>,
    document: &str,
    first: Option<Vec<OwnMemory>>,
    mut export: Export,
    session: &StandingSession,
    now: Timestamp,
) -> io::Result<()> {
    let written = Written::default();
    let modified = UtcDateTime::from_unix(now.unix_seconds());
    let mut archive = ZipArchiveWriter::new(written.clone());
    let file = archive.new_file("account.json").compression_method(CompressionMethod::DEFLATE).last_modified(modified);
    let (mut entry, config) = file.start().map_err(io::Error::other)?;
    let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
    writer.write_all(document.as_bytes())?;
    let (encoder, descriptor) = writer.finish().map_err(io::Error::other)?;
    encoder.finish()?;
    entry.finish(descriptor).map_err(io::Error::other)?;

    let file =
        archive.new_file("memories.jsonl").compression_method(CompressionMethod::DEFLATE).last_modified(modified);
    let (mut entry, config) = file.start().map_err(io::Error::other)?;
    let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
    let mut page = first;
    while let Some(listed) = page {
        writer.write_all(&lines(&listed)?)?;
        if !written.send_to(sender).await {
            return Ok(());
        }
        session.check().await?;
        page = export.next().await.map_err(io::Error::other)?;
    }
    let (encoder, descriptor) = writer.finish().map_err(io::Error::other)?;
    encoder.finish()?;
    entry.finish(descriptor).map_err(io::Error::other)?;
    archive.finish().map_err(io::Error::other)?;
    written.send_to(sender).await;
    Ok(())
}

/// What was written and not sent yet.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    /// Returns whether somebody still reads.
    async fn send_to(&self, sender: &mpsc::Sender<io::Result<Bytes>>) -> bool {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        bytes.is_empty() || sender.send(Ok(bytes.into())).await.is_ok()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn document(browser: &Browser<'_>, user: &SignedInUser) -> Result<Value, PageError> {
    let (services, id) = (&browser.services, user.person.id);
    let connections: Vec<Value> = services
        .authorizations
        .connections(id)
        .await?
        .into_iter()
        .map(|connection| {
            json!({
                "client_id": connection.application_id.to_string(),
                "name": connection.application.map(|application| application.name.to_string()),
                "scope": connection.scope.to_string(),
                "since": connection.since.to_string(),
                "until": connection.until.to_string(),
            })
        })
        .collect();
    let sessions: Vec<Value> = services
        .sign_in
        .sessions(id)
        .await?
        .iter()
        .map(|session| {
            json!({"signed_in_at": session.signed_in_at.to_string(), "expires_at": session.expires_at.to_string()})
        })
        .collect();
    let passkeys: Vec<Value> = services
        .passkeys
        .list(id)
        .await?
        .iter()
        .map(|passkey| {
            json!({
                "name": passkey.name.as_str(),
                "created_at": passkey.created_at.to_string(),
                "last_used_at": passkey.last_used_at.map(|at| at.to_string()),
            })
        })
        .collect();
    let EventPage { events, has_older } = services.sign_in.history(id, 0, EVENTS).await?;
    let names = application_names(browser, events.iter().filter_map(|event| event.application_id)).await?;
    let events: Vec<Value> = events
        .iter()
        .map(|event| {
            json!({
                "event": event.kind.as_str(),
                "at": event.at.to_string(),
                "times": event.times,
                "client_id": event.application_id.map(|id| id.to_string()),
                "name": event.application_id.and_then(|id| names.get(&id)),
            })
        })
        .collect();
    Ok(json!({
        "user_id": id.to_string(),
        "account": user.person.label(),
        "created_at": user.person.created_at.to_string(),
        "connections": connections,
        "passkeys": passkeys,
        "sessions": sessions,
        "events": events,
        "older_events_left_out": has_older,
    }))
}
