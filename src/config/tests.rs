use super::*;

fn config(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_values(&Values::gather(None, variables)?)
}

fn refusal(variables: &[(&str, &str)]) -> String {
    config(variables).expect_err("the configuration is refused").to_string()
}

#[test]
fn the_defaults_are_sound() {
    let config = config(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.bcrypt_cost, 12);
    assert_eq!(config.access_token_ttl, Duration::from_hours(1));
    assert_eq!(config.refresh_token_ttl, Duration::from_hours(30 * 24));
    assert_eq!(config.session_ttl, Duration::from_hours(12));
    assert!(config.identity_provider.is_none());
    assert!(config.trusted_proxies.is_empty());
    assert!(config.master_key.is_none());
}

#[test]
fn an_operators_listener_that_others_reach_needs_a_token() {
    for address in ["0.0.0.0:9090", "[::]:9090", "10.0.0.1:9090", "[::ffff:10.0.0.1]:9090"] {
        let error = refusal(&[("MEMGATE_ADMIN_LISTEN", address)]);
        assert!(error.starts_with("MEMGATE_ADMIN_TOKEN must be set") && error.contains(address), "{error}");
        let token = ("MEMGATE_ADMIN_TOKEN", "0123456789abcdef");
        assert!(config(&[("MEMGATE_ADMIN_LISTEN", address), token]).is_ok());
    }
    for address in ["127.0.0.1:9090", "127.1.2.3:9090", "[::1]:9090", "[::ffff:127.0.0.1]:9090", "off"] {
        assert!(config(&[("MEMGATE_ADMIN_LISTEN", address)]).is_ok(), "{address}");
    }
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest_name() {
    let error = refusal(&[("MEMGATE_LISTN", "x")]);
    assert!(error.contains("`MEMGATE_LISTN`") && error.contains("did you mean `MEMGATE_LISTEN`?"), "{error}");
}

#[test]
fn variables_of_other_programs_are_not_looked_at() {
    assert!(config(&[("PATH", "/bin"), ("MEMGATEWAY", "x")]).is_ok());
}

#[test]
fn an_empty_variable_counts_as_absent() {
    assert_eq!(config(&[("MEMGATE_BCRYPT_COST", "")]).unwrap().bcrypt_cost, 12);
}

#[test]
fn every_wrong_value_is_named_and_never_repeated() {
    for (name, value) in [
        ("MEMGATE_LISTEN", "localhost"),
        ("MEMGATE_PUBLIC_URL", "memory.example.com"),
        ("MEMGATE_PUBLIC_URL", "https://memory.example.com/path"),
        ("MEMGATE_PUBLIC_URL", "https://user:pass@memory.example.com"),
        ("MEMGATE_PUBLIC_URL", "ftp://memory.example.com"),
        ("MEMGATE_MASTER_KEY", "c2hvcnQ="),
        ("MEMGATE_ADMIN_LISTEN", "9090"),
        ("MEMGATE_ADMIN_TOKEN", "short"),
        ("MEMGATE_ADMIN_TOKEN", "with a space in between"),
        ("MEMGATE_DRAIN", "6m"),
        ("MEMGATE_BCRYPT_COST", "3"),
        ("MEMGATE_BCRYPT_COST", "32"),
        ("MEMGATE_BCRYPT_THREADS", "0"),
        ("MEMGATE_ACCESS_TOKEN_TTL", "25h"),
        ("MEMGATE_ACCESS_TOKEN_TTL", "0"),
        ("MEMGATE_ACCESS_TOKEN_TTL", "1500ms"),
        ("MEMGATE_REFRESH_TOKEN_TTL", "367d"),
        ("MEMGATE_GRANT_TTL", "soon"),
        ("MEMGATE_REFRESH_RETRY_WINDOW", "11m"),
        ("MEMGATE_TOKEN_ALGORITHM", "HS256"),
        ("MEMGATE_KEY_ROTATION", "1s"),
        ("MEMGATE_KEY_PUBLISH_BEFORE", "1s"),
        ("MEMGATE_SESSION_TTL", "4m"),
        ("MEMGATE_SESSION_TTL", "31d"),
        ("MEMGATE_OIDC_ISSUER", "accounts.google.com"),
        ("MEMGATE_OIDC_ISSUER", "http://accounts.google.com"),
        ("MEMGATE_MEMORY_BANK_KIND", "attic"),
        ("MEMGATE_GPT_CONFIRM_WRITES", "maybe"),
        ("MEMGATE_QUEUE_WAIT", "41s"),
        ("MEMGATE_QUEUE_CAPACITY", "0"),
        ("MEMGATE_QUEUE_RETENTION", "0"),
        ("MEMGATE_QUEUE_DEAD_LETTER_RETENTION", "59m"),
        ("MEMGATE_QUEUE_CONCURRENCY", "0"),
        ("MEMGATE_QUEUE_LEASE", "0"),
        ("MEMGATE_AUDIT_RETENTION", "59m"),
        ("MEMGATE_STALE_SEARCH", "8d"),
        ("MEMGATE_RATE_LIMIT", "0"),
        ("MEMGATE_TRUSTED_PROXIES", "10.0.0.0/99"),
        ("MEMGATE_CORS_ORIGINS", "app.example.com"),
        ("MEMGATE_CORS_ORIGINS", "localhost:3000"),
        ("MEMGATE_CORS_ORIGINS", "https://app.example.com/path"),
        ("MEMGATE_CORS_ORIGINS", "https://app.example.com, https://user@b.example.com"),
        ("MEMGATE_CORS_ORIGINS", "null"),
        ("MEMGATE_LOG", "memgate=loud"),
        ("MEMGATE_LOG", "loud"),
        ("MEMGATE_LOG_FORMAT", "xml"),
    ] {
        let error = refusal(&[(name, value)]);
        assert!(error.starts_with(name), "{name}: {error}");
        assert!(error.contains("must be"), "{name}: {error}");
        assert!(name != "MEMGATE_MASTER_KEY" || !error.contains(value), "{error}");
    }
}

#[test]
fn origins_are_kept_as_browsers_write_them() {
    let origins = |text: &str| config(&[("MEMGATE_CORS_ORIGINS", text)]).unwrap().cors_origins;
    assert!(origins("").is_empty());
    assert_eq!(origins("*"), ["*"]);
    assert_eq!(
        origins("https://App.Example.com:443/, http://localhost:3000,tauri://localhost, https://bücher.example"),
        ["https://app.example.com", "http://localhost:3000", "tauri://localhost", "https://xn--bcher-kva.example"]
    );
}

#[test]
fn https_needs_a_certificate_and_its_key() {
    let [certificate, key] = [("MEMGATE_TLS_CERT", "cert.pem"), ("MEMGATE_TLS_KEY", "key.pem")];
    assert!(refusal(&[certificate]).starts_with("MEMGATE_TLS_KEY must be set where MEMGATE_TLS_CERT is"));
    assert!(refusal(&[key]).starts_with("MEMGATE_TLS_CERT must be set where MEMGATE_TLS_KEY is"));
    let files = config(&[certificate, key]).unwrap().tls.unwrap();
    assert_eq!((files.certificate.to_str(), files.key.to_str()), (Some("cert.pem"), Some("key.pem")));
    assert!(config(&[]).unwrap().tls.is_none());
}

#[test]
fn a_lease_that_a_call_to_the_bank_could_outlive_is_refused_with_both_names() {
    let remote = |more: &[(&str, &str)]| {
        let bank = [("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"), ("MEMGATE_MEMORY_BANK_URL", "http://127.0.0.1:8888")];
        config(&[&bank, more].concat())
    };
    let error = remote(&[("MEMGATE_QUEUE_LEASE", "25s")]).unwrap_err().to_string();
    assert!(error.starts_with("MEMGATE_QUEUE_LEASE is 25s"), "{error}");
    assert!(error.contains("MEMGATE_MEMORY_BANK_DEADLINE, which is 20s"), "{error}");
    assert!(remote(&[("MEMGATE_QUEUE_LEASE", "26s")]).is_ok());
    assert!(remote(&[("MEMGATE_MEMORY_BANK_DEADLINE", "44s"), ("MEMGATE_QUEUE_LEASE", "55s")]).is_err());
    assert!(remote(&[("MEMGATE_MEMORY_BANK_DEADLINE", "44s")]).is_ok(), "the default is long enough for any deadline");
    assert!(config(&[("MEMGATE_QUEUE_LEASE", "1s")]).is_ok(), "the embedded bank has no calls that could outlive it");
}

#[test]
fn the_environment_goes_before_the_file_and_the_file_before_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("memgate.toml");
    std::fs::write(&file, "bcrypt_cost = 5\naccess_token_ttl = \"10m\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n")
        .unwrap();
    let variables = [("MEMGATE_BCRYPT_COST".to_owned(), "6".to_owned())];
    let values = Values::gather(Some(&file), variables).unwrap();
    let config = Config::from_values(&values).unwrap();
    assert_eq!(config.bcrypt_cost, 6);
    assert_eq!(config.access_token_ttl, Duration::from_mins(10));
    assert_eq!(config.trusted_proxies.len(), 2);
    let source = |wanted| values.iter().find(|(setting, ..)| setting.name == wanted).unwrap().2;
    assert_eq!(
        [source("bcrypt_cost"), source("access_token_ttl"), source("listen")],
        [Source::Environment, Source::File, Source::Default]
    );
}

