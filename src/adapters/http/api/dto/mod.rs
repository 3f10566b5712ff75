//! Request and response bodies: how domain values are represented in JSON, and nothing else.
//!
//! Requests are parsed by serde, which rejects unknown members at each level; the domain validates their values. Every doc
//! comment here becomes a description in the OpenAPI document.

pub(crate) mod account;
pub(crate) mod bulk;
mod fit;
pub(crate) mod health;
pub(crate) mod history;
pub(super) mod import;
pub(crate) mod memory;
pub(crate) mod search;
pub(crate) mod statistics;
