//! The shapes of bodies. They know how domain values are written in JSON, and nothing else.
//!
//! Requests are read by serde, which refuses unknown members at each level; what their values mean is judged by the
//! domain. Every doc comment here becomes a description in the OpenAPI document.

pub(super) mod account;
pub(super) mod failure;
mod fit;
pub(super) mod health;
pub(super) mod memory;
pub(super) mod metadata;
pub(super) mod object;
pub(super) mod scalar;
pub(super) mod search;
pub(super) mod token;
