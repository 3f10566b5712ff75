//! The grants of the token endpoint, one file per grant. To add one: a variant of `GrantType` and `GrantRequest`, a file
//! here, and an arm in `TokenService::token`; the compiler finds the places.

pub(super) mod authorization_code;
pub(super) mod client_credentials;
pub(super) mod refresh_token;
