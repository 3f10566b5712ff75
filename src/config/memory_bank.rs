//! The settings of the memory bank.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::error::ConfigError;
use super::parser::Parser;
use crate::adapters::remote_bank::{
    AuthScheme, BankKind, BreakerConfig, HedgeAfter, RemoteBankConfig, ResilienceConfig,
};

/// The memory bank to use.
#[derive(Clone, Debug)]
pub enum MemoryBankConfig {
    /// Memgate's own database.
    Embedded,
    /// A service over HTTP.
    Remote(Box<RemoteBankConfig>),
}

const DAY: Duration = Duration::from_hours(24);
const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn parse(v: &Parser<'_>) -> Result<MemoryBankConfig, ConfigError> {
    if v.text("memory_bank_kind") == "embedded" {
        return Ok(MemoryBankConfig::Embedded);
    }
    let kind =
        v.required("memory_bank_kind", |text| text.parse::<BankKind>().map_err(|error| error.problem().to_string()))?;
    let example = "must be the base URL of the memory service, such as http://127.0.0.1:8888";
    let url = v.required("memory_bank_url", |text| Url::parse(text).map_err(|_| example.to_owned()))?;
    let config = RemoteBankConfig {
        api_key: v.optional("memory_bank_api_key", |text| Ok(SecretString::from(text.to_owned())))?,
        auth_scheme: v.optional("memory_bank_auth_scheme", |text| {
            text.parse::<AuthScheme>().map_err(|error| error.problem().to_string())
        })?,
        proxy: v.optional("memory_bank_proxy", |text| {
            Url::parse(text)
                .map(Into::into)
                .map_err(|_| "must be the URL of a proxy, such as http://proxy.example:3128".to_owned())
        })?,
        connect_timeout: v.time("memory_bank_connect_timeout", MILLISECOND, DAY)?,
        answer_limit: v.number("memory_bank_answer_limit", 1024, 1 << 30)?,
        answers_limit: v.number("memory_bank_answers_limit", 1024, 1 << 34)?,
        list_limit: v.number("memory_bank_list_limit", 1, 1_000_000)?,
        event_interval: v.time("memory_bank_event_interval", MILLISECOND, DAY)?,
        resilience: resilience(v)?,
        ..RemoteBankConfig::new(kind, url)
    };
    // Rules that span several settings are the adapter's; it uses the names of the settings.
    config.validate().map_err(|error| ConfigError::Invalid {
        name: format!("MEMGATE_{}", error.field().to_uppercase()),
        problem: error.problem().to_string(),
    })?;
    Ok(MemoryBankConfig::Remote(Box::new(config)))
}

fn resilience(v: &Parser<'_>) -> Result<ResilienceConfig, ConfigError> {
    Ok(ResilienceConfig {
        deadline: v.time("memory_bank_deadline", MILLISECOND, Duration::from_secs(44))?,
        attempt_timeout: v.time("memory_bank_attempt_timeout", MILLISECOND, Duration::from_secs(44))?,
        max_attempts: v.number("memory_bank_max_attempts", 1, 10)?,
        backoff_base: v.time("memory_bank_backoff_base", MILLISECOND, DAY)?,
        backoff_max: v.time("memory_bank_backoff_max", MILLISECOND, DAY)?,
        retry_percent: v.number("memory_bank_retry_percent", 0, 100)?,
        retry_floor: v.number("memory_bank_retry_floor", 0, 1_000_000)?,
        retry_savings: v.number("memory_bank_retry_savings", 0, 1_000_000)?,
        hedge_after: v.required("memory_bank_hedge_after", |text| {
            text.parse::<HedgeAfter>().map_err(|error| error.problem().to_string())
        })?,
        breaker: BreakerConfig {
            window: v.time("memory_bank_breaker_window", MILLISECOND, DAY)?,
            calls: v.number("memory_bank_breaker_calls", 2, 10_000)?,
            failure_percent: v.number("memory_bank_breaker_failure_percent", 1, 100)?,
            slow_call: v.time("memory_bank_breaker_slow_call", MILLISECOND, DAY)?,
            slow_percent: v.number("memory_bank_breaker_slow_percent", 1, 100)?,
            open_for: v.time("memory_bank_breaker_open_for", MILLISECOND, DAY)?,
            probes: v.number("memory_bank_breaker_probes", 1, 1_000)?,
        },
        max_concurrent: v.number("memory_bank_max_concurrent", 1, 100_000)?,
        max_waiting: v.number("memory_bank_max_waiting", 0, 100_000)?,
        max_wait: v.time("memory_bank_max_wait", Duration::ZERO, DAY)?,
    })
}
