//! `client_credentials` (RFC 6749 §4.4).

use crate::applications::{Application, ClientKind, GrantType};
use crate::ids::GrantId;
use crate::oauth::error::OAuthError;
use crate::oauth::scope::RequestedScope;
use crate::oauth::service::{TokenResponse, TokenService};
use crate::oauth::token::Subject;

/// Issues tokens to the application itself. Nothing is written.
pub(in crate::oauth) fn grant(
    service: &TokenService,
    application: &Application,
    scope: RequestedScope,
) -> Result<TokenResponse, OAuthError> {
    let allowed = application.grants.contains(&GrantType::ClientCredentials);
    if !allowed || application.kind == ClientKind::Public {
        return Err(OAuthError::UnauthorizedClient(GrantType::ClientCredentials));
    }
    let scope = scope.within(application.permissions).ok_or(OAuthError::InvalidScope)?;
    let grant_id = GrantId::generate(&*service.entropy);
    service.begin_grant(application, Subject::Application, grant_id, scope)
}

#[cfg(test)]
mod tests;
