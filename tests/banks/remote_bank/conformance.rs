//! What every memory bank promises, for every driver over a service that keeps memories.

use std::sync::Arc;

use memgate::adapters::remote_bank::BankKind;
use memgate::domain::memories::MemoryBank;
use memgate_domain::testing::conformance::Fixture;
use memgate_test_kit::banks::{Bank, mcp_memory_service, mem0};

use super::support::{client, config};

fn fixture<S: Send + 'static>(kind: BankKind, bank: Bank<S>) -> Fixture<dyn MemoryBank> {
    Fixture::new(Arc::new(client(config(kind, &bank.url))) as Arc<dyn MemoryBank>).holding(bank)
}

/// A hosted bank that goes on in the background with everything it is given.
fn pending(kind: BankKind, bank: Bank<mem0::Mem0>) -> Fixture<dyn MemoryBank> {
    bank.state().pending_for = 2;
    let mut config = config(kind, &bank.url);
    config.event_interval = std::time::Duration::from_millis(1);
    Fixture::new(Arc::new(client(config)) as Arc<dyn MemoryBank>).holding(bank)
}

mod mem0_oss {
    use super::*;

    memgate_domain::conformance!(memory_bank, fixture(BankKind::Mem0Oss, mem0::oss().await));
}

mod mem0_platform {
    use super::*;

    memgate_domain::conformance!(memory_bank, fixture(BankKind::Mem0Platform, mem0::platform().await));
}

mod mem0_platform_with_events {
    use super::*;

    memgate_domain::conformance!(memory_bank, pending(BankKind::Mem0Platform, mem0::platform().await));
}

mod mem0_v1 {
    use super::*;

    memgate_domain::conformance!(memory_bank, fixture(BankKind::Mem0V1, mem0::v1().await));
}

mod mem0_v1_with_events {
    use super::*;

    memgate_domain::conformance!(memory_bank, pending(BankKind::Mem0V1, mem0::v1().await));
}

mod mcp {
    use super::*;

    memgate_domain::conformance!(
        memory_bank,
        fixture(BankKind::McpMemoryService, mcp_memory_service::mcp_memory_service().await)
    );
}
