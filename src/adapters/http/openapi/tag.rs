//! The tags of the document.

use poem_openapi::Tags;

/// The tags of the document.
#[derive(Tags)]
pub(crate) enum Tag {
    /// Searching and storing memories.
    Memories,
    /// The caller and the capabilities of the service.
    Account,
    /// Issuing and revoking tokens.
    Authorization,
    /// Health of the service.
    Health,
}
