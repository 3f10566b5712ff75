//! Memory bank services, doubles and real ones: the client, its breaker, and the queue before it.

mod breaker_drill;
mod queue;
mod real_bank;
mod remote_bank;
