//! `memgate config`: what is configured.

use std::path::Path;

use clap::Subcommand;
use serde_json::{Map, json};

use super::{CliError, output};
use crate::config::{Config, Values};

/// Look at the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting, its value and where that comes from; secrets are redacted
    Show {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

impl ConfigCommand {
    pub(super) fn run(self, file: Option<&Path>) -> Result<(), CliError> {
        let Self::Show { json } = self;
        let values = Values::gather(file, std::env::vars())?;
        let rows: Vec<_> = values
            .iter()
            .map(|(setting, value, source)| {
                (setting, if setting.secret { redact(value) } else { value.to_owned() }, source)
            })
            .collect();
        if json {
            let members: Map<_, _> = rows
                .iter()
                .map(|(setting, value, source)| {
                    (setting.name.to_owned(), json!({ "value": value, "source": source.to_string() }))
                })
                .collect();
            output::json(&members)?;
        } else {
            let rows: Vec<_> = rows
                .iter()
                .map(|(setting, value, source)| {
                    vec![setting.variable(), value.clone(), source.to_string(), setting.help.to_owned()]
                })
                .collect();
            output::table(&["variable", "value", "from", "meaning"], &rows)?;
        }
        // What is shown may still be wrong; then that is said too.
        Config::from_values(&values)?;
        Ok(())
    }
}

/// Of a database's URL all but the password is shown, of any other secret nothing.
fn redact(value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    let Ok(mut url) = url::Url::parse(value) else { return "[redacted]".to_owned() };
    match url.scheme() {
        "sqlite" => return value.to_owned(),
        "postgres" | "postgresql" => {}
        // Many a secret reads as a URL: whatever has a colon after some letters.
        _ => return "[redacted]".to_owned(),
    }
    if url.password().is_some() && url.set_password(Some("redacted")).is_err() {
        return "[redacted]".to_owned();
    }
    // A password can stand among the parameters too.
    if url.query_pairs().any(|(name, _)| name.contains("password")) {
        url.set_query(None);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn nothing_but_the_url_of_a_database_is_shown() {
        for (value, shown) in [
            ("", ""),
            ("hunter2", "[redacted]"),
            ("client:hunter2", "[redacted]"),
            ("https://hunter2", "[redacted]"),
            ("sqlite://memgate.db?mode=rwc", "sqlite://memgate.db?mode=rwc"),
            ("postgres://me:hunter2@db/memgate", "postgres://me:redacted@db/memgate"),
            ("postgresql://db/memgate?user=me&password=hunter2", "postgresql://db/memgate"),
        ] {
            assert_eq!(redact(value), shown);
        }
    }
}
