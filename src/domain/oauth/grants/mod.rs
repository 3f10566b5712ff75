//! The grants of the token endpoint, one file per grant, each with the collaborators that it needs. What they share comes
//! first: a grant takes a [`GrantUse`], which only that phase makes.
//!
//! To add one: a variant of `GrantType` and `GrantRequest`, a file here, and an arm in `TokenService::token`; the compiler
//! finds the places.

mod authorization_code;
mod client_credentials;
mod refresh_token;
mod shared;

pub(super) use authorization_code::AuthorizationCodeGrant;
pub(super) use client_credentials::ClientCredentialsGrant;
pub(super) use refresh_token::RefreshTokenGrant;
pub(super) use shared::GrantUse;
