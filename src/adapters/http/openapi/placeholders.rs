//! Placeholders for addresses that poem-openapi needs at compile time.

/// Placeholder for the address of the token endpoint.
pub(crate) const TOKEN_URL: &str = "https://memgate.invalid/auth/token";
/// Placeholder for the address of the authorization endpoint.
pub(crate) const AUTHORIZATION_URL: &str = "https://memgate.invalid/auth/authorize";
