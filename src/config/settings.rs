//! The list of settings: the one place that names them. Environment, file, `config show` and the documentation follow it.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the configuration file. The environment variable is `MEMGATE_` and this in capitals.
    pub name: &'static str,
    /// Its value where nothing is said; empty for none.
    pub default: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// Whether its value must not be shown.
    pub secret: bool,
}

impl Setting {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("MEMGATE_{}", self.name.to_uppercase())
    }
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help, secret: false }
}

const fn secret(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help, secret: true }
}

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8080", "Address and port of the HTTP server; port 0 takes a free one."),
    setting(
        "public_url",
        "",
        "The URL by which clients reach the service, without a path; the issuer of its tokens. By default http:// and the listen address.",
    ),
    secret(
        "database_url",
        "sqlite://memgate.db?mode=rwc",
        "sqlite://FILE?mode=rwc or postgres://USER:PASSWORD@HOST/DATABASE.",
    ),
    secret(
        "master_key",
        "",
        "32 bytes in Base64 that encrypt the signing keys. Without it a key file is made beside the SQLite file; with PostgreSQL it is required.",
    ),
    setting(
        "admin_listen",
        "127.0.0.1:9090",
        "Address and port of the operator's listener (/metrics, /admin/breaker), which asks for no credentials; or off.",
    ),
    setting("bcrypt_cost", "12", "Cost of hashing client secrets, 4 to 31; each step doubles the time."),
    setting("bcrypt_threads", "", "How many secrets are hashed at a time; by default half of the processors."),
    setting("access_token_ttl", "1h", "How long an access token lives; at most 24h."),
    setting("refresh_token_ttl", "30d", "How long a refresh token may lie unused; at most 366d."),
    setting(
        "grant_ttl",
        "90d",
        "How long refresh tokens can be renewed before new credentials are needed; at most 366d.",
    ),
    setting(
        "refresh_retry_window",
        "30s",
        "For how long a used refresh token yields the same successor once more, in case an answer got lost.",
    ),
    setting("token_algorithm", "EdDSA", "What signs access tokens: EdDSA or ES256."),
    setting("key_rotation", "30d", "After how long a signing key is followed by a new one."),
    setting("key_publish_before", "10m", "For how long a new signing key is published before it signs."),
    setting("memory_bank_kind", "embedded", "Where memories are kept: embedded (in the database)."),
    setting("rate_limit", "6000", "Requests a minute that an application may make unless it has a limit of its own."),
    setting(
        "trusted_proxies",
        "",
        "Addresses or networks, separated by commas, whose X-Forwarded-For header is believed, such as 10.0.0.0/8.",
    ),
    setting(
        "gpt_confirm_writes",
        "true",
        "Whether ChatGPT asks the person each time before it stores or changes a memory; false lets people say \"always allow\".",
    ),
    setting(
        "log",
        "",
        "What is logged: error, warn, info, debug or trace, or a filter such as memgate=debug,sqlx=warn. By default info while serving and warn otherwise.",
    ),
    setting("log_format", "", "pretty or json; by default pretty on a terminal and json otherwise."),
];
