//! What the black-box tests share: a whole gate, the program as an operator runs it, databases, doubles of the services
//! that memgate talks to, and proxies that break the way to them.
#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_docs,
    reason = "these are parts of tests: they panic where something is not as it should be"
)]

pub mod archive;
pub mod banks;
pub mod breaker_drill;
pub mod database;
pub mod deadline;
pub mod embedding_model;
pub mod fault_proxy;
pub mod gate;
pub mod http;
pub mod log;
pub mod openid_provider;
pub mod page;
pub mod postgres;
pub mod process;
pub mod publisher;
pub mod real_bank;
pub mod skip;
pub mod smtp;
