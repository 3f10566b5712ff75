//! The documents of clients, without a network.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::oauth::{ClientDocumentSource, DocumentProblem, DocumentUrl, DroppedRedirectUri, FetchedDocument};
use crate::testing::in_memory::lock;

/// Publishes documents, **for tests only**. What is not published is unreachable.
#[derive(Debug, Default)]
pub struct FakeDocumentSource {
    published: Mutex<HashMap<String, Result<FetchedDocument, DocumentProblem>>>,
    fetched: AtomicUsize,
    dropped: Mutex<Vec<DroppedRedirectUri>>,
}

impl FakeDocumentSource {
    /// Publishes a document at the URL in its own `client_id`.
    ///
    /// # Panics
    /// If it has none.
    pub fn publish(&self, document: &Value, max_age: Option<Duration>) {
        let url = document["client_id"].as_str().expect("a client_id").to_owned();
        self.answer(&url, Ok(FetchedDocument { body: document.to_string().into_bytes(), max_age }));
    }

    /// Lets the next fetches from `url` end like this.
    pub fn answer(&self, url: &str, answer: Result<FetchedDocument, DocumentProblem>) {
        lock(&self.published).insert(url.to_owned(), answer);
    }

    /// How often something was fetched.
    #[must_use]
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }

    /// The redirect URIs that were noted as unusable.
    #[must_use]
    pub fn dropped(&self) -> Vec<DroppedRedirectUri> {
        lock(&self.dropped).clone()
    }
}

#[async_trait]
impl ClientDocumentSource for FakeDocumentSource {
    async fn fetch(&self, url: &DocumentUrl) -> Result<FetchedDocument, DocumentProblem> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        lock(&self.published).get(url.client_id().as_str()).cloned().unwrap_or(Err(DocumentProblem::Unreachable))
    }

    fn note_dropped(&self, _url: &DocumentUrl, dropped: &[DroppedRedirectUri]) {
        lock(&self.dropped).extend_from_slice(dropped);
    }
}
