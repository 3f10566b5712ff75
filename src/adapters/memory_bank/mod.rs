//! The memory banks.

pub mod embedded;
