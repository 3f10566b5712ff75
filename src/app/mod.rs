//! The composition root: the only place where ports meet adapters.

mod backend;
mod background;
mod bank;
mod check;
mod gate;
mod master_key;
mod privacy;
mod signing_clock;

pub use backend::{Backend, OpenError};
pub use check::problems_at_start;
pub use gate::{Gate, GateOptions, StartError};
pub use master_key::MasterKeyError;
