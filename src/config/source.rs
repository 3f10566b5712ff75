//! Sources of values, by precedence: the environment, the file, the default.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::settings::{SETTINGS, Setting};

/// The prefix of environment variables.
const PREFIX: &str = "MEMGATE_";
/// The variable that names the file.
const FILE_VARIABLE: &str = "MEMGATE_CONFIG";

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The default.
    Default,
    /// The configuration file.
    File,
    /// The environment.
    Environment,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
        })
    }
}

/// The values of all settings, not parsed.
#[derive(Clone)]
pub struct Values(BTreeMap<&'static str, (String, Source)>);

impl Values {
    /// Collects the values from the environment of this process and the configuration file. `file` takes precedence over
    /// `MEMGATE_CONFIG`.
    ///
    /// # Errors
    /// [`ConfigError`] for an unknown name, a variable that is not UTF-8, and an unreadable file.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::gather(file, own_variables(std::env::vars_os())?)
    }

    /// Collects the values. `file` takes precedence over `MEMGATE_CONFIG`.
    ///
    /// # Errors
    /// [`ConfigError`] for an unknown name, and for an unreadable file.
    pub fn gather(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut values: BTreeMap<_, _> =
            SETTINGS.iter().map(|setting| (setting.name, (setting.default.to_owned(), Source::Default))).collect();
        let mut variables: BTreeMap<String, String> =
            environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        let named = variables.remove(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = file.map(Path::to_path_buf).or(named) {
            for (name, value) in read_file(&path)? {
                let setting = find(&name, |setting| setting.name.to_owned())?;
                values.insert(setting.name, (value, Source::File));
            }
        }
        for (name, value) in variables {
            let setting = match find(&name, Setting::variable) {
                Err(_) if is_service_link(&name, &value) => continue,
                found => found?,
            };
            if !value.is_empty() {
                values.insert(setting.name, (value, Source::Environment));
            }
        }
        Ok(Self(values))
    }

    /// The value of a setting; empty if it has none.
    pub(super) fn get(&self, name: &'static str) -> &str {
        self.0.get(name).map_or("", |(value, _)| value)
    }

    /// Resets the setting with this variable to its default. Returns whether it had another value.
    pub(super) fn reset(&mut self, variable: &str) -> bool {
        let Ok(setting) = find(variable, Setting::variable) else { return false };
        let default = (setting.default.to_owned(), Source::Default);
        self.0.insert(setting.name, default.clone()).is_some_and(|before| before != default)
    }

    /// Every setting with its value and the source of it.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str, Source)> {
        SETTINGS.iter().filter_map(|setting| {
            let (value, source) = self.0.get(setting.name)?;
            Some((setting, value.as_str(), *source))
        })
    }
}

/// The variables with our prefix, as text. Those of other programs may contain any bytes.
fn own_variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let is_ours = |name: &OsString| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    environment
        .into_iter()
        .filter(|(name, _)| is_ours(name))
        .map(|(name, value)| match (name.to_str(), value.to_str()) {
            (Some(name), Some(value)) => Ok((name.to_owned(), value.to_owned())),
            _ => Err(ConfigError::NotText { name: name.to_string_lossy().into_owned() }),
        })
        .collect()
}

/// Whether a variable is one of those that Kubernetes sets in every container of a namespace to describe its services. A
/// service called `memgate`, or `memgate-` and something, yields names with our prefix:
/// `MEMGATE_SERVICE_HOST`, `MEMGATE_SERVICE_PORT`, `MEMGATE_SERVICE_PORT_HTTP`, `MEMGATE_PORT=tcp://…`,
/// `MEMGATE_PORT_8080_TCP`, `MEMGATE_PORT_8080_TCP_ADDR` and so on.
fn is_service_link(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split('_').skip(1).collect();
    let after = |pattern: &[&str]| {
        let at = words.windows(pattern.len()).position(|window| window == pattern)?;
        Some(&words[at + pattern.len()..])
    };
    let is_protocol = |word: &str| matches!(word, "TCP" | "UDP" | "SCTP");
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let is_url = |value: &str| ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    after(&["SERVICE", "HOST"]).is_some_and(<[_]>::is_empty)
        || after(&["SERVICE", "PORT"]).is_some()
        || (words.last() == Some(&"PORT") && is_url(value))
        || words.windows(3).enumerate().any(|(at, window)| {
            let rest = &words[at + 3..];
            window[0] == "PORT"
                && is_number(window[1])
                && is_protocol(window[2])
                && matches!(rest, [] | ["PROTO" | "PORT" | "ADDR"])
        })
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: shown.clone(), source })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // The library's message quotes the line, which may contain a password.
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        ConfigError::Syntax { path: shown.clone(), line, problem: error.message().to_owned() }
    })?;
    table
        .into_iter()
        .map(|(name, value)| match value {
            toml::Value::String(text) => Ok((name, text)),
            toml::Value::Integer(number) => Ok((name, number.to_string())),
            toml::Value::Boolean(value) => Ok((name, value.to_string())),
            toml::Value::Array(items) if items.iter().all(toml::Value::is_str) => {
                let items: Vec<&str> = items.iter().filter_map(toml::Value::as_str).collect();
                Ok((name, items.join(",")))
            }
            _ => Err(ConfigError::Invalid {
                name,
                problem: format!("in {shown} must be text, a whole number, true or false, or a list of texts"),
            }),
        })
        .collect()
}

