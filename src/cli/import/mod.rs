//! `memgate import`: loads memories from a file.

mod foreign;
mod lines;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tempfile::NamedTempFile;

use self::foreign::Translated;
use self::lines::FileLines;
use super::{CliError, find, open, output};
use crate::config::Config;
use crate::domain::ids::ApplicationId;
use crate::domain::memories::{
    ImportFormat, ImportProblem, ImportReader, ImportReport, ImportStopped, MemoryTransfers, Place,
};
use crate::domain::people::Login;

/// Maximum number of invalid rows that are listed; the rest is only counted.
const NAMED_ERRORS: usize = 20;

/// Load memories from a file into the space of an application
///
/// The file is an export of memgate, or of another program: ChatGPT (conversations.json), Claude (conversations.json or
/// memories.json), mem0 (JSON), the MCP server "memory" (JSON lines) or basic-memory (Markdown), or a ZIP archive of such files.
/// Which one is found out, unless --format says it.
///
/// Of memgate, each line is one JSON object: content (text), and optionally categories (list of texts), metadata (object),
/// context ({"custom_gpt_id", "conversation_id"}), priority (low, normal, high), created_at, occurred_at, updated_at and
/// expires_at (RFC 3339), created_by and history (as an export writes them).
/// The whole file is validated first: if a line is invalid, nothing is loaded. Expired memories are left out. A line has at most
/// 1 MiB. Equal lines are one memory. An interrupted import can be repeated: existing memories are not loaded twice. The import is
/// in `memgate audit`, and the person sees it under /account/security.
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
        let person = match &self.user {
            Some(login) => Some(find::person(&backend, login).await?.id),
            None => None,
        };
        // The input is read twice, which standard input cannot be.
        let copied = if self.file.as_os_str() == "-" { Some(copy_of_standard_input()?) } else { None };
        let this = Self { file: copied.as_ref().map_or(self.file, |copied| copied.path().to_owned()), ..self };
        let transfers = backend.transfers();
        let reader = transfers.reader(&application, person);
        if foreign::holds_rows(&this.file, this.format)? {
            return this.load(&transfers, reader, None).await;
        }
        let translated = foreign::translate(&this.file, this.format, this.messages)?;
        let this = Self { file: translated.rows.path().to_owned(), ..this };
        this.load(&transfers, reader, Some(&translated)).await
    }

    async fn load(
        &self,
        transfers: &MemoryTransfers,
        reader: ImportReader,
        origin: Option<&Translated>,
    ) -> Result<(), CliError> {
        let space = reader.scope().space().clone();
        let total = self.check(&reader)?;
        let progress = progress_bar(total);
        let mut import = transfers.import(reader, total).await;
        for row in self.rows()? {
            let (number, text) = row?;
            let text = text.map_err(|problem| bad_row(number, &problem))?;
            import.add(Place::line(number), &text).await.map_err(stopped)?;
            progress.set_position(import.settled());
        }
        let report = import.finish().await.map_err(stopped)?;
        progress.finish_and_clear();
        let ImportReport { rows, created, duplicates, expired, left_out: refused, .. } = report;
        if self.json {
            let mut outcome = json!({
                "rows": rows, "loaded": created, "already_there": duplicates, "expired": expired, "refused": refused,
            });
            if let Some(translated) = origin {
                outcome["format"] = json!(translated.format());
                outcome["messages_left_out"] = json!(translated.messages);
                outcome["left_out"] = json!(translated.left_out.left_out);
            }
            output::json(&outcome)?;
        } else {
            output::line(format!(
                "Loaded {created} memories into {space}; {duplicates} were there already, {expired} have expired and were left out."
            ))?;
        }
        if let Some(translated) = origin.filter(|_| !self.json) {
            tell_what_was_left_out(translated)?;
        }
        if refused == 0 {
            return Ok(());
        }
        let named = report.reasons.iter().map(|refused| (refused.place.number, refused.problem.to_string()));
        let text = format!("the memory bank refused {refused} of the memories:\n{}", first_of(named, refused));
        Err(CliError::failed(text))
    }

    /// Validates the whole file without loading anything. Returns the number of rows.
    fn check(&self, reader: &ImportReader) -> Result<u64, CliError> {
        let (mut total, mut bad, mut named) = (0, 0_u64, Vec::new());
        let mut reader = reader.clone();
        for row in self.rows()? {
            let (number, text) = row?;
            match text.and_then(|text| reader.read(&text)) {
                Ok(_) => total += 1,
                Err(problem) => {
                    bad += 1;
                    if named.len() < NAMED_ERRORS {
                        named.push((number, problem.to_string()));
                    }
                }
            }
        }
        if bad == 0 {
            return Ok(total);
        }
        let (file, named) = (self.file.display(), first_of(named, bad));
        Err(CliError::failed(format!("nothing was loaded, {bad} lines of {file} are wrong:\n{named}")))
    }

    /// The lines that are not blank.
    fn rows(&self) -> Result<FileLines<File>, CliError> {
        let name = self.file.display().to_string();
        let file =
            File::open(&self.file).map_err(|error| CliError::failed(format!("{name} cannot be read: {error}")))?;
        Ok(FileLines::new(file, name))
    }
}

fn tell_what_was_left_out(translated: &Translated) -> Result<(), CliError> {
    let Translated { messages, left_out, .. } = translated;
    output::line(format!("It was read as an export of {}.", translated.format()))?;
    if *messages > 0 {
        output::line(format!("{messages} messages of the person were left out; --messages loads them, too."))?;
    }
    if left_out.left_out > 0 {
        output::line(format!("{} items or parts of items were left out:", left_out.left_out))?;
    }
    left_out.reasons.iter().try_for_each(|item| output::line(format!("{}: {}", item.place, item.reason())))
}

fn copy_of_standard_input() -> Result<NamedTempFile, CliError> {
    let mut copy = NamedTempFile::new().map_err(CliError::failed)?;
    io::copy(&mut io::stdin().lock(), &mut copy).map_err(CliError::failed)?;
    Ok(copy)
}

/// Why an import ended early.
fn stopped(ImportStopped { place, reason, .. }: ImportStopped) -> CliError {
    tracing::error!(line = place.number, "the import stopped; repeat it to continue");
    CliError::failed(reason)
}

/// The first errors with their lines, and how many more there are of `all`.
fn first_of(errors: impl IntoIterator<Item = (u64, String)>, all: u64) -> String {
    let named = errors.into_iter().take(NAMED_ERRORS).map(|(number, error)| format!("line {number}: {error}"));
    let mut lines: Vec<String> = named.collect();
    let more = all.saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

fn bad_row(number: u64, problem: &ImportProblem) -> CliError {
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
