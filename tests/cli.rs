//! The command line, as an operator uses it.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memgate::app::Backend;
use memgate::config::{Config, Values};
use memgate::domain::applications::NewApplication;
use serde_json::{Value, json};
use support::gate::new_application;
use support::process::{Server, fail, installation, memgate, run, run_with_input, succeed, succeed_json};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn client() -> reqwest::Client {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
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
fn an_application_is_created_with_its_defaults_and_shows_its_secret_once() {
    let folder = installation();
    let created = succeed_json(folder.path(), &["app", "create", "--name", "My GPT"]);
    let secret = created["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("mgs_") && secret.len() == 53);
    assert_eq!(created["permissions"], json!(["memory:read", "memory:write"]));
    assert_eq!(created["grants"], json!(["client_credentials", "refresh_token"]));
    let id = created["client_id"].as_str().unwrap();
    for shown in [
        succeed(folder.path(), &["app", "show", id]),
        succeed(folder.path(), &["app", "show", id, "--json"]),
        succeed(folder.path(), &["app", "list"]),
        succeed(folder.path(), &["app", "secret", "list", id]),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let stored: Vec<u8> = ["memgate.db", "memgate.db-wal"]
        .iter()
        .flat_map(|name| fs::read(folder.path().join(name)).unwrap_or_default())
        .collect();
    let in_file = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(in_file(b"$2b$04$") && !in_file(secret.as_bytes()), "only the hash is stored");
}

#[test]
fn an_application_is_listed_changed_disabled_enabled_and_deleted() {
    let folder = installation();
    let created = succeed_json(folder.path(), &["app", "create", "--name", "First", "--permission", "memory:delete"]);
    let id = created["client_id"].as_str().unwrap();
    let changed = succeed_json(
        folder.path(),
        &[
            "app",
            "update",
            id,
            "--name",
            "Second",
            "--grant",
            "client_credentials",
            "--space",
            "team",
            "--category",
            "work",
            "--rate-limit",
            "5",
            "--access-token-ttl",
            "10m",
            "--redirect-uri",
            "https://example.com/callback",
        ],
    );
    let expected = [
        ("name", json!("Second")),
        ("grants", json!(["client_credentials"])),
        ("space", json!("team")),
        ("categories", json!(["work"])),
        ("rate_limit", json!(5)),
        ("access_token_ttl", json!(600)),
        ("redirect_uris", json!(["https://example.com/callback"])),
        ("permissions", json!(["memory:delete"])),
    ];
    for (member, value) in expected {
        assert_eq!(changed[member], value, "{member}");
    }
    let reset = ["app", "update", id, "--rate-limit", "default", "--all-categories", "--no-redirect-uris"];
    let reset = succeed_json(folder.path(), &reset);
    assert_eq!(
        [&reset["rate_limit"], &reset["categories"], &reset["redirect_uris"]],
        [&Value::Null, &Value::Null, &json!([])]
    );
    assert_eq!(succeed_json(folder.path(), &["app", "disable", id])["enabled"], false);
    assert_eq!(succeed_json(folder.path(), &["app", "enable", id])["enabled"], true);
    assert_eq!(succeed_json(folder.path(), &["app", "list"]).as_array().unwrap().len(), 1);
    succeed(folder.path(), &["app", "delete", "--yes", id]);
    assert_eq!(succeed_json(folder.path(), &["app", "list"]), json!([]));
    assert!(fail(folder.path(), &["app", "show", id], 1).contains("memgate app list"));
}

#[test]
fn applications_are_listed_page_by_page_and_by_what_is_asked_for() {
    let folder = installation();
    let first = succeed_json(folder.path(), &["app", "create", "--name", "First of all", "--space", "team"]);
    // More than are read at a time.
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("memgate.db").display());
    let variables = [("MEMGATE_DATABASE_URL", url.as_str()), ("MEMGATE_BCRYPT_COST", "4")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::from_values(&Values::gather(None, variables).unwrap()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let applications = Backend::open(&config).await.unwrap().applications();
        for number in 0..600 {
            let name = format!("Number {number}").parse().unwrap();
            applications.register(NewApplication { name, ..new_application() }).await.unwrap();
        }
    });
    let list = |arguments: &[&str]| {
        let listed = succeed_json(folder.path(), &[&["app", "list"], arguments].concat());
        listed.as_array().unwrap().iter().map(|one| one["client_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = list(&[]);
    assert_eq!(all.len(), 601);
    assert!(all.is_sorted(), "in the order of their ids");
    assert_eq!(list(&["--limit", "3"]), all[..3]);
    assert_eq!(list(&["--limit", "550", "--after", &all[10]]), all[11..561]);
    assert_eq!(list(&["--name", "number 59"]).len(), 11);
    assert_eq!(list(&["--space", "team"]), [first["client_id"].as_str().unwrap()]);
    assert!(list(&["--name", "nothing"]).is_empty());
    let table = succeed(folder.path(), &["app", "list"]);
    assert_eq!((table.lines().count(), table.matches("CLIENT_ID").count()), (602, 1));
    assert!(succeed(folder.path(), &["app", "list", "--name", "nothing"]).starts_with("CLIENT_ID"));
}

#[test]
fn secrets_are_added_listed_removed_and_rotated() {
    let folder = installation();
    let created = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let id = created["client_id"].as_str().unwrap();
    let added = succeed_json(folder.path(), &["app", "secret", "add", id, "--expires-in", "30d"]);
    assert!(added["client_secret"].as_str().unwrap().starts_with("mgs_") && added["expires_at"].is_string());
    let listed = succeed_json(folder.path(), &["app", "secret", "list", id]);
    assert_eq!(listed.as_array().unwrap().len(), 2);
    succeed(folder.path(), &["app", "secret", "remove", "--yes", id, added["secret_id"].as_str().unwrap()]);
    let rotated = succeed_json(folder.path(), &["app", "secret", "rotate", "--yes", id]);
    let listed = succeed_json(folder.path(), &["app", "secret", "list", id]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["secret_id"], rotated["secret_id"]);
    for _ in 0..4 {
        succeed(folder.path(), &["app", "secret", "add", id]);
    }
    assert!(fail(folder.path(), &["app", "secret", "add", id], 1).contains("remove one first"));
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

#[test]
fn a_wrong_configuration_is_named_with_exit_code_two() {
    let folder = folder();
    let output = memgate(folder.path()).args(["app", "list"]).env("MEMGATE_BCRYPT_COTS", "4").output().unwrap();
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
        let output = command.args(["config", "show"]).args(arguments).output().unwrap();
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
        let output = memgate(folder.path()).args(["config", "show"]).env(variable, value).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{variable}={value}: {text}");
        let line = text.lines().find(|line| line.starts_with(variable)).unwrap();
        assert!(line.contains("REFUSED: ") && line.contains(says) && !line.contains("#pw"), "{line}");
        let output = memgate(folder.path()).args(["config", "show", "--json"]).env(variable, value).output().unwrap();
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
    let output = in_that_environment().args(["config", "show"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let server = Server::start(in_that_environment());
    assert!(server.url.starts_with("http://127.0.0.1:") && server.terminate().success());

    let output = memgate(folder.path()).args(["config", "show"]).env("MEMGATE_LOG", broken).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("MEMGATE_LOG must be UTF-8"), "{error}");
}

#[test]
fn a_reserved_character_in_the_password_of_the_database_is_named_and_the_password_is_not_shown() {
    let folder = folder();
    let url = "postgres://u:s3#pw@127.0.0.1/d";
    let output = memgate(folder.path()).args(["app", "list"]).env("MEMGATE_DATABASE_URL", url).output().unwrap();
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
fn migrations_are_listed_applied_and_undone() {
    let folder = folder();
    let states = || {
        let status = succeed_json(folder.path(), &["migrate", "status"]);
        status.as_array().unwrap().iter().map(|m| m["applied"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert!(fail(folder.path(), &["migrate", "status"], 1).contains("memgate migrate up"));
    assert!(succeed(folder.path(), &["migrate", "up"]).contains("Applied"));
    assert!(states().iter().all(|applied| *applied));
    assert!(succeed(folder.path(), &["migrate", "up"]).contains("up to date"));
    succeed(folder.path(), &["migrate", "down", "--yes"]);
    assert_eq!(states().iter().filter(|applied| !**applied).count(), 1);
    let all = states().len().to_string();
    succeed(folder.path(), &["migrate", "down", "--yes", "--steps", &all]);
    assert!(states().iter().all(|applied| !applied));
    succeed(folder.path(), &["migrate", "up"]);
}

/// Commands that work on a database, each with arguments for which it would find nothing to do in an empty one.
const ON_A_DATABASE: &[(&str, &[&str])] = &[
    ("app create", &["--name", "A"]),
    ("app list", &[]),
    ("app show", &[NOBODY]),
    ("app update", &[NOBODY, "--name", "B"]),
    ("app disable", &[NOBODY]),
    ("app enable", &[NOBODY]),
    ("app delete", &["--yes", NOBODY]),
    ("app secret add", &[NOBODY]),
    ("app secret list", &[NOBODY]),
    ("app secret remove", &["--yes", NOBODY, NOBODY]),
    ("app secret rotate", &["--yes", NOBODY]),
    ("user create", &["marta"]),
    ("user invite", &["marta", "--public-url", "https://memory.example.com"]),
    ("user reset-link", &["marta", "--public-url", "https://memory.example.com"]),
    ("user list", &[]),
    ("user show", &["marta"]),
    ("user disable", &["marta"]),
    ("user enable", &["marta"]),
    ("user set-password", &["marta"]),
    ("user delete", &["--yes", NOBODY]),
    ("connect gpt", &["--name", "A", "--skip-check", "--public-url", "https://memory.example.com"]),
    ("connect mcp", &["--skip-check", "--public-url", "https://memory.example.com"]),
    ("mcp", &["--application", NOBODY]),
    ("keys list", &[]),
    ("keys rotate", &[]),
    ("keys retire", &["--yes", "Yp8AT"]),
    ("keys rewrap", &["--yes"]),
    ("queue list", &[]),
    ("queue retry", &["--all"]),
    ("queue drop", &["--yes", NOBODY]),
    ("embed status", &[]),
    ("embed rebuild", &[]),
    ("audit", &[]),
    ("export", &["--application", NOBODY]),
    ("import", &["memories.jsonl", "--application", NOBODY]),
    ("serve", &["--no-migrate"]),
];
/// Commands that need no database, make their own, or are about its schema.
const WITHOUT_A_DATABASE: [&str; 8] =
    ["serve", "demo", "migrate up", "migrate down", "migrate status", "openapi", "config show", "connect skill"];
/// An id that nothing has.
const NOBODY: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

/// The words of a command line.
fn command_line<'a>(command: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    command.split(' ').chain(arguments.iter().copied()).collect()
}

/// The commands below `command` that have none below them, as the help texts show them.
fn leaves(folder: &Path, command: &str) -> Vec<String> {
    let words = command.split_whitespace();
    let help = succeed(folder, &words.chain(["--help"]).collect::<Vec<_>>());
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return vec![command.to_owned()] };
    let lines = list.lines().take_while(|line| !line.is_empty());
    // What is said of a command may go on in further lines, which are indented more.
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    let below = names.filter(|name| *name != "help").map(|name| format!("{command} {name}").trim_start().to_owned());
    below.flat_map(|command| leaves(folder, &command)).collect()
}

#[test]
fn of_every_command_it_is_known_whether_it_works_on_a_database() {
    let known = || ON_A_DATABASE.iter().map(|(command, _)| *command).chain(WITHOUT_A_DATABASE);
    let leaves = leaves(folder().path(), "");
    for leaf in &leaves {
        assert!(known().any(|command| command == leaf), "`memgate {leaf}` is in neither list");
    }
    for command in known() {
        assert!(leaves.iter().any(|leaf| leaf == command), "there is no `memgate {command}`");
    }
}

#[test]
fn no_command_but_serve_demo_and_migrate_up_creates_a_database() {
    let folder = folder();
    let missing = folder.path().join("memgate.db").display().to_string();
    let about_the_schema: [(&str, &[&str]); 2] = [("migrate status", &[]), ("migrate down", &["--yes"])];
    for (command, arguments) in ON_A_DATABASE.iter().chain(&about_the_schema) {
        let arguments = &command_line(command, arguments);
        let said = fail(folder.path(), arguments, 1);
        assert!(said.contains(&format!("no database file {missing}")), "{arguments:?}: {said}");
        assert!(said.contains("`memgate serve` and `memgate migrate up`"), "{arguments:?}: {said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?}");
    }
}

#[test]
fn no_command_but_serve_demo_and_migrate_up_changes_the_schema() {
    let folder = installation();
    succeed(folder.path(), &["migrate", "down", "--yes"]);
    for (command, arguments) in ON_A_DATABASE {
        let said = fail(folder.path(), &command_line(command, arguments), 1);
        assert!(said.contains("memgate migrate up"), "{command}: {said}");
    }
    let status = succeed_json(folder.path(), &["migrate", "status"]);
    assert_eq!(status.as_array().unwrap().iter().filter(|state| state["applied"] == false).count(), 1);

    // And under a newer release's schema, they touch nothing.
    succeed(folder.path(), &["migrate", "up"]);
    let url = format!("sqlite://{}", folder.path().join("memgate.db").display());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_later', 0)";
        let database = sea_orm::Database::connect(url).await.unwrap();
        sea_orm::ConnectionTrait::execute_unprepared(&database, newer).await.unwrap();
    });
    let down: (&str, &[&str]) = ("migrate down", &["--yes"]);
    for (command, arguments) in ON_A_DATABASE.iter().chain([&down]) {
        let said = fail(folder.path(), &command_line(command, arguments), 1);
        assert!(said.contains("newer version of memgate"), "{command}: {said}");
    }
}

#[test]
fn each_command_names_the_database_that_it_works_on() {
    let folder = installation();
    let file = folder.path().join("memgate.db").display().to_string();
    for arguments in [&["app", "list"][..], &["app", "list", "--json"], &["migrate", "up"], &["migrate", "status"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("database: {file}\n"), "{arguments:?}");
        assert!(!String::from_utf8(output.stdout).unwrap().contains("database"), "{arguments:?}");
    }

    let mut named = BTreeSet::from(["serve"]);
    let mut run = |command: &'static str, arguments: &[&str], input: &str, code: i32| {
        let output = run_with_input(folder.path(), &command_line(command, arguments), input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{command}: {said}");
        assert_eq!(said.lines().next(), Some(&*format!("database: {file}")), "{command}");
        named.insert(command);
        // An export is of memories alone, and those that a program prints line by line are no JSON object.
        match serde_json::from_slice(&output.stdout) {
            Ok(Value::Object(object)) if command != "export" => {
                assert_eq!(object.get("database"), Some(&json!(file)), "{command}");
                Value::Object(object)
            }
            other => other.unwrap_or_default(),
        }
    };
    let created = run("app create", &["--name", "A", "--json"], "", 0);
    let id = created["client_id"].as_str().unwrap();
    for command in ["app show", "app disable", "app enable", "app secret list"] {
        run(command, &[id, "--json"], "", 0);
    }
    run("app list", &["--json"], "", 0);
    run("app update", &[id, "--name", "B", "--json"], "", 0);
    let added = run("app secret add", &[id, "--json"], "", 0);
    run("app secret remove", &["--yes", "--json", id, added["secret_id"].as_str().unwrap()], "", 0);
    run("app secret rotate", &["--yes", "--json", id], "", 0);
    run("user create", &["marta", "--json"], "correct horse", 0);
    run("user set-password", &["marta", "--json"], "battery staple", 0);
    for command in ["user show", "user disable", "user enable"] {
        run(command, &["marta", "--json"], "", 0);
    }
    let public_url = ["--public-url", "https://memory.example.com", "--json"];
    run("user invite", &[&["anna"], &public_url[..]].concat(), "", 0);
    run("user reset-link", &[&["anna"], &public_url[..]].concat(), "", 0);
    run("user list", &["--json"], "", 0);
    fs::write(folder.path().join("memories.jsonl"), "{\"content\": \"Marta has a cat.\"}\n").unwrap();
    run("import", &["memories.jsonl", "--application", id, "--user", "marta", "--json"], "", 0);
    assert_eq!(run("export", &["--user", "marta"], "", 0)["content"], "Marta has a cat.");
    run("user delete", &["--yes", "--json", "marta"], "", 0);
    run("connect gpt", &[&["--name", "A", "--skip-check"], &public_url[..]].concat(), "", 0);
    run("connect mcp", &[&["--skip-check"], &public_url[..]].concat(), "", 0);
    run("mcp", &["--application", id], "", 0);
    let made = run("keys rotate", &["--now", "--json"], "", 0);
    run("keys rotate", &["--now"], "", 0);
    run("keys list", &["--json"], "", 0);
    run("keys retire", &["--yes", made[0]["key_id"].as_str().unwrap()], "", 0);
    let master_key = fs::read_to_string(folder.path().join("memgate.db.master-key")).unwrap();
    run("keys rewrap", &["--yes"], &master_key, 0);
    run("queue list", &["--json"], "", 0);
    run("queue retry", &["--all", "--json"], "", 0);
    run("queue drop", &["--yes", "--json", NOBODY], "", 1);
    run("embed status", &["--json"], "", 0);
    // There is no model.
    run("embed rebuild", &["--json"], "", 1);
    run("audit", &["--json"], "", 0);
    run("app delete", &["--yes", "--json", id], "", 0);
    for (command, _) in ON_A_DATABASE {
        assert!(named.contains(command), "`memgate {command}` was not tried");
    }
    let server = Server::start(memgate(folder.path()));
    assert!(server.log.contains(&format!("\"database\":\"{file}\"")), "{}", server.log);
}

#[test]
fn undoing_migrations_names_what_it_takes_and_asks_and_waits_for_the_service_to_stop() {
    let folder = installation();
    succeed(folder.path(), &["app", "create", "--name", "A"]);
    let names = || {
        let status = succeed_json(folder.path(), &["migrate", "status"]);
        let applied = status.as_array().unwrap().iter().filter(|state| state["applied"] == true);
        applied.map(|state| state["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = names();
    let said = fail(folder.path(), &["migrate", "down", "--steps", "99"], 2);
    assert!(all.iter().all(|name| said.contains(name)), "{said}");
    assert!(said.contains("the table applications with 1 rows") && said.contains("--yes"), "{said}");
    assert!(!said.contains("memory_index"), "what belongs to an index is not named: {said}");
    assert_eq!(names(), all);

    let server = Server::start(memgate(folder.path()));
    let said = fail(folder.path(), &["migrate", "down", "--yes"], 1);
    assert!(said.contains("a memgate service is running on") && said.contains("--while-serving"), "{said}");
    assert_eq!(names(), all);
    assert!(fail(folder.path(), &["migrate", "down", "--while-serving"], 2).contains("--yes"));
    succeed(folder.path(), &["migrate", "down", "--yes", "--while-serving"]);
    assert_eq!(names().len(), all.len() - 1);
    assert!(server.terminate().success());
    succeed(folder.path(), &["migrate", "down", "--yes", "--steps", "99"]);
    assert!(names().is_empty());
    assert!(succeed(folder.path(), &["migrate", "down"]).contains("no migration to revert"));
}

#[tokio::test]
async fn what_cannot_be_undone_is_not_done_before_somebody_agreed() {
    let folder = installation();
    let path = folder.path();
    let created = succeed_json(path, &["app", "create", "--name", "Shop"]);
    let id = created["client_id"].as_str().unwrap();
    let secret = created["secrets"][0]["secret_id"].as_str().unwrap();
    assert!(run_with_input(path, &["user", "create", "marta"], "correct horse").status.success());
    assert!(Server::start(memgate(path)).terminate().success());
    let keys = succeed_json(path, &["keys", "list"]);
    let key = keys[0]["key_id"].as_str().unwrap();
    let state = || {
        [&["app", "show", id][..], &["user", "list"], &["keys", "list"], &["audit"]]
            .map(|arguments| succeed_json(path, arguments))
    };
    let before = state();
    let new_key = "YW5vdGhlciBtYXN0ZXIga2V5IHdpdGggMzIgYnl0ZXM=";
    for (arguments, input, loss) in [
        (&["app", "delete", id][..], "y\n", "(Shop) with its 1 secrets"),
        (&["app", "delete", id, "--with-memories"], "y\n", "every memory in the space"),
        (&["app", "secret", "remove", id, secret], "y\n", "of Shop: clients that use it are rejected"),
        (&["app", "secret", "rotate", id], "y\n", "the 1 secrets of Shop"),
        (&["user", "delete", "marta"], "y\n", "every memory of marta"),
        (&["user", "delete", "marta", "--keep-memories"], "y\n", "Memories stay"),
        (&["keys", "retire", key], "y\n", "every token that it signed becomes invalid"),
        (&["keys", "rewrap"], new_key, "will not open them any more"),
        (&["queue", "drop", NOBODY], "y\n", NOBODY),
    ] {
        let refused = run_with_input(path, arguments, input);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(loss) && said.contains("--yes"), "{arguments:?}: {said}");
        assert_eq!(state(), before, "{arguments:?}");
    }

    // On a terminal, it is asked.
    let on_a_terminal = |answer: &str| {
        let memgate = memgate(path);
        let script = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
        let mut command = with_environment_of(&memgate, "python3");
        command.args(["-c", script]).arg(memgate.get_program()).args(["app", "delete", id]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Held open: the end of what is typed would end the terminal.
        let mut typing = child.stdin.take().unwrap();
        typing.write_all(answer.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(typing);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for answer in ["n\n", "\n"] {
        let (code, said) = on_a_terminal(answer);
        assert!(code == Some(1) && said.contains("Continue? [y/N]") && said.contains("nothing was done"), "{said}");
        assert_eq!(state(), before);
    }
    let (code, said) = on_a_terminal("y\n");
    assert!(code == Some(0) && said.contains(&format!("Deleted {id}")), "{said}");
}

/// Another program in the environment and the folder of a command.
fn with_environment_of(command: &Command, program: &str) -> Command {
    let mut other = Command::new(program);
    other.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
}

#[test]
fn serve_without_migrating_refuses_a_database_that_is_not_up_to_date() {
    let folder = folder();
    succeed(folder.path(), &["migrate", "up"]);
    succeed(folder.path(), &["migrate", "down", "--yes"]);
    let error = fail(folder.path(), &["serve", "--no-migrate"], 1);
    assert!(error.contains("memgate migrate up"), "{error}");
}

#[test]
fn postgres_without_a_master_key_is_refused_before_anything_is_served() {
    let folder = folder();
    let output = memgate(folder.path()).arg("serve").env("MEMGATE_DATABASE_URL", "mysql://x").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("sqlite://") && error.contains("postgres://"), "{error}");
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

#[tokio::test]
async fn keys_rotate_retire_and_move_to_another_master_key() {
    let folder = installation();
    let old = "dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=";
    let new = "YW5vdGhlciBtYXN0ZXIga2V5IHdpdGggMzIgYnl0ZXM=";
    let with = |key: &str| {
        let mut command = memgate(folder.path());
        command.env("MEMGATE_MASTER_KEY", key);
        command
    };
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let server = Server::start(with(old));
    assert_eq!(token_status(&server.url, &application).await, 200);
    server.kill();

    let listed = with(old).args(["keys", "list", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let first = listed[0]["key_id"].as_str().unwrap();
    let refused = with(old).args(["keys", "retire", "--yes", first]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("keys rotate --now"));
    assert!(with(old).args(["keys", "rotate", "--now"]).status().unwrap().success());
    assert!(with(old).args(["keys", "retire", "--yes", first]).status().unwrap().success());
    let listed = with(old).args(["keys", "list", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let mut states: Vec<&str> = listed.as_array().unwrap().iter().map(|key| key["state"].as_str().unwrap()).collect();
    states.sort_unstable();
    assert_eq!(states, ["retired", "signing", "signing", "verifying"]);

    let mut rewrap = with(old);
    rewrap.args(["keys", "rewrap", "--yes"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = rewrap.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), new.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let log = Server::try_start(with(old)).err().expect("the old master key opens nothing any more");
    assert!(log.contains("cannot be opened with this master key"), "{log}");
    let server = Server::start(with(new));
    assert_eq!(token_status(&server.url, &application).await, 200);
}

/// The procedure of docs/operations.md, "Restore without the master key".
#[tokio::test]
async fn a_database_is_restored_without_its_master_key() {
    let folder = installation();
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let server = Server::start(memgate(folder.path()));
    assert_eq!(token_status(&server.url, &application).await, 200);
    assert!(server.terminate().success());
    let master_key = folder.path().join("memgate.db.master-key");
    fs::remove_file(&master_key).unwrap();
    let says_where = |log: &str| assert!(log.contains("Restore without the master key"), "{log}");
    says_where(&Server::try_start(memgate(folder.path())).err().expect("there is no master key"));

    // 1. A new master key.
    fs::write(&master_key, "YW5vdGhlciBtYXN0ZXIga2V5IHdpdGggMzIgYnl0ZXM=\n").unwrap();
    fs::set_permissions(&master_key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    says_where(&Server::try_start(memgate(folder.path())).err().expect("it opens none of the keys"));
    // 2. Which keys there are.
    let old = succeed_json(folder.path(), &["keys", "list"]);
    // 3. New ones.
    succeed(folder.path(), &["keys", "rotate", "--now"]);
    // 4. The old ones go.
    for key in old.as_array().unwrap() {
        succeed(folder.path(), &["keys", "retire", "--yes", key["key_id"].as_str().unwrap()]);
    }
    // 5. It serves again, with the applications and their secrets as they were.
    let server = Server::start(memgate(folder.path()));
    assert_eq!(token_status(&server.url, &application).await, 200);
    assert!(server.terminate().success());
    // And the master key can be changed as ever.
    let output = run_with_input(
        folder.path(),
        &["keys", "rewrap", "--yes"],
        "\u{feff}dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=\r\n",
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn tokens_are_signed_with_rsa_where_that_is_configured() {
    let folder = installation();
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let mut command = memgate(folder.path());
    command.env("MEMGATE_TOKEN_ALGORITHM", "RS256");
    let server = Server::start(command);
    assert_eq!(token_status(&server.url, &application).await, 200);
    let answer = client().get(format!("{}/.well-known/jwks.json", server.url)).send().await.unwrap();
    let keys: Value = answer.json().await.unwrap();
    assert_eq!((&keys["keys"][0]["alg"], &keys["keys"][0]["kty"]), (&json!("RS256"), &json!("RSA")));
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_a_password() {
    let folder = installation();
    for (login, input) in [("bom", "\u{feff}windows password 1\r\n"), ("plain", "windows password 1\n")] {
        let output = run_with_input(folder.path(), &["user", "create", login], input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let server = Server::start(memgate(folder.path()));
    let http = client();
    for login in ["bom", "plain"] {
        let page = http.get(format!("{}/auth/sign-in", server.url)).send().await.unwrap();
        let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let page = page.text().await.unwrap();
        let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let fields = [("form_token", &*token), ("login", login), ("password", "windows password 1")];
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http.post(format!("{}/auth/sign-in", server.url)).header("cookie", cookie).body(body);
        let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
        assert_eq!(answer.status(), 303, "{login}");
    }
}

#[tokio::test]
async fn one_service_uses_an_sqlite_file_and_its_master_key_stays_while_it_does() {
    let folder = folder();
    let server = Server::start(memgate(folder.path()));
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let log = Server::try_start(memgate(folder.path())).err().expect("a second service is refused");
    assert!(log.contains("a memgate service is running on"), "{log}");
    let new = "YW5vdGhlciBtYXN0ZXIga2V5IHdpdGggMzIgYnl0ZXM=";
    let refused = run_with_input(folder.path(), &["keys", "rewrap"], new);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("stop it first"), "{said}");
    assert_eq!(token_status(&server.url, &application).await, 200);
    server.kill();
    let server = Server::start(memgate(folder.path()));
    assert_eq!(
        token_status(&server.url, &application).await,
        200,
        "the lock ends with its process, and the keys are well"
    );
}

#[test]
fn a_key_id_may_begin_with_a_hyphen() {
    let folder = installation();
    for id in ["-Yp8AT", "--Yp8AT", "-hYp8AT"] {
        let error = fail(folder.path(), &["keys", "retire", id], 1);
        assert!(error.contains("there is no such key"), "{error}");
    }
}

#[test]
fn a_new_master_key_that_is_none_is_refused_without_being_repeated() {
    let folder = installation();
    let output = run_with_input(folder.path(), &["keys", "rewrap"], "hunter2");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("openssl rand") && !error.contains("hunter2"), "{error}");
}

#[test]
fn the_openapi_document_is_printed_for_any_public_url() {
    let folder = folder();
    let document: Value = serde_json::from_str(&succeed(folder.path(), &["openapi"])).unwrap();
    assert!(document["paths"]["/api/v1/search"]["post"].is_object());
    let text = succeed(folder.path(), &["openapi", "--public-url", "https://memory.example.com"]);
    assert!(text.contains("https://memory.example.com") && !text.contains("127.0.0.1"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn the_demo_shows_a_token_a_memory_stored_and_one_found() {
    let folder = folder();
    let output = run(folder.path(), &["demo", "--exit", "--listen", "127.0.0.1:0"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for shown in
        ["client_secret  mgs_", "320 memories", "\"access_token\"", "export TOKEN='ey", "\"status\": \"stored\""]
    {
        assert!(out.contains(shown), "the demo shows {shown}: {out}");
    }
    assert!(
        out.contains("Marta is allergic to hazelnuts and all other tree nuts"),
        "the first question is answered: {out}"
    );
    assert!(out.contains("the next step is to connect a real GPT"), "what was just stored is found: {out}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the demo leaves nothing behind");
}

#[test]
fn the_sample_questions_are_answered_by_the_memories_that_they_expect() {
    // Written with the samples: each names a text that only its answer holds.
    let questions: Value = serde_json::from_str(
        &fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/questions.json")).unwrap(),
    )
    .unwrap();
    let memories = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/memories.jsonl")).unwrap();
    assert_eq!(memories.lines().count(), 320);
    for question in questions.as_array().unwrap() {
        let expected = question["expect"].as_str().unwrap();
        let holding = memories.lines().filter(|line| {
            serde_json::from_str::<Value>(line).unwrap()["content"].as_str().unwrap().contains(expected)
        });
        assert_eq!(holding.count(), 1, "{expected}");
    }
}
