//! What a client refuses to be configured with.

use std::sync::Arc;
use std::time::Duration;

use memgate::adapters::remote_bank::{
    AuthScheme, BankKind, HedgeAfter, RemoteBankConfig, RemoteBankError, RemoteMemoryBank,
};
use memgate_domain::testing::{FixedClock, SeededEntropy};

fn refused(change: impl FnOnce(&mut RemoteBankConfig)) -> String {
    let mut config = RemoteBankConfig::new(BankKind::Mem0Oss, "http://127.0.0.1:8888".parse().unwrap());
    change(&mut config);
    match RemoteMemoryBank::new(config, Arc::new(FixedClock::default()), Arc::new(SeededEntropy::new(1))) {
        Ok(_) => String::new(),
        Err(RemoteBankError::Invalid(error)) => error.field().to_owned(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_defaults_hold_and_what_cannot_be_is_refused_by_name() {
    assert_eq!(refused(|_| ()), "");
    assert_eq!(refused(|config| config.url = "https://bank.example/a/path/".parse().unwrap()), "");
    for url in ["ftp://bank", "http://bank/?a=b", "http://bank/#a", "http://user:password@bank", "http://user@bank"] {
        assert_eq!(refused(|config| config.url = url.parse().unwrap()), "memory_bank_url", "{url}");
    }
    for key in ["", "with space", "zwölf", "line\nbreak"] {
        assert_eq!(refused(|config| config.api_key = Some(key.into())), "memory_bank_api_key", "{key:?}");
    }
    let seconds = Duration::from_secs;
    for (field, change) in [
        ("memory_bank_deadline", (|c| c.resilience.deadline = Duration::from_secs(45)) as fn(&mut RemoteBankConfig)),
        ("memory_bank_deadline", |c| c.resilience.deadline = Duration::ZERO),
        ("memory_bank_attempt_timeout", |c| c.resilience.attempt_timeout = Duration::from_secs(21)),
        ("memory_bank_max_attempts", |c| c.resilience.max_attempts = 0),
        ("memory_bank_backoff_base", |c| c.resilience.backoff_base = Duration::from_secs(3)),
        ("memory_bank_retry_percent", |c| c.resilience.retry_percent = 101),
        ("memory_bank_retry_savings", |c| c.resilience.retry_savings = 9),
        ("memory_bank_max_concurrent", |c| c.resilience.max_concurrent = 0),
        ("memory_bank_breaker_calls", |c| c.resilience.breaker.calls = 1),
        ("memory_bank_breaker_failure_percent", |c| c.resilience.breaker.failure_percent = 0),
        ("memory_bank_breaker_slow_percent", |c| c.resilience.breaker.slow_percent = 101),
        ("memory_bank_breaker_window", |c| c.resilience.breaker.window = Duration::ZERO),
        ("memory_bank_breaker_probes", |c| c.resilience.breaker.probes = 0),
        ("memory_bank_answer_limit", |c| c.answer_limit = 0),
        ("memory_bank_answers_limit", |c| c.answers_limit = c.answer_limit - 1),
        ("memory_bank_list_limit", |c| c.list_limit = 0),
        ("memory_bank_event_interval", |c| c.event_interval = Duration::ZERO),
    ] {
        assert_eq!(refused(change), field);
    }
    assert!(RemoteBankConfig::new(BankKind::Mem0V1, "http://a".parse().unwrap()).resilience.deadline < seconds(45));
}

#[test]
fn kinds_and_schemes_are_read_by_their_names() {
    for kind in BankKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    assert!("mem0".parse::<BankKind>().unwrap_err().problem().to_string().contains("mcp-memory-service"));
    for (text, scheme) in
        [("Token", AuthScheme::Token), ("bearer", AuthScheme::Bearer), ("X-API-Key", AuthScheme::XApiKey)]
    {
        assert_eq!(text.parse(), Ok(scheme));
    }
    assert!("Basic".parse::<AuthScheme>().is_err());
    for (text, after) in [
        ("off", HedgeAfter::Never),
        ("auto", HedgeAfter::Learned),
        ("200ms", HedgeAfter::Fixed(Duration::from_millis(200))),
    ] {
        assert_eq!(text.parse(), Ok(after));
    }
    for text in ["", "soon", "0s"] {
        assert!(text.parse::<HedgeAfter>().unwrap_err().problem().to_string().contains("200ms"), "{text}");
    }
}

#[test]
fn the_key_is_in_no_debug_output() {
    let mut config = RemoteBankConfig::new(BankKind::Mem0Oss, "http://127.0.0.1:8888".parse().unwrap());
    config.api_key = Some("a-key-of-a-bank".into());
    assert!(!format!("{config:?}").contains("a-key-of-a-bank"));
}
