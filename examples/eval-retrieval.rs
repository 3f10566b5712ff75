//! How well searches find what answers a question.
//!
//! `cargo run --release --example eval-retrieval -- FILE` starts a gate on a temporary database, gives each conversation of
//! the file an application of its own, stores its memories in order through the HTTP API, asks its questions through the
//! HTTP API, and prints the recall: the share of the memories that answer a question that are among the first 1, 5, 10 and
//! 25 results, on average over the questions.
//!
//! The file is JSON: `{"conversations": [{"conversation", "memories": [{"id", "session", "said_at", "speaker", "content",
//! "image_caption"?}], "questions": [{"question", "evidence": [id, …]}]}]}`.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use memgate::app::{Gate, GateOptions};
use memgate::config::{Config, Values};
use memgate::domain::applications::{CategoryAccess, ClientKind, GrantType, NewApplication, Permissions, PkceRule};
use serde::Deserialize;
use serde_json::{Value, json};
use time::PrimitiveDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// How many results count.
const RANKS: [usize; 4] = [1, 5, 10, 25];

#[derive(Deserialize)]
struct File {
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
struct Conversation {
    #[serde(rename = "conversation")]
    name: String,
    memories: Vec<Turn>,
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Turn {
    id: String,
    session: String,
    said_at: String,
    speaker: String,
    content: String,
    image_caption: Option<String>,
}

#[derive(Deserialize)]
struct Question {
    question: String,
    evidence: BTreeSet<String>,
}

/// What was found out, over some questions.
#[derive(Default)]
struct Measured {
    questions: u32,
    recall: [f64; RANKS.len()],
    searching: Duration,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: eval-retrieval FILE")?;
    let file: File = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    // Whoever builds an HTTP client names the cryptography of TLS, though none is spoken here.
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "TLS is set up already")?;
    let folder = tempfile::tempdir()?;
    let gate = Gate::start(&config(folder.path())?, GateOptions::default()).await?;

