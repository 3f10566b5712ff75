//! `client_credentials` (RFC 6749 §4.4).

use crate::applications::{Application, ClientKind, GrantType};
use crate::ids::GrantId;
use crate::oauth::audience::Audience;
use crate::oauth::error::OAuthError;
use crate::oauth::scope::RequestedScope;
use crate::oauth::service::{GrantedAudience, TokenResponse, TokenService};
use crate::oauth::token::Subject;

/// Issues tokens to the application itself. Nothing is written.
pub(in crate::oauth) fn grant(
    service: &TokenService,
    application: &Application,
    scope: RequestedScope,
    audience: Option<Audience>,
) -> Result<TokenResponse, OAuthError> {
    let allowed = application.grants.contains(&GrantType::ClientCredentials);
    if !allowed || application.kind == ClientKind::Public {
        return Err(OAuthError::UnauthorizedClient(GrantType::ClientCredentials));
    }
    let scope = scope.within(application.permissions).ok_or(OAuthError::InvalidScope)?;
    let grant_id = GrantId::generate(&*service.entropy);
    let audience = audience.unwrap_or(Audience::Api);
    let audience = GrantedAudience { whole: audience, now: audience };
    service.begin_grant(application, Subject::Application, grant_id, scope, audience)
}

#[cfg(test)]
mod tests;
