//! The work behind the pages: reading an upload into rows, and storing those that were chosen.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};

use super::super::uploads::{Failure, ImportOutcome, Preview, ROWS_OF_ONE, Receiving, Storing, Uploads, WaitingUpload};
use super::receive::{MAX_UPLOAD_BYTES, Uploaded};
use crate::adapters::http::server::services::Services;
use crate::domain::applications::SpaceName;
use crate::domain::ids::UserId;
use crate::domain::memories::{FoundRow, Place, PlaceUnit, Reading};
use crate::files::{self, FileError, FileLimits};

/// A place that memories can go to.
pub(super) struct SpaceOption {
    pub(super) space: SpaceName,
    pub(super) name: String,
}

/// How many rows a preview looks up at most.
pub(super) const LOOKED_UP: u64 = 50_000;
/// After how many rows an import asks whether its person may still import, and lets others store.
const ROWS_OF_A_TURN: u64 = 256;
/// How many texts a preview shows.
const SAMPLES: usize = 5;
/// How much of each, in characters.
const SAMPLE: usize = 160;

/// The import of a person, which goes on without the request that began it.
pub(super) struct Work {
    pub(super) services: Arc<Services>,
    pub(super) uploads: Arc<Uploads>,
    pub(super) person: UserId,
    pub(super) number: u64,
}

impl Work {
    /// Reads an upload, and keeps what came of it.
    pub(super) async fn read(self, upload: Uploaded, receiving: Receiving, space: SpaceOption) {
        let Self { services, uploads, person, number } = self;
        let _watched = uploads.watch(person, number, &services.clock);
        let read = async {
            let _turn = uploads.reading.acquire().await.map_err(|_| Failure::Internal)?;
            let rows = tokio::task::spawn_blocking(move || into_rows(upload, space));
            let rows = rows.await;
            // The file is off the disk.
            drop(receiving);
            let mut waiting = rows.map_err(|_| Failure::Internal)??;
            waiting.preview = preview(&services, person, &waiting).await?;
            Ok(waiting)
        };
        let read = read.await;
        uploads.end_reading(person, number, services.clock.now(), read);
    }

    /// Stores what was chosen, and keeps what came of it.
    pub(super) async fn store(self, waiting: Arc<WaitingUpload>, storing: Arc<Storing>, choice: Choice) {
        let Self { services, uploads, person, number } = self;
        let _watched = uploads.watch(person, number, &services.clock);
        let mut import = services.own_memories.begin_import(person, waiting.space.clone()).expecting(storing.total);
        let (mut not_chosen, mut turn) = (0, None);
        let added = async {
            let mut rows = Rows::of(&waiting.rows)?;
            for seen in 0_u64.. {
                if seen.is_multiple_of(ROWS_OF_A_TURN) {
                    // Whoever waits for a turn comes first.
                    drop(turn.take());
                    turn = Some(uploads.storing.acquire().await.map_err(io::Error::other)?);
                    if !services.sign_in.is_enabled(person).await.map_err(io::Error::other)? {
                        import.abandon();
                        return Err(io::Error::new(
                            io::ErrorKind::PermissionDenied,
                            "the person is disabled or deleted",
                        ));
                    }
                }
                let Some(row) = rows.next().await? else { break };
                if !choice.includes(row.conversation) {
                    not_chosen += 1;
                    continue;
                }
                import.add(row.place, &row.json).await.map_err(|stopped| io::Error::other(stopped.reason))?;
                storing.done.store(import.settled(), Ordering::Relaxed);
            }
            Ok::<_, io::Error>(())
        };
        let added = added.await;
        let ended = services.own_memories.end_import(person, import).await;
        let stopped = added.is_err() || ended.is_err();
        if let Err(error) = &added {
            tracing::warn!(error = error as &dyn std::error::Error, "the import of a person was broken off");
        }
        let report = ended.unwrap_or_else(|stopped| *stopped.report);
        let (space_name, left_out) = (waiting.space_name.clone(), waiting.left_out.clone());
        let outcome = ImportOutcome { space_name, report, left_out, not_chosen, stopped };
        uploads.end_storing(person, number, services.clock.now(), outcome);
    }
}

// A file of memgate's own that may be uploaded is not too much text.
const _: () = assert!(ROWS_OF_ONE >= MAX_UPLOAD_BYTES / 4 * 5);

/// Why a row was not written.
#[derive(Debug)]
enum NotWritten {
    Full,
    Disk(io::Error),
}