#[test]
fn a_file_with_a_mistake_is_refused_with_its_line_and_without_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("memgate.toml");
    std::fs::write(&file, "bcrypt_cost = 5\ndatabase_url = \"postgres://me:hunter2@db\nlisten = 1\n").unwrap();
    let error = Values::gather(Some(&file), []).err().unwrap().to_string();
    assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    std::fs::write(&file, "bcrypt_costs = 5\n").unwrap();
    let error = Values::gather(Some(&file), []).err().unwrap().to_string();
    assert!(error.contains("did you mean `bcrypt_cost`?"), "{error}");
    let missing = Values::gather(Some(&folder.path().join("none.toml")), []).err().unwrap().to_string();
    assert!(missing.contains("none.toml"), "{missing}");
}

#[test]
fn durations_are_read_in_the_usual_units() {
    for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600), ("30d", 2_592_000), ("1h 30m", 5400)] {
        assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
    }
    assert_eq!(parse_duration("-1"), None);
    assert_eq!(parse_duration("1.5"), None);
}

#[test]
fn the_list_of_settings_is_documented_whole() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
    for setting in SETTINGS {
        assert!(
            page.contains(&format!("`{}`", setting.variable())),
            "docs/configuration.md lacks {}",
            setting.variable()
        );
    }
}

