//! `memgate config`: the configuration.

use std::path::Path;

use clap::Subcommand;
use serde_json::{Map, json};

use super::{CliError, output};
use crate::adapters::database::has_unescaped_credentials;
use crate::app::problems_at_start;
use crate::config::{Config, Setting, Values};

/// Show and check the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every setting, its value and the source of it; secrets are redacted
    Show {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

impl ConfigCommand {
    pub(super) fn run(self, file: Option<&Path>) -> Result<(), CliError> {
        let Self::Show { json } = self;
        let values = Values::load(file)?;
        let config = Config::from_values(&values);
        let mut problems = Config::problems(&values);
        if let Ok(config) = &config {
            problems.extend(problems_at_start(config).into_iter().map(|(variable, text)| (variable.to_owned(), text)));
        }
        let rows: Vec<SettingRow<'_>> = values
            .iter()
            .map(|(setting, value, source)| SettingRow {
                setting,
                value: if setting.secret { redact(value) } else { without_credentials(value) },
                source: source.to_string(),
                problem: problems.get(&setting.variable()).map(String::as_str),
            })
            .collect();
        if json {
            print_json(&rows)?;
        } else {
            print(&rows)?;
        }
        // The exit code tells scripts that the configuration is invalid.
        config.map(drop).map_err(CliError::from)
    }
}

/// A setting as displayed.
struct SettingRow<'a> {
    setting: &'static Setting,
    value: String,
    source: String,
    /// Why `memgate serve` rejects it.
    problem: Option<&'a str>,
}

fn print_json(rows: &[SettingRow<'_>]) -> Result<(), CliError> {
    let members: Map<_, _> = rows
        .iter()
        .map(|SettingRow { setting, value, source, problem }| {
            let mut member = json!({ "value": value, "source": source });
            if let Some(problem) = problem {
                member["problem"] = (*problem).into();
            }
            (setting.name.to_owned(), member)
        })
        .collect();
    output::json(&members)
}

fn print(rows: &[SettingRow<'_>]) -> Result<(), CliError> {
    let cells: Vec<_> = rows
        .iter()
        .map(|SettingRow { setting, value, source, problem }| {
            let meaning = problem.map_or_else(|| setting.help.to_owned(), |problem| format!("REFUSED: {problem}"));
            vec![setting.variable(), value.clone(), source.clone(), meaning]
        })
        .collect();
    output::table(&["variable", "value", "from", "meaning"], &cells)
}

/// Redacts the password of a database URL, and all of any other secret.
fn redact(value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    if has_unescaped_credentials(value) {
        return "[redacted]".to_owned();
    }
    let Ok(mut url) = url::Url::parse(value) else { return "[redacted]".to_owned() };
    match url.scheme() {
        "sqlite" => return value.to_owned(),
        "postgres" | "postgresql" => {}
        // Many secrets parse as URLs: anything with letters before a colon.
        _ => return "[redacted]".to_owned(),
    }
    if url.password().is_some() && url.set_password(Some("redacted")).is_err() {
        return "[redacted]".to_owned();
    }
    // The parameters may contain a password too.
    if url.query_pairs().any(|(name, _)| name.contains("password")) {
        url.set_query(None);
    }
    url.to_string()
}

/// A value whose URL, if it is one, is reduced to its address: without password, a lone user, query and fragment.
fn without_credentials(value: &str) -> String {
    const REDACTED: &str = "[redacted]";
    if !value.contains(['@', '?', '#']) {
        return value.to_owned();
    }
    match url::Url::parse(value) {
        Ok(mut url) if url.has_host() => {
            // A user without a password may be a token.
            let is_redacted = if url.password().is_some() {
                url.set_password(Some("redacted")).is_ok()
            } else {
                url.username().is_empty() || url.set_username("redacted").is_ok()
            };
            if !is_redacted {
                return REDACTED.to_owned();
            }
            for (is_there, set) in [
                (url.query().is_some(), url::Url::set_query as fn(&mut url::Url, Option<&str>)),
                (url.fragment().is_some(), url::Url::set_fragment),
            ] {
                if is_there {
                    set(&mut url, Some("redacted"));
                }
            }
            url.to_string()
        }
        // An invalid URL may be a mistyped one: `http:/me:secret@proxy`, `me:secret@proxy:3128`.
        _ if value.contains('@') && value.contains(':') => REDACTED.to_owned(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{redact, without_credentials};

    #[test]
    fn no_url_is_shown_with_its_credentials() {
        for (value, shown) in [
            ("http://me:hunter2@proxy.example:3128", "http://me:redacted@proxy.example:3128/"),
            ("http://hunter2@proxy.example:3128/", "http://redacted@proxy.example:3128/"),
            ("socks5h://me:hunter2@proxy.example", "socks5h://me:redacted@proxy.example"),
            ("https://bank.example/v1?key=hunter2#hunter2", "https://bank.example/v1?redacted#redacted"),
            ("http:/me:hunter2@proxy.example:99999", "[redacted]"),
            ("http://me:hunter2@proxy.example:99999", "[redacted]"),
            ("me:hunter2@proxy.example:3128", "[redacted]"),
            ("https://memory.example.com", "https://memory.example.com"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("person@example.com", "person@example.com"),
            ("memgate=debug,sqlx=warn", "memgate=debug,sqlx=warn"),
        ] {
            assert_eq!(without_credentials(value), shown);
        }
    }

    #[test]
    fn nothing_but_the_url_of_a_database_is_shown() {
        for (value, shown) in [
            ("", ""),
            ("hunter2", "[redacted]"),
            ("client:hunter2", "[redacted]"),
            ("https://hunter2", "[redacted]"),
            ("sqlite://memgate.db?mode=rwc", "sqlite://memgate.db?mode=rwc"),
            ("postgres://me:hunter2@db/memgate", "postgres://me:redacted@db/memgate"),
            ("postgres://me:12#hunter2@db/memgate", "[redacted]"),
            ("postgres://me:12/hunter2@db/memgate", "[redacted]"),
            ("postgresql://db/memgate?user=me&password=hunter2", "postgresql://db/memgate"),
        ] {
            assert_eq!(redact(value), shown);
        }
    }
}
