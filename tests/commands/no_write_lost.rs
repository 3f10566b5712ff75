//! Invariant 10: no accepted write is lost. Two thousand creates while the bank flaps and memgate is killed five times: every
//! 201 and 202 is in the bank exactly once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use memgate_test_kit::deadline::happens;
use memgate_test_kit::process::{Server, installation, memgate, succeed_json};
use poem::listener::TcpAcceptor;
use poem::web::{Data, Json};
use poem::{EndpointExt, IntoResponse, Response, Route, handler, http::StatusCode, post};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

const CREATES: usize = 2_000;
const KILLS: usize = 5;
/// Each writes as an application of its own, one memory after the other.
const WRITERS: usize = 8;
/// How long the bank may take to get everything after the last create.
const DELIVERY_TIMEOUT: Duration = Duration::from_mins(3);

/// The self-hosted mem0 server as its contract has it, which is well, unavailable, or worse: does what it says it could not do.
struct Bank {
    memories: Mutex<Vec<Stored>>,
    mood: AtomicU8,
    /// One permit for each create that is not answered.
    silences: Semaphore,
}

#[derive(Clone)]
struct Stored {
    id: String,
    text: String,
    user: Value,
    metadata: Map<String, Value>,
}

const WELL: u8 = 0;
const UNAVAILABLE: u8 = 1;
const LYING: u8 = 2;
const SILENT: u8 = 3;

impl Default for Bank {
    fn default() -> Self {
        Self { memories: Mutex::default(), mood: AtomicU8::new(WELL), silences: Semaphore::new(0) }
    }
}

impl Bank {
    /// The answer of a bank that is not well.
    fn failure() -> Response {
        let body = json!({"detail": "the store is unavailable", "code": "datastore_unavailable", "request_id": "r"});
        (StatusCode::BAD_GATEWAY, Json(body)).into_response()
    }

    fn mood(&self) -> u8 {
        self.mood.load(Ordering::SeqCst)
    }

    fn texts(&self) -> HashMap<String, usize> {
        let mut texts = HashMap::new();
        for stored in self.memories.lock().unwrap().iter() {
            *texts.entry(stored.text.clone()).or_default() += 1;
        }
        texts
    }
}

#[handler]
async fn add(Data(bank): Data<&Arc<Bank>>, Json(body): Json<Value>) -> Response {
    let mood = bank.mood();
    if mood == UNAVAILABLE {
        return Bank::failure();
    }
    if mood == SILENT {
        bank.silences.add_permits(1);
        return std::future::pending().await;
    }
    assert_eq!(body["infer"], json!(false));
    let mut memories = bank.memories.lock().unwrap();
    let stored = Stored {
        id: format!("67e55044-10b1-426f-9247-{:012x}", memories.len()),
        text: body["messages"][0]["content"].as_str().unwrap().to_owned(),
        user: body["user_id"].clone(),
        metadata: body["metadata"].as_object().unwrap().clone(),
    };
    memories.push(stored.clone());
    if mood == LYING {
        return Bank::failure();
    }
    Json(json!({"results": [{"id": stored.id, "memory": stored.text, "event": "ADD"}]})).into_response()
}

#[handler]
fn search(Data(bank): Data<&Arc<Bank>>, Json(body): Json<Value>) -> Response {
    if bank.mood() == UNAVAILABLE {
        return Bank::failure();
    }
    let filters = body["filters"].as_object().unwrap();
    let passes = |stored: &&Stored| {
        filters.iter().all(|(name, value)| match name.as_str() {
            "user_id" => stored.user == *value,
            name => stored.metadata.get(name) == Some(value),
        })
    };
    let memories = bank.memories.lock().unwrap();
    let results = memories.iter().filter(passes).take(10).map(|stored| {
        json!({
            "id": stored.id, "memory": stored.text, "user_id": stored.user, "metadata": stored.metadata, "score": 0.5,
            "created_at": "2026-11-22T11:17:01.115362+00:00", "updated_at": "2026-11-22T11:17:01.115362+00:00",
        })
    });
    Json(json!({"results": results.collect::<Vec<_>>()})).into_response()
}

