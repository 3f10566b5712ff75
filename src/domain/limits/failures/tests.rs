use super::*;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const START: i64 = 1_800_000_000;

/// A throttle in which addresses do not matter.
fn throttle(capacity: usize) -> FailureThrottle {
    FailureThrottle::new(FailurePolicy { capacity, address_burst: u32::MAX, ..FailurePolicy::default() })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

fn address(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
}

impl FailureThrottle {
    /// Fails `times` as `name`, as far as allowed.
    fn fail(&self, name: &str, address: IpAddr, times: u32, now: Timestamp) -> u32 {
        let judged = (0..times).filter_map(|_| self.begin(name, address, now).ok().map(Attempt::failed));
        judged.count().try_into().unwrap()
    }

    fn wait(&self, name: &str, address: IpAddr, now: Timestamp) -> u64 {
        match self.begin(name, address, now) {
            Ok(attempt) => {
                attempt.unavailable();
                0
            }
            Err(throttled) => throttled.retry_after.as_secs(),
        }
    }
}

#[test]
fn the_first_failures_are_free_and_then_the_wait_doubles_up_to_the_longest() {
    let throttle = throttle(10);
    let (mut now, mut waits) = (at(0), Vec::new());
    for _ in 0..20 {
        assert_eq!(throttle.fail("a", HOME, 1, now), 1);
        let wait = throttle.wait("a", HOME, now);
        waits.push(wait);
        now = now.plus(Duration::from_secs(wait));
    }
    assert_eq!(waits[..9], [0, 0, 0, 0, 0, 1, 2, 4, 8]);
    assert_eq!(waits[19], 900);
}

#[test]
fn of_sixty_attempts_at_once_no_more_are_judged_than_one_after_the_other() {
    let throttle = throttle(10);
    let attempts: Vec<_> = (0..60).filter_map(|_| throttle.begin("a", HOME, at(0)).ok()).collect();
    assert_eq!(attempts.len(), 6, "each is counted before it is judged");
    for attempt in attempts {
        let _announced = attempt.failed();
    }
    assert_eq!(throttle.counts(), AttemptCounts { failed: 6, throttled: 54, ..AttemptCounts::default() });
    assert_eq!(throttle.wait("a", HOME, at(0)), 1);
}

#[test]
fn an_attempt_whose_caller_goes_away_stays_counted() {
    let throttle = throttle(10);
    (0..6).for_each(|_| drop(throttle.begin("a", HOME, at(0))));
    assert_eq!(throttle.wait("a", HOME, at(0)), 1);
    assert_eq!(throttle.counts().failed, 6);
}

#[test]
fn an_attempt_that_could_not_be_judged_is_given_back() {
    let throttle = FailureThrottle::new(FailurePolicy { address_burst: 1, ..FailurePolicy::default() });
    for _ in 0..20 {
        throttle.begin("a", HOME, at(0)).ok().unwrap().unavailable();
    }
    throttle.begin("a", HOME, at(0)).ok().unwrap().succeeded();
    assert!(throttle.lock().pairs.is_empty());
    assert_eq!(throttle.fail("a", HOME, 5, at(0)), 1);
}

#[test]
fn a_wait_ends_when_its_time_has_passed_and_is_not_prolonged_by_asking() {
    let throttle = throttle(10);
    assert_eq!(throttle.fail("a", HOME, 60, at(0)), 6);
    assert_eq!(throttle.fail("a", HOME, 1, at(1)), 1);
    assert_eq!(throttle.wait("a", HOME, at(2)), 1);
    assert_eq!(throttle.wait("a", HOME, at(3)), 0);
}

#[test]
fn other_names_and_other_addresses_are_not_concerned() {
    let throttle = throttle(10);
    throttle.fail("a", HOME, 6, at(0));
    assert_eq!(throttle.wait("b", HOME, at(0)), 0);
    assert_eq!(throttle.wait("a", address(2), at(0)), 0);
}

#[test]
fn all_addresses_of_an_ipv6_64_count_as_one() {
    let throttle = throttle(10);
    throttle.fail("a", "2001:db8::1".parse().unwrap(), 6, at(0));
    assert_eq!(throttle.wait("a", "2001:db8::ffff".parse().unwrap(), at(0)), 1);
    assert_eq!(throttle.wait("a", "2001:db8:0:1::1".parse().unwrap(), at(0)), 0);
}

#[test]
fn a_success_a_long_pause_and_a_clock_that_jumps_back_all_forgive() {
    let throttle = throttle(10);
    throttle.fail("a", HOME, 6, at(0));
    throttle.begin("a", HOME, at(1)).ok().unwrap().succeeded();
    assert_eq!(throttle.fail("a", HOME, 60, at(1)), 6, "a success forgives");
    assert_eq!(throttle.fail("a", HOME, 60, at(902)), 6, "and so does a long pause");
    assert_eq!(throttle.fail("a", HOME, 60, at(-1)), 6, "and so does a clock that jumps back");
}

#[test]
fn an_address_has_a_rate_limit_whatever_the_names() {
    let throttle = FailureThrottle::new(FailurePolicy::default());
    let judged: u32 = (0..1000).map(|name| throttle.fail(&name.to_string(), HOME, 1, at(0))).sum();
    assert_eq!(judged, 60);
    assert!(throttle.begin_unnamed(HOME, at(0)).is_err());
    assert_eq!(throttle.wait("marta", address(2), at(0)), 0);
    let judged: u32 = (0..1000).map(|name| throttle.fail(&format!("x{name}"), HOME, 1, at(10))).sum();
    assert_eq!(judged, 10, "one more a second");
    assert!(throttle.lock().pairs.len() <= 70, "so it cannot fill the table either");
}

#[test]
fn who_succeeds_uses_nothing_of_the_address_up() {
    let throttle = FailureThrottle::new(FailurePolicy::default());
    for name in 0..1000 {
        throttle.begin(&name.to_string(), HOME, at(0)).ok().unwrap().succeeded();
        throttle.begin_unnamed(HOME, at(0)).ok().unwrap().succeeded();
    }
    assert_eq!(throttle.counts().succeeded, 2000);
}

#[test]
fn memory_is_bounded_and_who_waits_is_not_forgotten() {
    let throttle = throttle(100);
    let mut now = at(0);
    for _ in 0..10 {
        (0..50).for_each(|name| drop(throttle.begin(&format!("waits {name}"), HOME, now)));
        now = now.plus(Duration::from_secs(throttle.wait("waits 0", HOME, now)));
    }
    (0..50).for_each(|name| drop(throttle.begin(&format!("waits {name}"), HOME, now)));
    // Far more than fit, in several sweeps.
    for name in 0..10_000 {
        throttle.fail(&name.to_string(), address(name), 3, now.plus(Duration::from_millis(u64::from(name))));
        assert!(throttle.lock().pairs.len() <= 100);
    }
    let later = now.plus(Duration::from_secs(10));
    for name in 0..50 {
        assert!(throttle.wait(&format!("waits {name}"), HOME, later) > 0, "{name} was forgotten");
    }
}

#[test]
fn a_table_full_of_those_who_wait_still_lets_others_try_and_counts_their_addresses() {
    let throttle = FailureThrottle::new(FailurePolicy { capacity: 10, ..FailurePolicy::default() });
    for name in 0..10 {
        assert_eq!(throttle.fail(&name.to_string(), address(name), 60, at(0)), 6);
    }
    // Its address does not fit either, and all such addresses share one bucket.
    assert_eq!(throttle.fail("marta", address(100), 100, at(0)), 60);
    assert!(throttle.begin("marta", address(101), at(0)).is_err());
    let tables = throttle.lock();
    assert_eq!((tables.pairs.len(), tables.addresses.len()), (10, 10));
}

#[test]
fn a_wait_is_announced_when_it_begins_and_a_flood_announces_a_bounded_number() {
    let throttle = throttle(100_000);
    let announced = |name: &str, now| throttle.begin(name, HOME, now).is_ok_and(Attempt::failed);
    let begins: Vec<bool> = (0..8).map(|_| announced("a", at(0))).collect();
    assert_eq!(begins, [false, false, false, false, false, true, false, false]);
    assert!(!announced("a", at(1)), "it has been announced");
    let flood = (0..2000).flat_map(|name| [name; 6]).filter(|name| announced(&name.to_string(), at(1))).count();
    assert_eq!(flood, 19);
    let later = (0..2000).flat_map(|name| [name; 6]).filter(|name| announced(&format!("l{name}"), at(61))).count();
    assert_eq!(later, 2, "one every half a minute");
}

#[test]
fn the_wait_of_an_address_is_announced_once_until_its_bucket_is_full_again() {
    let throttle = FailureThrottle::new(FailurePolicy { address_burst: 3, ..FailurePolicy::default() });
    let announced = |name: i64, now| throttle.begin(&name.to_string(), HOME, at(now)).is_ok_and(Attempt::failed);
    assert_eq!((0..5).map(|name| announced(name, 0)).collect::<Vec<_>>(), [false, false, true, false, false]);
    assert!((1..20).all(|second| !announced(100 + second, second)));
    assert_eq!((0..5).map(|name| announced(200 + name, 60)).filter(|announced| *announced).count(), 1);
}

#[test]
fn a_right_secret_lets_in_no_more_at_once_than_before() {
    let throttle = throttle(10);
    let mut in_flight: Vec<_> = (0..60).filter_map(|_| throttle.begin("a", HOME, at(0)).ok()).collect();
    assert_eq!(in_flight.len(), 6);
    for _ in 0..20 {
        in_flight.remove(0).succeeded();
        in_flight.extend((0..60).filter_map(|_| throttle.begin("a", HOME, at(0)).ok()));
        assert_eq!(in_flight.len(), 6);
    }
    in_flight.into_iter().for_each(Attempt::succeeded);
    assert_eq!(throttle.wait("a", HOME, at(0)), 0);
    assert_eq!(throttle.fail("a", HOME, 60, at(0)), 6, "what was right counts no more");
}
