//! Metrics of authentication attempts, which are counted by the throttle.

use std::fmt::Write as _;

use crate::domain::limits::FailureThrottle;

/// The outcomes of attempts by kind, in the Prometheus text format. The kinds are fixed, so callers cannot increase their
/// number.
#[must_use]
pub fn render_attempts(throttles: &[(&'static str, &FailureThrottle)]) -> String {
    const NAME: &str = "memgate_authentication_attempts_total";
    let mut text = format!(
        "# HELP {NAME} Attempts to authenticate that were not answered from the cache.\n# TYPE {NAME} counter\n"
    );
    for (kind, throttle) in throttles {
        let counts = throttle.counts();
        for (outcome, count) in [
            ("succeeded", counts.succeeded),
            ("failed", counts.failed),
            ("throttled", counts.throttled),
            ("unavailable", counts.unavailable),
        ] {
            // Writing to a string does not fail.
            let _written = writeln!(text, r#"{NAME}{{kind="{kind}",outcome="{outcome}"}} {count}"#);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::domain::limits::FailurePolicy;
    use crate::domain::system::Timestamp;

    #[test]
    fn every_outcome_of_every_kind_has_a_line() {
        let throttle = FailureThrottle::new(FailurePolicy::default());
        let (address, now) = (IpAddr::V4(Ipv4Addr::LOCALHOST), Timestamp::from_unix_seconds(1_800_000_000));
        for _ in 0..8 {
            drop(throttle.begin("a", address, now));
        }
        let text = render_attempts(&[("client", &throttle)]);
        for line in [
            r#"memgate_authentication_attempts_total{kind="client",outcome="succeeded"} 0"#,
            r#"memgate_authentication_attempts_total{kind="client",outcome="failed"} 6"#,
            r#"memgate_authentication_attempts_total{kind="client",outcome="throttled"} 2"#,
            r#"memgate_authentication_attempts_total{kind="client",outcome="unavailable"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{text}");
        }
    }
}
