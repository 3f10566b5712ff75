//! Problems of a configuration whose individual values are valid.

use std::error::Error;

use secrecy::ExposeSecret as _;

use super::embedder;
use crate::adapters::database::Database;
use crate::adapters::http::{self, Tls};
use crate::adapters::key_file;
use crate::config::Config;

/// Why `memgate serve` would refuse to start, as far as it can be determined without connecting to anything or writing:
/// pairs of a variable and the problem. No text contains a secret.
#[must_use]
pub fn problems_at_start(config: &Config) -> Vec<(&'static str, String)> {
    let database = Database::check_url(config.database_url.expose_secret());
    let mut problems = Vec::new();
    let mut note = |variable, error: Option<&dyn Error>| {
        if let Some(error) = error {
            problems.push((variable, with_source(error)));
        }
    };
    note("MEMGATE_DATABASE_URL", database.as_ref().err().map(|error| error as &dyn Error));
    let master_key = key_file::check(config.master_key.as_ref(), config.database_url.expose_secret());
    note("MEMGATE_MASTER_KEY", master_key.as_ref().err().map(|error| error as &dyn Error));
    let tls = config.tls.clone().map(Tls::load).transpose();
    note("MEMGATE_TLS_CERT", tls.as_ref().err().map(|error| error as &dyn Error));
    let privacy = http::load_privacy_policy(config.privacy_file.as_deref());
    note("MEMGATE_PRIVACY_FILE", privacy.as_ref().err().map(|error| error as &dyn Error));
    let embedder = embedder::load_here(config);
    note("MEMGATE_EMBEDDING_MODEL", embedder.as_ref().err().map(|error| error as &dyn Error));
    problems
}

fn with_source(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
