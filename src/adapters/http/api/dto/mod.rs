//! What the bodies of several resources have in common: how domain values are represented in JSON, and nothing else.
//!
//! Requests are parsed by serde, which rejects unknown members at each level; the domain validates their values. Every doc
//! comment here, and on the bodies of the resources, becomes a description in the OpenAPI document.

pub(crate) mod create;
pub(crate) mod filters;
pub(crate) mod memory;
