//! Slows down whoever presents wrong secrets, without ever locking anybody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::allowance::Allowance;
use crate::system::Timestamp;

/// How the throttle reacts to failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    /// So many failures in a row cost nothing: people mistype.
    pub free_failures: u32,
    /// The wait after the first failure that is not free; each further one doubles it.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// How many attempts without success an address has at once, whatever the names.
    pub address_burst: u32,
    /// After how long an address has one more of them.
    pub address_interval: Duration,
    /// How many pairs of name and address are kept, and how many addresses, at about 50 bytes each.
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

/// How many waits are announced at once, and after how long one more may be. Everything is counted in
/// [`FailureThrottle::counts`]; this bounds what a flood can write to logs and to the audit log.
const ANNOUNCEMENTS: Allowance = Allowance { burst: 20, interval: Duration::from_secs(30) };
/// How often a full table is searched for entries that can go.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Counts attempts to authenticate that did not succeed, per pair of a name and an address and per address.
///
/// An attempt is counted before it is judged, and given back if it succeeds, so that any number of attempts at the same
/// time are no more than as many one after the other. A flood of wrong secrets for one client from one address slows down
/// that pair; a flood for many clients slows down that address. The same clients elsewhere are not concerned.
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
    /// Shared by the addresses for which there is no room in the table.
    others: AddressUse,
    /// When all announcements may be made again, in Unix milliseconds.
    announcements: i64,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

#[derive(Clone, Copy, Default)]
struct AddressUse {
    /// When the whole allowance is there again, in Unix milliseconds.
    full_again: i64,
    /// Whether it was announced that this address has to wait.
    announced: bool,
}

/// How long somebody has to wait before the next attempt is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The wait.
    pub retry_after: Duration,
}

/// How many attempts there were, by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// The secret was right.
    pub succeeded: u64,
    /// The secret was wrong, or the caller went away before that was known.
    pub failed: u64,
    /// The attempt was not judged, because somebody has to wait.
    pub throttled: u64,
    /// The attempt could not be judged, because something was unavailable.
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

    /// Counts an attempt to authenticate as `name`, before it is judged. It stays counted unless
    /// [`succeeded`](Attempt::succeeded) or [`unavailable`](Attempt::unavailable) is called.
    ///
    /// # Errors
    /// [`Throttled`] if the pair or the address has to wait; nothing is counted then.
    pub fn begin(&self, name: &str, address: IpAddr, now: Timestamp) -> Result<Attempt<'_>, Throttled> {
        self.count(Some(pair_key(name, address)), address, now)
    }

    /// As [`begin`](Self::begin), for an attempt that names nobody: only the address is counted.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_unnamed(&self, address: IpAddr, now: Timestamp) -> Result<Attempt<'_>, Throttled> {
        self.count(None, address, now)
    }

    /// What came of the attempts so far.
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
    fn address_allowance(&self) -> Allowance {
        Allowance { burst: self.address_burst, interval: self.address_interval }
    }

    fn wait_after(&self, count: u32) -> Duration {
        let Some(doublings) = count.checked_sub(self.free_failures + 1) else { return Duration::ZERO };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.first_wait.saturating_mul(factor).min(self.longest_wait)
    }

    fn wait_left(&self, failures: Failures, now: Timestamp) -> Duration {
        self.wait_after(failures.count).saturating_sub(now.since(failures.last))
    }

    /// Whether the failures are long past. A clock that jumped back must not prolong a wait.
    fn is_forgiven(&self, failures: Failures, now: Timestamp) -> bool {
        now < failures.last || now.since(failures.last) > self.longest_wait
    }
}

impl Tables {
    /// Returns the pair if it is counted: if the table is full of pairs that have to wait, a new one is not.
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
        policy.address_allowance().take(&mut used.full_again, now)?;
        let Some(pair) = pair else { return Ok(None) };
        if failures.is_none() && !self.make_room_for_pair(policy, pair, now) {
            return Ok(None);
        }
        self.pairs.insert(pair, Failures { count: failures.map_or(0, |f| f.count).saturating_add(1), last: now });
        Ok(Some(pair))
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

    /// Whoever has to wait stays. Of the others, those with the fewest and oldest failures go.
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

    /// Whether it is to be announced that the pair, or the address, has to wait from now on.
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
        let of_address = !used.announced && policy.address_allowance().wait(used.full_again, now).is_some();
        used.announced |= of_address;
        (of_pair || of_address) && ANNOUNCEMENTS.take(&mut self.announcements, now).is_ok()
    }
}

/// Whether a table may be searched now. It takes about a millisecond, and a flood must not make it happen each time.
fn may_sweep(swept_at: &mut Option<Timestamp>, now: Timestamp) -> bool {
    let due = swept_at.is_none_or(|at| now < at || now.since(at) >= SWEEP_INTERVAL);
    if due {
        *swept_at = Some(now);
    }
    due
}

/// An attempt that is counted. If it is dropped undecided, because its caller went away, it stays counted.
#[must_use = "an attempt that is dropped counts as failed"]
pub struct Attempt<'a> {
    throttle: &'a FailureThrottle,
    pair: Option<[u8; 16]>,
    address: [u8; 16],
    now: Timestamp,
    decided: bool,
}

impl Attempt<'_> {
    /// The secret was right: the pair's failures are forgiven, and the address gets this attempt back.
    pub fn succeeded(mut self) {
        self.decide(&self.throttle.outcomes.succeeded);
        let mut tables = self.throttle.lock();
        if let Some(pair) = self.pair {
            tables.pairs.remove(&pair);
        }
        self.give_back_to_address(&mut tables);
    }

    /// The secret was wrong. Returns whether somebody has to wait from now on and that is to be announced.
    #[must_use = "a wait that begins is logged"]
    pub fn failed(mut self) -> bool {
        self.decide(&self.throttle.outcomes.failed);
        self.throttle.lock().begins_to_wait(&self.throttle.policy, self.pair, self.address, self.now)
    }

    /// The attempt could not be judged: it counts no more.
    pub fn unavailable(mut self) {
        self.decide(&self.throttle.outcomes.unavailable);
        let mut tables = self.throttle.lock();
        if let Some(pair) = self.pair
            && let Some(failures) = tables.pairs.get_mut(&pair)
        {
            failures.count = failures.count.saturating_sub(1);
            if failures.count == 0 {
                tables.pairs.remove(&pair);
            }
        }
        self.give_back_to_address(&mut tables);
    }

    fn decide(&mut self, outcome: &AtomicU64) {
        self.decided = true;
        outcome.fetch_add(1, Ordering::Relaxed);
    }

    fn give_back_to_address(&self, tables: &mut Tables) {
        let allowance = self.throttle.policy.address_allowance();
        allowance.give_back(&mut tables.address_mut(&self.throttle.policy, self.address).full_again);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.decided {
            self.throttle.outcomes.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Whoever has one IPv6 address mostly has its whole /64.
fn address_key(address: IpAddr) -> [u8; 16] {
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

/// A digest of fixed size stands for the pair.
fn pair_key(name: &str, address: IpAddr) -> [u8; 16] {
    let digest = Sha256::new().chain_update(address_key(address)).chain_update(name).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests;
