//! The bodies of the token endpoint and the metadata documents.

pub(crate) mod metadata;
pub(crate) mod token;
