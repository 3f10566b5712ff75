//! The token endpoint, its neighbours and the metadata documents.

pub(crate) mod metadata;
pub(crate) mod register;
pub(crate) mod token;
