//! Files of other programs, as rows that `memgate import` loads.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::cli::CliError;
use crate::domain::memories::{ImportFormat, ImportReport, Part, Reading};
use crate::files::{self, FileError, FileLimits};

/// What an archive of an operator may amount to.
const LIMITS: FileLimits = FileLimits { unpacked: 64 << 30, files: 1_000_000 };

/// A file of another program, as rows.
pub(super) struct Translated {
    /// The rows, one per line.
    pub(super) rows: NamedTempFile,
    /// The formats that were found.
    pub(super) formats: Vec<ImportFormat>,
    /// How many messages of the person were not asked for.
    pub(super) messages: u64,
    /// The items that were left out.
    pub(super) left_out: ImportReport,
}

impl Translated {
    /// The names of the formats.
    pub(super) fn format(&self) -> String {
        let names: Vec<&str> = self.formats.iter().map(|format| format.as_str()).collect();
        if names.is_empty() { "nothing that is known".to_owned() } else { names.join(", ") }
    }
}

/// Whether a file is an export of memgate, of which each line is a row.
pub(super) fn holds_rows(file: &Path, format: Option<ImportFormat>) -> Result<bool, CliError> {
    let mut opened = open(file)?;
    if files::is_archive(&mut opened).map_err(|error| unreadable(file, &error))? {
        return Ok(false);
    }
    if let Some(format) = format {
        return Ok(format == ImportFormat::Memgate);
    }
    let mut reading = Reading::new(None);
    match files::read(opened, &name(file), LIMITS, &mut reading, &mut |_| Err(())) {
        // The first row says what it is.
        Ok(()) | Err(FileError::Taker(())) => {}
        Err(FileError::File(error)) => return Err(unreadable(file, &error)),
        Err(_) => return Ok(false),
    }
    // What is none of the others is refused line by line, with a reason.
    Ok(reading.formats.first().is_none_or(|format| *format == ImportFormat::Memgate))
}

/// Reads a file of another program, or an archive.
pub(super) fn translate(file: &Path, format: Option<ImportFormat>, messages: bool) -> Result<Translated, CliError> {
    let mut rows = BufWriter::new(NamedTempFile::new().map_err(CliError::failed)?);
    let (mut reading, mut unwanted) = (Reading::new(format), 0);
    let read = files::read(open(file)?, &name(file), LIMITS, &mut reading, &mut |found| {
        if found.row.part == Part::Messages && !messages {
            unwanted += 1;
            return Ok(());
        }
        writeln!(rows, "{}", found.row.json)
    });
    match read {
        Ok(()) => {}
        Err(FileError::File(error)) => return Err(unreadable(file, &error)),
        Err(FileError::Taker(error)) => return Err(CliError::failed(error)),
        Err(error) => return Err(CliError::failed(format!("{}: {error}; nothing was loaded", file.display()))),
    }
    let rows = rows.into_inner().map_err(|error| CliError::failed(error.into_error()))?;
    Ok(Translated { rows, formats: reading.formats, messages: unwanted, left_out: reading.left_out })
}

fn open(file: &Path) -> Result<File, CliError> {
    File::open(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &io::Error) -> CliError {
    CliError::failed(format!("{} cannot be read: {error}", file.display()))
}

fn name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
