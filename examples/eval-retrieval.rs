//! How well searches find what answers a question, beside plain BM25 over the same terms.
//!
//! `cargo run --release --example eval-retrieval -- FOLDER` reads every set in a folder, or a single one, starts a gate on a
//! temporary database, gives each conversation of a set an application of its own, stores its memories in order through the
//! HTTP API, asks its questions through the HTTP API, and prints for each set: the share of the memories that answer a
//! question that are among the first 1, 5, 10 and 25 results, and the share of their sessions among the first ten sessions,
//! on average over the questions; the same for plain BM25 (k1 1.2, b 0.75) over the terms of each memory, its speaker and
//! its date among them; and by how many questions the first is ahead of the second. `-- FOLDER MODEL` searches with the
//! embedding model in the folder MODEL.
//!
//! A set is a JSON file: `{"kind"?, "conversations": [{"conversation", "memories": [{"id", "content", "session"?, "said_at"?,
//! "speaker"?, "image_caption"?, "categories"?}], "questions": [{"question", "evidence": [id, …]}]}]}`.
//! `samples/retrieval/convert.py` makes sets of public data.

#[cfg(test)]
#[path = "eval-retrieval/tests.rs"]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use memgate::adapters::database::memories::terms_of_text;
use memgate::app::{Gate, GateOptions};
use memgate::config::{Config, Values};
use memgate::domain::applications::{ClientKind, GrantType, NewApplication};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::PrimitiveDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// How many results count.
const RANKS: [usize; 4] = [1, 5, 10, 25];
/// How many sessions count, and how many results are asked for to have as many.
const SESSIONS: usize = 10;
const RESULTS: usize = 100;

/// Measures what searches over HTTP find, beside plain BM25 over the same terms, and prints a Markdown table.
#[derive(Parser)]
#[command(after_help = "Examples:\n  \
    cargo run --release --example eval-retrieval -- samples/retrieval\n  \
    cargo run --release --example eval-retrieval -- samples/retrieval \"$(.ci/install-embedding-model)/minilm\"")]
struct Arguments {
    /// A set, or a folder whose .json files are sets; samples/retrieval/convert.py makes some
    sets: PathBuf,

    /// Folder with an embedding model to search with, as for `MEMGATE_EMBEDDING_MODEL` [default: none]
    model: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Set {
    #[serde(skip)]
    name: String,
    #[serde(default)]
    kind: String,
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
    session: Option<String>,
    said_at: Option<String>,
    speaker: Option<String>,
    content: String,
    image_caption: Option<String>,
    #[serde(default)]
    categories: Vec<String>,
}

impl Turn {
    fn text(&self) -> String {
        let caption = self.image_caption.as_ref().map_or(String::new(), |caption| format!(" [image: {caption}]"));
        format!("{}{caption}", self.content)
    }

