//! Clients that nobody has registered: a document describes them (Client ID Metadata Documents), or they register themselves
//! (RFC 7591). What they say about themselves is not verified.

mod document;
mod document_url;
mod documents;
mod dynamic;
mod metadata;
mod source;

pub use document_url::DocumentUrl;
pub use documents::{DocumentClients, SaveError};
pub use dynamic::{DynamicRegistration, RegisteredClient};
pub use metadata::DroppedRedirectUri;
pub use source::{ClientDocumentSource, DocumentProblem, FetchedDocument};
