//! Throttles failed attempts to authenticate, without locking out anybody else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::gcra::RateLimit;
use crate::system::Timestamp;

/// Parameters of the throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Number of consecutive failures without a delay: people mistype.
    pub free_failures: u32,
    /// The delay after the first failure beyond these; each further one doubles it.
    pub first_wait: Duration,
    /// The maximum delay.
    pub longest_wait: Duration,
    /// Burst of unsuccessful attempts per address, whatever the names.
    pub address_burst: u32,
    /// Interval after which an address has one more attempt.
    pub address_interval: Duration,
    /// Maximum number of tracked pairs of name and address, and of addresses, at about 50 bytes each.
    pub capacity: usize,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            free_failures: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(15),
            address_burst: 60,
            address_interval: Duration::from_secs(1),
            capacity: 50_000,
        }
    }
}

/// Burst of announcements, and the interval after which there may be one more. Everything is counted in
/// [`FailureThrottle::counts`]; this bounds what a flood can write to the log and to the audit log.
const ANNOUNCEMENTS: RateLimit = RateLimit { burst: 20, interval: Duration::from_secs(30) };
/// How often a full table is searched for entries to evict.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Counts failed attempts to authenticate, per pair of a name and an address, and per address.
///
/// An attempt is counted before it is verified, and refunded if it succeeds, so that concurrent attempts get no more tries
/// than sequential ones. A flood of wrong secrets for one client from one address throttles that pair; a flood for many
/// clients throttles that address. The same clients at other addresses are unaffected.
pub struct FailureThrottle {
    policy: FailurePolicy,
    tables: Mutex<Tables>,
    outcomes: Outcomes,
}

#[derive(Default)]
struct Tables {
    pairs: HashMap<[u8; 16], Failures>,
    pairs_swept_at: Option<Timestamp>,
    addresses: HashMap<[u8; 16], AddressUse>,
    addresses_swept_at: Option<Timestamp>,
    /// Shared by the addresses that do not fit into the table.
    others: AddressUse,
    /// When all announcements are available again, in Unix milliseconds.
    announcements: i64,
}

#[derive(Clone, Copy)]
struct Failures {
    /// Those that failed, and those that are being verified.
    count: u32,
    /// How many of them are being verified.
    in_flight: u32,
    last: Timestamp,
}

#[derive(Clone, Copy, Default)]
struct AddressUse {
    /// When the bucket is full again, in Unix milliseconds.
    full_again: i64,
    /// Whether it was announced that this address is throttled.
    announced: bool,
}

/// Rejects an attempt without verifying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// How long to wait.
    pub retry_after: Duration,
}

/// Number of attempts, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// The secret was right.
    pub succeeded: u64,
    /// The secret was wrong, or the caller was cancelled before that was known.
    pub failed: u64,
    /// The attempt was throttled.
    pub throttled: u64,
    /// The attempt could not be verified, because something was unavailable.
    pub unavailable: u64,
}

#[derive(Default)]
struct Outcomes {
    succeeded: AtomicU64,
    failed: AtomicU64,
    throttled: AtomicU64,
    unavailable: AtomicU64,
}

impl FailureThrottle {
    /// An empty throttle.
    #[must_use]
    pub fn new(policy: FailurePolicy) -> Self {
        Self { policy, tables: Mutex::default(), outcomes: Outcomes::default() }
    }

