//! The argument `--public-url`. It is a text to clap, which would repeat an invalid value in its error, with a password in it.

use super::CliError;
use crate::config::Config;
use crate::domain::oauth::PublicUrl;
use crate::domain::validation::InvalidValue;

/// Parses what was given.
pub(super) fn parse(given: &str) -> Result<PublicUrl, CliError> {
    given.parse().map_err(|invalid: InvalidValue| CliError::Usage(format!("--public-url {}", invalid.problem())))
}

/// What was given, or the configured one.
pub(super) fn given_or_configured(given: Option<&str>, config: &Config) -> Result<Option<PublicUrl>, CliError> {
    given.map_or_else(|| Ok(config.public_url.clone()), |given| parse(given).map(Some))
}
