//! Addresses below the public URL.

/// The public URL without a trailing slash, so that paths can be appended.
pub(crate) fn base_url(public_url: &str) -> &str {
    public_url.trim_end_matches('/')
}
