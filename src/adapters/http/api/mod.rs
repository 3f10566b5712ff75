//! The memory API: one file per resource with its bodies. What several share is in `dto`.

pub(crate) mod assistant;
pub(crate) mod bulk;
pub(crate) mod capabilities;
pub(crate) mod dto;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod me;
pub(crate) mod memories;
pub(crate) mod requests;
pub(crate) mod search;
pub(crate) mod statistics;
