//! Slows down whoever presents wrong secrets, without ever locking anybody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

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
    /// How many pairs of client and address are remembered; beyond that the ones that failed longest ago are forgotten.
    pub capacity: usize,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            free_failures: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(15),
            capacity: 50_000,
        }
    }
}

/// Remembers failed authentications per pair of a name and an address.
///
/// A flood of wrong secrets for one client from one address slows down that pair alone: the same client elsewhere, and
/// other clients at the same address, are not concerned.
pub struct FailureThrottle {
    policy: FailurePolicy,
    pairs: Mutex<HashMap<[u8; 16], Failures>>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl FailureThrottle {
    /// An empty throttle.
    #[must_use]
    pub fn new(policy: FailurePolicy) -> Self {
        Self { policy, pairs: Mutex::new(HashMap::new()) }
    }

    /// Whether the pair may try now.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, name: &str, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(name, address);
        let Some(failures) = pairs.get(&key).copied() else { return Ok(()) };
        // A clock that jumped back must not prolong a wait.
        if now < failures.last || now.since(failures.last) > self.policy.longest_wait {
            pairs.remove(&key);
            return Ok(());
        }
        let left = self.wait_after(failures.count).saturating_sub(now.since(failures.last));
        if left.is_zero() { Ok(()) } else { Err(left) }
    }

    /// Notes a failure of the pair.
    pub fn record_failure(&self, name: &str, address: IpAddr, now: Timestamp) {
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(name, address);
        if pairs.len() >= self.policy.capacity && !pairs.contains_key(&key) {
            make_room(&mut pairs);
        }
        let failures = pairs.entry(key).or_insert(Failures { count: 0, last: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }

    /// Forgets the failures of the pair, since it has just succeeded.
    pub fn record_success(&self, name: &str, address: IpAddr) {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(name, address));
    }

    fn wait_after(&self, count: u32) -> Duration {
        let Some(doublings) = count.checked_sub(self.policy.free_failures + 1) else { return Duration::ZERO };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.policy.first_wait.saturating_mul(factor).min(self.policy.longest_wait)
    }
}

/// Drops the older half, so that the cost of making room is spread over many failures.
fn make_room(pairs: &mut HashMap<[u8; 16], Failures>) {
    let mut ages: Vec<Timestamp> = pairs.values().map(|failures| failures.last).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    pairs.retain(|_, failures| failures.last > median);
}

/// Names can be as long as an attacker likes, so a digest of fixed size stands for the pair.
fn key(name: &str, address: IpAddr) -> [u8; 16] {
    // Whoever has one IPv6 address mostly has its whole /64.
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => address.octets(),
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[8..].fill(0);
            octets
        }
    };
    let digest = Sha256::new().chain_update(address).chain_update(name).finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const START: i64 = 1_800_000_000;

    fn throttle(capacity: usize) -> FailureThrottle {
        FailureThrottle::new(FailurePolicy { capacity, ..FailurePolicy::default() })
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(START + seconds)
    }

    #[test]
    fn the_first_failures_are_free_and_then_the_wait_doubles_up_to_the_longest() {
        let throttle = throttle(10);
        let mut waits = Vec::new();
        for _ in 0..20 {
            throttle.record_failure("a", HOME, at(0));
            waits.push(throttle.check("a", HOME, at(0)).err().map_or(0, |wait| wait.as_secs()));
        }
        assert_eq!(waits[..9], [0, 0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(waits[19], 900);
    }

    #[test]
    fn a_wait_ends_when_its_time_has_passed() {
        let throttle = throttle(10);
        (0..8).for_each(|_| throttle.record_failure("a", HOME, at(0)));
        assert_eq!(throttle.check("a", HOME, at(3)), Err(Duration::from_secs(1)));
        assert_eq!(throttle.check("a", HOME, at(4)), Ok(()));
    }

    #[test]
    fn other_names_and_other_addresses_are_not_concerned() {
        let throttle = throttle(10);
        (0..8).for_each(|_| throttle.record_failure("a", HOME, at(0)));
        assert_eq!(throttle.check("b", HOME, at(0)), Ok(()));
        assert_eq!(throttle.check("a", "127.0.0.2".parse().unwrap(), at(0)), Ok(()));
    }

    #[test]
    fn all_addresses_of_an_ipv6_64_count_as_one() {
        let throttle = throttle(10);
        (0..8).for_each(|_| throttle.record_failure("a", "2001:db8::1".parse().unwrap(), at(0)));
        assert!(throttle.check("a", "2001:db8::ffff".parse().unwrap(), at(0)).is_err());
        assert!(throttle.check("a", "2001:db8:0:1::1".parse().unwrap(), at(0)).is_ok());
    }

    #[test]
    fn a_success_a_long_pause_and_a_clock_that_jumps_back_all_forgive() {
        for forgive in [
            (|t: &FailureThrottle| t.record_success("a", HOME)) as fn(&FailureThrottle),
            |t| assert!(t.check("a", HOME, at(901)).is_ok()),
            |t| assert!(t.check("a", HOME, at(-1)).is_ok()),
        ] {
            let throttle = throttle(10);
            (0..20).for_each(|_| throttle.record_failure("a", HOME, at(0)));
            forgive(&throttle);
            assert_eq!(throttle.check("a", HOME, at(0)), Ok(()));
        }
    }

    #[test]
    fn memory_is_bounded_and_the_latest_failures_are_kept() {
        let throttle = throttle(100);
        for n in 0..1000 {
            (0..8).for_each(|_| throttle.record_failure(&n.to_string(), HOME, at(n)));
        }
        assert!(throttle.pairs.lock().unwrap().len() <= 100);
        assert!(throttle.check("999", HOME, at(999)).is_err());
    }
}
