//! The configuration: parsed and validated once, at the start.

mod error;
mod identity_provider;
mod mail;
mod memory_bank;
mod parser;
mod settings;
mod source;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use self::error::ConfigError;
pub use self::identity_provider::IdentityProviderConfig;
pub use self::mail::MailConfig;
pub use self::memory_bank::MemoryBankConfig;
use self::parser::Parser;
pub use self::parser::parse_duration;
pub use self::settings::{SETTINGS, Setting};
pub use self::source::{Source, Values};
use crate::adapters::http::TlsFiles;
use crate::domain::applications::{
    LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME, RequestsPerMinute, SpaceName,
};
use crate::domain::memories::DeliveryPolicy;
use crate::domain::oauth::{KeyAlgorithm, MasterKey, PublicUrl};
use crate::domain::validation::InvalidValue;
use crate::telemetry::{self, LogFormat};

/// The configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// `listen`.
    pub listen: SocketAddr,
    /// `public_url`, where it was given.
    pub public_url: Option<PublicUrl>,
    /// `tls_cert` and `tls_key`, where they were given.
    pub tls: Option<TlsFiles>,
    /// `database_url`.
    pub database_url: SecretString,
    /// `database_connections`.
    pub database_connections: u32,
    /// `master_key`, where it was given.
    pub master_key: Option<MasterKey>,
    /// `admin_listen`; `None` if it is off.
    pub admin_listen: Option<SocketAddr>,
    /// `admin_token`, where it was given.
    pub admin_token: Option<SecretString>,
    /// `drain`.
    pub drain: Duration,
    /// `bcrypt_cost`.
    pub bcrypt_cost: u32,
    /// `bcrypt_threads`.
    pub bcrypt_threads: usize,
    /// `access_token_ttl`.
    pub access_token_ttl: Duration,
    /// `refresh_token_ttl`.
    pub refresh_token_ttl: Duration,
    /// `grant_ttl`.
    pub grant_ttl: Duration,
    /// `refresh_retry_window`.
    pub refresh_retry_window: Duration,
    /// `public_refresh_retry_window`.
    pub public_refresh_retry_window: Duration,
    /// `token_algorithm`.
    pub token_algorithm: KeyAlgorithm,
    /// `key_rotation`.
    pub key_rotation: Duration,
    /// `key_publish_before`.
    pub key_publish_before: Duration,
    /// `privacy_file`, where it was given.
    pub privacy_file: Option<PathBuf>,
    /// `session_ttl`.
    pub session_ttl: Duration,
    /// `oidc_issuer`, where it was given, and what goes with it.
    pub identity_provider: Option<IdentityProviderConfig>,
    /// `smtp_url`, where it was given, and what goes with it.
    pub mail: Option<MailConfig>,
    /// `memory_bank_kind`, and what goes with it.
    pub memory_bank: MemoryBankConfig,
    /// `embedding_model`, where it was given.
    pub embedding_model: Option<PathBuf>,
    /// `queue_wait`.
    pub queue_wait: Duration,
    /// `queue_capacity`.
    pub queue_capacity: u32,
    /// `queue_retention`.
    pub queue_retention: Duration,
    /// `queue_dead_letter_retention`.
    pub queue_dead_letter_retention: Duration,
    /// `queue_concurrency`.
    pub queue_concurrency: u32,
    /// `queue_lease`.
    pub queue_lease: Duration,
    /// `audit_retention`.
    pub audit_retention: Duration,
    /// `stale_search`, where it was given.
    pub stale_search: Option<Duration>,
    /// `rate_limit`.
    pub rate_limit: RequestsPerMinute,
    /// `trusted_proxies`.
    pub trusted_proxies: Vec<IpNet>,
    /// `cors_origins`, each as a browser writes it, or `*`.
    pub cors_origins: Vec<String>,
    /// `client_id_documents`.
    pub client_id_documents: bool,
    /// `dynamic_registration`.
    pub dynamic_registration: bool,
    /// `self_registered_space`.
    pub self_registered_space: SpaceName,
    /// `gpt_confirm_writes`.
    pub gpt_confirm_writes: bool,
    /// `log`, where it was given.
    pub log: Option<String>,
    /// `log_format`, where it was given.
    pub log_format: Option<LogFormat>,
}

