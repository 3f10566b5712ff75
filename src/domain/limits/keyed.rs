//! A rate limit for each key, such as an address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::failures::{address_key, may_sweep};
use super::gcra::RateLimit;
use crate::system::Timestamp;

/// Counts what each key does. Keys that do not fit share one bucket.
pub struct KeyedLimit<K> {
    limit: RateLimit,
    capacity: usize,
    table: Mutex<Table<K>>,
}

struct Table<K> {
    /// See [`RateLimit::take`].
    full_again: HashMap<K, i64>,
    others: i64,
    swept_at: Option<Timestamp>,
}

impl<K: Eq + Hash> KeyedLimit<K> {
    /// Limits each of at most `capacity` keys.
    #[must_use]
    pub fn new(limit: RateLimit, capacity: usize) -> Self {
        Self { limit, capacity, table: Mutex::new(Table { full_again: HashMap::new(), others: 0, swept_at: None }) }
    }

    /// Takes one out of the bucket of `key`.
    ///
    /// # Errors
    /// How long to wait if none is left; nothing is taken in that case.
    pub fn take(&self, key: K, now: Timestamp) -> Result<(), Duration> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if !table.full_again.contains_key(&key)
            && table.full_again.len() >= self.capacity
            && may_sweep(&mut table.swept_at, now)
        {
            table.full_again.retain(|_, full_again| *full_again > now.unix_millis());
        }
        let fits = table.full_again.contains_key(&key) || table.full_again.len() < self.capacity;
        let full_again = if fits { table.full_again.entry(key).or_default() } else { &mut table.others };
        self.limit.take(full_again, now)
    }
}

/// Counts what is done from each address; an IPv6 /64 is one address.
pub struct AddressLimit(KeyedLimit<[u8; 16]>);

impl AddressLimit {
    /// Limits each of at most `capacity` addresses.
    #[must_use]
    pub fn new(limit: RateLimit, capacity: usize) -> Self {
        Self(KeyedLimit::new(limit, capacity))
    }

    /// Takes one out of the bucket of `address`.
    ///
    /// # Errors
    /// As [`KeyedLimit::take`].
    pub fn take(&self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        self.0.take(address_key(address), now)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::testing::now;

    fn limit() -> AddressLimit {
        AddressLimit::new(RateLimit { burst: 2, interval: Duration::from_secs(10) }, 3)
    }

    fn address(number: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, number).into()
    }

    #[test]
    fn each_address_has_its_own_bucket_and_a_network_of_ipv6_is_one() {
        let limit = limit();
        let of_network = |last| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
        assert!(limit.take(of_network(1), now()).is_ok() && limit.take(of_network(2), now()).is_ok());
        assert_eq!(limit.take(of_network(3), now()), Err(Duration::from_secs(10)));
        assert!(limit.take(address(1), now()).is_ok());
        assert!(limit.take(of_network(3), now().plus(Duration::from_secs(10))).is_ok());
    }

    #[test]
    fn addresses_that_do_not_fit_share_a_bucket_until_there_is_room() {
        let limit = limit();
        assert!((1..=3).all(|number| limit.take(address(number), now()).is_ok()));
        assert!(limit.take(address(4), now()).is_ok() && limit.take(address(5), now()).is_ok());
        assert!(limit.take(address(6), now()).is_err());
        assert!(limit.take(address(1), now()).is_ok(), "who is counted is not forgotten");
        let later = now().plus(Duration::from_secs(20));
        assert!(limit.take(address(6), later).is_ok() && limit.take(address(6), later).is_ok());
        assert_eq!(limit.0.table.lock().unwrap().full_again.len(), 1);
    }
}
