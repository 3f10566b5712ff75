//! The configured memory bank, and its view for operators.

use std::sync::Arc;

use super::error::OpenError;
use crate::adapters::database::Database;
use crate::adapters::database::memories::EmbeddedMemoryBank;
use crate::adapters::http::{self, BreakerOperation, BreakerSwitch, BreakerView};
use crate::adapters::remote_bank::{Access, BreakerMode, RemoteMemoryBank};
use crate::config::MemoryBankConfig;
use crate::domain::memories::{Embedder, MemoryBank};
use crate::domain::system::{Clock, Entropy};

/// The memory bank.
#[derive(Clone)]
pub(super) enum Bank {
    Embedded(Arc<EmbeddedMemoryBank>),
    Remote(Arc<RemoteMemoryBank>),
    /// One that replaces the configured one, of which nothing but the port is known.
    Given(Arc<dyn MemoryBank>),
}

impl Bank {
    pub(super) fn new(
        config: &MemoryBankConfig,
        database: &Database,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Result<Self, OpenError> {
        Ok(match config {
            MemoryBankConfig::Embedded => {
                let (reader, searcher) = (database.reader().clone(), database.searcher().clone());
                let bank = EmbeddedMemoryBank::new(reader, searcher, database.writer());
                Self::Embedded(Arc::new(match embedder {
                    Some(embedder) => bank.with_embedder(embedder, database.writer()),
                    None => bank,
                }))
            }
            MemoryBankConfig::Remote(config) => {
                Self::Remote(Arc::new(RemoteMemoryBank::new((**config).clone(), clock, entropy)?))
            }
        })
    }

    pub(super) fn port(&self) -> Arc<dyn MemoryBank> {
        match self {
            Self::Embedded(bank) => Arc::clone(bank) as _,
            Self::Remote(bank) => Arc::clone(bank) as _,
            Self::Given(bank) => Arc::clone(bank),
        }
    }

    pub(super) fn embedded(&self) -> Option<&EmbeddedMemoryBank> {
        match self {
            Self::Embedded(bank) => Some(bank),
            Self::Remote(_) | Self::Given(_) => None,
        }
    }

    /// The switch of its breakers, if it has any.
    pub(super) fn breaker(&self) -> Option<Arc<dyn BreakerSwitch>> {
        match self {
            Self::Embedded(_) | Self::Given(_) => None,
            Self::Remote(bank) => Some(Arc::new(RemoteBreakers(Arc::clone(bank)))),
        }
    }

    /// Its metrics in the Prometheus text format, if it has any of its own.
    pub(super) fn metrics(&self) -> Option<Box<dyn Fn() -> String + Send + Sync>> {
        match self {
            Self::Embedded(_) | Self::Given(_) => None,
            Self::Remote(bank) => {
                let metrics = bank.metrics();
                Some(Box::new(move || metrics.to_prometheus()))
            }
        }
    }
}

struct RemoteBreakers(Arc<RemoteMemoryBank>);

impl BreakerSwitch for RemoteBreakers {
    fn breakers(&self) -> Vec<BreakerView> {
        [BreakerOperation::Read, BreakerOperation::Write]
            .map(|operation| {
                let (state, mode) = self.0.breaker(access(operation));
                let mode = match mode {
                    BreakerMode::Automatic => http::BreakerSetting::Automatic,
                    BreakerMode::ForcedOpen => http::BreakerSetting::ForcedOpen,
                    BreakerMode::ForcedClosed => http::BreakerSetting::ForcedClosed,
                };
                BreakerView { operation, state: state.as_str(), mode }
            })
            .to_vec()
    }

    fn switch(&self, operation: Option<BreakerOperation>, mode: http::BreakerSetting) {
        let mode = match mode {
            http::BreakerSetting::Automatic => BreakerMode::Automatic,
            http::BreakerSetting::ForcedOpen => BreakerMode::ForcedOpen,
            http::BreakerSetting::ForcedClosed => BreakerMode::ForcedClosed,
        };
        let all = [BreakerOperation::Read, BreakerOperation::Write];
        for one in all.into_iter().filter(|one| operation.is_none_or(|wanted| wanted == *one)) {
            self.0.set_breaker_mode(access(one), mode);
        }
    }
}

fn access(operation: BreakerOperation) -> Access {
    match operation {
        BreakerOperation::Read => Access::Read,
        BreakerOperation::Write => Access::Write,
    }
}