impl Config {
    /// Reads the environment of this process, and the configuration file if there is one.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::from_values(&Values::load(file)?)
    }

    /// Parses the values.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for the first invalid one.
    pub fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let v = Parser(values);
        let day = Duration::from_hours(24);
        let config = Self {
            listen: v.parse("listen", "must be an address and a port, such as 127.0.0.1:8080")?,
            public_url: v.optional("public_url", |text| {
                text.parse().map_err(|error: InvalidValue| error.problem().to_string())
            })?,
            tls: tls_files(&v)?,
            database_url: v.required("database_url", |text| Ok(SecretString::from(text.to_owned())))?,
            database_connections: v.number("database_connections", 1, 1000)?,
            master_key: v.optional("master_key", |text| {
                MasterKey::parse("", text).map_err(|error| error.problem().to_string())
            })?,
            admin_listen: v.required("admin_listen", |text| match text {
                "off" => Ok(None),
                _ => text
                    .parse()
                    .map(Some)
                    .map_err(|_| "must be an address and a port, such as 127.0.0.1:9090, or off".to_owned()),
            })?,
            admin_token: v.optional("admin_token", parse_admin_token)?,
            drain: v.duration("drain", Duration::ZERO, Duration::from_mins(5))?,
            bcrypt_cost: v.number("bcrypt_cost", 4, 31)?,
            bcrypt_threads: match v.text("bcrypt_threads") {
                "" => half_of_the_processors(),
                _ => v.number("bcrypt_threads", 1, 1024)?,
            },
            access_token_ttl: v.duration("access_token_ttl", Duration::from_secs(1), LONGEST_ACCESS_TOKEN_LIFETIME)?,
            refresh_token_ttl: v.duration(
                "refresh_token_ttl",
                Duration::from_secs(1),
                LONGEST_REFRESH_TOKEN_LIFETIME,
            )?,
            grant_ttl: v.duration("grant_ttl", Duration::from_secs(1), LONGEST_REFRESH_TOKEN_LIFETIME)?,
            refresh_retry_window: v.duration("refresh_retry_window", Duration::ZERO, Duration::from_mins(10))?,
            public_refresh_retry_window: v.duration(
                "public_refresh_retry_window",
                Duration::ZERO,
                Duration::from_hours(1),
            )?,
            token_algorithm: v.required("token_algorithm", |text| match text.parse() {
                Ok(algorithm) if KeyAlgorithm::is_asymmetric(algorithm) => Ok(algorithm),
                _ => Err("must be EdDSA, ES256 or RS256".to_owned()),
            })?,
            key_rotation: v.duration("key_rotation", Duration::from_hours(1), 3660 * day)?,
            key_publish_before: v.duration("key_publish_before", Duration::from_mins(5), 30 * day)?,
            privacy_file: v.optional("privacy_file", |text| Ok(PathBuf::from(text)))?,
            session_ttl: v.duration("session_ttl", Duration::from_mins(5), 30 * day)?,
            identity_provider: identity_provider::parse(&v)?,
            mail: mail::parse(&v)?,
            memory_bank: memory_bank::parse(&v)?,
            embedding_model: v.optional("embedding_model", |text| Ok(PathBuf::from(text)))?,
            queue_wait: v.duration("queue_wait", Duration::ZERO, Duration::from_secs(40))?,
            queue_capacity: v.number("queue_capacity", 1, 10_000_000)?,
            queue_retention: v.duration("queue_retention", Duration::from_mins(1), 366 * day)?,
            queue_dead_letter_retention: v.duration(
                "queue_dead_letter_retention",
                Duration::from_hours(1),
                3660 * day,
            )?,
            queue_concurrency: v.number("queue_concurrency", 1, 1024)?,
            queue_lease: v.duration("queue_lease", Duration::from_secs(1), Duration::from_hours(1))?,
            audit_retention: v.duration("audit_retention", Duration::from_hours(1), 3660 * day)?,
            stale_search: match v.text("stale_search") {
                "" => None,
                _ => Some(v.duration("stale_search", Duration::from_secs(1), 7 * day)?),
            },
            rate_limit: v.required("rate_limit", |text| {
                let number: u32 = text.parse().map_err(|_| "must be a whole number, such as 6000".to_owned())?;
                RequestsPerMinute::try_from(number).map_err(|error: InvalidValue| error.problem().to_string())
            })?,
            trusted_proxies: v.required("trusted_proxies", parse_networks)?,
            cors_origins: v.required("cors_origins", parse_origins)?,
            client_id_documents: v.parse("client_id_documents", "must be true or false")?,
            dynamic_registration: v.parse("dynamic_registration", "must be true or false")?,
            self_registered_space: v.required("self_registered_space", |text| {
                text.parse().map_err(|error: InvalidValue| error.problem().to_string())
            })?,
            gpt_confirm_writes: v.parse("gpt_confirm_writes", "must be true or false")?,
            log: v.optional("log", |text| {
                let problem = "must be a level (error, warn, info, debug, trace or off), or a filter such as \
                               memgate=debug,sqlx=warn";
                telemetry::check_filter(text).then(|| text.to_owned()).ok_or_else(|| problem.to_owned())
            })?,
            log_format: v.optional("log_format", |text| match text {
                "pretty" => Ok(LogFormat::Pretty),
                "json" => Ok(LogFormat::Json),
                _ => Err("must be pretty or json".to_owned()),
            })?,
        };
        config.check_admin_token()?;
        config.check_lease()?;
        config.check_embedding_model()?;
        Ok(config)
    }

    /// Every problem of `values`: the variable and the problem of each rejected setting. A problem of several settings together
    /// is reported once, for the one that [`from_values`](Self::from_values) names.
    #[must_use]
    pub fn problems(values: &Values) -> BTreeMap<String, String> {
        let mut problems = BTreeMap::new();
        let mut values = values.clone();
        // Each round finds one problem and continues as if that setting had its default.
        while let Err(ConfigError::Invalid { name, problem }) = Self::from_values(&values) {
            let named = problem.split(' ').filter(|word| word.starts_with("MEMGATE_"));
            // The missing setting is required because of another one, which the problem names.
            let goes_on = std::iter::once(&*name).chain(named).any(|variable| values.reset(variable));
            problems.insert(name.clone(), problem.clone());
            if !goes_on {
                break;
            }
        }
        problems
    }

    /// Reaching the listener does not make a client the operator.
    fn check_admin_token(&self) -> Result<(), ConfigError> {
        match self.admin_listen {
            Some(address) if !address.ip().to_canonical().is_loopback() && self.admin_token.is_none() => {
                Err(ConfigError::Invalid {
                    name: "MEMGATE_ADMIN_TOKEN".to_owned(),
                    problem: format!(
                        "must be set where MEMGATE_ADMIN_LISTEN, which is {address}, is not a loopback address: \
                         `openssl rand -hex 32` makes a token; or listen on 127.0.0.1"
                    ),
                })
            }
            _ => Ok(()),
        }
    }

    /// Whoever takes over the write of a dead instance must not overlap with a call of that instance.
    fn check_lease(&self) -> Result<(), ConfigError> {
        let MemoryBankConfig::Remote(bank) = &self.memory_bank else { return Ok(()) };
        let deadline = bank.resilience.deadline;
        let policy = DeliveryPolicy { lease: self.queue_lease, ..DeliveryPolicy::default() };
        if policy.longest_attempt() > deadline {
            return Ok(());
        }
        let (lease, deadline) = (humantime::format_duration(self.queue_lease), humantime::format_duration(deadline));
        Err(ConfigError::Invalid {
            name: "MEMGATE_QUEUE_LEASE".to_owned(),
            problem: format!(
                "is {lease}, but four fifths of it must be longer than MEMGATE_MEMORY_BANK_DEADLINE, which is {deadline}: \
                 a delivery must end before another instance takes it over"
            ),
        })
    }

    /// A remote bank finds what is meant in its own way, or not at all.
    fn check_embedding_model(&self) -> Result<(), ConfigError> {
        match (&self.memory_bank, &self.embedding_model) {
            (MemoryBankConfig::Remote(_), Some(_)) => Err(ConfigError::Invalid {
                name: "MEMGATE_EMBEDDING_MODEL".to_owned(),
                problem:
                    "is for memories in the database, but MEMGATE_MEMORY_BANK_KIND is that of a service: leave one out"
                        .to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the database is PostgreSQL.
    #[must_use]
    pub fn uses_postgres(&self) -> bool {
        self.database_url.expose_secret().starts_with("postgres")
    }
}

fn tls_files(v: &Parser<'_>) -> Result<Option<TlsFiles>, ConfigError> {
    let missing = |name: &str, other: &str| ConfigError::Invalid {
        name: name.to_owned(),
        problem: format!("must be set where {other} is: https needs a certificate and its key"),
    };
    match (v.text("tls_cert"), v.text("tls_key")) {
        ("", "") => Ok(None),
        ("", _) => Err(missing("MEMGATE_TLS_CERT", "MEMGATE_TLS_KEY")),
        (_, "") => Err(missing("MEMGATE_TLS_KEY", "MEMGATE_TLS_CERT")),
        (certificate, key) => Ok(Some(TlsFiles { certificate: certificate.into(), key: key.into() })),
    }
}

fn parse_admin_token(text: &str) -> Result<SecretString, String> {
    if text.len() >= 16 && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(SecretString::from(text.to_owned()))
    } else {
        Err("must be at least 16 visible ASCII characters, such as `openssl rand -hex 32` prints".to_owned())
    }
}

fn parse_networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from)))
        .collect::<Result<_, _>>()
        .map_err(|_| "must be addresses or networks separated by commas, such as 10.0.0.0/8,192.168.1.7".to_owned())
}

fn parse_origins(text: &str) -> Result<Vec<String>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| if part == "*" { Some(part.to_owned()) } else { origin(&Url::parse(part).ok()?) })
        .collect::<Option<_>>()
        .ok_or_else(|| {
            "must be origins (scheme, host and port, without a path) separated by commas, such as \
             https://app.example.com,http://localhost:3000, or *"
                .to_owned()
        })
}

/// The origin of `url`, as a browser writes it in the header `Origin`: without the default port.
fn origin(url: &Url) -> Option<String> {
    let beyond = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    if beyond || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{host}{port}", url.scheme()))
}

fn half_of_the_processors() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).max(1))
}

#[cfg(test)]
mod tests;