    /// Where it was said; by itself if nowhere.
    fn session(&self) -> &str {
        self.session.as_ref().unwrap_or(&self.id)
    }
}

#[derive(Deserialize)]
struct Question {
    question: String,
    evidence: BTreeSet<String>,
}

/// What was found, summed up over questions.
#[derive(Default)]
struct Recall {
    turns: [f64; RANKS.len()],
    sessions: f64,
}

#[derive(Default)]
struct Measured {
    memories: usize,
    questions: u32,
    memgate: Recall,
    bm25: Recall,
    searching: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = run(&Arguments::parse()).await {
        eprintln!("eval-retrieval: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let sets = sets(&arguments.sets)?;
    // Whoever builds an HTTP client names the cryptography of TLS, though none is spoken here.
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "TLS is set up already")?;
    let folder = tempfile::tempdir()?;
    let model = arguments.model.as_ref().map_or(String::new(), |model| model.display().to_string());
    let gate = Gate::start(&config(folder.path(), model)?, GateOptions::default()).await?;
    println!("| set | kind | memories | questions | | R@1 | R@5 | R@10 | R@25 | sessions@10 | ms |");
    println!("| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for set in &sets {
        let mut measured = Measured::default();
        for conversation in &set.conversations {
            measure(&gate, &Client::new(&gate, &conversation.name).await?, conversation, &mut measured).await?;
        }
        print(set, &measured);
    }
    gate.stop().await;
    Ok(())
}

/// The sets in a file or a folder, in the order of their names.
fn sets(path: &Path) -> Result<Vec<Set>, String> {
    let files = files(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if files.is_empty() {
        return Err(format!("{}: there is no .json file in this folder", path.display()));
    }
    files.iter().map(|file| Set::read(file).map_err(|error| format!("{}: {error}", file.display()))).collect()
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
    Ok(files)
}

impl Set {
    fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        let mut set: Self = serde_json::from_str(&text).map_err(|error| {
            format!(
                "this is not a set: {error}. A set is an object with conversations, memories and questions; \
                 examples/eval-retrieval.rs describes it"
            )
        })?;
        for conversation in &set.conversations {
            let ids: BTreeSet<&String> = conversation.memories.iter().map(|turn| &turn.id).collect();
            for question in &conversation.questions {
                // It could never be found, and would count as missed.
                if let Some(id) = question.evidence.iter().find(|id| !ids.contains(id)) {
                    let (name, question) = (&conversation.name, &question.question);
                    return Err(format!("conversation {name} has no memory {id:?}, the evidence of {question:?}"));
                }
            }
        }
        set.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(set)
    }
}

/// The defaults, with a database that is gone afterwards, a free port, and no bound on how often is asked.
fn config(folder: &Path, model: String) -> Result<Config, Box<dyn Error>> {
    let settings = [
        ("MEMGATE_DATABASE_URL", format!("sqlite://{}?mode=rwc", folder.join("eval.db").display())),
        ("MEMGATE_LISTEN", "127.0.0.1:0".to_owned()),
        ("MEMGATE_ADMIN_LISTEN", "off".to_owned()),
        ("MEMGATE_RATE_LIMIT", "1000000".to_owned()),
        ("MEMGATE_EMBEDDING_MODEL", model),
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
        let name = format!("Conversation {name}").parse()?;
        let application = NewApplication::new(name, ClientKind::Confidential, [GrantType::ClientCredentials].into());
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
        let mut metadata = Map::new();
        if let Some(speaker) = &turn.speaker {
            metadata.insert("speaker".to_owned(), json!(speaker));
        }
        if let Some(said_at) = &turn.said_at {
            metadata.insert("said_at".to_owned(), json!(iso_8601(said_at)));
        }
        let mut body = json!({ "content": turn.text(), "metadata": metadata, "categories": turn.categories });
        if let Some(session) = &turn.session {
            body["context"] = json!({ "conversation_id": session });
        }
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

async fn measure(
    gate: &Gate,
    client: &Client,
    conversation: &Conversation,
    measured: &mut Measured,
) -> Result<(), Box<dyn Error>> {
    let mut places = HashMap::new();
    for (place, turn) in conversation.memories.iter().enumerate() {
        places.insert(client.store(turn).await?, place);
    }
    // Without a model there is nothing to do.
    gate.backend().embed().await?;
    let bm25 = Bm25::of(&conversation.memories);
    for question in conversation.questions.iter().filter(|question| !question.evidence.is_empty()) {
        let started = Instant::now();
        let answer = client.post("/api/v1/search", &json!({ "query": question.question, "limit": RESULTS })).await?;
        measured.searching += started.elapsed();
        let results = answer["results"].as_array().ok_or("the answer has no results")?;
        let found = results.iter().filter_map(|result| places.get(result["memory_id"].as_str()?).copied());
        measured.memgate.add(conversation, question, &found.collect::<Vec<_>>());
        measured.bm25.add(conversation, question, &bm25.search(&question.question));
        measured.questions += 1;
    }
    measured.memories += conversation.memories.len();
    Ok(())
}

impl Recall {
    /// Of the turns at each of the ranks, and of the sessions.
    fn sums(&self) -> [f64; RANKS.len() + 1] {
        std::array::from_fn(|place| self.turns.get(place).copied().unwrap_or(self.sessions))
    }

    fn add(&mut self, conversation: &Conversation, question: &Question, found: &[usize]) {
        let turns: Vec<&Turn> = found.iter().map(|&place| &conversation.memories[place]).collect();
        let ids: Vec<&str> = turns.iter().map(|turn| turn.id.as_str()).collect();
        let evidence: BTreeSet<&str> = question.evidence.iter().map(String::as_str).collect();
        for (sum, rank) in self.turns.iter_mut().zip(RANKS) {
            *sum += share(&evidence, &ids[..rank.min(ids.len())]);
        }
        let mut sessions: Vec<&str> = Vec::new();
        for session in turns.iter().map(|turn| turn.session()) {
            if sessions.len() < SESSIONS && !sessions.contains(&session) {
                sessions.push(session);
            }
        }
        let memories = conversation.memories.iter().filter(|turn| evidence.contains(turn.id.as_str()));
        self.sessions += share(&memories.map(Turn::session).collect(), &sessions);
    }
}

/// Which share of `evidence` is in `found`.
fn share(evidence: &BTreeSet<&str>, found: &[&str]) -> f64 {
    number(evidence.iter().filter(|id| found.contains(id)).count()) / number(evidence.len())
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Plain BM25.
struct Bm25 {
    /// In which memories a term is, and how often.
    postings: HashMap<String, Vec<(usize, u32)>>,
    lengths: Vec<usize>,
    average_length: f64,
}

impl Bm25 {
    fn of(memories: &[Turn]) -> Self {
        let mut postings: HashMap<String, Vec<(usize, u32)>> = HashMap::new();
        let mut lengths = Vec::new();
        for (place, turn) in memories.iter().enumerate() {
            let (speaker, said_at) = (turn.speaker.as_deref().unwrap_or(""), turn.said_at.as_deref().map(iso_8601));
            let said_on = said_at.as_ref().and_then(|at| at.get(..10)).unwrap_or("");
            let labels = turn.categories.join(" ");
            let terms = terms_of_text(&format!("{speaker} {said_on} {labels} {}", turn.text()));
            lengths.push(terms.len());
            let mut counts: HashMap<String, u32> = HashMap::new();
            for term in terms {
                *counts.entry(term).or_default() += 1;
            }
            for (term, count) in counts {
                postings.entry(term).or_default().push((place, count));
            }
        }
        let average_length = number(lengths.iter().sum()) / number(lengths.len().max(1));
        Self { postings, lengths, average_length }
    }

    /// The best, best first; of equal ones the newer first.
    fn search(&self, query: &str) -> Vec<usize> {
        let mut scores: HashMap<usize, f64> = HashMap::new();
        let terms: BTreeSet<String> = terms_of_text(query).into_iter().collect();
        for found in terms.iter().filter_map(|term| self.postings.get(term)) {
            let (all, having) = (number(self.lengths.len()), number(found.len()));
            let weight = (1.0 + (all - having + 0.5) / (having + 0.5)).ln();
            for &(place, count) in found {
                let norm = 0.25 + 0.75 * number(self.lengths[place]) / self.average_length;
                let count = f64::from(count);
                *scores.entry(place).or_default() += weight * count * 2.2 / (count + 1.2 * norm);
            }
        }
        let mut sorted: Vec<(f64, usize)> = scores.into_iter().map(|(place, score)| (score, place)).collect();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        sorted.into_iter().take(RESULTS).map(|(_, place)| place).collect()
    }
}

fn print(set: &Set, measured: &Measured) {
    let questions = f64::from(measured.questions.max(1));
    let row = |what: &str, figures: [String; RANKS.len() + 1], milliseconds: &str| {
        let Set { name, kind, .. } = set;
        let figures = figures.join(" | ");
        println!(
            "| {name} | {kind} | {} | {} | {what} | {figures} | {milliseconds} |",
            measured.memories, measured.questions
        );
    };
    let (memgate, bm25) = (measured.memgate.sums(), measured.bm25.sums());
    let milliseconds = measured.searching.as_secs_f64() * 1000.0 / questions;
    row("memgate", memgate.map(|sum| format!("{:.3}", sum / questions)), &format!("{milliseconds:.2}"));
    row("BM25", bm25.map(|sum| format!("{:.3}", sum / questions)), "");
    row("ahead by questions", std::array::from_fn(|place| signed(memgate[place] - bm25[place])), "");
}

/// With a sign, unless it is as good as 0.
fn signed(difference: f64) -> String {
    let tenths = (difference * 10.0).round() / 10.0;
    if tenths == 0.0 { "0.0".to_owned() } else { format!("{tenths:+.1}") }
}
