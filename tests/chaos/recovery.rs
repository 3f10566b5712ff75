//! How the service comes back, and how it ends, when the database goes away in ways that close no connection.

use std::time::{Duration, Instant};

use memgate_test_kit::http;
use memgate_test_kit::process::{Server, memgate, succeed_json};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::clients::PUBLIC_URL;
use super::disk::FaultyDisk;
use super::faulty_postgres::FaultyPostgres;
use super::{Breakable, ready, register};

/// Our deadline for a statement is six seconds; a request may meet two of them, and the machine is busy.
const ANSWER: Duration = Duration::from_secs(25);
/// In which every connection that died is noticed.
const RECOVERY: Duration = Duration::from_secs(30);
/// In which the service ends although the database does not answer.
const STOP: Duration = Duration::from_mins(1);

/// A service on a database, and an application of it.
struct Scene {
    folder: tempfile::TempDir,
    server: Server,
    http: Client,
    token: String,
}

impl Scene {
    async fn new(broken: &impl Breakable) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = memgate(folder.path());
        command.env("MEMGATE_PUBLIC_URL", PUBLIC_URL);
        broken.attach(&mut command);
        let server = Server::start(command);
        let application = register(folder.path(), broken, "A");
        let http = http::client_builder().timeout(ANSWER).build().unwrap();
        let body = json!({
            "grant_type": "client_credentials",
            "client_id": application["client_id"], "client_secret": application["client_secret"],
        });
        let answer = http.post(format!("{}/auth/token", server.url)).json(&body).send().await.unwrap();
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        Self { folder, server, http, token }
    }

    async fn create(&self, number: usize) -> (u16, Value) {
        let url = format!("{}/api/v1/memories", self.server.url);
        let content = format!("number {number} {}", "x".repeat(8_000));
        let request = self.http.post(url).bearer_auth(&self.token).json(&json!({ "content": content }));
        let answer = request.send().await.expect("every request is answered in time");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn status(&self, path: &str) -> u16 {
        let request = self.http.get(format!("{}{path}", self.server.url)).bearer_auth(&self.token);
        request.send().await.expect("every request is answered in time").status().as_u16()
    }

    /// Requests at the same time, as many as there are connections and more. Returns how many had this status.
    async fn storm(&self, requests: usize, path: &'static str, status: u16) -> usize {
        let mut storm = JoinSet::new();
        for _ in 0..requests {
            let request = self.http.get(format!("{}{path}", self.server.url)).bearer_auth(&self.token);
            storm.spawn(
                async move { request.send().await.expect("every request is answered in time").status().as_u16() },
            );
        }
        storm.join_all().await.into_iter().filter(|got| *got == status).count()
    }

    async fn recovers(&self) {
        let begun = Instant::now();
        while self.status("/health/ready").await != 200 || self.create(0).await.0 != 201 {
            assert!(begun.elapsed() < RECOVERY, "not ready after {:?}", begun.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        eprintln!("recovered within {:?}", begun.elapsed());
    }

    /// Waits until readiness says no: its last outcome holds for two seconds.
    async fn is_not_ready(&self) {
        let begun = Instant::now();
        while self.status("/health/ready").await != 503 {
            assert!(begun.elapsed() < RECOVERY, "still ready after {:?}", begun.elapsed());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ends(self) {
        let begun = Instant::now();
        let ended = tokio::task::spawn_blocking(move || self.server.terminate());
        let ended = tokio::time::timeout(STOP, ended).await.expect("the service ends").unwrap();
        eprintln!("ended within {:?}", begun.elapsed());
        assert!(ended.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_die_silently_are_given_up_and_replaced() {
    let Some(broken) = FaultyPostgres::start().await else { return };
    let scene = Scene::new(&broken).await;
    scene.storm(30, "/api/v1/memories", 200).await;
    broken.proxy.silence_open_connections();
    // Each connection costs this once; those for searches may be found dead only when the others have been replaced.
    let begun = Instant::now();
    while scene.storm(30, "/api/v1/memories", 200).await < 30 {
        assert!(begun.elapsed() < RECOVERY, "not all are served after {:?}", begun.elapsed());
    }
    scene.recovers().await;

    broken.proxy.silence_open_connections();
    scene.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_waited_for_once_and_not_by_each_request() {
    let Some(broken) = FaultyPostgres::start().await else { return };
    let scene = Scene::new(&broken).await;
    scene.storm(30, "/api/v1/memories", 200).await;
    for freeze in [true, false] {
        broken.proxy.freeze(freeze);
        broken.proxy.refuse(!freeze);
        // What the connections are waited for, and what the next ones are.
        for _ in 0..2 {
            assert_eq!(scene.storm(20, "/api/v1/memories", 503).await, 20);
        }
        // By now it is known. One at a time would take five seconds each, if each had to find out.
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(scene.status("/api/v1/memories").await, 503);
        }
        assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
        broken.proxy.freeze(false);
        broken.proxy.refuse(false);
        scene.recovers().await;
    }
    broken.proxy.freeze(true);
    scene.ends().await;
    broken.proxy.freeze(false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_no_standby_confirms_is_not_waited_for_without_end() {
    let Some(broken) = FaultyPostgres::start().await else { return };
    let scene = Scene::new(&broken).await;
    assert_eq!(scene.create(1).await.0, 201);
    broken.administer("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;
    broken.administer("SELECT pg_reload_conf()").await;
    let mut refused = 0;
    for number in 2..6 {
        // The reload takes a moment to reach a connection.
        refused += usize::from(matches!(scene.create(number).await.0, 202 | 503));
    }
    assert!(refused >= 3, "{refused}");
    assert_eq!(scene.status("/health/ready").await, 503, "reading works, writing does not");
    broken.administer("ALTER SYSTEM RESET synchronous_standby_names").await;
    broken.administer("SELECT pg_reload_conf()").await;
    scene.recovers().await;
    scene.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_a_disk_that_was_full_loses_nothing_and_readiness_knows_it() {
    for failures in [1, 2, 5] {
        let mut disk = FaultyDisk::new(7);
        let scene = Scene::new(&disk).await;
        let mut promised = Vec::new();
        let mut create = async |number| match scene.create(number).await {
            (201, answer) => {
                promised.push(answer["memory"]["memory_id"].as_str().unwrap().to_owned());
                true
            }
            (503, _) => false,
            other => panic!("{other:?}"),
        };
        for number in 0..3 {
            assert!(create(number).await);
        }
        // Twice: the write by which readiness finds out must not be one that SQLite may leave out.
        for _ in 0..2 {
            disk.fail_one_in(1);
            for number in 0..failures {
                assert!(!create(number).await);
            }
            scene.is_not_ready().await;
            disk.mend();
            // Without a write in between.
            ready(&scene.server.url, RECOVERY).await;
            for number in 3..30 {
                assert!(create(number).await);
            }
        }
        // Nothing keeps the file locked.
        succeed_json(scene.folder.path(), &["app", "create", "--name", "B"]);
        for id in &promised[..2] {
            let url = format!("{}/api/v1/memories/{id}", scene.server.url);
            let deleted = scene.http.delete(url).bearer_auth(&scene.token).send().await.unwrap();
            assert!(deleted.status().is_success());
        }
        let Scene { folder, server, http, token } = scene;
        assert!(server.terminate().success());
        let mut command = memgate(folder.path());
        command.env("MEMGATE_PUBLIC_URL", PUBLIC_URL);
        let server = Server::start(command);
        for (number, id) in promised.iter().enumerate() {
            let answer = http.get(format!("{}/api/v1/memories/{id}", server.url)).bearer_auth(&token).send().await;
            let expected = if number < 2 { 404 } else { 200 };
            assert_eq!(answer.unwrap().status(), expected, "memory {number} after {failures} failures");
        }
    }
}
