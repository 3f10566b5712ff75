//! The client alone: what every memory bank promises.

use std::sync::Arc;
use std::time::Duration;

use memgate::adapters::remote_bank::{BankKind, HedgeAfter, RemoteBankConfig, RemoteMemoryBank};
use memgate::domain::memories::{MemoryBank, MemoryBankError};
use memgate_domain::testing::conformance::Fixture;
use memgate_domain::testing::{FixedClock, SeededEntropy, new_memory, scope};
use memgate_test_kit::real_bank::{KEY, RealBank, shared};

fn client(bank: &RealBank, key: &str) -> Arc<RemoteMemoryBank> {
    let mut config = RemoteBankConfig::new(BankKind::McpMemoryService, bank.url.clone());
    config.api_key = Some(key.into());
    // It does one thing at a time, and a test gives it a hundred.
    config.resilience.max_wait = Duration::from_secs(40);
    (config.resilience.deadline, config.resilience.attempt_timeout) =
        (Duration::from_secs(44), Duration::from_secs(44));
    config.resilience.breaker.slow_call = Duration::from_hours(1);
    config.resilience.hedge_after = HedgeAfter::Never;
    let (clock, entropy) = (Arc::new(FixedClock::default()), Arc::new(SeededEntropy::new(7)));
    Arc::new(RemoteMemoryBank::new(config, clock, entropy).unwrap())
}

fn fixture() -> Option<Fixture<dyn MemoryBank>> {
    shared().map(|bank| Fixture::new(client(bank, KEY) as Arc<dyn MemoryBank>))
}

memgate_domain::conformance!(memory_bank, fixture());

#[tokio::test]
async fn a_wrong_key_is_the_operators_fault() {
    let Some(bank) = shared() else { return };
    let client = client(bank, "another-key");
    assert!(matches!(client.check_health().await, Err(MemoryBankError::Misconfigured(_))));
    let answer = client.create_first(&scope(), &new_memory("x")).await;
    assert!(matches!(answer, Err(MemoryBankError::Misconfigured(_))), "{answer:?}");
}
