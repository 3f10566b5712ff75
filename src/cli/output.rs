//! What is printed, and how: results on standard output, everything else on standard error.

use std::error::Error;
use std::io::{self, Write as _};

use serde::Serialize;

use super::CliError;
use crate::domain::validation::is_bidi_control;

/// Prints an error with its causes.
pub(super) fn error(error: &CliError) {
    let mut text = format!("error: {error}");
    let mut source = Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Transparent errors repeat the text of their source.
        if !text.ends_with(&cause_text) {
            text = format!("{text}\n  because: {cause_text}");
        }
        source = cause.source();
    }
    // Where standard error is closed there is nobody left to tell.
    let _closed = writeln!(io::stderr(), "{text}");
}

/// Prints a line. A reader that has gone away, such as `head`, is no error.
pub(super) fn line(text: impl AsRef<str>) -> Result<(), CliError> {
    match writeln!(io::stdout(), "{}", text.as_ref()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::failed(error)),
        _ => Ok(()),
    }
}

/// Prints one JSON value on one line.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    line(serde_json::to_string(value).map_err(CliError::failed)?)
}

/// Prints rows under headings, as wide as they need to be.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let headings = headings.iter().map(|heading| heading.to_uppercase()).collect();
    for row in std::iter::once(&headings).chain(&rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        line(cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// A cell in which nothing turns the text around it: a terminal follows the control characters of a name that was
/// registered before they were refused, or that an identity provider sent.
fn printable(cell: &str) -> String {
    let escaped = |c: char| if is_bidi_control(c) { c.escape_unicode().to_string() } else { c.to_string() };
    cell.chars().map(escaped).collect()
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
