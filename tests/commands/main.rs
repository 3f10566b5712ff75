//! The program: its commands, and what it keeps when it is killed, cut off, rolled back or replaced.

mod cli;
mod deadline;
mod durability;
mod import;
mod no_write_lost;
#[cfg(target_os = "linux")]
mod outage;
mod rollback;
mod rolling_restart;
