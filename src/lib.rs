//! memgate: an OAuth 2.0 gate that gives AI assistants safe, durable memory.
//!
//! The rules live in the crate [`memgate_domain`], re-exported as [`domain`]. This crate connects them to the world:
//! [`adapters`] implement the domain's ports, [`app`] puts them together, [`cli`] is what an operator sees, and [`files`] reads what
//! people bring along. [`fair_slots`] shares out what is scarce.

pub mod adapters;
pub mod app;
pub mod cli;
pub mod config;
pub mod fair_slots;
pub mod files;
pub mod telemetry;

pub use memgate_domain as domain;
