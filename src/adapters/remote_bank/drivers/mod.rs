//! One driver per kind of bank. A driver is stateless and performs no I/O: it translates port calls into requests, and
//! responses into return values of the port.

mod contract;
mod mcp_memory_service;
mod mem0;
mod mem0_oss;
mod mem0_platform;
mod mem0_v1;

use std::sync::Arc;

pub use contract::{Added, Driver, UnexpectedResponse};

use super::config::{BankKind, RemoteBankConfig};

/// The driver of the configured kind.
pub fn driver(config: &RemoteBankConfig) -> Arc<dyn Driver> {
    match config.kind {
        BankKind::Mem0Oss => Arc::new(mem0_oss::Mem0Oss::new(config.list_limit)),
        BankKind::Mem0Platform => Arc::new(mem0_platform::Mem0Platform::new(config.list_limit)),
        BankKind::Mem0V1 => Arc::new(mem0_v1::Mem0V1),
        BankKind::McpMemoryService => Arc::new(mcp_memory_service::McpMemoryService::new(config.list_limit)),
    }
}
