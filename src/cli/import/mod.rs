//! `memgate import`: loads memories from a file.

mod foreign;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use self::foreign::Translated;
use super::input::without_byte_order_mark;
use super::{CliError, find, open, output};
use crate::app::Backend;
use crate::config::Config;
use crate::domain::ids::ApplicationId;
use crate::domain::memories::{
    Actor, Admitted, ImportFormat, ImportProblem, ImportReader, ImportRow, IsNew, MAX_AT_ONCE, MemoryBank,
    MemoryBankError, MemoryScope, NewMemory, TenantRegistry,
};
use crate::domain::people::Login;

/// Maximum number of invalid rows that are listed; the rest is only counted.
const NAMED_ERRORS: usize = 20;
/// A part of the file is given to the bank when it has so many bytes, or as many memories as the bank takes at once.
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;
/// Number of parts of the file loaded concurrently: while the database stores one, the next is prepared.
const PARTS_AT_A_TIME: usize = 2;

/// Load memories from a file into the space of an application
///
/// The file is an export of memgate, or of another program: ChatGPT (conversations.json), Claude (conversations.json or
/// memories.json), mem0 (JSON), the MCP server "memory" (JSON lines) or basic-memory (Markdown), or a ZIP archive of such files.
/// Which one is found out, unless --format says it.
///
/// Of memgate, each line is one JSON object: content (text), and optionally categories (list of texts), metadata (object),
/// context ({"custom_gpt_id", "conversation_id"}), priority (low, normal, high), created_at, occurred_at, updated_at and
/// expires_at (RFC 3339), created_by and history (as an export writes them).
/// The whole file is validated first: if a line is invalid, nothing is loaded. Expired memories are left out. An interrupted
/// import can be repeated: existing memories are not loaded twice.
///
/// Of another program, what it had stored as memories is loaded; --messages adds what the person said in conversations. What
/// cannot be read is left out and named.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Application (its client_id) that the memories will belong to
    #[arg(long, value_name = "CLIENT_ID")]
    application: ApplicationId,
    /// The person (login) whose memories they become, in the space of the application
    #[arg(long, value_name = "LOGIN")]
    user: Option<Login>,
    /// The format of the file [default: found out]
    #[arg(long, value_name = "memgate|chatgpt|claude|mem0|server-memory|basic-memory")]
    format: Option<ImportFormat>,
    /// Load the person's own messages in conversations of ChatGPT or Claude, too
    #[arg(long)]
    messages: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open(config).await?;
        let application = find::application(&backend, self.application).await?;
        let scope = match &self.user {
            Some(login) => {
                let person = find::person(&backend, login).await?;
                MemoryScope::from_stored(application.space.clone(), Some(person.id))
            }
            None => MemoryScope::of_application(&application),
        };
        // The input is read twice, which standard input cannot be.
        let copied = if self.file.as_os_str() == "-" { Some(copy_of_standard_input()?) } else { None };
        let this = Self { file: copied.as_ref().map_or(self.file, |copied| copied.path().to_owned()), ..self };
        let reader = ImportReader::new(scope, backend.now()).by(Actor::Application(application.id));
        if foreign::holds_rows(&this.file, this.format)? {
            return this.load(&backend, reader, None).await;
        }
        let translated = foreign::translate(&this.file, this.format, this.messages)?;
        let this = Self { file: translated.rows.path().to_owned(), ..this };
        this.load(&backend, reader.merging_equal_rows(), Some(&translated)).await
    }

    async fn load(&self, backend: &Backend, reader: ImportReader, origin: Option<&Translated>) -> Result<(), CliError> {
        let space = reader.scope().space().clone();
        let total = self.check(&reader)?;
        let (bank, tenants) = (backend.bank(), backend.tenants());
        let mut loading = Loading::new(bank, tenants, reader.scope().clone(), progress_bar(total));
        let mut reader = reader.expecting(total);
        let mut expired = 0_u64;
        for row in self.rows()? {
            let (number, text) = row?;
            match reader.read(&text).map_err(|error| bad_row(number, &error))? {
                ImportRow::Memory(memory) => loading.add(*memory, number, text.len()).await?,
                ImportRow::Expired => expired += 1,
            }
        }
        let ImportCounts { loaded, known, refused } = loading.finish().await?;
        if self.json {
            let mut outcome = json!({
                "rows": total, "loaded": loaded, "already_there": known, "expired": expired, "refused": refused.len(),
            });
            if let Some(translated) = origin {
                outcome["format"] = json!(translated.format());
                outcome["messages_left_out"] = json!(translated.messages);
                outcome["left_out"] = json!(translated.left_out.left_out);
            }
            output::json(&outcome)?;
        } else {
            output::line(format!(
                "Loaded {loaded} memories into {space}; {known} were there already, {expired} have expired and were left out."
            ))?;
        }
        if let Some(translated) = origin.filter(|_| !self.json) {
            tell_what_was_left_out(translated)?;
        }
        if refused.is_empty() {
            return Ok(());
        }
        let number = refused.len();
        let text = format!("the memory bank refused {number} of the memories:\n{}", first_of(refused));
        Err(CliError::failed(text))
    }

    /// Validates the whole file without loading anything. Returns the number of rows.
    fn check(&self, reader: &ImportReader) -> Result<u64, CliError> {
        let (mut total, mut errors) = (0, Vec::new());
        let mut reader = reader.clone();
        for row in self.rows()? {
            let (number, text) = row?;
            match reader.read(&text) {
                Ok(_) => total += 1,
                Err(error) => errors.push((number, error.to_string())),
            }
        }
        if errors.is_empty() {
            return Ok(total);
        }
        let (bad, file) = (errors.len(), self.file.display());
        Err(CliError::failed(format!("nothing was loaded, {bad} lines of {file} are wrong:\n{}", first_of(errors))))
    }

    /// The non-blank lines, with their numbers from 1.
    fn rows(&self) -> Result<impl Iterator<Item = Result<(usize, String), CliError>>, CliError> {
        let name = self.file.display().to_string();
        let file =
            File::open(&self.file).map_err(|error| CliError::failed(format!("{name} cannot be read: {error}")))?;
        let lines = BufReader::new(file).split(b'\n').enumerate();
        Ok(lines.filter_map(move |(index, line)| {
            let number = index + 1;
            let text = line.map_err(|error| CliError::failed(format!("{name}, line {number}: {error}")));
            let text = text.and_then(|bytes| {
                String::from_utf8(bytes).map_err(|_| CliError::failed(format!("{name}, line {number}: is not UTF-8")))
            });
            let text = text.map(|text| if index == 0 { without_byte_order_mark(&text).to_owned() } else { text });
            match text {
                Ok(text) if ImportReader::trim(&text).is_empty() => None,
                other => Some(other.map(|text| (number, text))),
            }
        }))
    }
}

