//! What has to be done now and then, off the path of requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::bank::Bank;
use super::signing_clock::SigningClock;
use crate::adapters::http::{Tls, shutdown_requested};
use crate::adapters::jwt::JwtTokenIssuer;
use crate::domain::audit::AuditLog;
use crate::domain::memories::{Erasure, WriteQueue};
use crate::domain::oauth::{AuthorizationStore, GrantStore, KeyService};
use crate::domain::people::SessionStore;
use crate::domain::system::{Clock, Timestamp};

/// How soon a key that was rotated or retired by another process is noticed.
const WATCH_KEYS_EVERY: Duration = Duration::from_secs(1);
/// How often expired rows are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How many rows are deleted at a time, so that nobody waits long for the database.
const SWEEP_BATCH: u32 = 500;

/// How many erasures are checked in a round, each with one question to the bank.
const ERASURES_CHECKED: u32 = 50;

pub(super) struct Background {
    pub(super) keys: KeyService,
    pub(super) issuer: Arc<JwtTokenIssuer>,
    pub(super) grants: Arc<dyn GrantStore>,
    pub(super) authorizations: Arc<dyn AuthorizationStore>,
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) queue: Arc<dyn WriteQueue>,
    pub(super) erasure: Erasure,
    pub(super) audit: Arc<dyn AuditLog>,
    pub(super) audit_retention: Duration,
    pub(super) bank: Bank,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signing_clock: SigningClock,
}

impl Background {
    /// Works until `stopped`.
    pub(super) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut watch_keys = tokio::time::interval(WATCH_KEYS_EVERY);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        watch_keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown_requested(&mut stopped) => return,
                _ = watch_keys.tick() => self.watch_keys().await,
                _ = sweep.tick() => {
                    self.watch_certificate();
                    self.sweep().await;
                    self.check_erasures().await;
                    self.report_queue().await;
                }
            }
        }
    }

    /// Makes new signing keys when they are due, and takes over those that others made or retired.
    pub(super) async fn watch_keys(&self) {
        match self.keys.maintain().await {
            Ok(keys) => {
                if let Err(error) = self.issuer.load(keys) {
                    tracing::error!(error = %error, "the signing keys in the database cannot be used; the old ones stay");
                }
            }
            Err(error) => tracing::warn!(error = %error, "the signing keys could not be looked at"),
        }
        self.signing_clock.watch();
    }

    /// Takes up a certificate that was renewed.
    pub(super) fn watch_certificate(&self) {
        if let Some(tls) = &self.tls {
            tls.refresh();
        }
    }

    /// Deletes memories that have expired. A service of its own looks after its memories itself.
    async fn sweep_memories(&self, now: Timestamp) -> Result<u64, String> {
        match &self.bank {
            Bank::Embedded(bank) => bank.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()),
            Bank::Remote(_) => Ok(0),
        }
    }

    /// Deletes what was stored of people and applications after they had been deleted, by requests that were under way.
    pub(super) async fn check_erasures(&self) {
        match self.erasure.check_closed(ERASURES_CHECKED).await {
            Ok(0) => {}
            Ok(memories) => tracing::info!(memories, "deleted memories that came after their owner had been deleted"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "could not check for memories that came after their owner had been deleted");
            }
        }
    }

    /// Indexes memories again that an older version has indexed, from the start on and now and then.
    pub(super) async fn reindex(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let Bank::Embedded(bank) = &self.bank else { return };
        let mut every = tokio::time::interval(SWEEP_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let indexed = async {
                every.tick().await;
                bank.reindex().await
            };
            tokio::select! {
                () = shutdown_requested(&mut stopped) => return,
                indexed = indexed => {
                    if let Err(error) = indexed {
                        tracing::warn!(error = %error, "could not index memories; trying again in a minute");
                    }
                }
            }
        }
    }

    /// Says in the log how the queue of writes does, as long as anything in it wants attention.
    async fn report_queue(&self) {
        match self.queue.statistics().await {
            Ok(statistics) if statistics.pending + statistics.failed > 0 => {
                let oldest_pending_seconds = statistics.oldest_pending_age(self.clock.now()).as_secs();
                let (pending, dead_letters) = (statistics.pending, statistics.failed);
                tracing::info!(pending, oldest_pending_seconds, dead_letters, "memories are in the queue of writes");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error, "the queue of writes could not be looked at"),
        }
    }

    /// Deletes what has expired, in small batches, until nothing is left.
    pub(super) async fn sweep(&self) {
        let now = self.clock.now();
        let audited_since = now.minus(self.audit_retention);
        loop {
            let swept = tokio::try_join!(
                async { self.grants.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async { self.authorizations.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async { self.sessions.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async { self.queue.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async { self.audit.sweep(audited_since, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                self.sweep_memories(now),
            );
            match swept {
                Ok((0, 0, 0, 0, 0, 0)) => return,
                Ok((grants, authorizations, sessions, writes, events, memories)) => {
                    tracing::debug!(grants, authorizations, sessions, writes, events, memories, "deleted expired rows");
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    tracing::warn!(error, "expired rows could not be deleted; the next round tries again");
                    return;
                }
            }
        }
    }
}
