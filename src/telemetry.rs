//! Logs: a sentence with fields, on standard error, so that standard output stays for results.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Config, LogFormat};

/// What is logged while serving, unless the configuration says otherwise: of the libraries only what is wrong.
pub const WHILE_SERVING: &str = "warn,memgate=info";
/// What is logged by every other command: its output is for the operator who waits for it.
pub const OTHERWISE: &str = "warn";

/// Starts logging as the configuration says, or else by `default`. A second call, as in tests, changes nothing.
pub fn init(config: &Config, default: &str) {
    let format = config
        .log_format
        .unwrap_or_else(|| if std::io::stderr().is_terminal() { LogFormat::Pretty } else { LogFormat::Json });
    let filter = EnvFilter::new(config.log.as_deref().unwrap_or(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _already_started = match format {
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// Whether `filter` is a filter that says what its writer means. A single word that is no level would name a target and turn
/// off everything else, so it has to be one of ours.
#[must_use]
pub fn check_filter(filter: &str) -> bool {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_ours = |word: &str| word == "memgate" || word.starts_with("memgate::") || word.starts_with("memgate_");
    let words = filter.split(',').map(str::trim).filter(|word| !word.is_empty());
    // What a span filter has in its braces may look like anything.
    let is_clear =
        filter.contains('[') || words.clone().all(|word| word.contains('=') || is_level(word) || is_ours(word));
    is_clear && words.count() > 0 && EnvFilter::try_new(filter).is_ok()
}

/// Logs panics as errors, with their place and without their message: that may repeat what a caller sent, such as the text
/// in which a character was not found. What was being answered is logged under its request id by the HTTP face.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic, which is a fault of this program");
    }));
}

#[cfg(test)]
mod tests {
    use super::check_filter;

    #[test]
    fn a_word_that_is_no_level_would_silence_everything_and_is_refused() {
        for filter in
            ["info", "WARN", "off", "memgate=debug,sqlx=warn", "warn,memgate=info", "memgate", "memgate::audit", "3"]
        {
            assert!(check_filter(filter), "{filter}");
        }
        for filter in ["loud", "warning", "verbose", "info,loud", "7", ",", " , ", "memgate=loud", "debug;info"] {
            assert!(!check_filter(filter), "{filter}");
        }
    }
}