fn find(name: &str, shown: impl Fn(&Setting) -> String) -> Result<&'static Setting, ConfigError> {
    if let Some(setting) = SETTINGS.iter().find(|setting| shown(setting) == name) {
        return Ok(setting);
    }
    let nearest = SETTINGS
        .iter()
        .map(&shown)
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))
        .unwrap_or_default();
    Err(ConfigError::Unknown { name: name.to_owned(), nearest })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn what_kubernetes_says_of_services_is_no_setting() {
        for (name, value) in [
            ("MEMGATE_PORT", "tcp://10.43.1.2:8080"),
            ("MEMGATE_PORT", "udp://[fd00::1]:8080"),
            ("MEMGATE_SERVICE_HOST", "10.43.1.2"),
            ("MEMGATE_SERVICE_PORT", "8080"),
            ("MEMGATE_SERVICE_PORT_HTTP", "8080"),
            ("MEMGATE_SERVICE_PORT_HTTP_ADMIN", "9090"),
            ("MEMGATE_PORT_8080_TCP", "tcp://10.43.1.2:8080"),
            ("MEMGATE_PORT_8080_TCP_PROTO", "tcp"),
            ("MEMGATE_PORT_8080_TCP_PORT", "8080"),
            ("MEMGATE_PORT_8080_TCP_ADDR", "10.43.1.2"),
            ("MEMGATE_PORT_9_SCTP_ADDR", "10.43.1.2"),
            ("MEMGATE_POSTGRES_SERVICE_HOST", "10.43.1.3"),
            ("MEMGATE_POSTGRES_PORT", "tcp://10.43.1.3:5432"),
            ("MEMGATE_POSTGRES_RW_PORT_5432_TCP_ADDR", "10.43.1.3"),
        ] {
            let variables = [(name.to_owned(), value.to_owned())];
            assert!(Values::gather(None, variables).is_ok(), "{name}={value}");
        }
    }

    #[test]
    fn what_a_person_mistypes_is_still_an_error() {
        for (name, value) in [
            ("MEMGATE_PORT", "8080"),
            ("MEMGATE_LISTEN_PORT", "8080"),
            ("MEMGATE_HOST", "10.43.1.2"),
            ("MEMGATE_PORT_8080", "tcp://10.43.1.2:8080"),
            ("MEMGATE_PORT_TCP_ADDR", "10.43.1.2"),
            ("MEMGATE_PORT_8080_TCP_MASTER_KEY", "x"),
            ("MEMGATE_SERVICE_HOST_NAME", "x"),
        ] {
            let refused = Values::gather(None, [(name.to_owned(), value.to_owned())]);
            assert!(matches!(refused, Err(ConfigError::Unknown { .. })), "{name}={value}");
        }
    }

    #[test]
    fn other_programs_variables_may_hold_any_bytes_and_ours_must_be_text() {
        let broken = || OsString::from_vec(vec![0xa3]);
        let name = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let kept = own_variables([
            ("UNRELATED".into(), broken()),
            (broken(), "x".into()),
            ("MEMGATE_LISTEN".into(), "127.0.0.1:1".into()),
        ]);
        assert_eq!(kept.unwrap(), [("MEMGATE_LISTEN".to_owned(), "127.0.0.1:1".to_owned())]);
        for (variable, shown) in [
            (("MEMGATE_LISTEN".into(), broken()), "MEMGATE_LISTEN"),
            ((name(b"MEMGATE_\xa3"), "x".into()), "MEMGATE_\u{fffd}"),
        ] {
            let error = own_variables([variable]).unwrap_err().to_string();
            assert!(error.starts_with(shown) && error.contains("must be UTF-8"), "{error}");
        }
    }
}
