//! One driver per kind of bank. A driver is stateless and performs no I/O: it translates port calls into requests, and
//! responses into return values of the port.

mod contract;
mod mcp_memory_service;
mod mem0;
mod mem0_dialect;

use std::sync::Arc;

pub use contract::{Added, Driver, UnexpectedResponse};

use self::mem0::Mem0;
use self::mem0_dialect::Dialect;
use super::config::{BankKind, RemoteBankConfig};

/// The driver of the configured kind.
pub fn driver(config: &RemoteBankConfig) -> Arc<dyn Driver> {
    match config.kind {
        BankKind::Mem0Oss => Arc::new(Mem0::new(Dialect::Oss, config.list_limit)),
        BankKind::Mem0Platform => Arc::new(Mem0::new(Dialect::Platform, config.list_limit)),
        BankKind::Mem0V1 => Arc::new(Mem0::new(Dialect::V1, config.list_limit)),
        BankKind::McpMemoryService => Arc::new(mcp_memory_service::McpMemoryService::new(config.list_limit)),
    }
}
