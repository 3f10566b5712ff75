//! The parts of the document.

use poem_openapi::Tags;

/// The parts of the document.
#[derive(Tags)]
pub(crate) enum Tag {
    /// Searching and keeping memories.
    Memories,
    /// Who the caller is and what the service can do.
    Account,
    /// Getting and giving back tokens.
    Authorization,
    /// Whether the service works.
    Health,
}