/// Serves the bank, and changes its mood again and again until the test is over.
async fn serve_in_changing_moods(bank: Arc<Bank>) -> String {
    let url = serve(Arc::clone(&bank)).await;
    tokio::spawn(async move {
        let moods = [(WELL, 900), (UNAVAILABLE, 300), (WELL, 900), (LYING, 300)];
        for (mood, millis) in moods.into_iter().cycle() {
            bank.mood.store(mood, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    });
    url
}

/// Serves the bank.
async fn serve(bank: Arc<Bank>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Route::new().at("/memories", post(add)).at("/search", post(search)).data(Arc::clone(&bank));
    let server = poem::Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap());
    tokio::spawn(server.run(routes));
    url
}

async fn token(http: &reqwest::Client, url: &str, application: &Value) -> String {
    let body = json!({
        "grant_type": "client_credentials",
        "client_id": application["client_id"], "client_secret": application["client_secret"],
    });
    let answer = http.post(format!("{url}/auth/token")).json(&body).send().await.unwrap();
    answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn invariant_10_every_201_and_202_is_in_the_bank_exactly_once_whatever_dies() {
    let http = memgate_test_kit::http::client();
    let folder = installation();
    let bank = Arc::new(Bank::default());
    let bank_url = serve_in_changing_moods(Arc::clone(&bank)).await;
    let start = || {
        let mut command = memgate(folder.path());
        command.envs([
            ("MEMGATE_PUBLIC_URL", "http://gate.test"),
            ("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"),
            ("MEMGATE_MEMORY_BANK_URL", &bank_url),
            ("MEMGATE_MEMORY_BANK_ATTEMPT_TIMEOUT", "2s"),
            ("MEMGATE_MEMORY_BANK_DEADLINE", "3s"),
            ("MEMGATE_MEMORY_BANK_BREAKER_OPEN_FOR", "500ms"),
            ("MEMGATE_QUEUE_LEASE", "5s"),
            ("MEMGATE_QUEUE_WAIT", "1s"),
        ]);
        Server::start(command)
    };
    let mut applications = Vec::new();
    for number in 0..WRITERS {
        let name = format!("Writer {number}");
        applications.push(succeed_json(folder.path(), &["app", "create", "--name", &name, "--rate-limit", "1000000"]));
    }
    let mut server = start();
    let mut tokens = Vec::new();
    for application in &applications {
        tokens.push(token(&http, &server.url, application).await);
    }

    let (address, addresses) = watch::channel(server.url.clone());
    let next = Arc::new(AtomicUsize::new(0));
    let refused = Arc::new(AtomicUsize::new(0));
    let (confirm, mut confirmations) = tokio::sync::mpsc::unbounded_channel();
    let mut writers = JoinSet::new();
    for token in tokens {
        let (http, mut addresses, next, confirm) =
            (http.clone(), addresses.clone(), Arc::clone(&next), confirm.clone());
        let refused = Arc::clone(&refused);
        writers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= CREATES {
                    return;
                }
                let content = format!("memory number {number}");
                let url = addresses.borrow_and_update().clone();
                let request = http.post(format!("{url}/api/v1/memories")).bearer_auth(&token);
                // What was not answered may have been accepted or not; nothing was promised.
                let Ok(answer) = request.json(&json!({ "content": content })).send().await else {
                    addresses.changed().await.unwrap();
                    continue;
                };
                match answer.status().as_u16() {
                    status @ (201 | 202) => confirm.send((content, status)).unwrap(),
                    // A disk that is too busy: refused, and nothing was promised.
                    503 => {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                    status => panic!("{content} was answered {status}"),
                }
            }
        });
    }
    drop(confirm);

    let mut confirmed = Vec::new();
    let mut kills = 0;
    let mut next =
        async || tokio::time::timeout(DELIVERY_TIMEOUT, confirmations.recv()).await.expect("a write is answered");
    while let Some(confirmation) = next().await {
        confirmed.push(confirmation);
        if kills < KILLS && confirmed.len() >= (kills + 1) * CREATES / (KILLS + 1) {
            kills += 1;
            server.kill();
            server = start();
            address.send_replace(server.url.clone());
        }
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    assert_eq!(kills, KILLS);

    let deadline = Instant::now() + DELIVERY_TIMEOUT;
    let missing = |bank: &Bank| {
        let texts = bank.texts();
        confirmed.iter().filter(|(content, _)| !texts.contains_key(content)).count()
    };
    loop {
        let queue = succeed_json(folder.path(), &["queue", "list"]);
        assert_eq!(queue["dead_letters"], json!(0), "{queue}");
        if queue["pending"] == json!(0) {
            break;
        }
        assert!(Instant::now() < deadline, "{} memories are still missing: {queue}", missing(&bank));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(missing(&bank), 0, "of {} that were promised", confirmed.len());
    let twice: Vec<String> =
        bank.texts().into_iter().filter(|(_, times)| *times > 1).map(|(content, _)| content).collect();
    assert!(twice.is_empty(), "these were created more than once: {twice:?}");
    let accepted = confirmed.iter().filter(|(_, status)| *status == 202).count();
    assert!(accepted > 0 && accepted < confirmed.len(), "both answers are there: {accepted} of {}", confirmed.len());
    let refused = refused.load(Ordering::SeqCst);
    assert!(refused < CREATES / 20, "{refused} were refused");
    assert!(confirmed.len() + refused > CREATES - KILLS * WRITERS - 1, "{} and {refused}", confirmed.len());
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_being_delivered_at_a_kill_is_delivered_at_the_next_start_and_not_after_its_lease() {
    let http = memgate_test_kit::http::client();
    let folder = installation();
    let bank = Arc::new(Bank::default());
    bank.mood.store(SILENT, Ordering::SeqCst);
    let bank_url = serve(Arc::clone(&bank)).await;
    let start = || {
        let mut command = memgate(folder.path());
        command.envs([
            ("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"),
            ("MEMGATE_MEMORY_BANK_URL", &bank_url),
            ("MEMGATE_QUEUE_LEASE", "1h"),
            ("MEMGATE_QUEUE_WAIT", "0s"),
        ]);
        Server::start(command)
    };
    let server = start();
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let token = token(&http, &server.url, &application).await;
    let request = http.post(format!("{}/api/v1/memories", server.url)).bearer_auth(&token);
    let answer = request.json(&json!({"content": "kept"})).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    happens(bank.silences.acquire()).await.unwrap().forget();
    server.kill();
    bank.mood.store(WELL, Ordering::SeqCst);
    let server = start();
    let deadline = Instant::now() + DELIVERY_TIMEOUT;
    while !bank.texts().contains_key("kept") {
        assert!(Instant::now() < deadline, "the lease is an hour");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(server.terminate().success());
}
