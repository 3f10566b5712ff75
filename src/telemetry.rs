//! Logs: a sentence with fields, on standard error, so that standard output stays for results.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

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

/// Logs panics as errors, with their place and without their message: that may repeat what a caller sent, such as the text
/// in which a character was not found. What was being answered is logged under its request id by the HTTP face.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a panic, which is a fault of this program");
    }));
}
