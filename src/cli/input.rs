//! Text from standard input.

use std::io::{self, Read as _};

use super::CliError;

/// The byte order mark that some programs (on Windows above all) put before text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads standard input, at most `most` bytes, without a leading byte order mark. `what` names it in errors.
pub(super) fn read_text(what: &str, most: u64) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    io::stdin().take(most).read_to_end(&mut bytes).map_err(CliError::failed)?;
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| CliError::Usage(format!("{what} on standard input is not UTF-8 text")))?;
    Ok(without_byte_order_mark(&text).to_owned())
}

/// The text without a leading byte order mark.
fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}
