//! Settings: where they come from, how they are shown, and what is said of wrong ones.

use std::io::Write as _;
use std::net::TcpListener;

use memgate_test_kit::process::{Server, finish, memgate};
use serde_json::{Value, json};

use super::folder;

#[test]
fn a_wrong_configuration_is_named_with_exit_code_two() {
    let folder = folder();
    let output = finish(memgate(folder.path()).args(["app", "list"]).env("MEMGATE_BCRYPT_COTS", "4"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("did you mean `MEMGATE_BCRYPT_COST`?"), "{error}");
}

#[test]
fn the_configuration_is_shown_with_its_sources_and_without_its_secrets() {
    let folder = folder();
    let shown = |arguments: &[&str]| {
        let mut command = memgate(folder.path());
        command.env("MEMGATE_DATABASE_URL", "postgres://me:hunter2@db.example/gate?sslpassword=hunter2");
        command.env("MEMGATE_MASTER_KEY", "dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=");
        let output = finish(command.args(["config", "show"]).args(arguments));
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for text in [shown(&[]), shown(&["--json"])] {
        assert!(!text.contains("hunter2") && !text.contains("dGVzdHMg"), "{text}");
        assert!(text.contains("db.example"), "{text}");
    }
    let values: Value = serde_json::from_str(&shown(&["--json"])).unwrap();
    assert_eq!(values["bcrypt_cost"], json!({ "value": "4", "source": "environment" }));
    assert_eq!(values["rate_limit"], json!({ "value": "6000", "source": "default" }));
}

#[test]
fn a_value_that_the_service_refuses_is_marked_where_it_is_shown() {
    let folder = folder();
    for (variable, value, says, code) in [
        ("MEMGATE_BCRYPT_COST", "3", "from 4 to 31", 2),
        ("MEMGATE_LOG", "loud", "must be a level", 2),
        ("MEMGATE_DATABASE_URL", "mysql://x", "must begin with", 0),
        ("MEMGATE_DATABASE_URL", "postgres://u:12#pw@127.0.0.1/d", "percent-encoded", 0),
        ("MEMGATE_PRIVACY_FILE", "missing.txt", "cannot be read", 0),
    ] {
        let output = finish(memgate(folder.path()).args(["config", "show"]).env(variable, value));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{variable}={value}: {text}");
        let line = text.lines().find(|line| line.starts_with(variable)).unwrap();
        assert!(line.contains("REFUSED: ") && line.contains(says) && !line.contains("#pw"), "{line}");
        let output = finish(memgate(folder.path()).args(["config", "show", "--json"]).env(variable, value));
        let values: Value = serde_json::from_slice(&output.stdout).unwrap();
        let member = &values[variable.trim_start_matches("MEMGATE_").to_lowercase()];
        assert!(member["problem"].as_str().unwrap().contains(says), "{member}");
    }
}

#[test]
fn the_environment_of_a_kubernetes_service_and_of_other_programs_does_not_matter() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = folder();
    let broken = std::ffi::OsStr::from_bytes(b"\xa3");
    let in_that_environment = || {
        let mut command = memgate(folder.path());
        command.env("MEMGATE_PORT", "tcp://10.43.1.2:8080").env("MEMGATE_SERVICE_HOST", "10.43.1.2");
        command.env("MEMGATE_PORT_8080_TCP_ADDR", "10.43.1.2").env("UNRELATED", broken);
        command
    };
    let output = finish(in_that_environment().args(["config", "show"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let server = Server::start(in_that_environment());
    assert!(server.url.starts_with("http://127.0.0.1:") && server.terminate().success());

    let output = finish(memgate(folder.path()).args(["config", "show"]).env("MEMGATE_LOG", broken));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("MEMGATE_LOG must be UTF-8"), "{error}");
}

#[test]
fn a_reserved_character_in_the_password_of_the_database_is_named_and_the_password_is_not_shown() {
    let folder = folder();
    let url = "postgres://u:s3#pw@127.0.0.1/d";
    let output = finish(memgate(folder.path()).args(["app", "list"]).env("MEMGATE_DATABASE_URL", url));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("percent-encoded, for example # as %23"), "{error}");
    assert!(!error.contains("s3") && !error.contains("pw"), "{error}");
}

#[test]
fn who_listens_on_every_address_is_told_to_name_the_public_url() {
    let mut addresses = vec![("0.0.0.0:0", "127.0.0.1")];
    match TcpListener::bind("[::1]:0") {
        Ok(_) => addresses.push(("[::]:0", "[::1]")),
        // Past the test harness, which keeps what passing tests print to itself.
        Err(error) => {
            drop(writeln!(std::io::stderr(), "\n*** SKIPPED: listening on [::]. There is no IPv6: {error}\n"));
        }
    }
    for (listen, loopback) in addresses {
        let folder = folder();
        let mut command = memgate(folder.path());
        command.env("MEMGATE_LISTEN", listen);
        let server = Server::start(command);
        let port = server.url.rsplit(':').next().unwrap();
        assert!(server.log.contains("MEMGATE_PUBLIC_URL is not set"), "{listen}: {}", server.log);
        let public_url = format!("\"public_url\":\"http://{loopback}:{port}\"");
        assert!(server.log.contains(&public_url), "{listen}: {}", server.log);
    }
}

#[test]
fn a_port_in_use_names_its_setting() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (setting, other) in [("MEMGATE_LISTEN", "MEMGATE_ADMIN_LISTEN"), ("MEMGATE_ADMIN_LISTEN", "MEMGATE_LISTEN")] {
        let mut command = memgate(folder.path());
        command.env(setting, &address);
        let log = Server::try_start(command).err().expect("the port is in use");
        let said = log.lines().last().unwrap_or_default();
        let error = log.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(error.contains(&format!("cannot listen on {address}")), "{setting}: {log}");
        assert!(error.contains(&format!("set {setting} to")) && !error.contains(other), "{setting}: {log}");
        assert!(said.contains("in use"), "{setting}: {log}");
    }
}

#[test]
fn postgres_without_a_master_key_is_refused_before_anything_is_served() {
    let folder = folder();
    let output = finish(memgate(folder.path()).arg("serve").env("MEMGATE_DATABASE_URL", "mysql://x"));
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("sqlite://") && error.contains("postgres://"), "{error}");
}