/// Writes the rows of an upload into a temporary file, each with its conversation (0 for none) and its place before it.
fn into_rows(upload: Uploaded, space: SpaceOption) -> Result<WaitingUpload, Failure> {
    let disk = |error: io::Error| {
        tracing::error!(error = &error as &dyn std::error::Error, "an upload cannot be written to a temporary file");
        Failure::Internal
    };
    let mut rows = BufWriter::new(tempfile::tempfile().map_err(disk)?);
    let (mut reading, mut bytes, mut samples) = (Reading::new(None), 0_u64, Vec::new());
    let mut take = |FoundRow { place, conversation, row }: FoundRow| {
        let conversation = conversation.map_or(0, |number| number + 1);
        let line = format!("{conversation}\t{}\t{}\t{}\n", place.unit.as_str(), place.number, row.json);
        bytes += line.len() as u64;
        if bytes > ROWS_OF_ONE {
            return Err(NotWritten::Full);
        }
        if samples.len() < SAMPLES {
            samples.extend(sample(&row.json));
        }
        rows.write_all(line.as_bytes()).map_err(NotWritten::Disk)
    };
    match files::read(upload.file, &upload.name, FileLimits::default(), &mut reading, &mut take) {
        Ok(()) => {}
        Err(FileError::Archive(_)) => return Err(Failure::Damaged),
        Err(FileError::Unpacked(_) | FileError::TooManyFiles(_)) => return Err(Failure::UnpacksToTooMuch),
        Err(FileError::Taker(NotWritten::Full)) => return Err(Failure::TooMuchText),
        Err(FileError::File(error) | FileError::Taker(NotWritten::Disk(error))) => return Err(disk(error)),
    }
    let rows = rows.into_inner().map_err(|error| disk(error.into_error()))?;
    let Reading { formats, conversations, conversation_count, memories, messages, skipped, left_out, .. } = reading;
    Ok(WaitingUpload {
        space: space.space,
        space_name: space.name,
        file_name: upload.name,
        formats,
        conversations,
        conversation_count,
        memories,
        messages,
        skipped,
        left_out,
        samples,
        preview: None,
        rows,
        bytes,
    })
}

/// The beginning of the text of a row.
fn sample(json: &str) -> Option<String> {
    let row: serde_json::Value = serde_json::from_str(json).ok()?;
    let text = row.get("content")?.as_str()?;
    let mut sample: String = text.chars().take(SAMPLE).collect();
    if sample.len() < text.len() {
        sample.push('…');
    }
    Some(sample)
}

/// What an import of everything would do; `None` if the memory bank does not answer.
async fn preview(services: &Services, person: UserId, waiting: &WaitingUpload) -> Result<Option<Preview>, Failure> {
    let mut import = services.own_memories.preview_import(person, waiting.space.clone());
    let mut rows = Rows::of(&waiting.rows).map_err(|_| Failure::Internal)?;
    let mut seen = 0;
    while seen < LOOKED_UP
        && let Some(row) = rows.next().await.map_err(|_| Failure::Internal)?
    {
        seen += 1;
        if import.add(row.place, &row.json).await.is_err() {
            return Ok(None);
        }
    }
    let report = import.finish().await.ok();
    Ok(report.map(|report| Preview { report, is_complete: seen < LOOKED_UP }))
}

/// What of an upload is to be stored.
pub(super) struct Choice {
    pub(super) memories: bool,
    pub(super) messages: Messages,
}

/// Which messages.
pub(super) enum Messages {
    None,
    All,
    /// Those of the conversations with these numbers.
    Of(HashSet<usize>),
}

impl Choice {
    fn includes(&self, conversation: Option<usize>) -> bool {
        match (conversation, &self.messages) {
            (None, _) => self.memories,
            (Some(_), Messages::All) => true,
            (Some(number), Messages::Of(chosen)) => chosen.contains(&number),
            (Some(_), Messages::None) => false,
        }
    }
}

/// A row of the temporary file.
struct StoredRow {
    conversation: Option<usize>,
    place: Place,
    json: String,
}

/// The rows of the temporary file, one at a time.
struct Rows(Lines<BufReader<tokio::fs::File>>);

impl Rows {
    fn of(file: &File) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        file.rewind()?;
        Ok(Self(BufReader::with_capacity(256 * 1024, tokio::fs::File::from_std(file)).lines()))
    }

    async fn next(&mut self) -> io::Result<Option<StoredRow>> {
        let Some(line) = self.0.next_line().await? else { return Ok(None) };
        let mut parts = line.splitn(4, '\t');
        let mut next = || parts.next().ok_or(io::ErrorKind::InvalidData);
        let (conversation, unit, number, json) = (next()?, next()?, next()?, next()?);
        let conversation: usize = conversation.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        let unit = PlaceUnit::from_name(unit).ok_or(io::ErrorKind::InvalidData)?;
        let number = number.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        let place = Place { unit, number };
        Ok(Some(StoredRow { conversation: conversation.checked_sub(1), place, json: json.to_owned() }))
    }
}
