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
    setting(
        "tls_cert",
        "",
        "A PEM file with the certificate and its chain, to serve https without a proxy in front. Taken up again when it changes.",
    ),
    setting("tls_key", "", "A PEM file with the private key of that certificate."),
    secret(
        "database_url",
        "sqlite://memgate.db?mode=rwc",
        "sqlite://FILE?mode=rwc or postgres://USER:PASSWORD@HOST/DATABASE.",
    ),
    setting(
        "database_connections",
        "8",
        "How many connections to PostgreSQL one instance opens at most, beside 4 for searches; on SQLite, how many read the file at a time.",
    ),
    secret(
        "master_key",
        "",
        "32 bytes in Base64 that encrypt the signing keys. Without it a key file is made beside the SQLite file; with PostgreSQL it is required.",
    ),
    setting(
        "admin_listen",
        "127.0.0.1:9090",
        "Address and port of the operator's listener (/metrics, /admin/breaker), which asks for no credentials on a loopback address; or off.",
    ),
    secret(
        "admin_token",
        "",
        "What requests to the operator's listener send as a Bearer token, at least 16 characters; required where it is not on a loopback address.",
    ),
    setting(
        "drain",
        "5s",
        "For how long readiness says 503 and requests are still served after SIGTERM, before the port closes; 0 for none.",
    ),
    setting("bcrypt_cost", "12", "Cost of hashing client secrets and passwords, 4 to 31; each step doubles the time."),
    setting(
        "bcrypt_threads",
        "",
        "How many secrets and passwords are hashed at a time; by default half of the processors.",
    ),
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
    setting("token_algorithm", "EdDSA", "What signs access tokens: EdDSA, ES256 or RS256."),
    setting("key_rotation", "30d", "After how long a signing key is followed by a new one."),
    setting("key_publish_before", "10m", "For how long a new signing key is published before it signs."),
    setting(
        "privacy_file",
        "",
        "A UTF-8 text file with what /privacy says; by default what memgate can say by itself.",
    ),
    setting("session_ttl", "12h", "How long a browser stays signed in, 5m to 30d."),
    setting(
        "oidc_issuer",
        "",
        "The OpenID Connect provider with which people sign in, such as https://accounts.google.com; by default none.",
    ),
    setting("oidc_client_id", "", "As what memgate is registered with the provider."),
    secret("oidc_client_secret", "", "The secret of that registration; without it memgate is a public client."),
    setting("oidc_name", "", "What people call the provider, on the button; by default the host of the issuer."),
    setting(
        "oidc_allowed_domains",
        "",
        "Domains, separated by commas, of verified e-mail addresses whose owners may sign in, such as example.com.",
    ),
    setting(
        "oidc_allowed_subjects",
        "",
        "Subjects of the provider (the claim sub), separated by commas, who may sign in whatever their address.",
    ),
    setting(
        "memory_bank_kind",
        "embedded",
        "Where memories are kept: embedded (in the database), mem0-oss, mem0-platform, mem0-v1 or mcp-memory-service.",
    ),
    setting("memory_bank_url", "", "Base URL of the memory service; for every kind but embedded."),
    secret("memory_bank_api_key", "", "The key that the memory service asks for, if it does."),
    setting(
        "memory_bank_auth_scheme",
        "",
        "How the key is sent: Token, Bearer or X-API-Key; by default what is usual with the kind.",
    ),
    setting("memory_bank_proxy", "", "A proxy on the way to the memory service; HTTP_PROXY and its like are ignored."),
    setting("memory_bank_connect_timeout", "2s", "How long a connection to the memory service may take to be made."),
    setting("memory_bank_answer_limit", "8388608", "How many bytes an answer of the memory service may have."),
    setting(
        "memory_bank_answers_limit",
        "67108864",
        "How many bytes the answers of the memory service that are being read may have together; further ones wait.",
    ),
    setting(
        "memory_bank_list_limit",
        "10000",
        "How many memories of one scope a list goes through; before mem0-oss at most 999.",
    ),
    setting(
        "memory_bank_event_interval",
        "250ms",
        "How soon to ask what became of a write that the service goes on with by itself.",
    ),
    setting(
        "memory_bank_deadline",
        "20s",
        "How long a call to the memory service may take in all, retries included; at most 44s.",
    ),
    setting("memory_bank_attempt_timeout", "8s", "How long one attempt may take, to the last byte of the answer."),
    setting("memory_bank_max_attempts", "3", "How often a request is sent at the most."),
    setting(
        "memory_bank_backoff_base",
        "100ms",
        "The wait before the second attempt is a random part of this; it doubles from then on.",
    ),
    setting("memory_bank_backoff_max", "2s", "The most of which a wait is a random part."),
    setting("memory_bank_retry_percent", "10", "How many retries a hundred calls pay for, all callers together."),
    setting("memory_bank_retry_floor", "10", "How many retries are there before any call has paid."),
    setting("memory_bank_retry_savings", "100", "How many retries can be saved up in good times."),
    setting(
        "memory_bank_hedge_after",
        "auto",
        "After how long a read without an answer is sent a second time, within the retry budget: auto (what all but one of twenty answers take), a duration such as 200ms, or off.",
    ),
    setting("memory_bank_max_concurrent", "64", "How many reads, and how many writes, are under way at a time."),
    setting("memory_bank_max_waiting", "256", "How many more of each may wait for their turn."),
    setting("memory_bank_max_wait", "1s", "How long they wait."),
    setting("memory_bank_breaker_window", "30s", "How old an attempt may be that the circuit breaker still counts."),
    setting("memory_bank_breaker_calls", "20", "How many attempts the breaker judges together."),
    setting("memory_bank_breaker_failure_percent", "50", "The breaker opens when so many of a hundred of them failed."),
    setting("memory_bank_breaker_slow_call", "5s", "From when on an attempt is slow, though it succeeded."),
    setting(
        "memory_bank_breaker_slow_percent",
        "80",
        "The breaker opens when so many of a hundred failed or were slow.",
    ),
    setting("memory_bank_breaker_open_for", "10s", "How long the breaker stays open."),
    setting("memory_bank_breaker_probes", "3", "How many attempts it then lets through at a time."),
    setting(
        "queue_wait",
        "5s",
        "How long a create waits for a remote memory bank before it is answered 202; the memory is kept either way.",
    ),
    setting(
        "queue_capacity",
        "10000",
        "How many memories may wait for a remote memory bank; beyond that a create is answered 503.",
    ),
    setting("queue_retention", "24h", "For how long a delivered memory can be asked for by the id of its request."),
    setting("queue_dead_letter_retention", "30d", "For how long a memory is kept that the memory bank refused."),
    setting("queue_concurrency", "16", "How many memories are delivered to a remote memory bank at a time."),
    setting(
        "queue_lease",
        "1m",
        "After how long a delivery is taken over whose instance has died; longer than any call to the memory bank.",
    ),
    setting(
        "stale_search",
        "",
        "For how long an earlier answer to the same search may stand in while the memory bank is away, such as 10m; by default never.",
    ),
    setting("audit_retention", "365d", "For how long an audit event is kept."),
    setting("rate_limit", "6000", "Requests a minute that an application may make unless it has a limit of its own."),
    setting(
        "trusted_proxies",
        "",
        "Addresses or networks, separated by commas, whose X-Forwarded-For header is believed, such as 10.0.0.0/8.",
    ),
    setting(
        "cors_origins",
        "",
        "Origins, separated by commas, whose web pages may call the memory API, such as https://app.example.com; * for all, by default none.",
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
