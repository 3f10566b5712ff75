//! Addresses below the public URL.

/// The public URL without a slash at its end, so that paths can be put behind it.
pub(crate) fn base_url(public_url: &str) -> &str {
    public_url.trim_end_matches('/')
}