    println!(
        "{:<14}{:>10}{:>10}{:>9}{:>8}{:>8}{:>8}{:>11}",
        "conversation", "memories", "questions", "R@1", "R@5", "R@10", "R@25", "ms/search"
    );
    let (mut all, mut memories) = (Measured::default(), 0);
    for conversation in &file.conversations {
        let client = Client::new(&gate, &conversation.name).await?;
        let measured = measure(&client, conversation).await?;
        print(&conversation.name, conversation.memories.len(), &measured);
        memories += conversation.memories.len();
        all.questions += measured.questions;
        all.searching += measured.searching;
        for (sum, recall) in all.recall.iter_mut().zip(measured.recall) {
            *sum += recall;
        }
    }
    print("all", memories, &all);
    gate.stop().await;
    Ok(())
}

/// The defaults, with a database that is gone afterwards, a free port, and no bound on how often is asked.
fn config(folder: &Path) -> Result<Config, Box<dyn Error>> {
    let settings = [
        ("MEMGATE_DATABASE_URL", format!("sqlite://{}?mode=rwc", folder.join("eval.db").display())),
        ("MEMGATE_LISTEN", "127.0.0.1:0".to_owned()),
        ("MEMGATE_RATE_LIMIT", "1000000".to_owned()),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    Ok(Config::from_values(&Values::gather(None, settings)?)?)
}

/// An application that uses the API.
struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    /// Registers an application, whose space is empty, and fetches a token for it.
    async fn new(gate: &Gate, name: &str) -> Result<Self, Box<dyn Error>> {
        let application = NewApplication {
            name: format!("Conversation {name}").parse()?,
            kind: ClientKind::Confidential,
            permissions: Permissions::all(),
            grants: [GrantType::ClientCredentials].into(),
            redirect_uris: Vec::new(),
            pkce: PkceRule::Required,
            space: None,
            categories: CategoryAccess::All,
            rate_limit: None,
            access_token_ttl: None,
            refresh_token_ttl: None,
        };
        let registration = gate.backend().applications().register(application).await?;
        let secret = registration.secret.ok_or("the application has no secret")?;
        let mut client = Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            url: gate.public_url().to_owned(),
            token: String::new(),
        };
        let request = json!({
            "grant_type": "client_credentials",
            "client_id": registration.application.client_id.as_str(),
            "client_secret": secret.expose(),
        });
        let answer = client.post("/auth/token", &request).await?;
        answer["access_token"].as_str().ok_or("no token")?.clone_into(&mut client.token);
        Ok(client)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
        let mut request = self.http.post(format!("{}{path}", self.url)).json(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        let answer = request.send().await?;
        let (status, body): (_, Value) = (answer.status(), answer.json().await?);
        if status.is_success() { Ok(body) } else { Err(format!("{path} was answered {status}: {body}").into()) }
    }

    /// Stores a memory as an assistant would that writes a conversation down: the text with a caption if there is one, who
    /// said it and when, and in which conversation. Returns its id.
    async fn store(&self, turn: &Turn) -> Result<String, Box<dyn Error>> {
        let caption = turn.image_caption.as_ref().map_or(String::new(), |caption| format!(" [image: {caption}]"));
        let body = json!({
            "content": format!("{}{caption}", turn.content),
            "metadata": { "speaker": turn.speaker, "said_at": iso_8601(&turn.said_at) },
            "context": { "conversation_id": turn.session },
        });
        let answer = self.post("/api/v1/memories", &body).await?;
        Ok(answer["memory"]["memory_id"].as_str().ok_or("the memory has no id")?.to_owned())
    }
}

/// `1:56 pm on 8 May, 2023` as `2023-05-08T13:56:00Z`; another date as it is.
fn iso_8601(said_at: &str) -> String {
    let format = format_description!(
        "[hour repr:12 padding:none]:[minute] [period case:lower] on [day padding:none] [month repr:long], [year]"
    );
    let parsed = PrimitiveDateTime::parse(said_at, format).ok();
    parsed.and_then(|at| at.assume_utc().format(&Rfc3339).ok()).unwrap_or_else(|| said_at.to_owned())
}

async fn measure(client: &Client, conversation: &Conversation) -> Result<Measured, Box<dyn Error>> {
    let mut names = HashMap::new();
    for turn in &conversation.memories {
        names.insert(client.store(turn).await?, turn.id.as_str());
    }
    let mut measured = Measured::default();
    for question in conversation.questions.iter().filter(|question| !question.evidence.is_empty()) {
        let started = Instant::now();
        let answer = client.post("/api/v1/search", &json!({ "query": question.question, "limit": RANKS[3] })).await?;
        measured.searching += started.elapsed();
        let results = answer["results"].as_array().ok_or("the answer has no results")?;
        let found: Vec<&str> =
            results.iter().filter_map(|result| names.get(result["memory_id"].as_str()?).copied()).collect();
        for (sum, rank) in measured.recall.iter_mut().zip(RANKS) {
            *sum += recall(&question.evidence, &found[..rank.min(found.len())]);
        }
        measured.questions += 1;
    }
    Ok(measured)
}

/// Which share of `evidence` is in `found`.
fn recall(evidence: &BTreeSet<String>, found: &[&str]) -> f64 {
    let count = |wanted: usize| f64::from(u32::try_from(wanted).unwrap_or(u32::MAX));
    let there = evidence.iter().filter(|id| found.contains(&id.as_str())).count();
    count(there) / count(evidence.len())
}

fn print(name: &str, memories: usize, measured: &Measured) {
    let questions = f64::from(measured.questions.max(1));
    print!("{name:<14}{memories:>10}{:>10} ", measured.questions);
    for sum in measured.recall {
        print!("{:>8.3}", sum / questions);
    }
    println!("{:>11.2}", measured.searching.as_secs_f64() * 1000.0 / questions);
}
