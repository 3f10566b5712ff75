//! Which paths are pages.

/// Whether `path` is a page for people, rather than for programs.
pub(crate) fn is_page(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    match parts.next() {
        Some("auth") => {
            matches!(parts.next(), Some("authorize" | "callback" | "consent" | "sign-in" | "sign-out"))
        }
        first => matches!(first, Some("account" | "language" | "privacy" | "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_what_programs_call() {
        for page in [
            "/auth/authorize",
            "/auth/sign-in/provider",
            "/account/nowhere",
            "/account",
            "/",
            "/privacy",
            "/auth/consent",
        ] {
            assert!(is_page(page), "{page}");
        }
        for other in
            ["/auth", "/auth/token", "/auth/revoke", "/api/v1/me", "/assets/x", "/accounts", "/privacy-x", "/languages"]
        {
            assert!(!is_page(other), "{other}");
        }
    }
}
