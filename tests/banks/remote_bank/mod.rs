//! The client of a Memory Bank Service, against doubles of the services, a proxy that breaks, and a clock that is paused.

mod breaker;
mod configuration;
mod conformance;
mod contracts;
mod invariants;
mod retries;
mod sharing;
mod support;
