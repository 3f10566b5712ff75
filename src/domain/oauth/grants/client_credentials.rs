//! `client_credentials` (RFC 6749 §4.4).

use std::sync::Arc;

use super::GrantUse;
use crate::applications::{ClientKind, GrantType};
use crate::ids::GrantId;
use crate::oauth::audience::Audience;
use crate::oauth::error::OAuthError;
use crate::oauth::issuing::{GrantedAudience, TokenFactory, TokenResponse};
use crate::oauth::scope::RequestedScope;
use crate::oauth::token::Subject;
use crate::system::Entropy;

/// Issues tokens to the application itself.
#[derive(Clone)]
pub(in crate::oauth) struct ClientCredentialsGrant {
    pub(in crate::oauth) tokens: TokenFactory,
    pub(in crate::oauth) entropy: Arc<dyn Entropy>,
}

impl ClientCredentialsGrant {
    /// Nothing is written.
    pub(in crate::oauth) fn grant(&self, usage: &GrantUse, scope: RequestedScope) -> Result<TokenResponse, OAuthError> {
        let application = usage.application();
        // It cannot prove who it is.
        if application.kind == ClientKind::Public {
            return Err(OAuthError::UnauthorizedClient(GrantType::ClientCredentials));
        }
        let scope = scope.within(application.permissions).ok_or(OAuthError::InvalidScope)?;
        let grant_id = GrantId::generate(&*self.entropy);
        let audience = usage.audience().unwrap_or_else(|| Audience::by_default(application));
        let audience = GrantedAudience { whole: audience, now: audience };
        self.tokens.begin_grant(application, Subject::Application, grant_id, scope, audience)
    }
}

#[cfg(test)]
mod tests;
