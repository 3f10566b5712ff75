//! Log lines about what can happen any number of times.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum interval between two lines.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts what is repeated, so that it does not flood the log.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    unreported: u64,
    reported_at: Option<Instant>,
}

impl Repeated {
    /// Counts one more; returns how many there were since the last report if another one is due.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        self.unreported += 1;
        if self.reported_at.is_some_and(|at| now.saturating_duration_since(at) < INTERVAL) {
            return None;
        }
        self.reported_at = Some(now);
        Some(std::mem::take(&mut self.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_reported_once_a_second_with_its_number() {
        let (mut failures, start) = (Repeated::default(), Instant::now());
        let reports = (0..25_u32).map(|number| (number, failures.count(start + Duration::from_millis(100) * number)));
        let made: Vec<(u32, u64)> = reports.filter_map(|(number, report)| Some((number, report?))).collect();
        assert_eq!(made, [(0, 1), (10, 10), (20, 10)]);
    }
}
