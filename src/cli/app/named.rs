//! The application that a command names.

use clap::Args;

use crate::cli::error::CliError;
use crate::domain::applications::ApplicationError;
use crate::domain::ids::ApplicationId;

/// An application, by ID.
#[derive(Debug, Args)]
pub(in crate::cli) struct ByClientId {
    /// Application ID (its client_id)
    #[arg(value_name = "CLIENT_ID")]
    pub(super) id: ApplicationId,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Invalid input is a usage error; the rest is not.
pub(super) fn explain(error: ApplicationError) -> CliError {
    match error {
        ApplicationError::Invalid(invalid) => CliError::Usage(invalid.to_string()),
        ApplicationError::NotFound => {
            CliError::failed("there is no application with this ID; `memgate app list` shows them")
        }
        ApplicationError::SecretNotFound => CliError::failed(
            "the application has no secret with this ID; `memgate app secret list CLIENT_ID` shows them",
        ),
        other => CliError::failed(other),
    }
}
