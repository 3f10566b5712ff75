//! The origins whose scripts may call the memory API.

use std::collections::BTreeSet;

use poem::http::HeaderValue;

/// The origins whose scripts may call the memory API.
#[derive(Clone, Debug, Default)]
pub struct CorsOrigins {
    any: bool,
    origins: BTreeSet<String>,
}

impl CorsOrigins {
    /// Allows these, each as a browser writes it (`https://app.example.com`), or `*` for all.
    #[must_use]
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        let origins: BTreeSet<String> = origins.into_iter().collect();
        Self { any: origins.contains("*"), origins }
    }

    /// Whether this origin is allowed.
    pub(crate) fn contain(&self, origin: &HeaderValue) -> bool {
        self.any || origin.to_str().is_ok_and(|origin| self.origins.contains(origin))
    }

    /// Whether every origin is allowed.
    pub(crate) fn are_all(&self) -> bool {
        self.any
    }
}
