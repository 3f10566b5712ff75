//! The memory banks.

pub mod embedded;
pub mod remote;
