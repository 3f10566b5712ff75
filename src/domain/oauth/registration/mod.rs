//! Clients that nobody has registered: a document describes them (Client ID Metadata Documents), or they register themselves
//! (RFC 7591). What they say about themselves is not verified.

mod document;
mod documents;
mod metadata;
mod source;

pub use document::DocumentUrl;
pub use documents::{DocumentClients, SaveError};
#[cfg(feature = "testing")]
pub use source::MockClientDocumentSource;
pub use source::{ClientDocumentSource, DocumentProblem, FetchedDocument};
