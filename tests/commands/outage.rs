//! A database that is gone, and a disk that is full, over HTTP: what cannot be done is unavailable for now, and nobody is refused
//! who is right.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use memgate_test_kit::http;
use memgate_test_kit::postgres::PostgresServer;
use memgate_test_kit::process::{Server, finish, memgate, with_environment_of};
use reqwest::{Client, Response};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::{Value, json};

const MASTER_KEY: &str = "dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=";

struct Place {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
    http: Client,
    server: Server,
}

impl Place {
    /// On the SQLite file in its folder, or on the database that `variables` name.
    fn begin(variables: Vec<(&'static str, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = patient_with_limits(folder.path());
        command.envs(variables.iter().cloned());
        let server = Server::start(command);
        Self { folder, variables, http: http::client(), server }
    }

    /// From now on the write-ahead log, into which every commit goes, cannot grow.
    fn fill_the_disk(&self) {
        let log = std::fs::metadata(self.folder.path().join("memgate.db-wal")).unwrap();
        self.limit(&log.len().to_string());
    }

    fn make_room(&self) {
        self.limit("unlimited");
    }

    /// Sets the soft limit of the size of files; the hard one stays as it was.
    fn limit(&self, bytes: &str) {
        let process = format!("--pid={}", self.server.id());
        let set = Command::new("prlimit").args([process, format!("--fsize={bytes}:")]).status().unwrap();
        assert!(set.success());
    }

    fn register(&self, name: &str) -> Value {
        let mut command = memgate(self.folder.path());
        command.args(["app", "create", "--json", "--name", name]).envs(self.variables.iter().cloned());
        let output = finish(&mut command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn form(&self, path: &str, application: &Value, parameters: &[(&str, &str)]) -> (u16, Value) {
        let member = |name: &str| application[name].as_str().unwrap();
        let credentials = [("client_id", member("client_id")), ("client_secret", member("client_secret"))];
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(credentials.iter().chain(parameters))
            .finish();
        let request = self.http.post(format!("{}{path}", self.server.url));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(form);
        read(request.send().await.unwrap()).await
    }

    async fn token(&self, application: &Value) -> (u16, Value) {
        self.form("/auth/token", application, &[("grant_type", "client_credentials")]).await
    }

    async fn refresh(&self, application: &Value, token: &str) -> (u16, Value) {
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.form("/auth/token", application, &parameters).await
    }

    async fn call(&self, token: &str, path: &str, body: Value) -> (u16, Value) {
        let request = self.http.post(format!("{}{path}", self.server.url)).bearer_auth(token).json(&body);
        read(request.send().await.unwrap()).await
    }

    async fn remember(&self, token: &str, content: &str) -> u16 {
        self.call(token, "/api/v1/memories", json!({ "content": content })).await.0
    }

    /// How many memories a search finds.
    async fn found(&self, token: &str, query: &str) -> usize {
        let (status, answer) = self.call(token, "/api/v1/search", json!({ "query": query })).await;
        assert_eq!(status, 200, "{answer}");
        answer["results"].as_array().unwrap().len()
    }
}

/// The service, which is not killed when it may write no further into a file: writing fails, as on a full disk.
fn patient_with_limits(folder: &Path) -> Command {
    let memgate = memgate(folder);
    let mut command = with_environment_of(&memgate, "sh");
    command.args(["-c", r#"trap '' XFSZ; exec "$0" "$@""#]).arg(memgate.get_program());
    command
}

async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member}: {answer}"))
}

#[track_caller]
fn assert_temporarily_unavailable((status, answer): (u16, Value)) {
    assert_eq!((status, text(&answer, "error")), (503, "temporarily_unavailable"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_is_refused_that_is_right_and_afterwards_everything_goes_on() {
    let place = Place::begin(Vec::new());
    let (known, cold) = (place.register("Known"), place.register("Cold"));
    let (_, tokens) = place.token(&known).await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    assert_eq!(place.remember(access, "Marta likes walnuts.").await, 201);

    place.fill_the_disk();
    assert_eq!(place.remember(access, "Marta has had enough of walnuts.").await, 503);
    assert_temporarily_unavailable(place.refresh(&known, refresh).await);
    assert_temporarily_unavailable(place.form("/auth/revoke", &known, &[("token", refresh)]).await);
    for application in [&known, &cold] {
        let (status, answer) = place.token(application).await;
        assert_eq!(status, 200, "neither issuing a token nor the note that a secret was used may fail it: {answer}");
    }
    let mut mistaken = cold.clone();
    mistaken["client_secret"] = known["client_secret"].clone();
    let (status, answer) = place.token(&mistaken).await;
    assert_eq!((status, text(&answer, "error")), (401, "invalid_client"), "a wrong secret is wrong all the same");
    for token in [access, refresh] {
        let (_, answer) = place.form("/auth/introspect", &known, &[("token", token)]).await;
        assert_eq!(answer["active"], true, "{answer}");
    }
    assert_eq!(place.found(access, "walnuts").await, 1);

    place.make_room();
    let (status, successor) = place.refresh(&known, refresh).await;
    assert_eq!(status, 200, "the refused use was none: {successor}");
    let access = text(&successor, "access_token");
    assert_eq!(place.remember(access, "Marta likes hazelnuts.").await, 201);
    assert_eq!(place.found(access, "hazelnuts").await, 1);
    assert_eq!(place.form("/auth/revoke", &known, &[("token", text(&successor, "refresh_token"))]).await.0, 200);
    is_refused(&place, &known, text(&successor, "refresh_token")).await;

    let Place { folder, server, .. } = place;
    assert!(server.terminate().success());
    let database = Database::connect(format!("sqlite://{}", folder.path().join("memgate.db").display())).await.unwrap();
    let check = Statement::from_string(DbBackend::Sqlite, "PRAGMA integrity_check");
    let result: String = database.query_one_raw(check).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    assert_eq!(result, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_the_largest_page_is_read() {
    let place = Place::begin(Vec::new());
    let (_, tokens) = place.token(&place.register("Reader")).await;
    let access = text(&tokens, "access_token");
    let long = "walnuts ".repeat(1_290);
    let lines = (0..150).map(|number| json!({ "content": format!("{number} {long}") }).to_string() + "\n");
    let import = place.http.post(format!("{}/api/v1/import", place.server.url)).bearer_auth(access);
    let import = import.header("content-type", "application/x-ndjson").body(lines.collect::<String>());
    let (status, imported) = read(import.send().await.unwrap()).await;
    assert_eq!((status, &imported["created"]), (200, &json!(150)), "{imported}");

    // Not even a temporary file can be written.
    place.limit("0");
    for order in ["created_at", "occurred_at"] {
        let list = format!("{}/api/v1/memories?limit=100&order={order}", place.server.url);
        let (status, page) = read(place.http.get(list).bearer_auth(access).send().await.unwrap()).await;
        assert_eq!(status, 200, "{order}: {page}");
        let memories = page["memories"].as_array().unwrap();
        assert!(memories.len() > 90, "{order}: 1 MiB has room for more than {}", memories.len());
        assert!(text(&memories[0], "content").starts_with("149 "), "{order}: the newest is first");
    }
}

async fn is_refused(place: &Place, application: &Value, token: &str) {
    let (status, answer) = place.refresh(application, token).await;
    assert_eq!((status, text(&answer, "error")), (400, "invalid_grant"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_unavailable_every_answer_says_so_and_none_blames_the_client() {
    let Some(server) = PostgresServer::start() else { return };
    let database = server.database().await;
    let place = Place::begin(vec![
        ("MEMGATE_DATABASE_URL", database.url().to_owned()),
        ("MEMGATE_MASTER_KEY", MASTER_KEY.to_owned()),
    ]);
    let (known, cold) = (place.register("Known"), place.register("Cold"));
    let (_, tokens) = place.token(&known).await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));

    drop((database, server));
    // What is younger than a second is still known.
    let first_refusal = async {
        loop {
            match place.token(&known).await {
                (200, _) => {}
                answer => break answer,
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_mins(1), first_refusal).await.expect("the outage is noticed");
    assert_temporarily_unavailable(refused);
    assert_temporarily_unavailable(place.token(&cold).await);
    assert_temporarily_unavailable(place.refresh(&known, refresh).await);
    for path in ["/auth/revoke", "/auth/introspect"] {
        assert_temporarily_unavailable(place.form(path, &known, &[("token", access)]).await);
    }
    let mut unknown = cold.clone();
    unknown["client_id"] = json!("00000000-0000-4000-8000-000000000000");
    assert_temporarily_unavailable(place.token(&unknown).await);
    let (status, problem) = place.call(access, "/api/v1/search", json!({ "query": "a" })).await;
    assert_eq!(status, 503, "{problem}");
    let ready = place.http.get(format!("{}/health/ready", place.server.url)).send().await.unwrap();
    assert_eq!(ready.status(), 503);
}
