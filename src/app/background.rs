//! Periodic work in the background.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::bank::Bank;
use crate::adapters::http::{Tls, Uploads, shutdown_requested};
use crate::adapters::jwt::JwtTokenIssuer;
use crate::domain::audit::AuditLog;
use crate::domain::memories::{Erasure, WriteQueue};
use crate::domain::oauth::{
    AuthorizationStore, GrantStore, KeyService, SigningClock, SigningClockChange, sweep_authorizations,
};
use crate::domain::people::{PasskeyRepository, PasswordLinkStore, SessionStore};
use crate::domain::system::{Clock, Timestamp};

/// How soon a key rotated or retired by another process is noticed.
const WATCH_KEYS_EVERY: Duration = Duration::from_secs(1);
/// Interval between sweeps of expired rows.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// Interval at which memories without a vector are looked for that another process wrote.
const EMBED_EVERY: Duration = Duration::from_secs(10);
/// Maximum number of rows deleted per statement, so that nobody waits long for the database.
const SWEEP_BATCH: u32 = 500;

/// Maximum number of erasures checked per round, each with one call to the bank.
const ERASURES_CHECKED: u32 = 50;

pub(super) struct Background {
    pub(super) keys: KeyService,
    pub(super) issuer: Arc<JwtTokenIssuer>,
    pub(super) grants: Arc<dyn GrantStore>,
    pub(super) authorizations: Arc<dyn AuthorizationStore>,
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) links: Arc<dyn PasswordLinkStore>,
    pub(super) passkeys: Arc<dyn PasskeyRepository>,
    pub(super) queue: Arc<dyn WriteQueue>,
    pub(super) erasure: Erasure,
    pub(super) audit: Arc<dyn AuditLog>,
    pub(super) audit_retention: Duration,
    pub(super) bank: Bank,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) uploads: Arc<Uploads>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signing_clock: SigningClock,
}

impl Background {
    /// Runs until `stopped`.
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

    /// Rotates signing keys when they are due, and loads those that other processes created or retired.
    pub(super) async fn watch_keys(&self) {
        match self.keys.maintain().await {
            Ok(keys) => {
                if let Err(error) = self.issuer.load(keys) {
                    tracing::error!(error = %error, "the signing keys in the database are invalid; the old ones stay in use");
                }
            }
            Err(error) => tracing::warn!(error = %error, "failed to reload signing keys"),
        }
        match self.signing_clock.watch(self.issuer.keys_active_from()) {
            Some(SigningClockChange::Behind { now, active_from }) => tracing::error!(
                clock = %now,
                keys_active_from = %active_from,
                "the clock is behind the signing keys: it was ahead when they were made, or is wrong now; the oldest key \
                 signs all the same"
            ),
            Some(SigningClockChange::CaughtUp) => tracing::info!("the clock has reached the signing keys"),
            None => {}
        }
    }

    /// Reloads a renewed certificate.
    pub(super) fn watch_certificate(&self) {
        if let Some(tls) = &self.tls {
            tls.refresh();
        }
    }

    /// Deletes expired memories. A remote bank does so itself.
    async fn sweep_memories(&self, now: Timestamp) -> Result<u64, String> {
        match self.bank.embedded() {
            Some(bank) => bank.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()),
            None => Ok(0),
        }
    }

    /// Deletes what requests in flight stored for people and applications after these were deleted.
    pub(super) async fn check_erasures(&self) {
        match self.erasure.check_closed(ERASURES_CHECKED).await {
            Ok(0) => {}
            Ok(memories) => tracing::info!(memories, "deleted memories stored after the deletion of their owner"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "failed to check for memories stored after the deletion of their owner");
            }
        }
    }

    /// Reindexes memories indexed by an older version, at the start and periodically.
    pub(super) async fn reindex(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let Some(bank) = self.bank.embedded() else { return };
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
                        tracing::warn!(error = %error, "failed to reindex memories; trying again in a minute");
                    }
                }
            }
        }
    }

    /// Makes the vectors of memories, if there is an embedding model: at the start, whenever memories have changed here, and
    /// periodically, because others change them too.
    pub(super) async fn embed(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let Some(bank) = self.bank.embedded() else { return };
        if bank.model().is_none() {
            return;
        }
        let mut every = tokio::time::interval(EMBED_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let embed = async {
            loop {
                if self.embed_once().await {
                    tokio::select! {
                        () = bank.changed() => {}
                        _ = every.tick() => {}
                    }
                } else {
                    every.tick().await;
                }
            }
        };
        tokio::select! {
            () = shutdown_requested(&mut stopped) => {}
            () = embed => {}
        }
    }

    /// Makes the vectors of memories that have none. Returns whether that worked.
    pub(super) async fn embed_once(&self) -> bool {
        let Some(bank) = self.bank.embedded() else { return true };
        match bank.embed().await {
            Ok(_) => true,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "failed to embed memories; trying again later");
                false
            }
        }
    }

    /// Logs the state of the write queue while it needs attention.
    async fn report_queue(&self) {
        match self.queue.statistics().await {
            Ok(statistics) if statistics.pending + statistics.failed > 0 => {
                let oldest_pending_seconds = statistics.oldest_pending_age(self.clock.now()).as_secs();
                let (pending, dead_letters) = (statistics.pending, statistics.failed);
                tracing::info!(pending, oldest_pending_seconds, dead_letters, "memories are in the write queue");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error, "failed to read the write queue"),
        }
    }

    /// Deletes expired rows, in small batches, until none is left.
    pub(super) async fn sweep(&self) {
        let now = self.clock.now();
        self.uploads.sweep(now);
        let audited_since = now.minus(self.audit_retention);
        loop {
            let swept = tokio::try_join!(
                async { self.grants.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async {
                    let swept = sweep_authorizations(&*self.authorizations, now, SWEEP_BATCH).await;
                    swept.map_err(|error| error.to_string())
                },
                async { self.sessions.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async { self.links.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async { self.passkeys.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async { self.queue.sweep(now, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                async { self.audit.sweep(audited_since, SWEEP_BATCH).await.map_err(|error| error.to_string()) },
                self.sweep_memories(now),
            );
            match swept {
                Ok((0, 0, 0, 0, 0, 0, 0, 0)) => return,
                Ok((grants, authorizations, sessions, links, challenges, writes, events, memories)) => {
                    tracing::debug!(
                        grants,
                        authorizations,
                        sessions,
                        links,
                        challenges,
                        writes,
                        events,
                        memories,
                        "deleted expired rows"
                    );
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    tracing::warn!(error, "failed to delete expired rows; trying again in the next round");
                    return;
                }
            }
        }
    }
}
