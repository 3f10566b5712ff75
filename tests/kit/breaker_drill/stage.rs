//! What the drill is played on: a bank that can be broken, memgate before it as a process of its own, and a caller.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::banks::{self, Bank, mem0::Mem0};
use crate::fault_proxy::FaultProxy;
use crate::process::finished;

/// How long memgate may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// Everything that runs; it ends when this is dropped.
pub struct Stage {
    pub bank: Bank<Mem0>,
    pub proxy: FaultProxy,
    pub url: String,
    pub admin: String,
    pub token: String,
    http: reqwest::Client,
    log: Log,
    _memgate: Memgate,
    _folder: TempDir,
}

/// Lines of memgate's log, as the JSON that they are.
pub type Log = Arc<Mutex<Vec<Value>>>;

/// An answer of memgate.
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<String>,
    pub took: Duration,
    pub body: Value,
}

impl Stage {
    /// Starts a bank, a proxy before it, and the program `memgate` before that, whose breakers stay open for `open_for`.
    pub async fn set(memgate: &Path, open_for: Duration) -> Result<Self, String> {
        let bank = banks::mem0::oss().await;
        let proxy = FaultProxy::before(&bank.url).await;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let program = Program {
            path: memgate.to_owned(),
            folder: folder.path().to_owned(),
            settings: [
                ("MEMGATE_LISTEN", "127.0.0.1:0"),
                ("MEMGATE_ADMIN_LISTEN", "127.0.0.1:0"),
                ("MEMGATE_PUBLIC_URL", "http://drill.test"),
                ("MEMGATE_LOG_FORMAT", "json"),
                ("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"),
                ("MEMGATE_MEMORY_BANK_URL", proxy.url.as_str()),
                ("MEMGATE_MEMORY_BANK_API_KEY", banks::KEY),
                ("MEMGATE_MEMORY_BANK_BREAKER_OPEN_FOR", &format!("{}ms", open_for.as_millis())),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        };
        let application = program.create_application()?;
        let log = Log::default();
        let (memgate, listening) = program.serve(&log)?;
        let listening = timeout(START, listening).await.map_err(|_| "memgate does not start".to_owned())?;
        let listening = listening.map_err(|_| format!("memgate ended; its log: {:?}", lock(&log)))?;
        let [url, admin] = ["address", "admin"].map(|name| format!("http://{}", text(&listening, name)));
        let http = crate::http::client_builder().build().map_err(|error| error.to_string())?;
        let mut stage =
            Self { bank, proxy, url, admin, token: String::new(), http, log, _memgate: memgate, _folder: folder };
        let credentials = json!({
            "grant_type": "client_credentials",
            "client_id": application["client_id"],
            "client_secret": application["client_secret"],
        });
        let answer = stage.send(stage.http.post(format!("{}/auth/token", stage.url)).json(&credentials)).await?;
        let token = answer.body["access_token"].as_str().ok_or_else(|| format!("no token: {}", answer.body))?;
        token.clone_into(&mut stage.token);
        Ok(stage)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, String> {
        self.send(request.bearer_auth(&self.token)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, String> {
        let began = Instant::now();
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|error| error.to_string())?;
        Ok(Answer {
            status,
            retry_after: headers.get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned),
            took: began.elapsed(),
            body: serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))),
        })
    }

    pub async fn store(&self, content: &str) -> Result<Answer, String> {
        let url = format!("{}/api/v1/memories", self.url);
        self.ask(self.http.post(url).json(&json!({ "content": content }))).await
    }

    pub async fn search(&self, query: &str) -> Result<Answer, String> {
        self.ask(self.http.post(format!("{}/api/v1/search", self.url)).json(&json!({ "query": query }))).await
    }

    /// How far the write of that request has come.
    pub async fn outcome(&self, request: &str) -> Result<String, String> {
        let answer = self.ask(self.http.get(format!("{}/api/v1/requests/{request}", self.url))).await?;
        Ok(text(&answer.body, "status").to_owned())
    }

    /// The states of both breakers, such as `read closed, write open`.
    pub async fn breakers(&self) -> Result<String, String> {
        let answer = self.send(self.http.get(format!("{}/admin/breaker", self.admin))).await?;
        let breakers = answer.body["breakers"].as_array().cloned().unwrap_or_default();
        let states = breakers.iter().map(|one| format!("{} {}", text(one, "operation"), text(one, "state")));
        Ok(states.collect::<Vec<_>>().join(", "))
    }

    /// The lines of the metrics that begin with one of `names`.
    pub async fn metrics(&self, names: &[&str]) -> Result<Vec<String>, String> {
        let answer = self.send(self.http.get(format!("{}/metrics", self.admin))).await?;
        let lines = answer.body.as_str().unwrap_or_default().lines();
        Ok(lines.filter(|line| names.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect())
    }

    /// What memgate has logged so far.
    pub fn log(&self) -> Vec<Value> {
        lock(&self.log).clone()
    }
}

/// The member `name` of an answer, if it is text.
pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn lock(log: &Log) -> std::sync::MutexGuard<'_, Vec<Value>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program, with a folder and settings of its own.
struct Program {
    path: PathBuf,
    folder: PathBuf,
    settings: Vec<(String, String)>,
}

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MEMGATE_")) {
            command.env_remove(name);
        }
        command.envs(self.settings.iter().cloned()).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    fn cannot_start(&self, error: &std::io::Error) -> String {
        format!("cannot start {}: {error}; build it first: cargo build", self.path.display())
    }

    fn run(&self, arguments: &[&str]) -> Result<Output, String> {
        let mut command = self.command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(finished(command.spawn().map_err(|error| self.cannot_start(&error))?))
    }

    fn create_application(&self) -> Result<Value, String> {
        let migrated = self.run(&["migrate", "up"])?;
        if !migrated.status.success() {
            return Err(String::from_utf8_lossy(&migrated.stderr).into_owned());
        }
        let output = self.run(&["app", "create", "--name", "Drill", "--json"])?;
        serde_json::from_slice(&output.stdout).map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts the service. The event by which it says where it listens is received from what is returned.
    fn serve(&self, log: &Log) -> Result<(Memgate, oneshot::Receiver<Value>), String> {
        let mut command = self.command();
        command.arg("serve").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.cannot_start(&error))?;
        let stderr = child.stderr.take();
        let (sender, listening) = oneshot::channel();
        let (mut sender, log) = (Some(sender), Arc::clone(log));
        thread::spawn(move || {
            let lines = stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines().map_while(Result::ok));
            for line in lines {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if text(&event, "message") == "listening"
                    && let Some(sender) = sender.take()
                {
                    // Nobody waits any more: the drill is over.
                    let _over = sender.send(event.clone());
                }
                lock(&log).push(event);
            }
        });
        Ok((Memgate(child), listening))
    }
}

struct Memgate(Child);

impl Drop for Memgate {
    fn drop(&mut self) {
        // It may have ended by itself; either way there is nothing left to do.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
