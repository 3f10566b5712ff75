//! Where values come from: the environment before the file, the file before the default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::settings::{SETTINGS, Setting};

/// The variable that names the file.
const FILE_VARIABLE: &str = "MEMGATE_CONFIG";

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing was said.
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

/// The values of all settings as text.
pub struct Values(BTreeMap<&'static str, (String, Source)>);

impl Values {
    /// Gathers the values. `file` goes before `MEMGATE_CONFIG`.
    ///
    /// # Errors
    /// [`ConfigError`] for an unknown name, and for a file that cannot be read.
    pub fn gather(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut values: BTreeMap<_, _> =
            SETTINGS.iter().map(|setting| (setting.name, (setting.default.to_owned(), Source::Default))).collect();
        let mut variables: BTreeMap<String, String> =
            environment.into_iter().filter(|(name, _)| name.starts_with("MEMGATE_")).collect();
        let named = variables.remove(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        if let Some(path) = file.map(Path::to_path_buf).or(named) {
            for (name, value) in read_file(&path)? {
                let setting = find(&name, |setting| setting.name.to_owned())?;
                values.insert(setting.name, (value, Source::File));
            }
        }
        for (name, value) in variables {
            let setting = find(&name, Setting::variable)?;
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

    /// Every setting with its value and where that comes from.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, &str, Source)> {
        SETTINGS.iter().filter_map(|setting| {
            let (value, source) = self.0.get(setting.name)?;
            Some((setting, value.as_str(), *source))
        })
    }
}

fn read_file(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: shown.clone(), source })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // The library's own message quotes the line, which may hold a password.
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        ConfigError::Syntax { path: shown.clone(), line, problem: error.message().to_owned() }
    })?;
    table
        .into_iter()
        .map(|(name, value)| match value {
            toml::Value::String(text) => Ok((name, text)),
            toml::Value::Integer(number) => Ok((name, number.to_string())),
            toml::Value::Array(items) if items.iter().all(toml::Value::is_str) => {
                let items: Vec<&str> = items.iter().filter_map(toml::Value::as_str).collect();
                Ok((name, items.join(",")))
            }
            _ => Err(ConfigError::Invalid {
                name,
                problem: format!("in {shown} must be text, a whole number, or a list of texts"),
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