fn tell_what_was_left_out(translated: &Translated) -> Result<(), CliError> {
    let Translated { messages, left_out, .. } = translated;
    output::line(format!("It was read as an export of {}.", translated.format()))?;
    if *messages > 0 {
        output::line(format!("{messages} messages of the person were left out; --messages loads them, too."))?;
    }
    if left_out.left_out > 0 {
        output::line(format!("{} items were left out:", left_out.left_out))?;
    }
    left_out.reasons.iter().try_for_each(|item| output::line(format!("{}: {}", item.place, item.reason())))
}

fn copy_of_standard_input() -> Result<NamedTempFile, CliError> {
    let mut copy = NamedTempFile::new().map_err(CliError::failed)?;
    io::copy(&mut io::stdin().lock(), &mut copy).map_err(CliError::failed)?;
    Ok(copy)
}

/// Rows on their way into the bank.
struct Loading {
    bank: Arc<dyn MemoryBank>,
    tenants: Arc<dyn TenantRegistry>,
    scope: MemoryScope,
    /// The next part of the file: the numbers of its rows, and their memories.
    next: (Vec<usize>, Vec<NewMemory>),
    /// The size of its rows.
    bytes: usize,
    running: JoinSet<LoadedPart>,
    progress: ProgressBar,
    so_far: ImportCounts,
}

