//! The port that fetches the documents of clients.

use std::time::Duration;

use async_trait::async_trait;

use super::document_url::DocumentUrl;
use super::metadata::DroppedRedirectUri;

/// Fetches documents from anywhere on the internet, at the request of anybody.
#[async_trait]
pub trait ClientDocumentSource: Send + Sync {
    /// Fetches a document by one request, without credentials: only if every address of its host is public, and from one of
    /// the addresses that were checked; without following a redirect; JSON of at most [`FetchedDocument::MAX_BYTES`] within
    /// [`FetchedDocument::TIMEOUT`].
    ///
    /// # Errors
    /// [`DocumentProblem`].
    async fn fetch(&self, url: &DocumentUrl) -> Result<FetchedDocument, DocumentProblem>;

    /// Logs that some redirect URIs of a document that was fetched cannot be used, and the others can.
    fn note_dropped(&self, url: &DocumentUrl, dropped: &[DroppedRedirectUri]);
}

/// A document as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedDocument {
    /// Its bytes.
    pub body: Vec<u8>,
    /// How long its publisher allows it to be cached, if it says so.
    pub max_age: Option<Duration>,
}

impl FetchedDocument {
    /// Maximum size.
    pub const MAX_BYTES: usize = 10 * 1024;
    /// Time allowed to fetch it.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
}

/// Why the document of a client cannot be used. The texts complete "the document …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentProblem {
    /// Its host has no address, does not accept connections, or proves another name.
    #[error("could not be fetched; try again in a minute")]
    Unreachable,
    /// It took longer than [`FetchedDocument::TIMEOUT`].
    #[error("did not arrive within {} seconds; try again in a minute", FetchedDocument::TIMEOUT.as_secs())]
    Slow,
    /// Too many documents are being fetched.
    #[error("cannot be fetched now, since too many others are; try again in a minute")]
    Busy,
    /// Too many documents were fetched for the address that asks.
    #[error("cannot be fetched now, since your address asked for too many; try again in {} seconds", .retry_after.as_secs_f64().ceil())]
    AskedTooOften {
        /// How long to wait.
        retry_after: Duration,
    },
    /// An address of its host is private, reserved, or this machine.
    #[error("is at an address that is not public")]
    ForbiddenAddress,
    /// The response has another status than 200.
    #[error("cannot be had: its host answered with status {0}")]
    Status(u16),
    /// The response is a redirect.
    #[error("is elsewhere: its host answered with a redirect, which is not followed")]
    Redirect,
    /// It is larger than [`FetchedDocument::MAX_BYTES`].
    #[error("is larger than {} bytes", FetchedDocument::MAX_BYTES)]
    TooLarge,
    /// Its media type is not that of JSON.
    #[error("is not of the media type application/json")]
    NotJson,
    /// It is no JSON object.
    #[error("is not a JSON object")]
    Malformed,
    /// Its `client_id` is not the URL that it was fetched from.
    #[error("names another client_id than its own URL")]
    OtherClient,
    /// It contains a secret.
    #[error("contains a client_secret, which everybody could read")]
    Secret,
    /// It does not allow `none`, or it allows a symmetric method, as its authentication method.
    #[error("must allow the authentication method none, and must not name one with a shared secret")]
    Authentication,
    /// A member is missing or unusable.
    #[error("cannot be used: {0}")]
    Invalid(String),
}

impl DocumentProblem {
    /// Whether the publisher may know nothing of it and mean nothing by it, so that an earlier copy may be used.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable | Self::Slow | Self::Busy | Self::AskedTooOften { .. } => true,
            // Among them what the protection of a site against robots answers.
            Self::Status(status) => matches!(status, 401 | 403 | 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}
