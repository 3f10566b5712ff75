//! The OpenAPI documents, and the page that displays one.

pub(crate) mod complete;
pub(crate) mod gpt_actions;
pub(crate) mod object;
pub(crate) mod placeholders;
pub(crate) mod scalar;
pub(crate) mod security;
pub(crate) mod tag;
