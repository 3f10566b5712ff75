//! The list of settings: the single place that defines them. Environment, file, `config show` and the documentation follow it.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the configuration file. The environment variable is `MEMGATE_` followed by the name in capitals.
    pub name: &'static str,
    /// Its default; empty for none.
    pub default: &'static str,
    /// Its description, in one line.
    pub help: &'static str,
    /// Whether its value is a secret.
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

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8080", "Address and port of the HTTP server; port 0 picks a free one."),
    setting(
        "public_url",
        "",
        "The public URL of the service, without a path; the issuer of its tokens. By default http:// and the listen address.",
    ),
    setting(
        "tls_cert",
        "",
        "PEM file with the certificate and its chain, to serve https without a proxy. Reloaded when it changes.",
    ),
    setting("tls_key", "", "PEM file with the private key of that certificate."),
    secret(
        "database_url",
        "sqlite://memgate.db?mode=rwc",
        "sqlite://FILE?mode=rwc or postgres://USER:PASSWORD@HOST/DATABASE.",
    ),
    setting(
        "database_connections",
        "8",
        "Maximum number of PostgreSQL connections per instance, plus 4 for searches; on SQLite, of concurrent readers of the file.",
    ),
    secret(
        "master_key",
        "",
        "32 bytes in Base64 that encrypt the signing keys. Without it a key file is created beside the SQLite file; with PostgreSQL it is required.",
    ),
    setting(
        "admin_listen",
        "127.0.0.1:9090",
        "Address and port of the operator's listener (/metrics, /admin/breaker), which needs no credentials on a loopback address; or off.",
    ),
    secret(
        "admin_token",
        "",
        "Bearer token for the operator's listener, at least 16 characters; required unless it is on a loopback address.",
    ),
    setting(
        "drain",
        "5s",
        "How long readiness returns 503 while requests are still served after SIGTERM, before the port closes; 0 for not at all.",
    ),
    setting("bcrypt_cost", "12", "Cost of hashing client secrets and passwords, 4 to 31; each step doubles the time."),
    setting(
        "bcrypt_threads",
        "",
        "Number of secrets and passwords hashed concurrently; by default half of the processors.",
    ),
    setting("access_token_ttl", "1h", "Lifetime of an access token; at most 24h."),
    setting("refresh_token_ttl", "30d", "Idle lifetime of a refresh token; at most 366d."),
    setting("grant_ttl", "90d", "Maximum lifetime of a grant, after which new credentials are needed; at most 366d."),
    setting(
        "refresh_retry_window",
        "30s",
        "How long a used refresh token returns the same successor again, in case a response was lost.",
    ),
    setting(
        "public_refresh_retry_window",
        "10m",
        "The same for a public client, several processes of which may share a refresh token; never less than the other.",
    ),
    setting("token_algorithm", "EdDSA", "Signature algorithm of access tokens: EdDSA, ES256 or RS256."),
    setting("key_rotation", "30d", "Interval after which a signing key is replaced by a new one."),
    setting("key_publish_before", "10m", "How long a new signing key is published before it signs."),
    setting("privacy_file", "", "UTF-8 text file with the privacy policy at /privacy; by default a built-in one."),
    setting("session_ttl", "12h", "How long a browser stays signed in, 5m to 30d."),
    setting(
        "oidc_issuer",
        "",
        "The OpenID Connect provider that people sign in with, such as https://accounts.google.com; by default none.",
    ),
    setting("oidc_client_id", "", "The client ID that the provider issued to memgate."),
    secret(
        "oidc_client_secret",
        "",
        "The client secret that the provider issued; without it memgate is a public client.",
    ),
    setting("oidc_name", "", "The provider's name on the sign-in button; by default the host of the issuer."),
    setting(
        "oidc_allowed_domains",
        "",
        "Domains, separated by commas, of verified e-mail addresses that may sign in, such as example.com.",
    ),
    setting(
        "oidc_allowed_subjects",
        "",
        "Subjects of the provider (the claim sub), separated by commas, that may sign in whatever their address.",
    ),
    secret(
        "smtp_url",
        "",
        "Mail server that sends one-time links: smtps://USER:PASSWORD@HOST, or smtp://… for STARTTLS (no TLS on a loopback address).",
    ),
    setting("smtp_from", "", "Sender of e-mail, such as memgate <memory@example.com>."),
    setting(
        "memory_bank_kind",
        "embedded",
        "Where memories are stored: embedded (in the database), mem0-oss, mem0-platform, mem0-v1 or mcp-memory-service.",
    ),
    setting(
        "embedding_model",
        "",
        "Folder with an embedding model, by which searches of the embedded bank also find what is meant: tokenizer.json with model.onnx or model.safetensors; by default none.",
    ),
    setting("memory_bank_url", "", "Base URL of the memory bank; for every kind but embedded."),
    secret("memory_bank_api_key", "", "API key of the memory bank, if it needs one."),
    setting(
        "memory_bank_auth_scheme",
        "",
        "How the API key is sent: Token, Bearer or X-API-Key; by default as usual for the kind.",
    ),
    setting(
        "memory_bank_proxy",
        "",
        "Proxy for requests to the memory bank; HTTP_PROXY and similar variables are ignored.",
    ),
    setting("memory_bank_connect_timeout", "2s", "Connect timeout."),
    setting("memory_bank_answer_limit", "8388608", "Maximum size of a response of the memory bank, in bytes."),
    setting(
        "memory_bank_answers_limit",
        "67108864",
        "Maximum total size of the memory bank's responses being read, in bytes; further ones wait.",
    ),
    setting(
        "memory_bank_list_limit",
        "10000",
        "Maximum number of memories of one scope that a list goes through; with mem0-oss at most 999.",
    ),
    setting(
        "memory_bank_event_interval",
        "250ms",
        "Delay before the status of a write that the memory bank processes asynchronously is polled.",
    ),
    setting(
        "memory_bank_deadline",
        "20s",
        "Total time allowed for a call to the memory bank, retries included; at most 44s.",
    ),
    setting("memory_bank_attempt_timeout", "8s", "Time allowed for one attempt, to the last byte of the response."),
    setting("memory_bank_max_attempts", "3", "Maximum number of attempts per call."),
    setting(
        "memory_bank_backoff_base",
        "100ms",
        "Base of the exponential backoff with full jitter; it doubles with each attempt.",
    ),
    setting("memory_bank_backoff_max", "2s", "Upper bound of the backoff."),
    setting("memory_bank_retry_percent", "10", "Retry budget: retries allowed per 100 calls, shared by all callers."),
    setting("memory_bank_retry_floor", "10", "Retry budget before any call was made."),
    setting("memory_bank_retry_savings", "100", "Maximum number of retries that can accumulate in the budget."),
    setting(
        "memory_bank_hedge_after",
        "auto",
        "Delay after which a slow read is sent a second time, within the retry budget: auto (the 95th percentile of response times), a duration such as 200ms, or off.",
    ),
    setting("memory_bank_max_concurrent", "64", "Maximum number of concurrent reads, and of concurrent writes."),
    setting("memory_bank_max_waiting", "256", "Maximum number of further reads, and of writes, that wait for a slot."),
    setting("memory_bank_max_wait", "1s", "Maximum time that they wait."),
    setting("memory_bank_breaker_window", "30s", "Time window of the circuit breaker: older attempts do not count."),
    setting("memory_bank_breaker_calls", "20", "Number of attempts that the breaker computes its rates over."),
    setting("memory_bank_breaker_failure_percent", "50", "Failure rate in percent that opens the breaker."),
    setting("memory_bank_breaker_slow_call", "5s", "Duration from which a successful attempt counts as slow."),
    setting(
        "memory_bank_breaker_slow_percent",
        "80",
        "Rate in percent of failed or slow attempts that opens the breaker.",
    ),
    setting("memory_bank_breaker_open_for", "10s", "How long the breaker stays open."),
    setting("memory_bank_breaker_probes", "3", "Maximum number of concurrent attempts while the breaker is half-open."),
    setting(
        "queue_wait",
        "5s",
        "How long a create waits for a remote memory bank before 202 is returned; the memory is safe either way.",
    ),
    setting(
        "queue_capacity",
        "10000",
        "Maximum number of memories waiting for a remote memory bank; beyond that a create returns 503.",
    ),
    setting("queue_retention", "24h", "How long the status of a delivered memory can be queried by its request ID."),
    setting("queue_dead_letter_retention", "30d", "How long a memory that the memory bank refused is kept."),
    setting("queue_concurrency", "16", "Maximum number of concurrent deliveries to a remote memory bank."),
    setting(
        "queue_lease",
        "1m",
        "After how long the delivery of a dead instance is taken over; longer than any call to the memory bank.",
    ),
    setting(
        "stale_search",
        "",
        "Maximum age of an earlier result that a search returns while the memory bank is unavailable, such as 10m; by default none.",
    ),
    setting("audit_retention", "365d", "How long an audit event is kept."),
    setting("rate_limit", "6000", "Requests per minute allowed to an application without a limit of its own."),
    setting(
        "trusted_proxies",
        "",
        "Addresses or networks, separated by commas, whose X-Forwarded-For header is trusted, such as 10.0.0.0/8.",
    ),
    setting(
        "cors_origins",
        "",
        "Origins, separated by commas, whose web pages may call the memory API and MCP, such as https://app.example.com; * for all, by default none.",
    ),
    setting(
        "client_id_documents",
        "true",
        "Whether an MCP client that is not registered may describe itself by a document at the https URL that is its client ID.",
    ),
    setting("dynamic_registration", "false", "Whether any client may register itself at /auth/register (RFC 7591)."),
    setting(
        "self_registered_space",
        "people",
        "The memory space of clients that were not registered by the operator, from their first connection on; app-CLIENT_ID for that of an application.",
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
