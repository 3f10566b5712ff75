//! People on the command line, what stops when they are disabled, and what is left when they are deleted.

use std::path::Path;

use memgate::domain::applications::{GrantType, NewApplication, PkceRule};
use memgate::domain::memories::MemoriesOfDeleted;
use memgate::domain::people::{Password, Person};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestApplication, TestGate, new_application};
use memgate_test_kit::process::{fail, finish, installation, memgate, run_with_input, succeed, succeed_json};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde_json::{Value, json};
use url::Url;

const PASSWORD: &str = "correct horse";

fn create(folder: &Path, login: &str, password: &str) -> Value {
    let output = run_with_input(folder, &["user", "create", login, "--json"], password);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut created: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(created.as_object_mut().unwrap().remove("database").is_some());
    created
}

/// What a command that is given this input says when it refuses it, which must be with this exit code.
fn refused(folder: &Path, arguments: &[&str], input: &str, code: i32) -> String {
    let output = run_with_input(folder, arguments, input);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_person_is_created_listed_disabled_enabled_and_deleted() {
    let folder = installation();
    let folder = folder.path();
    let created = create(folder, "Marta@Example.com", &format!("{PASSWORD}\n"));
    assert_eq!(
        (&created["login"], &created["account"], &created["enabled"]),
        (&json!("marta@example.com"), &json!("password"), &json!(true))
    );
    let id = created["id"].as_str().unwrap();
    assert_eq!(succeed_json(folder, &["user", "list"]), json!([created]));
    assert_eq!(succeed_json(folder, &["user", "show", id]), created);
    assert_eq!(succeed_json(folder, &["user", "disable", "marta@example.com"])["enabled"], false);
    assert_eq!(succeed_json(folder, &["user", "enable", id])["enabled"], true);
    let table = succeed(folder, &["user", "list"]);
    assert!(table.contains("marta@example.com") && table.contains("enabled"), "{table}");
    let deleted = succeed_json(folder, &["user", "delete", "--yes", "marta@example.com"]);
    assert_eq!(deleted, json!({ "id": id, "deleted": true, "memories_deleted": 0 }));
    assert_eq!(succeed_json(folder, &["user", "list"]), json!([]));
    assert!(fail(folder, &["user", "show", id], 1).contains("memgate user list"));
}

#[test]
fn a_password_is_read_from_standard_input_and_never_shown_or_stored() {
    let folder = installation();
    let folder = folder.path();
    for (password, problem) in [
        ("", "at least 10"),
        ("short\n", "at least 10"),
        (&*"x".repeat(257), "at most 256"),
        (&*"x".repeat(10_000), "at most 256"),
        ("two lines\nof text", "on one line"),
    ] {
        let said = refused(folder, &["user", "create", "marta"], password, 2);
        assert!(said.contains(problem), "{said}");
        assert!(!said.contains("two lines"), "{said}");
    }
    let created = create(folder, "marta", "correct horse battery staple");
    assert!(!created.to_string().contains("correct"));
    let stored: Vec<u8> = ["memgate.db", "memgate.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
        .collect();
    let in_file = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(in_file(b"$2b$04$") && !in_file(b"correct horse"), "only the hash is stored");
    assert!(refused(folder, &["user", "create", "marta"], PASSWORD, 1).contains("exists already"));
    assert!(refused(folder, &["user", "create", "mar ta"], PASSWORD, 2).contains("letters, digits"));
}

#[test]
fn an_invitation_and_a_reset_print_a_link_that_nobody_else_can_make() {
    let folder = installation();
    let folder = folder.path();
    let base = ["--public-url", "https://memory.example.com/"];
    let invite = |login| [&["user", "invite", login][..], &base].concat();
    let invited = succeed_json(folder, &invite("Marta@Example.com"));
    assert_eq!((&invited["login"], &invited["purpose"]), (&json!("marta@example.com"), &json!("invitation")));
    let url = invited["url"].as_str().unwrap();
    let (start, secret) = url.split_once("?link=").unwrap();
    assert_eq!((start, secret.len()), ("https://memory.example.com/account/set-password", 65));
    assert!(invited["expires_at"].as_str().unwrap().ends_with('Z'));
    assert!(fail(folder, &invite("marta@example.com"), 1).contains("memgate user reset-link"));
    let reset = [&["user", "reset-link", "marta@example.com", "--expires-in", "90m"][..], &base].concat();
    let again = succeed_json(folder, &reset);
    assert_eq!((&again["id"], &again["purpose"]), (&invited["id"], &json!("reset")));
    assert_ne!(again["url"], invited["url"]);
    let printed = succeed(folder, &reset);
    assert!(printed.contains("works once, until") && printed.contains("/account/set-password?link="), "{printed}");
    for bad in ["30s", "31d", "tomorrow"] {
        let said =
            fail(folder, &[&["user", "reset-link", "marta@example.com", "--expires-in", bad][..], &base].concat(), 2);
        assert!(said.contains("from 1m to 30d"), "{said}");
    }
    assert!(fail(folder, &["user", "invite", "anna"], 2).contains("MEMGATE_PUBLIC_URL"), "the port is not known");
    assert!(fail(folder, &[&["user", "reset-link", "nobody"][..], &base].concat(), 1).contains("memgate user list"));
    assert_eq!(succeed_json(folder, &["user", "list"]).as_array().unwrap().len(), 1, "nobody else was created");
    let stored: Vec<u8> = ["memgate.db", "memgate.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(folder.join(name)).unwrap_or_default())
        .collect();
    assert!(!stored.windows(43).any(|window| window == &secret.as_bytes()[22..]), "only a digest is stored");
}

#[test]
fn a_gpt_is_registered_with_everything_that_its_editor_asks_for() {
    let folder = installation();
    let folder = folder.path();
    let arguments =
        ["connect", "gpt", "--name", "Trip planner", "--skip-check", "--public-url", "https://memory.example.com"];
    let fields = succeed_json(folder, &arguments);
    for (name, value) in [
        ("authentication_type", "OAuth"),
        ("authorization_url", "https://memory.example.com/auth/authorize"),
        ("token_url", "https://memory.example.com/auth/token"),
        ("scope", "memory:read memory:write memory:delete"),
        ("token_exchange_method", "Default (POST request)"),
        ("schema_url", "https://memory.example.com/openapi/gpt-actions.json"),
        ("privacy_policy_url", "https://memory.example.com/privacy"),
    ] {
        assert_eq!(fields[name], value, "{name}");
    }
    assert!(fields["client_secret"].as_str().unwrap().starts_with("mgs_"));
    let instructions = fields["instructions"].as_str().unwrap();
    let document: Value =
        serde_json::from_str(&succeed(folder, &["openapi", "--gpt-actions", "--public-url", "https://m.example"]))
            .unwrap();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values())
    {
        assert!(instructions.contains(operation["operationId"].as_str().unwrap()), "{operation}");
    }
    let application = succeed_json(folder, &["app", "show", fields["client_id"].as_str().unwrap()]);
    assert_eq!(application["grants"], json!(["authorization_code", "refresh_token"]));
    assert_eq!((&application["redirect_uris"], &application["pkce"]), (&json!(["gpt-callback"]), &json!("optional")));

    let printed = succeed(folder, &[&arguments[..], &["--permission", "memory:read"]].concat());
    for line in ["Client ID", "Client Secret", "https://memory.example.com/auth/token", "searchMemories"] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(!printed.contains("createMemory"), "a GPT that may only read is not told to write: {printed}");
    assert_eq!(succeed_json(folder, &["app", "list"]).as_array().unwrap().len(), 2);
}

#[test]
fn an_mcp_client_is_registered_with_what_its_settings_ask_for() {
    let folder = installation();
    let folder = folder.path();
    let gpt =
        ["connect", "gpt", "--name", "Trip planner", "--skip-check", "--public-url", "https://memory.example.com"];
    let gpt = succeed_json(folder, &gpt);
    let space = succeed_json(folder, &["app", "show", gpt["client_id"].as_str().unwrap()])["space"].clone();
    for (client, redirect_uri, file) in [
        ("claude", "claude", None),
        ("chatgpt", "chatgpt-connector", None),
        ("vscode", "http://127.0.0.1/", Some("mcp.json")),
        ("cursor", "cursor://anysphere.cursor-mcp/oauth/callback", Some("mcp.json")),
        ("codex", "http://127.0.0.1/callback", Some("config.toml")),
        ("gemini", "http://localhost/oauth/callback", Some("settings.json")),
    ] {
        let public_url = ["--skip-check", "--public-url", "https://memory.example.com"];
        let shared = ["--same-memories-as", gpt["client_id"].as_str().unwrap()];
        let arguments = [&["connect", "mcp", "--client", client][..], &public_url, &shared].concat();
        let fields = succeed_json(folder, &arguments);
        let id = fields["client_id"].as_str().unwrap();
        assert_eq!((&fields["url"], &fields["space"]), (&json!("https://memory.example.com/mcp"), &space), "{client}");
        let said = format!("{}{}", fields["instructions"], fields["content"]);
        assert!(said.contains(id) && said.contains("https://memory.example.com/mcp"), "{client}: {said}");
        assert_eq!(fields["file"].is_string(), file.is_some(), "{client}");
        if let Some(file) = file {
            assert!(fields["file"].as_str().unwrap().ends_with(file), "{client}");
        }
        let application = succeed_json(folder, &["app", "show", id]);
        assert_eq!((&application["kind"], &application["pkce"]), (&json!("public"), &json!("required")), "{client}");
        assert_eq!(application["redirect_uris"][0], redirect_uri, "{client}");
        assert_eq!(application["grants"], json!(["authorization_code", "refresh_token"]), "{client}");
        let printed = succeed(folder, &arguments);
        assert!(printed.contains("https://memory.example.com/mcp"), "{client}: {printed}");
    }
    assert!(fail(folder, &["connect", "mcp"], 2).contains("MEMGATE_PUBLIC_URL"));
    let plain = ["connect", "mcp", "--skip-check", "--public-url", "http://memory.example.com"];
    assert!(fail(folder, &plain, 2).contains("must be https"));
    succeed_json(folder, &[&plain[..], &["--client", "vscode"]].concat());
    assert!(fail(folder, &[&plain[..], &["--client", "notepad"]].concat(), 2).contains("possible values"));
}

#[test]
fn a_public_url_that_chatgpt_would_not_accept_is_refused_before_anything_is_registered() {
    let folder = installation();
    let folder = folder.path();
    let gpt = ["connect", "gpt", "--name", "Trip planner"];
    assert!(fail(folder, &gpt, 2).contains("MEMGATE_PUBLIC_URL"));
    for url in ["http://memory.example.com", "https://memory.example.com:8443"] {
        let said = fail(folder, &[&gpt[..], &["--public-url", url]].concat(), 2);
        assert!(said.contains("https on port 443"), "{said}");
    }
    let nobody = fail(folder, &[&gpt[..], &["--public-url", "https://memgate.invalid"]].concat(), 1);
    assert!(nobody.contains("does not reach"), "{nobody}");
    assert_eq!(succeed_json(folder, &["app", "list"]), json!([]));
}

#[test]
fn a_public_url_with_more_than_a_host_is_refused_everywhere_and_its_password_is_not_repeated() {
    let folder = installation();
    let folder = folder.path();
    create(folder, "marta", PASSWORD);
    for url in [
        "https://:hunter2@memory.example.com",
        "https://me:hunter2@memory.example.com",
        "https://me:hunter2@memory.example.com:99999",
        "https://memory.example.com?hunter2",
        "https://memory.example.com#hunter2",
        "https://memory.example.com/hunter2",
        "memory.example.com",
    ] {
        for command in [
            &["connect", "gpt", "--name", "Trip planner", "--skip-check"][..],
            &["connect", "mcp", "--skip-check"],
            &["connect", "mcp", "--client", "vscode", "--skip-check"],
            &["user", "invite", "nils"],
            &["user", "reset-link", "marta"],
            &["openapi"],
            &["openapi", "--gpt-actions"],
        ] {
            let said = fail(folder, &[command, &["--public-url", url]].concat(), 2);
            assert!(said.contains("--public-url must be an http or https URL"), "{command:?} {url}: {said}");
            assert!(!said.contains("hunter2"), "{command:?} {url}: {said}");
        }
        let mut configured = memgate(folder);
        let output = finish(configured.args(["user", "list"]).env("MEMGATE_PUBLIC_URL", url));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("MEMGATE_PUBLIC_URL must be an http or https URL"), "{url}: {said}");
        assert!(!said.contains("hunter2"), "{url}: {said}");
    }
    assert_eq!(succeed_json(folder, &["app", "list"]), json!([]));
    assert_eq!(succeed_json(folder, &["user", "list"]).as_array().unwrap().len(), 1, "nobody was invited");
}

/// A gate, somebody, and an application that acts for them.
struct Place {
    gate: TestGate,
    person: Person,
    application: TestApplication,
}

impl Place {
    async fn new() -> Self {
        Self::on(TestDatabase::sqlite()).await
    }

    async fn on(database: TestDatabase) -> Self {
        let gate = TestGate::on(database).await;
        let people = gate.gate().backend().people();
        let person = people.create("marta".parse().unwrap(), &Password::choose(PASSWORD).unwrap()).await.unwrap();
        let application = gate.register(authorized()).await;
        Self { gate, person, application }
    }

    /// A token of `application` for `person`.
    async fn token_for(&self, application: &TestApplication, person: &Person) -> String {
        let mut url = Url::parse("https://x.example").unwrap();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &*application.client_id),
            ("redirect_uri", "https://app.example/callback"),
        ]);
        let authorizations = self.gate.gate().authorizations();
        let request = authorizations
            .validate(url.query().unwrap().as_bytes(), std::net::Ipv4Addr::LOCALHOST.into())
            .await
            .unwrap();
        let location = authorizations.approve(&request, person).await.unwrap();
        let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let parameters =
            [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", "https://app.example/callback")];
        let answer: Value = self.gate.token_request(application, &parameters).await.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn found(&self, token: &str) -> Vec<String> {
        let answer = self.gate.search(token, "Which nuts must Marta not eat?").await;
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|result| result["content"].as_str().unwrap().to_owned()).collect()
    }

    async fn status(&self, token: &str) -> u16 {
        self.gate.http.get(self.gate.url("/api/v1/me")).bearer_auth(token).send().await.unwrap().status().as_u16()
    }
}

