//! `authorization_code` (RFC 6749 §4.1.3): a code works once. Reuse means that somebody else has it, so the tokens of the
//! first use are revoked (§4.1.2, RFC 9700 §4.5).

use std::sync::Arc;

use super::GrantUse;
use crate::applications::{Application, GrantType};
use crate::audit::AuditKind;
use crate::oauth::authorization::{
    Authorization, AuthorizationService, CodeDigest, CodeVerifier, Redeemed, Redemption,
};
use crate::oauth::client::ClientAdmission;
use crate::oauth::error::OAuthError;
use crate::oauth::issuing::{GrantedAudience, TokenFactory, TokenResponse};
use crate::oauth::policy::TokenPolicy;
use crate::oauth::request::CodeExchange;
use crate::oauth::revoker::Revoker;
use crate::oauth::token::Subject;
use crate::people::PersonRepository;
use crate::system::{Clock, Timestamp};

/// Exchanges a code for tokens that act on behalf of the person who agreed.
#[derive(Clone)]
pub(in crate::oauth) struct AuthorizationCodeGrant {
    pub(in crate::oauth) authorizations: AuthorizationService,
    pub(in crate::oauth) people: Arc<dyn PersonRepository>,
    pub(in crate::oauth) admission: ClientAdmission,
    pub(in crate::oauth) tokens: TokenFactory,
    pub(in crate::oauth) revoker: Revoker,
    pub(in crate::oauth) clock: Arc<dyn Clock>,
    pub(in crate::oauth) policy: Arc<TokenPolicy>,
}

impl AuthorizationCodeGrant {
    /// Everything is validated before the code is consumed, so that a mistake costs the client nothing, and somebody who only
    /// has the code cannot consume it.
    pub(in crate::oauth) async fn grant(
        &self,
        usage: &GrantUse,
        exchange: &CodeExchange,
    ) -> Result<TokenResponse, OAuthError> {
        let application = usage.application();
        let code = CodeDigest::of(exchange.code.as_str());
        let authorization = self.authorizations.store().find_by_code(&code).await?.ok_or(OAuthError::InvalidGrant)?;
        if authorization.application_id != application.id {
            return Err(OAuthError::InvalidGrant);
        }
        // First, so that somebody who could not have exchanged the code cannot revoke its tokens either.
        if !fits(&authorization, exchange) {
            return Err(OAuthError::InvalidGrant);
        }
        let now = self.clock.now();
        if authorization.redeemed_at.is_some() {
            return self.reused(application, &authorization, now).await;
        }
        if now >= authorization.code_expires_at {
            return Err(OAuthError::InvalidGrant);
        }
        let person = self.people.find(authorization.person).await?;
        if !person.is_some_and(|person| person.enabled) {
            return Err(OAuthError::InvalidGrant);
        }
        // The application may have lost a permission since the consent.
        let scope = authorization.scope.intersection(application.permissions);
        if scope.is_empty() {
            return Err(OAuthError::InvalidGrant);
        }

        let whole = authorization.audience;
        let audience = GrantedAudience { whole, now: self.policy.resources.narrow(whole, usage.audience())? };

        self.admission.admit_public(application, &Subject::Person(authorization.person))?;
        let grant_id = authorization.grant_id;
        let keep_until = self.end_of_grant(application, now);
        match self.authorizations.store().redeem(&Redemption { grant_id, at: now, keep_until }).await? {
            Redeemed::First => {}
            Redeemed::Before => return self.reused(application, &authorization, now).await,
            Redeemed::Refused => return Err(OAuthError::InvalidGrant),
        }
        self.tokens.begin_grant(application, Subject::Person(authorization.person), grant_id, scope, audience)
    }

    async fn reused(
        &self,
        application: &Application,
        authorization: &Authorization,
        now: Timestamp,
    ) -> Result<TokenResponse, OAuthError> {
        let revocation = self.authorizations.revocation_of(authorization, now);
        self.revoker.revoke(application, &Subject::Person(authorization.person), &revocation).await?;
        self.authorizations.record(AuditKind::AuthorizationCodeReused, authorization, now).await;
        self.authorizations.store().delete(authorization.grant_id).await?;
        Err(OAuthError::InvalidGrant)
    }

    /// When the last token of a grant that begins now will have expired, except for access tokens of its last minute.
    fn end_of_grant(&self, application: &Application, now: Timestamp) -> Timestamp {
        if application.grants.contains(&GrantType::RefreshToken) {
            return self.policy.grant_expiry(now);
        }
        now.plus(self.policy.access_token_ttl(application))
    }
}

/// Whether the client that exchanges the code is the one that requested it.
fn fits(authorization: &Authorization, exchange: &CodeExchange) -> bool {
    let verifier = exchange.code_verifier.as_ref().map(|verifier| verifier.as_str().parse::<CodeVerifier>());
    let is_asker = match (&authorization.challenge, verifier) {
        (Some(challenge), Some(Ok(verifier))) => challenge.is_met_by(&verifier),
        // A verifier without a challenge: somebody removed the challenge from the request (RFC 9700 §4.8.2).
        (None, Some(_)) | (Some(_), None | Some(Err(_))) => false,
        (None, None) => true,
    };
    is_asker && exchange.redirect_uri == authorization.redirect_uri
}

#[cfg(test)]
mod tests;
