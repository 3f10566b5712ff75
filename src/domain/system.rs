//! The parts of the outside world that even pure rules need: time, randomness, and storage errors.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::validation::{InvalidValue, ValueProblem};

/// An error of any kind, as the source of one of ours.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error and what caused it, the innermost cause last.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// An error with all its causes on one line, for operators.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        causes(self.0).skip(1).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// A point in time in UTC, in whole milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 9999-12-31T23:59:59Z, the last second that RFC 3339 can represent.
    const LATEST_MILLIS: i64 = 253_402_300_799_000;
    /// 0001-01-01T00:00:00Z.
    const EARLIEST_MILLIS: i64 = -62_135_596_800_000;

    /// The time `millis` milliseconds after the Unix epoch, clamped to the years 1 to 9999.
    #[must_use]
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::EARLIEST_MILLIS, Self::LATEST_MILLIS))
    }

    /// The time `seconds` seconds after the Unix epoch, clamped to the years 1 to 9999.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self::from_unix_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// Days since the Unix epoch, in UTC, rounded down.
    #[must_use]
    pub fn utc_day(self) -> i64 {
        self.0.div_euclid(24 * 60 * 60 * 1000)
    }

    /// Whole seconds since the Unix epoch, rounded down, as in JWT claims.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This time plus `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_add(millis(duration)))
    }

    /// This time minus `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_unix_millis(self.0.saturating_sub(millis(duration)))
    }

    /// The duration since `earlier`; zero if that is later (a clock may have jumped back).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This time without its fraction of a second.
    #[must_use]
    pub fn truncated_to_seconds(self) -> Self {
        Self::from_unix_seconds(self.unix_seconds())
    }

    /// Parses RFC 3339, or a date alone (`2026-05-08`), which means its beginning in UTC. A date and time without an offset
    /// are in UTC too.
    ///
    /// # Errors
    /// [`InvalidValue`] naming `field`, with an example of the right form.
    pub fn parse(field: &str, text: &str) -> Result<Self, InvalidValue> {
        let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        OffsetDateTime::parse(&full, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&format!("{full}Z"), &Rfc3339))
            .map(|at| {
                Self::from_unix_millis(
                    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or(i64::MAX),
                )
            })
            .map_err(|_| InvalidValue::new(field, ValueProblem::NotATime))
    }

    /// As [`parse`](Self::parse), for the end of a range: a date alone stands for the last moment of that day, since a range
    /// "until Friday" includes Friday.
    ///
    /// # Errors
    /// [`InvalidValue`] for `field`.
    pub fn parse_end(field: &str, text: &str) -> Result<Self, InvalidValue> {
        const ALL_BUT_ITS_FIRST_MILLISECOND: Duration = Duration::from_millis(24 * 3600 * 1000 - 1);
        let at = Self::parse(field, text)?;
        Ok(if text.len() == "2026-05-08".len() { at.plus(ALL_BUT_ITS_FIRST_MILLISECOND) } else { at })
    }

    /// The UTC calendar fields.
    #[must_use]
    pub fn to_utc(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_utc().format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The clock. Nothing in the domain reads the system's clock directly.
pub trait Clock: Send + Sync {
    /// The current time. It may jump, even backwards; callers must not rely on it being monotonic.
    fn now(&self) -> Timestamp;
}

/// The source of randomness.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with output of a cryptographically secure generator.
    ///
    /// # Panics
    /// If the system has no randomness: no secret may be created then.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy + '_ {
    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random (version 4) UUID.
    pub fn uuid(&self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// A time-ordered UUID (version 7).
    pub fn uuid_at(&self, now: Timestamp) -> uuid::Uuid {
        let millis = u64::try_from(now.unix_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// A random part of `bound`: full jitter, so that those who failed together do not try again together.
    pub fn part_of(&self, bound: Duration) -> Duration {
        bound.mul_f64(f64::from(u32::from_le_bytes(self.bytes())) / f64::from(u32::MAX))
    }

    /// 256 random bits in 43 URL-safe characters.
    pub fn url_safe_token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }
}

/// Why a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database is unavailable, full or too busy; the same call may succeed later. Nothing was changed.
    #[error("the database did not respond")]
    Unavailable(#[source] BoxError),
    /// A row holds a value that no version of this program writes. An operator has to look at it.
    #[error("invalid row `{key}` in `{table}`: {detail}")]
    InconsistentRow {
        /// The table of the row.
        table: &'static str,
        /// The primary key of the row.
        key: String,
        /// The problem; contains no secret.
        detail: String,
    },
}

/// One error for several callers that share an operation.
#[derive(Clone, Debug)]
pub struct SharedStorageError(Arc<StorageError>);

impl SharedStorageError {
    /// Shares `error`.
    #[must_use]
    pub fn new(error: StorageError) -> Self {
        Self(Arc::new(error))
    }

    /// The error for one of the callers.
    #[must_use]
    pub fn to_storage_error(&self) -> StorageError {
        match &*self.0 {
            StorageError::Unavailable(_) => StorageError::Unavailable(Box::new(self.clone())),
            StorageError::InconsistentRow { table, key, detail } => {
                StorageError::InconsistentRow { table, key: key.clone(), detail: detail.clone() }
            }
        }
    }
}

impl fmt::Display for SharedStorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The outer error has the text of `StorageError`; this one continues with the reason.
        match self.0.source() {
            Some(source) => write!(f, "{source}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Error for SharedStorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source().and_then(Error::source)
    }
}

#[cfg(test)]
mod tests;
