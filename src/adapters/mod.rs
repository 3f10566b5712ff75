//! The adapters: each implements ports of the domain, or drives it. None imports another.

pub mod bcrypt;
pub mod courier;
pub mod http;
pub mod identity_provider;
pub mod jwt;
pub mod memory_bank;
pub mod persistence;
pub mod rate_limiter;
pub mod system;
