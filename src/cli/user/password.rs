//! Passwords are read from standard input, never from the command line, which other users of the machine can see.

use std::io::{self, IsTerminal as _};

use crate::cli::{CliError, input};
use crate::domain::people::Password;

/// Reads a new password: twice without echo on a terminal, else all of standard input without a leading byte order mark and
/// without one trailing line break.
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
    // More than any password, so that one that is too long is rejected and not truncated.
    const MOST: u64 = 4096;
    let text = input::read_text("the password", MOST)?;
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    Ok(line.unwrap_or(&text).to_owned())
}
