//! Stand-ins for addresses that poem-openapi wants to know when it is compiled.

/// Stands in for the address of the token endpoint, which poem-openapi wants to know when it is compiled.
pub(crate) const TOKEN_URL: &str = "https://memgate.invalid/auth/token";
/// The same for the authorization endpoint.
pub(crate) const AUTHORIZATION_URL: &str = "https://memgate.invalid/auth/authorize";