/// A part of the file that the bank was given.
struct LoadedPart {
    numbers: Vec<usize>,
    outcomes: Result<Vec<IsNew>, MemoryBankError>,
}

/// The outcome of the rows.
#[derive(Default)]
struct ImportCounts {
    loaded: u64,
    known: u64,
    /// The rows that the bank refused permanently: their numbers, and the reasons.
    refused: Vec<(usize, String)>,
}

impl Loading {
    fn new(
        bank: Arc<dyn MemoryBank>,
        tenants: Arc<dyn TenantRegistry>,
        scope: MemoryScope,
        progress: ProgressBar,
    ) -> Self {
        Self {
            bank,
            tenants,
            scope,
            next: Default::default(),
            bytes: 0,
            running: JoinSet::new(),
            progress,
            so_far: ImportCounts::default(),
        }
    }

    async fn add(&mut self, memory: NewMemory, number: usize, bytes: usize) -> Result<(), CliError> {
        self.bytes += bytes;
        self.next.0.push(number);
        self.next.1.push(memory);
        let is_full = self.next.1.len() == MAX_AT_ONCE || self.bytes >= BYTES_AT_ONCE;
        if is_full { self.load_next().await } else { Ok(()) }
    }

    async fn load_next(&mut self) -> Result<(), CliError> {
        while self.running.len() >= PARTS_AT_A_TIME {
            self.wait_for_one().await?;
        }
        let (bank, tenants, scope) = (Arc::clone(&self.bank), Arc::clone(&self.tenants), self.scope.clone());
        let (numbers, memories) = std::mem::take(&mut self.next);
        self.bytes = 0;
        let store = async move { bank.create_all(&Admitted::by(&*tenants, &scope).await?, memories).await };
        self.running.spawn(async move { LoadedPart { numbers, outcomes: store.await } });
        Ok(())
    }

    /// Returns whether there was a part to wait for.
    async fn wait_for_one(&mut self) -> Result<bool, CliError> {
        let Some(done) = self.running.join_next().await else { return Ok(false) };
        let LoadedPart { numbers, outcomes } = done.map_err(CliError::failed)?;
        let stop = |number: Option<usize>, error| {
            tracing::error!(line = number, "the import stopped; repeat it to continue");
            CliError::failed(error)
        };
        let outcomes = outcomes.map_err(|error| stop(numbers.first().copied(), error))?;
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            match outcome {
                Ok(true) => self.so_far.loaded += 1,
                Ok(false) => self.so_far.known += 1,
                // One refused memory must not stop the others.
                Err(error @ (MemoryBankError::Rejected(_) | MemoryBankError::Unsupported(_))) => {
                    self.so_far.refused.push((number, error.to_string()));
                }
                Err(error) => return Err(stop(Some(number), error)),
            }
            self.progress.inc(1);
        }
        Ok(true)
    }

    async fn finish(mut self) -> Result<ImportCounts, CliError> {
        self.load_next().await?;
        while self.wait_for_one().await? {}
        self.progress.finish_and_clear();
        self.so_far.refused.sort();
        Ok(self.so_far)
    }
}

/// The first errors with their lines, and the number of further ones.
fn first_of(errors: Vec<(usize, String)>) -> String {
    let more = errors.len().saturating_sub(NAMED_ERRORS);
    let mut lines: Vec<String> =
        errors.into_iter().take(NAMED_ERRORS).map(|(number, error)| format!("line {number}: {error}")).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

fn bad_row(number: usize, problem: &ImportProblem) -> CliError {
    CliError::failed(format!("line {number}: {problem}"))
}

/// A progress bar on a terminal, and nothing elsewhere.
fn progress_bar(total: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:40} {pos}/{len} memories, {per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
