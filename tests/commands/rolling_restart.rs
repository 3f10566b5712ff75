//! Two instances behind a real `HAProxy`, with the configuration that docs/operations.md shows, are restarted one after the
//! other under load: no request fails.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::http;
use memgate_test_kit::process::{Server, finish, memgate};
use memgate_test_kit::skip::there_is;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::Instant;

const WORKERS: usize = 8;
/// How long anything may take that the test waits for, on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);
const MASTER_KEY: &str = "dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI=";

struct HaProxy(Child);

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _already_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The block of docs/operations.md in this language.
fn documented(language: &str) -> String {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let start = page.find(&format!("```{language}\n")).expect("the page shows it") + language.len() + 4;
    page[start..start + page[start..].find("```").unwrap()].to_owned()
}

fn instance(folder: &Path, database: &TestDatabase, port: u16, public: u16) -> Command {
    let mut command = memgate(folder);
    command
        .env("MEMGATE_DATABASE_URL", database.url())
        .env("MEMGATE_MASTER_KEY", MASTER_KEY)
        .env("MEMGATE_LISTEN", format!("127.0.0.1:{port}"))
        .env("MEMGATE_PUBLIC_URL", format!("http://127.0.0.1:{public}"))
        .env("MEMGATE_RATE_LIMIT", "1000000")
        .env_remove("MEMGATE_DRAIN");
    command
}

/// Waits until `HAProxy` counts so many servers as up.
async fn wait_until_up(stats: &str, number: usize) {
    let (http, deadline) = (http::client(), Instant::now() + DEADLINE);
    loop {
        let table = match http.get(stats).send().await {
            Ok(answer) => answer.text().await.unwrap(),
            Err(_) => String::new(),
        };
        let up = table.lines().filter(|line| line.starts_with("memgate,i") && line.contains(",UP,")).count();
        if up == number {
            return;
        }
        assert!(Instant::now() < deadline, "{up} of {number} servers are up:\n{table}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story: two instances, a balancer, a load, and a restart of each")]
async fn a_rolling_restart_behind_haproxy_fails_no_request() {
    if !there_is("haproxy", "REQUIRE_HAPROXY") {
        return;
    }
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let [public, one, two, stats] = [free_port(), free_port(), free_port(), free_port()];
    let mut servers: Vec<Option<Server>> = Vec::new();
    for port in [one, two] {
        servers.push(Some(Server::start(instance(folder.path(), &database, port, public))));
    }
    let created = finish(instance(folder.path(), &database, one, public).args([
        "app",
        "create",
        "--json",
        "--name",
        "load",
        "--permission",
        "memory:read",
        "--permission",
        "memory:write",
    ]));
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let application: Value = serde_json::from_slice(&created.stdout).unwrap();

    let configuration = documented("haproxy")
        .replace("*:80", &format!("127.0.0.1:{public}"))
        .replace("10.0.0.1:8080", &format!("127.0.0.1:{one}"))
        .replace("10.0.0.2:8080", &format!("127.0.0.1:{two}"));
    let stats_page = format!("\nfrontend stats\n    bind 127.0.0.1:{stats}\n    stats enable\n    stats uri /stats\n");
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, configuration + &stats_page).unwrap();
    let mut haproxy = Command::new("haproxy");
    let _haproxy = HaProxy(haproxy.arg("-db").arg("-f").arg(&file).stdout(Stdio::null()).spawn().unwrap());
    let stats = format!("http://127.0.0.1:{stats}/stats;csv");
    wait_until_up(&stats, 2).await;

    let base = format!("http://127.0.0.1:{public}");
    let http = http::client();
    let credentials = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        application["client_id"].as_str().unwrap(),
        application["client_secret"].as_str().unwrap(),
    );
    let token = http
        .post(format!("{base}/auth/token"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(credentials)
        .send()
        .await
        .unwrap();
    let token: Value = token.json().await.unwrap();
    let token = token["access_token"].as_str().unwrap().to_owned();

    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (stop, sent, http) = (Arc::clone(&stop), Arc::clone(&sent), http.clone());
            let (base, token) = (base.clone(), token.clone());
            tokio::spawn(async move {
                let mut failed = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let request: RequestBuilder = match number % 3 {
                        0 => http.get(format!("{base}/api/v1/me")),
                        1 => http.post(format!("{base}/api/v1/search")).json(&json!({ "query": "note" })),
                        _ => {
                            let content = format!("note {number} of worker {worker}");
                            http.post(format!("{base}/api/v1/memories")).json(&json!({ "content": content }))
                        }
                    };
                    match request.bearer_auth(&token).send().await {
                        Ok(answer) if answer.status().is_success() => drop(answer.bytes().await),
                        Ok(answer) => failed.push(format!("{}: {:?}", answer.status(), answer.text().await)),
                        Err(error) => failed.push(format!("{error:?}")),
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                failed
            })
        })
        .collect();

    for (index, port) in [one, two].into_iter().enumerate() {
        let server = servers[index].take().unwrap();
        let before = sent.load(Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(move || server.terminate()).await.unwrap();
        assert!(ended.success(), "{ended:?}");
        assert!(sent.load(Ordering::Relaxed) > before, "requests are served while one instance stops");
        let again = instance(folder.path(), &database, port, public);
        servers[index] = Some(tokio::task::spawn_blocking(move || Server::start(again)).await.unwrap());
        wait_until_up(&stats, 2).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut failed = Vec::new();
    for worker in workers {
        failed.extend(worker.await.unwrap());
    }
    let sent = sent.load(Ordering::Relaxed);
    eprintln!("{} of {sent} requests failed", failed.len());
    assert!(
        failed.is_empty(),
        "{} of {sent} requests failed, such as {:?}",
        failed.len(),
        &failed[..failed.len().min(3)]
    );
    assert!(sent > 100, "{sent}");
}