#[test]
fn a_file_may_hold_booleans() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("memgate.toml");
    for (value, expected) in [("false", false), ("true", true), ("\"false\"", false)] {
        std::fs::write(&file, format!("\u{feff}gpt_confirm_writes = {value}\n")).unwrap();
        let config = Config::from_values(&Values::gather(Some(&file), []).unwrap()).unwrap();
        assert_eq!(config.gpt_confirm_writes, expected, "{value}");
    }
    std::fs::write(&file, "bcrypt_cost = true\n").unwrap();
    let error = Config::from_values(&Values::gather(Some(&file), []).unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("MEMGATE_BCRYPT_COST must be a whole number"), "{error}");
}

#[test]
fn every_value_that_is_refused_is_named_not_only_the_first() {
    let variables = [("MEMGATE_BCRYPT_COST", "3"), ("MEMGATE_LOG", "loud"), ("MEMGATE_TLS_CERT", "cert.pem")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let problems = Config::problems(&Values::gather(None, variables).unwrap());
    let names: Vec<&str> = problems.keys().map(String::as_str).collect();
    assert_eq!(names, ["MEMGATE_BCRYPT_COST", "MEMGATE_LOG", "MEMGATE_TLS_KEY"]);
    assert!(problems["MEMGATE_BCRYPT_COST"].contains("from 4 to 31"));
    assert!(Config::problems(&Values::gather(None, []).unwrap()).is_empty());
}
