//! The command line, as an operator uses it.

mod applications;
mod configuration;
mod database;
mod demo;
mod keys;

use std::fs;
use std::time::{Duration, Instant};

use memgate_test_kit::http;
use memgate_test_kit::process::{Server, fail, installation, memgate, succeed, succeed_json};
use serde_json::Value;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn client() -> reqwest::Client {
    http::client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn token_status(url: &str, application: &Value) -> u16 {
    let (id, secret) = (application["client_id"].as_str().unwrap(), application["client_secret"].as_str().unwrap());
    let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request = client().post(format!("{url}/auth/token"));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
    request.send().await.unwrap().status().as_u16()
}

#[test]
fn without_a_subcommand_it_prints_help() {
    let folder = folder();
    let help = succeed(folder.path(), &[]);
    for command in
        ["serve", "demo", "app", "user", "connect", "keys", "audit", "import", "migrate", "openapi", "config"]
    {
        assert!(help.contains(&format!("\n  {command} ")), "the help names {command}: {help}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn wrong_arguments_are_explained_with_exit_code_two() {
    let folder = installation();
    for (arguments, said) in [
        (&["app", "create"][..], "--name"),
        (&["app", "create", "--name", ""], "must not be empty"),
        (&["app", "create", "--name", "a\nb"], "control characters"),
        (&["app", "create", "--name", "A", "--permission", "memory:rule"], "memory:delete"),
        (&["app", "create", "--name", "A", "--grant", "password"], "client_credentials"),
        (&["app", "create", "--name", "A", "--redirect-uri", "http://example.com/"], "https"),
        (&["app", "create", "--name", "A", "--space", "../x"], "space"),
        (&["app", "create", "--name", "A", "--rate-limit", "0"], "requests per minute"),
        (&["app", "create", "--name", "A", "--access-token-ttl", "25h"], "24 hours"),
        (&["app", "create", "--name", "A", "--public", "--grant", "client_credentials"], "public"),
        (&["app", "show", "me"], "UUID"),
        (&["app", "update", "67e55044-10b1-426f-9247-bb680e5fe0c8"], "nothing to change"),
        (&["serve", "--loudly"], "--loudly"),
        (&["remember"], "remember"),
    ] {
        let error = fail(folder.path(), arguments, 2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn a_running_service_notices_what_the_command_line_does() {
    let folder = folder();
    let server = Server::start(memgate(folder.path()));
    let application = succeed_json(folder.path(), &["app", "create", "--name", "Late"]);
    let id = application["client_id"].as_str().unwrap();
    assert_eq!(token_status(&server.url, &application).await, 200, "a new application is known at once");
    succeed(folder.path(), &["app", "disable", id]);
    let disabled = Instant::now();
    while token_status(&server.url, &application).await == 200 {
        assert!(disabled.elapsed() < Duration::from_secs(2), "a disabled application is shut out within two seconds");
        tokio::task::yield_now().await;
    }
    let events = succeed_json(folder.path(), &["audit"]);
    let kinds: Vec<&str> = events.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"application_created") && kinds.contains(&"application_disabled"), "{kinds:?}");
    assert!(server.terminate().success(), "it ends well when it is asked to");
}
