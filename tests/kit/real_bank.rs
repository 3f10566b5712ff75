//! A real Memory Bank Service: mcp-memory-service from `PyPI`, with a small stub in the place of its embedding service.
//!
//! `TEST_MCP_MEMORY_SERVICE` names its program `memory`, which `.ci/install-real-bank` installs. Where it is not set, the
//! tests that need it say so and pass; with `REQUIRE_REAL_BANK=1` they fail.

use std::env;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use poem::listener::TcpAcceptor;
use poem::web::Json;
use poem::{Route, Server, handler, post};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::banks::words;
use crate::skip::skip;

/// The key that it asks for.
pub const KEY: &str = "the-key-of-the-real-bank";

/// How long it may take to start. It is a program in Python.
const START: Duration = Duration::from_mins(2);

/// The service. It stops when the process ends, however that comes about.
pub struct RealBank {
    /// Where it answers.
    pub url: Url,
    _keeper: Child,
    /// The shell around the service waits for the other end of this pipe to be closed, which the system does in any case.
    _alive: ChildStdin,
    _folder: TempDir,
}

const KEEPER: &str = r#"
"$1" server --http >"$2/log" 2>&1 &
service=$!
read -r _
kill "$service"
"#;

/// The one service of this test binary; `None` where there is none and none is required.
pub fn shared() -> Option<&'static RealBank> {
    static SHARED: OnceLock<Option<RealBank>> = OnceLock::new();
    SHARED.get_or_init(start).as_ref()
}

fn start() -> Option<RealBank> {
    let Some(program) = env::var_os("TEST_MCP_MEMORY_SERVICE").map(PathBuf::from).filter(|path| path.is_file()) else {
        let missing = "TEST_MCP_MEMORY_SERVICE does not name the program `memory` of mcp-memory-service.";
        let remedy = "TEST_MCP_MEMORY_SERVICE=$(.ci/install-real-bank) cargo test --test banks real_bank";
        skip("REQUIRE_REAL_BANK", "a real memory bank service", missing, remedy);
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let embeddings = serve_embeddings();
    let mut keeper = Command::new("/bin/sh")
        .args(["-c", KEEPER, "keeper"])
        .args([program.as_os_str(), folder.path().as_os_str()])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.path())
        .env("MCP_MEMORY_STORAGE_BACKEND", "sqlite_vec")
        .env("MCP_MEMORY_SQLITE_PATH", folder.path().join("memories.db"))
        .env("MCP_HTTP_HOST", "127.0.0.1")
        .env("MCP_HTTP_PORT", address.port().to_string())
        .env("MCP_API_KEY", KEY)
        .env("MCP_MDNS_ENABLED", "false")
        .env("MCP_EXTERNAL_EMBEDDING_URL", format!("http://{embeddings}/v1/embeddings"))
        .env("MCP_EXTERNAL_EMBEDDING_MODEL", "stub")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let alive = keeper.stdin.take().unwrap();
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(began.elapsed() < START, "mcp-memory-service does not start:\n{}", log());
        thread::sleep(Duration::from_millis(50));
    }
    let url = format!("http://{address}").parse().unwrap();
    Some(RealBank { url, _keeper: keeper, _alive: alive, _folder: folder })
}

/// How many numbers an embedding has: more than there are words in all tests.
const DIMENSIONS: usize = 4096;

/// An embedding service as `OpenAI`'s, on a thread of its own: each word has a dimension, so that the cosine of two texts
/// says how many words they share.
fn serve_embeddings() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let acceptor = TcpAcceptor::from_std(listener).unwrap();
            Server::new_with_acceptor(acceptor).run(Route::new().at("/v1/embeddings", post(embed))).await.unwrap();
        });
    });
    address
}

#[handler]
fn embed(Json(request): Json<Value>) -> Json<Value> {
    static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let texts = match &request["input"] {
        Value::Array(texts) => texts.clone(),
        text => vec![text.clone()],
    };
    let mut known = KNOWN.lock().unwrap();
    let embedding = |(index, text): (usize, &Value)| {
        let mut numbers = vec![0.0_f32; DIMENSIONS];
        for word in words(text.as_str().unwrap()) {
            let place = known.iter().position(|each| *each == word).unwrap_or_else(|| {
                known.push(word);
                known.len() - 1
            });
            numbers[place % DIMENSIONS] = 1.0;
        }
        json!({"object": "embedding", "index": index, "embedding": numbers})
    };
    let data: Vec<Value> = texts.iter().enumerate().map(embedding).collect();
    Json(json!({"object": "list", "model": "stub", "data": data, "usage": {"prompt_tokens": 0, "total_tokens": 0}}))
}
