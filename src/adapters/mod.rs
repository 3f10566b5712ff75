//! The adapters: each implements ports of the domain, or drives it. None imports another.

pub mod bcrypt;
pub mod cache;
pub mod client_documents;
pub mod database;
pub mod delivery_worker;
pub mod embedding;
pub mod http;
pub mod identity_provider;
pub mod jwt;
pub mod key_file;
pub mod mail;
pub mod remote_bank;
pub mod system;
pub mod webauthn;
