//! The client of a Memory Bank Service, against doubles of the services, a proxy that breaks, and a clock that is paused.

#[path = "../support/banks/mod.rs"]
mod banks;
mod breaker;
mod configuration;
mod conformance;
mod contracts;
#[path = "../support/fault_proxy.rs"]
mod fault_proxy;
mod invariants;
mod retries;
mod sharing;
mod support;
