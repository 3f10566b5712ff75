//! Memory Bank Services in this process: they keep memories, and do what the real ones were seen doing, dangers included.

pub mod mcp_memory_service;
pub mod mem0;

use std::sync::{Arc, Mutex, MutexGuard};

use poem::endpoint::BoxEndpoint;
use poem::http::StatusCode;
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::{EndpointExt as _, Request, Response};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use url::Url;

/// The key that every double asks for.
pub const KEY: &str = "the-key-of-the-bank";

/// A double that serves until it is dropped.
pub struct Bank<S> {
    pub url: Url,
    pub state: Arc<Mutex<S>>,
    calls: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl<S> Bank<S> {
    pub fn state(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap()
    }

    /// The paths of all requests so far.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl<S> Drop for Bank<S> {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves what `handle` does with a request: method, path, query, body, and the state.
pub async fn serve<S: Send + 'static>(
    state: S,
    credentials: &'static [(&'static str, &'static str)],
    handle: fn(&mut S, &Asked) -> Told,
) -> Bank<S> {
    let (state, calls) = (Arc::new(Mutex::new(state)), Arc::<Mutex<Vec<String>>>::default());
    let (shared, log) = (Arc::clone(&state), Arc::clone(&calls));
    let endpoint: BoxEndpoint<'static> = poem::endpoint::make(move |request: Request| {
        let (shared, log) = (Arc::clone(&shared), Arc::clone(&log));
        async move {
            let asked = Asked::read(request).await;
            log.lock().unwrap().push(asked.path.clone());
            let known = credentials.iter().any(|(name, value)| asked.header(name) == Some(value));
            let told =
                if known { handle(&mut shared.lock().unwrap(), &asked) } else { Told::error(401, "Not authenticated") };
            told.into_response()
        }
    })
    .map_to_response()
    .boxed();
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
    let address = acceptor.local_addr()[0].as_socket_addr().copied().unwrap();
    let serving = tokio::spawn(async move {
        poem::Server::new_with_acceptor(acceptor).run(endpoint).await.unwrap();
    });
    Bank { url: format!("http://{address}").parse().unwrap(), state, calls, serving }
}

/// A request, read.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    headers: poem::http::HeaderMap,
    pub body: Value,
}

impl Asked {
    async fn read(mut request: Request) -> Self {
        let url = Url::parse("http://bank").unwrap().join(&request.uri().to_string()).unwrap();
        let body = request.take_body().into_vec().await.unwrap();
        Self {
            method: request.method().to_string(),
            path: url.path().to_owned(),
            query: url.query_pairs().into_owned().collect(),
            headers: request.headers().clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.query(name)?.parse().ok()
    }

    /// Method and segments, to match on.
    pub fn route(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.trim_start_matches('/').split('/').collect())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub body: Value,
}

impl Told {
    pub fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    pub fn error(status: u16, detail: &str) -> Self {
        Self { status, body: json!({ "detail": detail }) }
    }

    fn into_response(self) -> Response {
        Response::builder()
            .status(StatusCode::from_u16(self.status).unwrap())
            .content_type("application/json")
            .body(self.body.to_string())
    }
}

/// How well a text fits a question: the share of the question's words that it holds. It stands for the cosine of two
/// embeddings: equal texts have 1, texts that have nothing in common have 0.
pub fn similarity(question: &str, text: &str) -> f64 {
    let (wanted, held) = (words(question), words(text));
    if wanted.is_empty() {
        return 0.0;
    }
    let count = |number: usize| f64::from(u32::try_from(number).unwrap());
    count(wanted.iter().filter(|word| held.contains(word)).count()) / count(wanted.len())
}

/// The words that say something, in the form in which they are compared.
pub fn words(text: &str) -> Vec<String> {
    const STOP_WORDS: &str = " a an and are at did do does for from has have he her his how i in is it my of on or \
                              our she that the their they to was we were what when where which who why with you your ";
    let mut words: Vec<String> = text
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !STOP_WORDS.contains(&format!(" {word} ")))
        .map(|word| word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word).to_owned())
        .collect();
    words.sort();
    words.dedup();
    words
}
