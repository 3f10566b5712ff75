//! Commands and the database: which ones need it, create it or change its schema, and what asks first.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use memgate_test_kit::process::{
    Server, fail, finished, installation, memgate, run, run_with_input, succeed, succeed_json, with_environment_of,
};
use serde_json::{Value, json};

use super::{folder, token_status};

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
        let output = finished(child);
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

#[test]
fn serve_without_migrating_refuses_a_database_that_is_not_up_to_date() {
    let folder = folder();
    succeed(folder.path(), &["migrate", "up"]);
    succeed(folder.path(), &["migrate", "down", "--yes"]);
    let error = fail(folder.path(), &["serve", "--no-migrate"], 1);
    assert!(error.contains("memgate migrate up"), "{error}");
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
