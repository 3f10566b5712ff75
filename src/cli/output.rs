//! Output: results on standard output, everything else on standard error.

use std::io::{self, Write as _};
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Value;

use super::error::CliError;
use crate::domain::system::causes;
use crate::domain::validation::is_bidi_control;

/// The database of this process, once it is open.
static DATABASE: OnceLock<String> = OnceLock::new();

/// Names the database of this process: at once on standard error, and in each JSON object that is printed.
pub(super) fn name_database(location: &str) {
    let location = DATABASE.get_or_init(|| location.to_owned());
    // As in `error`.
    let _closed = writeln!(io::stderr(), "database: {location}");
}

/// Prints an error with its causes.
pub(super) fn error(error: &CliError) {
    let mut text = format!("error: {error}");
    for cause in causes(error).skip(1).map(ToString::to_string) {
        // Transparent errors repeat the text of their source.
        if !text.ends_with(&cause) {
            text = format!("{text}\n  because: {cause}");
        }
    }
    // If standard error is closed, there is nobody left to tell.
    let _closed = writeln!(io::stderr(), "{text}");
}

/// Prints a line. A closed pipe, as with `head`, is not an error.
pub(super) fn line(text: impl AsRef<str>) -> Result<(), CliError> {
    write(&format!("{}\n", text.as_ref()))
}

fn write(text: &str) -> Result<(), CliError> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::failed(error)),
        _ => Ok(()),
    }
}

/// Prints one JSON value on one line. An object also names the database, if there is one.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let mut value = serde_json::to_value(value).map_err(CliError::failed)?;
    if let (Value::Object(members), Some(location)) = (&mut value, DATABASE.get()) {
        members.insert("database".to_owned(), location.as_str().into());
    }
    line(value.to_string())
}

/// Prints a table with column widths that fit.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
    let mut table = Table::new(headings);
    table.add(rows)?;
    table.end()
}

/// A table that is printed in batches. Its column widths fit the first batch.
pub(super) struct Table {
    headings: Option<Vec<String>>,
    widths: Vec<usize>,
}

impl Table {
    pub(super) fn new(headings: &[&str]) -> Self {
        let widths = headings.iter().map(|heading| heading.chars().count()).collect();
        Self { headings: Some(headings.iter().map(|heading| heading.to_uppercase()).collect()), widths }
    }

    pub(super) fn add(&mut self, rows: &[Vec<String>]) -> Result<(), CliError> {
        if rows.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
        for row in rows.iter().filter(|_| self.headings.is_some()) {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let headings = self.headings.take();
        headings.iter().chain(&rows).try_for_each(|row| self.print(row))
    }

    pub(super) fn end(mut self) -> Result<(), CliError> {
        self.headings.take().map_or(Ok(()), |headings| self.print(&headings))
    }

    fn print(&self, row: &[String]) -> Result<(), CliError> {
        let cells: Vec<String> = row.iter().zip(&self.widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        line(cells.join("  ").trim_end())
    }
}

/// A JSON array that is printed value by value.
#[derive(Default)]
pub(super) struct JsonArray {
    has_values: bool,
}

impl JsonArray {
    pub(super) fn add(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let value = serde_json::to_string(value).map_err(CliError::failed)?;
        let before = if std::mem::replace(&mut self.has_values, true) { ",\n" } else { "[" };
        write(&format!("{before}{value}"))
    }

    pub(super) fn end(self) -> Result<(), CliError> {
        line(if self.has_values { "]" } else { "[]" })
    }
}

/// Escapes control characters, which a terminal would interpret: they may be in a name that was registered before they
/// were rejected, or that an identity provider sent.
pub(super) fn printable(text: &str) -> String {
    let escaped = |c: char| if is_bidi_control(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_name_turns_nothing_around_in_a_table() {
        assert_eq!(printable("a\u{202e}b\u{2066}"), "a\\u{202e}b\\u{2066}");
        assert_eq!(printable("Jürgen 🦊"), "Jürgen 🦊");
    }
}
