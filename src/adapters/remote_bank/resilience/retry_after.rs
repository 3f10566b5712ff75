//! When the bank asks to be called again.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::adapters::remote_bank::exchange::RawResponse;
use crate::domain::system::Timestamp;

/// Larger numbers are Unix timestamps, smaller ones are durations in seconds.
const FIRST_MOMENT: u64 = 1_000_000_000;

/// The requested delay: `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), or else `X-RateLimit-Reset` in seconds or
/// as a Unix timestamp.
#[must_use]
pub fn wait_of(response: &RawResponse, now: Timestamp) -> Option<Duration> {
    let retry_after = response.retry_after.as_deref().map(str::trim);
    retry_after
        .and_then(|text| seconds(text, now).or_else(|| date(text, now)))
        .or_else(|| response.rate_limit_reset.as_deref().and_then(|text| seconds(text.trim(), now)))
}

fn seconds(text: &str, now: Timestamp) -> Option<Duration> {
    let number: u64 = text.parse().ok()?;
    if number < FIRST_MOMENT {
        return Some(Duration::from_secs(number));
    }
    Some(Timestamp::from_unix_seconds(i64::try_from(number).ok()?).since(now))
}

/// An HTTP date in the preferred format; a date in the past means no delay.
fn date(text: &str, now: Timestamp) -> Option<Duration> {
    let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(Timestamp::from_unix_seconds(at.unix_timestamp()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_in_every_form() {
        // 1994-11-06T08:49:37Z
        let now = Timestamp::from_unix_seconds(784_111_777);
        let wait = |retry_after: Option<&str>, rate_limit_reset: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let response = RawResponse {
                retry_after: text(retry_after),
                rate_limit_reset: text(rate_limit_reset),
                ..RawResponse::default()
            };
            wait_of(&response, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(None, None), None);
        assert_eq!(wait(Some("120"), None), Some(120));
        assert_eq!(wait(Some(" 0 "), None), Some(0));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:50:37 GMT"), None), Some(60));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:00:00 GMT"), None), Some(0));
        assert_eq!(wait(Some("soon"), None), None);
        assert_eq!(wait(Some("-1"), None), None);
        assert_eq!(wait(Some("soon"), Some("7")), Some(7));
        assert_eq!(wait(Some("3"), Some("7")), Some(3));
        assert_eq!(wait(None, Some("1000000000")), Some(215_888_223));
    }
}
