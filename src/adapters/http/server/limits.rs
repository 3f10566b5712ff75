//! Limits of request bodies.

use std::time::Duration;

/// Maximum size of a body in bytes. The largest memory fits however its JSON is escaped: 32,768 characters of two `\uXXXX`
/// each are 384 KiB, and 16 KiB of metadata are 96 KiB.
pub const MAX_BODY_BYTES: usize = 512 * 1024;

/// How long a body may take to arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum length of such a body in bytes.
pub(crate) const MAX_STREAM_BYTES: u64 = 4 << 30;
