//! Logging: messages with fields, on standard error, so that standard output stays for results.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The default filter while serving: only problems of libraries. That of passkeys reports whatever anybody sends as an error.
pub const WHILE_SERVING: &str = "warn,memgate=info,webauthn_rs=off,webauthn_rs_core=off";
/// The default filter of every other command: its output is for the operator who waits for it.
pub const OTHERWISE: &str = "warn";

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines: one JSON object per line.
    Json,
}

/// Starts logging with `filter`; without a format, in one for people on a terminal, and for machines otherwise. A second call, as
/// in tests, has no effect.
pub fn init(format: Option<LogFormat>, filter: &str) {
    let format =
        format.unwrap_or_else(|| if std::io::stderr().is_terminal() { LogFormat::Pretty } else { LogFormat::Json });
    let filter = EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _already_started = match format {
        LogFormat::Pretty => {
            let builder = builder.with_ansi(std::io::stderr().is_terminal()).with_target(false);
            builder.finish().with(filter_fn(holds_no_content)).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).finish().with(filter_fn(holds_no_content)).try_init(),
    };
}

/// Below warnings, rmcp logs whole requests and results: what people say, and what is stored of them.
fn holds_no_content(event: &Metadata<'_>) -> bool {
    *event.level() <= Level::WARN || !event.target().starts_with("rmcp")
}

/// Whether `filter` means what it says. A single word that is not a level would name a target and turn off everything else,
/// so it must be one of ours.
#[must_use]
pub fn check_filter(filter: &str) -> bool {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_ours = |word: &str| word == "memgate" || word.starts_with("memgate::") || word.starts_with("memgate_");
    let words = filter.split(',').map(str::trim).filter(|word| !word.is_empty());
    // The fields in the braces of a span filter may look like anything.
    let is_clear =
        filter.contains('[') || words.clone().all(|word| word.contains('=') || is_level(word) || is_ours(word));
    is_clear && words.count() > 0 && EnvFilter::try_new(filter).is_ok()
}

/// Logs panics as errors, with their location and without their message: that may repeat what a caller sent, such as the text
/// in which a character was not found. The request is logged under its request ID by the HTTP adapter.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: this is a bug");
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
