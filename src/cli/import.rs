//! `memgate import`: an operator loads memories from a file.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use tokio::task::JoinSet;

use super::input::without_byte_order_mark;
use super::{CliError, output};
use crate::app::{Backend, ImportRow, Importer, RowError};
use crate::config::Config;
use crate::domain::ids::ApplicationId;
use crate::domain::memories::{MemoryBank, MemoryBankError};

/// How many bad rows are named before the rest is only counted.
const NAMED_ERRORS: usize = 20;
/// How many rows are on their way at a time; the database commits them in groups.
const AT_A_TIME: usize = 64;

/// Load memories from a JSONL file into the space of an application
///
/// Each line is one JSON object: content (text), and optionally categories (list of texts), metadata (object),
/// context ({"custom_gpt_id", "conversation_id"}), priority (low, normal, high), created_at and expires_at (RFC 3339).
/// The whole file is checked first: if a line is wrong nothing is loaded. An import that was interrupted can be started
/// again: what is there already is not loaded twice.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file
    #[arg(value_name = "FILE.jsonl")]
    file: PathBuf,
    /// The application (its client_id) whose memories they become
    #[arg(long, value_name = "CLIENT_ID")]
    application: ApplicationId,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

impl Import {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = Backend::open(config).await.map_err(CliError::failed)?;
        let application = backend.applications().get(self.application).await.map_err(|error| {
            CliError::failed(format!("the application {} cannot be used: {error}", self.application))
        })?;
        let importer = Importer::new(&backend, &application);
        let total = self.check(&importer)?;
        let mut loading = Loading::new(importer.bank(), progress_bar(total));
        let mut importer = importer.expecting(total);
        for row in self.rows()? {
            let (number, text) = row?;
            let row = importer.parse(&text).map_err(|error| bad_row(number, &error))?;
            loading.add(row, number).await?;
        }
        let (loaded, known) = loading.finish().await?;
        if self.json {
            return output::json(&json!({ "rows": total, "loaded": loaded, "already_there": known }));
        }
        output::line(format!("Loaded {loaded} memories into {}; {known} were there already.", application.space))
    }

    /// Reads the whole file once without loading anything. Returns how many rows it has.
    fn check(&self, importer: &Importer) -> Result<u64, CliError> {
        let (mut total, mut errors) = (0, Vec::new());
        let mut bad = 0_usize;
        let mut importer = importer.clone();
        for row in self.rows()? {
            let (number, text) = row?;
            match importer.parse(&text) {
                Ok(_) => total += 1,
                Err(error) => {
                    bad += 1;
                    if errors.len() < NAMED_ERRORS {
                        errors.push(format!("line {number}: {error}"));
                    }
                }
            }
        }
        if bad == 0 {
            return Ok(total);
        }
        if bad > errors.len() {
            errors.push(format!("and {} more", bad - errors.len()));
        }
        let file = self.file.display();
        Err(CliError::failed(format!("nothing was loaded, {bad} lines of {file} are wrong:\n{}", errors.join("\n"))))
    }

    /// The lines that are not blank, with their numbers from 1.
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
                Ok(text) if text.trim().is_empty() => None,
                other => Some(other.map(|text| (number, text))),
            }
        }))
    }
}

/// Rows on their way into the bank.
struct Loading {
    bank: Arc<dyn MemoryBank>,
    running: JoinSet<Result<bool, CliError>>,
    progress: ProgressBar,
    loaded: u64,
    known: u64,
}

impl Loading {
    fn new(bank: Arc<dyn MemoryBank>, progress: ProgressBar) -> Self {
        Self { bank, running: JoinSet::new(), progress, loaded: 0, known: 0 }
    }

    async fn add(&mut self, row: ImportRow, number: usize) -> Result<(), CliError> {
        while self.running.len() >= AT_A_TIME {
            self.wait_for_one().await?;
        }
        let bank = Arc::clone(&self.bank);
        self.running.spawn(async move {
            load(&*bank, &row).await.map_err(|error| {
                tracing::error!(line = number, "the import stopped; start it again to go on");
                CliError::failed(error)
            })
        });
        Ok(())
    }

    /// Returns whether there was one to wait for.
    async fn wait_for_one(&mut self) -> Result<bool, CliError> {
        let Some(done) = self.running.join_next().await else { return Ok(false) };
        *if done.map_err(CliError::failed)?? { &mut self.loaded } else { &mut self.known } += 1;
        self.progress.inc(1);
        Ok(true)
    }

    /// How many rows were loaded, and how many were there already.
    async fn finish(mut self) -> Result<(u64, u64), CliError> {
        while self.wait_for_one().await? {}
        self.progress.finish_and_clear();
        Ok((self.loaded, self.known))
    }
}

/// Loads one row; returns whether it is new.
async fn load(bank: &dyn MemoryBank, row: &ImportRow) -> Result<bool, MemoryBankError> {
    if bank.get(&row.scope, &row.memory.id, row.memory.created_at).await?.is_some() {
        return Ok(false);
    }
    bank.create(&row.scope, &row.memory).await.map(|_| true)
}

fn bad_row(number: usize, error: &RowError) -> CliError {
    CliError::failed(format!("line {number}: {error}"))
}

/// A bar on a terminal, and nothing elsewhere.
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
