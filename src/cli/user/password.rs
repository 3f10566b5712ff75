//! Where passwords come from: standard input, and never the command line, which others on the machine can read.

use std::io::{self, IsTerminal as _};

use crate::cli::{CliError, input};
use crate::domain::people::Password;

/// Reads a new password: twice and without showing it on a terminal, else all of standard input but a byte order mark at
/// its start and one line break at its end.
pub(super) fn read() -> Result<Password, CliError> {
    let text = if io::stdin().is_terminal() { ask()? } else { piped()? };
    Password::choose(&text).map_err(|error| CliError::Usage(error.to_string()))
}

fn ask() -> Result<String, CliError> {
    let password = rpassword::prompt_password("Password: ").map_err(CliError::failed)?;
    let again = rpassword::prompt_password("Once more: ").map_err(CliError::failed)?;
    if password == again { Ok(password) } else { Err(CliError::Usage("the two passwords differ".into())) }
}

fn piped() -> Result<String, CliError> {
    // More than any password, so that what is too long is refused and not cut.
    const MOST: u64 = 4096;
    let text = input::read_text("the password", MOST)?;
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    Ok(line.unwrap_or(&text).to_owned())
}
