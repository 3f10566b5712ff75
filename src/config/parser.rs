//! Parses the values of settings.

use std::str::FromStr;
use std::time::Duration;

use super::error::ConfigError;
use super::source::Values;

/// Parses values, and names the setting of one that is invalid.
pub(super) struct Parser<'a>(pub(super) &'a Values);

impl Parser<'_> {
    pub(super) fn text(&self, name: &'static str) -> &str {
        self.0.get(name).trim()
    }

    pub(super) fn required<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(self.text(name))
            .map_err(|problem| ConfigError::Invalid { name: format!("MEMGATE_{}", name.to_uppercase()), problem })
    }

    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        if self.text(name).is_empty() { Ok(None) } else { self.required(name, parse).map(Some) }
    }

    pub(super) fn parse<T: FromStr>(&self, name: &'static str, problem: &str) -> Result<T, ConfigError> {
        self.required(name, |text| text.parse().map_err(|_| problem.to_owned()))
    }

    pub(super) fn number<T>(&self, name: &'static str, least: T, most: T) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        self.required(name, |text| {
            let number = text.parse().ok().filter(|number| least <= *number && *number <= most);
            number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
        })
    }

    /// A duration in whole seconds.
    pub(super) fn duration(
        &self,
        name: &'static str,
        least: Duration,
        most: Duration,
    ) -> Result<Duration, ConfigError> {
        self.parse_time(name, least, most, parse_duration)
    }

    /// A duration that may have a fraction of a second.
    pub(super) fn time(&self, name: &'static str, least: Duration, most: Duration) -> Result<Duration, ConfigError> {
        self.parse_time(name, least, most, |text| match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => humantime::parse_duration(text).ok(),
        })
    }

    fn parse_time(
        &self,
        name: &'static str,
        least: Duration,
        most: Duration,
        parse: impl Fn(&str) -> Option<Duration>,
    ) -> Result<Duration, ConfigError> {
        self.required(name, |text| {
            let duration = parse(text).filter(|duration| least <= *duration && *duration <= most);
            duration.ok_or_else(|| {
                let (least, most) = (humantime::format_duration(least), humantime::format_duration(most));
                format!("must be a duration from {least} to {most}, such as 90s, 10m, 1h or 30d")
            })
        })
    }
}

/// Parses a duration in whole seconds: `90` (seconds), `90s`, `10m`, `1h`, `30d`, or several of these in a row.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).ok()?,
    };
    (duration.subsec_nanos() == 0).then_some(duration)
}
