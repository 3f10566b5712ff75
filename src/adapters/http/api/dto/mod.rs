//! The shapes of bodies. They know how domain values are written in JSON, and nothing else.
//!
//! Requests are read by serde, which refuses unknown members at each level; what their values mean is judged by the
//! domain. Every doc comment here becomes a description in the OpenAPI document.

pub(crate) mod account;
mod fit;
pub(crate) mod health;
pub(crate) mod memory;
pub(crate) mod search;
