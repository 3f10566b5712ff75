//! Why a configuration is invalid.

/// Why the configuration is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no setting with this name.
    #[error("there is no setting `{name}`; did you mean `{nearest}`? `memgate config show` lists all of them")]
    Unknown {
        /// The name.
        name: String,
        /// The setting with the most similar name.
        nearest: String,
    },
    /// A value is invalid.
    #[error("{name} {problem}")]
    Invalid {
        /// The variable.
        name: String,
        /// The problem, with a valid example.
        problem: String,
    },
    /// A variable is not valid UTF-8.
    #[error("{name} must be UTF-8 text")]
    NotText {
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not valid TOML at line {line}: {problem}")]
    Syntax {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// The problem.
        problem: String,
    },
}
