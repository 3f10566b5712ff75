//! The HTTP server: everything that requests have in common.

pub(crate) mod address;
pub(crate) mod answers;
pub(crate) mod bearer;
pub(crate) mod caching;
pub(crate) mod checks;
pub(crate) mod client;
pub(crate) mod cors;
pub(crate) mod error;
pub(crate) mod exchange;
pub(crate) mod failure;
pub(crate) mod json;
pub(crate) mod json_lines;
pub(crate) mod limits;
pub(crate) mod listener;
pub(crate) mod metrics;
pub(crate) mod payload;
pub(crate) mod public_url;
pub(crate) mod query;
pub(crate) mod repeated;
pub(crate) mod services;
pub(crate) mod shutdown;
pub(crate) mod streamed;
pub(crate) mod table;
pub(crate) mod tls;
