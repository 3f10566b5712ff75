//! The composition root: the only place where ports meet adapters.

mod backend;
mod background;
mod bank;
mod check;
mod embedder;
mod error;
mod gate;
mod local;
mod mail;
mod services;

pub use backend::Backend;
pub use check::problems_at_start;
pub use error::{OpenError, StartError};
pub use gate::{Gate, GateOptions, public_url};
pub use local::LocalSessionError;
pub use mail::mailer;
