//! Confirmation of irreversible commands.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use super::{CliError, output};

/// Skips the confirmation.
#[derive(Debug, Args)]
pub(super) struct Confirmation {
    /// Do not ask for confirmation; needed without a terminal, as in scripts
    #[arg(long)]
    yes: bool,
}

impl Confirmation {
    /// Prints what will be lost on standard error, and asks for confirmation, unless it was given already.
    pub(super) fn ask(&self, loss: &str) -> Result<(), CliError> {
        let mut stderr = io::stderr();
        writeln!(stderr, "{}\nThis cannot be undone.", output::printable(loss)).map_err(CliError::failed)?;
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !stderr.is_terminal() {
            return Err(CliError::Usage(
                "there is no terminal to ask for confirmation, so nothing was done; use --yes".to_owned(),
            ));
        }
        write!(stderr, "Continue? [y/N] ").and_then(|()| stderr.flush()).map_err(CliError::failed)?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(CliError::failed)?;
        if agrees(&answer) { Ok(()) } else { Err(CliError::failed("nothing was done")) }
    }
}

fn agrees(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::agrees;

    #[test]
    fn nothing_but_yes_is_yes() {
        assert!(["y\n", "Y", " yes \r\n", "YES"].iter().all(|answer| agrees(answer)));
        assert!(["", "\n", "n", "no", "yep", "y n"].iter().all(|answer| !agrees(answer)));
    }
}
