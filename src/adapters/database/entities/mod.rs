//! The tables, column by column. What a value means is said where it is read, in the file of its port.

pub(super) mod application;
pub(super) mod application_secret;
pub(super) mod audit_event;
pub(super) mod authorization;
pub(super) mod consumed_refresh_token;
pub(super) mod memory_tenant;
pub(super) mod passkey;
pub(super) mod password_link;
pub(super) mod person;
pub(super) mod queued_write;
pub(super) mod revocation;
pub(super) mod session;
pub(super) mod signing_key;
pub(super) mod spent_passkey_challenge;