    /// Counts an attempt to authenticate as `name`, before it is verified. It stays counted unless
    /// [`succeeded`](Attempt::succeeded) or [`unavailable`](Attempt::unavailable) is called.
    ///
    /// # Errors
    /// [`Throttled`] if the pair or the address is throttled; nothing is counted in that case.
    pub fn begin(&self, name: &str, address: IpAddr, now: Timestamp) -> Result<Attempt<'_>, Throttled> {
        self.count(Some(pair_key(name, address)), address, now)
    }

    /// As [`begin`](Self::begin), for an attempt without a name: only the address is counted.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_unnamed(&self, address: IpAddr, now: Timestamp) -> Result<Attempt<'_>, Throttled> {
        self.count(None, address, now)
    }

    /// The outcomes of the attempts so far.
    #[must_use]
    pub fn counts(&self) -> AttemptCounts {
        let Outcomes { succeeded, failed, throttled, unavailable } = &self.outcomes;
        let [succeeded, failed, throttled, unavailable] =
            [succeeded, failed, throttled, unavailable].map(|counter| counter.load(Ordering::Relaxed));
        AttemptCounts { succeeded, failed, throttled, unavailable }
    }

    fn count(&self, pair: Option<[u8; 16]>, address: IpAddr, now: Timestamp) -> Result<Attempt<'_>, Throttled> {
        let address = address_key(address);
        let begun = self.lock().count(&self.policy, pair, address, now);
        match begun {
            Ok(pair) => Ok(Attempt { throttle: self, pair, address, now, decided: false }),
            Err(retry_after) => {
                self.outcomes.throttled.fetch_add(1, Ordering::Relaxed);
                Err(Throttled { retry_after })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FailurePolicy {
    fn address_limit(&self) -> RateLimit {
        RateLimit { burst: self.address_burst, interval: self.address_interval }
    }

    fn wait_after(&self, count: u32) -> Duration {
        let Some(doublings) = count.checked_sub(self.free_failures + 1) else { return Duration::ZERO };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.first_wait.saturating_mul(factor).min(self.longest_wait)
    }

    fn wait_left(&self, failures: Failures, now: Timestamp) -> Duration {
        self.wait_after(failures.count).saturating_sub(now.since(failures.last))
    }

    /// Whether the failures have expired. A clock that jumped back must not prolong a delay.
    fn is_forgiven(&self, failures: Failures, now: Timestamp) -> bool {
        now < failures.last || now.since(failures.last) > self.longest_wait
    }
}

impl Tables {
    /// Returns the pair if it is tracked: if the table is full of throttled pairs, a new one is not.
    fn count(
        &mut self,
        policy: &FailurePolicy,
        pair: Option<[u8; 16]>,
        address: [u8; 16],
        now: Timestamp,
    ) -> Result<Option<[u8; 16]>, Duration> {
        let failures = pair.and_then(|pair| self.pairs.get(&pair).copied());
        let failures = failures.filter(|failures| !policy.is_forgiven(*failures, now));
        if let Some(failures) = failures {
            let left = policy.wait_left(failures, now);
            if !left.is_zero() {
                return Err(left);
            }
        }
        self.make_room_for_address(policy, address, now);
        let used = self.address_mut(policy, address);
        if used.full_again <= now.unix_millis() {
            used.announced = false;
        }
        policy.address_limit().take(&mut used.full_again, now)?;
        let Some(pair) = pair else { return Ok(None) };
        if failures.is_none() && !self.make_room_for_pair(policy, pair, now) {
            return Ok(None);
        }
        let (count, in_flight) = failures.map_or((0, 0), |failures| (failures.count, failures.in_flight));
        let begun = Failures { count: count.saturating_add(1), in_flight: in_flight.saturating_add(1), last: now };
        self.pairs.insert(pair, begun);
        Ok(Some(pair))
    }

    /// Ends the verification of an attempt. `count_left` says what is counted afterwards.
    fn end(&mut self, pair: Option<[u8; 16]>, count_left: impl FnOnce(Failures) -> u32) {
        let Some(pair) = pair else { return };
        let Some(failures) = self.pairs.get_mut(&pair) else { return };
        failures.in_flight = failures.in_flight.saturating_sub(1);
        failures.count = count_left(*failures);
        if failures.count == 0 {
            self.pairs.remove(&pair);
        }
    }

    fn address_mut(&mut self, policy: &FailurePolicy, address: [u8; 16]) -> &mut AddressUse {
        if self.addresses.len() >= policy.capacity && !self.addresses.contains_key(&address) {
            return &mut self.others;
        }
        self.addresses.entry(address).or_default()
    }

    fn make_room_for_address(&mut self, policy: &FailurePolicy, address: [u8; 16], now: Timestamp) {
        if self.addresses.len() >= policy.capacity
            && !self.addresses.contains_key(&address)
            && may_sweep(&mut self.addresses_swept_at, now)
        {
            self.addresses.retain(|_, used| used.full_again > now.unix_millis());
        }
    }

    /// Evicts entries that are not throttled, those with the fewest and oldest failures first.
    fn make_room_for_pair(&mut self, policy: &FailurePolicy, pair: [u8; 16], now: Timestamp) -> bool {
        if self.pairs.len() < policy.capacity || self.pairs.contains_key(&pair) {
            return true;
        }
        if may_sweep(&mut self.pairs_swept_at, now) {
            self.pairs.retain(|_, failures| !policy.is_forgiven(*failures, now));
            let waits = |failures: &Failures| !policy.wait_left(*failures, now).is_zero();
            let rank = |failures: &Failures| (failures.count, failures.last);
            let mut ranks: Vec<_> = self.pairs.values().filter(|failures| !waits(failures)).map(rank).collect();
            if self.pairs.len() > policy.capacity / 2 && !ranks.is_empty() {
                let middle = ranks.len() / 2;
                let (_, median, _) = ranks.select_nth_unstable(middle);
                let median = *median;
                self.pairs.retain(|_, failures| waits(failures) || rank(failures) > median);
            }
        }
        self.pairs.len() < policy.capacity
    }

    /// Whether it should be announced that the pair, or the address, is throttled from now on.
    fn begins_to_wait(
        &mut self,
        policy: &FailurePolicy,
        pair: Option<[u8; 16]>,
        address: [u8; 16],
        now: Timestamp,
    ) -> bool {
        let count = pair.and_then(|pair| self.pairs.get(&pair)).map_or(0, |failures| failures.count);
        let of_pair = count == policy.free_failures + 1;
        let used = self.address_mut(policy, address);
        let of_address = !used.announced && policy.address_limit().wait(used.full_again, now).is_some();
        used.announced |= of_address;
        (of_pair || of_address) && ANNOUNCEMENTS.take(&mut self.announcements, now).is_ok()
    }
}

/// Whether a table may be searched now. It takes about a millisecond, and a flood must not trigger it each time.
pub(super) fn may_sweep(swept_at: &mut Option<Timestamp>, now: Timestamp) -> bool {
    let due = swept_at.is_none_or(|at| now < at || now.since(at) >= SWEEP_INTERVAL);
    if due {
        *swept_at = Some(now);
    }
    due
}

/// A counted attempt. If it is dropped undecided, because its caller was cancelled, it stays counted.
#[must_use = "an attempt that is dropped counts as failed"]
pub struct Attempt<'a> {
    throttle: &'a FailureThrottle,
    pair: Option<[u8; 16]>,
    address: [u8; 16],
    now: Timestamp,
    decided: bool,
}

impl Attempt<'_> {
    /// The secret was right: the pair's failures are reset, and the address gets this attempt back. What is still being verified
    /// stays counted: a right secret must not let any number of attempts in at once.
    pub fn succeeded(mut self) {
        self.decide(&self.throttle.outcomes.succeeded);
        let mut tables = self.throttle.lock();
        tables.end(self.pair, |failures| failures.in_flight);
        self.give_back_to_address(&mut tables);
    }

    /// The secret was wrong. Returns whether throttling begins now and should be announced.
    #[must_use = "a wait that begins is logged"]
    pub fn failed(mut self) -> bool {
        self.decide(&self.throttle.outcomes.failed);
        let mut tables = self.throttle.lock();
        tables.end(self.pair, |failures| failures.count);
        tables.begins_to_wait(&self.throttle.policy, self.pair, self.address, self.now)
    }

    /// The attempt could not be verified: it is refunded.
    pub fn unavailable(mut self) {
        self.decide(&self.throttle.outcomes.unavailable);
        let mut tables = self.throttle.lock();
        tables.end(self.pair, |failures| failures.count.saturating_sub(1));
        self.give_back_to_address(&mut tables);
    }

    fn decide(&mut self, outcome: &AtomicU64) {
        self.decided = true;
        outcome.fetch_add(1, Ordering::Relaxed);
    }

    fn give_back_to_address(&self, tables: &mut Tables) {
        let limit = self.throttle.policy.address_limit();
        limit.give_back(&mut tables.address_mut(&self.throttle.policy, self.address).full_again);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.decided {
            self.throttle.outcomes.failed.fetch_add(1, Ordering::Relaxed);
            self.throttle.lock().end(self.pair, |failures| failures.count);
        }
    }
}

/// The address, or the /64 of an IPv6 address: whoever has one of it usually has all of it.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    IpAddr::from(address_key(address)).to_canonical()
}

/// Whoever has one IPv6 address usually has its whole /64.
pub(super) fn address_key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => address.octets(),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            octets
        }
    }
}

/// A digest of fixed size represents the pair.
fn pair_key(name: &str, address: IpAddr) -> [u8; 16] {
    let digest = Sha256::new().chain_update(address_key(address)).chain_update(name).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests;