fn authorized() -> NewApplication {
    NewApplication {
        grants: GrantType::ALL.into(),
        redirect_uris: vec!["https://app.example/callback".parse().unwrap()],
        pkce: PkceRule::Optional,
        ..new_application()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_behind_one_gpt_and_the_gpt_itself_never_see_each_others_memories() {
    let place = Place::new().await;
    let people = place.gate.gate().backend().people();
    let anna = people.create("anna".parse().unwrap(), &Password::choose(PASSWORD).unwrap()).await.unwrap();
    let marta = place.token_for(&place.application, &place.person).await;
    let anna = place.token_for(&place.application, &anna).await;
    let own = place.gate.access_token(&place.application).await;
    let tokens = [&marta, &anna, &own];
    for (token, name) in tokens.iter().zip(["Marta", "Anna", "the application"]) {
        place.gate.remember(token, &format!("Marta must not eat nuts, says {name}.")).await;
    }
    for (token, name) in tokens.iter().zip(["Marta", "Anna", "the application"]) {
        assert_eq!(place.found(token).await, [format!("Marta must not eat nuts, says {name}.")]);
    }
    let memory = place.gate.remember(&marta, "Only Marta knows this.").await;
    for token in [&anna, &own] {
        let url = place.gate.url(&format!("/api/v1/memories/{}", memory["memory_id"].as_str().unwrap()));
        let answer = place.gate.http.get(&url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 404);
        let answer = place.gate.http.delete(&url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_acts_for_somebody_who_is_shut_out_stops_and_stays_stopped() {
    let place = Place::new().await;
    let token = place.token_for(&place.application, &place.person).await;
    let own = place.gate.access_token(&place.application).await;
    assert_eq!(place.status(&token).await, 200);
    let people = place.gate.gate().backend().people();
    people.disable(place.person.id).await.unwrap();
    // The command line is another process: its stated bound is two seconds.
    place.gate.advance(std::time::Duration::from_secs(2));
    assert_eq!(place.status(&token).await, 401);
    assert_eq!(place.status(&own).await, 200, "the application itself goes on");
    people.enable(place.person.id).await.unwrap();
    assert_eq!(place.status(&token).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_somebody_deletes_what_is_stored_of_them_and_nothing_else() {
    let place = Place::new().await;
    let shared = place.gate.register(authorized()).await;
    let [first, second] =
        [place.token_for(&place.application, &place.person).await, place.token_for(&shared, &place.person).await];
    let own = place.gate.access_token(&place.application).await;
    for token in [&first, &second, &own] {
        place.gate.remember(token, "Marta must not eat nuts.").await;
    }
    let eraser = place.gate.gate().backend().eraser();
    let memories = eraser.erase_person(place.person.id, MemoriesOfDeleted::Delete).await.unwrap();
    assert_eq!(memories, 2);
    assert_eq!(place.found(&own).await, ["Marta must not eat nuts."]);
}

/// Whether what is in a database holds this text anywhere, in whatever table.
async fn holds(database: &TestDatabase, text: &str) -> bool {
    let connection = sea_orm::Database::connect(database.url()).await.unwrap();
    let held = if let Some(folder) = database.folder() {
        // A copy without the free pages.
        let copy = folder.join("copy.db");
        connection.execute_unprepared(&format!("VACUUM INTO '{}'", copy.display())).await.unwrap();
        let held = in_file(&copy, text);
        std::fs::remove_file(copy).unwrap();
        held
    } else {
        let select = async |sql: String| {
            let rows = connection.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
            rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect::<Vec<_>>()
        };
        let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
        let mut held = false;
        for table in select(tables.to_owned()).await {
            let rows = format!(r#"SELECT t::text FROM "{table}" t WHERE strpos(t::text, '{text}') > 0"#);
            held |= !select(rows).await.is_empty();
        }
        held
    };
    connection.close().await.unwrap();
    held
}

/// Whether the SQLite file itself holds this text, between its rows too, once what is in the write-ahead log has arrived there.
async fn file_holds(folder: &Path, text: &str) -> bool {
    let file = folder.join("memgate.db");
    let connection = sea_orm::Database::connect(format!("sqlite://{}", file.display())).await.unwrap();
    let checkpoint = Statement::from_string(DbBackend::Sqlite, "PRAGMA wal_checkpoint(TRUNCATE)");
    let row = connection.query_one_raw(checkpoint).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i32>(0).unwrap(), 0, "nobody was in the way");
    connection.close().await.unwrap();
    in_file(&file, text)
}

fn in_file(path: &Path, text: &str) -> bool {
    std::fs::read(path).unwrap().windows(text.len()).any(|window| window == text.as_bytes())
}

async fn what_an_application_that_was_deleted_had_stored_of_somebody_goes_with_them(database: TestDatabase) {
    const TEXTS: [&str; 2] = ["Marta must not eat nuts.", "Marta has a cat."];
    let place = Place::on(database.clone()).await;
    let token = place.token_for(&place.application, &place.person).await;
    for text in TEXTS {
        place.gate.remember(&token, text).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = memgate(folder.path());
        command.env("MEMGATE_DATABASE_URL", database.url());
        command.env("MEMGATE_MASTER_KEY", "dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=");
        let output = finish(command.args(arguments));
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let deleted = run(&["app", "delete", "--yes", &place.application.client_id]);
    assert!(deleted.contains("1 people") && deleted.contains("--with-memories"), "{deleted}");
    for text in TEXTS {
        assert!(holds(&database, text).await, "{text}");
        if let Some(folder) = database.folder() {
            assert!(file_holds(folder, text).await, "{text}");
        }
    }
    let said = run(&["user", "delete", "--yes", "marta"]);
    assert!(said.contains("and 2 memories"), "{said}");
    for text in TEXTS {
        assert!(!holds(&database, text).await, "{text}");
    }
    // The command line is another process: its stated bound is two seconds.
    place.gate.advance(std::time::Duration::from_secs(2));
    assert_eq!(place.status(&token).await, 401);
    assert_eq!(serde_json::from_str::<Value>(&run(&["user", "list", "--json"])).unwrap(), json!([]));

    // What docs/security.md says of SQLite: nothing is left between the rows, and single words are in the index until it is
    // compacted.
    let Some(folder) = database.folder() else { return };
    for text in TEXTS {
        assert!(!file_holds(folder, text).await, "{text}");
    }
    let connection = sea_orm::Database::connect(database.url()).await.unwrap();
    connection.execute_unprepared("INSERT INTO memory_index (memory_index) VALUES ('optimize')").await.unwrap();
    connection.close().await.unwrap();
    assert!(!holds(&database, "marta").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_application_that_was_deleted_had_stored_of_somebody_goes_with_them_on_sqlite() {
    what_an_application_that_was_deleted_had_stored_of_somebody_goes_with_them(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_application_that_was_deleted_had_stored_of_somebody_goes_with_them_on_postgres() {
    if let Some(database) = TestDatabase::postgres().await {
        what_an_application_that_was_deleted_had_stored_of_somebody_goes_with_them(database).await;
    }
}
