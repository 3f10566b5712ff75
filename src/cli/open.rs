//! Opens the database for a command.

use super::error::CliError;
use super::output;
use crate::app::Backend;
use crate::config::Config;

/// Opens the database, which must exist with its schema up to date, and names it.
pub(super) async fn open(config: &Config) -> Result<Backend, CliError> {
    let backend = Backend::open(config).await.map_err(CliError::failed)?;
    output::name_database(backend.location());
    Ok(backend)
}

/// As [`open`], with the embedding model, if one is configured.
pub(super) async fn open_with_model(config: &Config) -> Result<Backend, CliError> {
    let backend = Backend::open_with_model(config).await.map_err(CliError::failed)?;
    output::name_database(backend.location());
    Ok(backend)
}
