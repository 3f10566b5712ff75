//! Files of other programs, as rows that `memgate import` loads.

use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::cli::CliError;
use crate::domain::memories::{ImportFormat, ImportReport, Item, Items, Part, Place};

/// How much of the file is read at a time.
const PIECE: usize = 64 * 1024;
/// The first bytes of a ZIP archive.
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// A file of another program, as rows.
pub(super) struct Translated {
    /// The rows, one per line.
    pub(super) rows: NamedTempFile,
    /// How many messages of the person were not asked for.
    pub(super) messages: u64,
    /// The items that were left out.
    pub(super) left_out: ImportReport,
}

/// The format of a file, by its first item.
pub(super) fn detect(file: &Path) -> Result<ImportFormat, CliError> {
    let mut found = None;
    for_each_item(file, &mut |_, item| {
        let value = item.ok().and_then(|item| serde_json::from_slice::<Value>(&item).ok());
        found = value.as_ref().and_then(ImportFormat::detect);
        Ok(false)
    })?;
    // What is none of the others is refused line by line, with a reason.
    Ok(found.unwrap_or(ImportFormat::Memgate))
}

/// Reads a file of another program.
pub(super) fn translate(file: &Path, format: ImportFormat, messages: bool) -> Result<Translated, CliError> {
    let mut rows = BufWriter::new(NamedTempFile::new().map_err(CliError::failed)?);
    let (mut left_out, mut unwanted) = (ImportReport::default(), 0);
    for_each_item(file, &mut |place, item| {
        let value = item
            .map_err(str::to_owned)
            .and_then(|item| serde_json::from_slice::<Value>(&item).map_err(|error| format!("is not JSON: {error}")));
        match value.and_then(|value| format.rows(&value).map_err(str::to_owned)) {
            Ok(read) => {
                for row in read {
                    if row.part == Part::Messages && !messages {
                        unwanted += 1;
                    } else {
                        writeln!(rows, "{}", row.json).map_err(CliError::failed)?;
                    }
                }
            }
            Err(reason) => left_out.leave_out(place, reason),
        }
        Ok(true)
    })?;
    let rows = rows.into_inner().map_err(|error| CliError::failed(error.into_error()))?;
    Ok(Translated { rows, messages: unwanted, left_out })
}

/// Calls `take` with each item of a file until it returns `false`.
fn for_each_item(file: &Path, take: &mut dyn FnMut(Place, Item) -> Result<bool, CliError>) -> Result<(), CliError> {
    let name = file.display();
    let cannot = |error: std::io::Error| CliError::failed(format!("{name} cannot be read: {error}"));
    let mut input = File::open(file).map_err(cannot)?;
    let (mut items, mut piece, mut number) = (Items::default(), vec![0; PIECE], 0_u64);
    loop {
        let length = input.read(&mut piece).map_err(cannot)?;
        if number == 0 && piece.starts_with(&ZIP) {
            let problem =
                format!("{name} is a ZIP archive: unpack it, and import conversations.json or memories.json in it");
            return Err(CliError::Usage(problem));
        }
        let read = if length == 0 {
            std::mem::take(&mut items).end().into_iter().collect()
        } else {
            items.push(&piece[..length])
        };
        for item in read {
            number += 1;
            if !take(Place { unit: "item", number }, item)? {
                return Ok(());
            }
        }
        if length == 0 {
            return Ok(());
        }
    }
}
