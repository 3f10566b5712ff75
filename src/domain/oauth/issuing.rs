//! Issues the tokens of a grant, and verifies refresh tokens.

use std::sync::Arc;

use super::audience::Audience;
use super::error::OAuthError;
use super::policy::TokenPolicy;
use super::request::PresentedToken;
use super::token::{AccessToken, AccessTokenClaims, RefreshToken, RefreshTokenClaims, Subject, TokenIssuer};
use crate::applications::{Application, GrantType, Permissions};
use crate::ids::{GrantId, TokenId};
use crate::system::{Clock, Entropy, Timestamp};

/// A successful response of the token endpoint (RFC 6749 §5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// `access_token`.
    pub access_token: AccessToken,
    /// `expires_in`, in seconds.
    pub expires_in: u64,
    /// `scope` of the access token.
    pub scope: Permissions,
    /// `refresh_token`.
    pub refresh_token: Option<RefreshToken>,
}

/// The grant that an access token is issued under.
pub(super) struct AccessGrant {
    /// On whose behalf.
    pub(super) subject: Subject,
    /// Its id.
    pub(super) grant_id: GrantId,
    pub(super) audience: Audience,
    /// When it ends; no token outlives it.
    pub(super) ends_at: Timestamp,
}

/// Where the tokens of a grant open something.
#[derive(Clone, Copy)]
pub(super) struct GrantedAudience {
    /// What was granted, which refresh tokens carry on.
    pub(super) whole: Audience,
    /// What the access token is asked for now.
    pub(super) now: Audience,
}

/// Decides what stands in a token, and has it signed.
#[derive(Clone)]
pub(super) struct TokenFactory {
    pub(super) issuer: Arc<dyn TokenIssuer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) policy: Arc<TokenPolicy>,
}

impl TokenFactory {
    /// The tokens of a new grant: an access token, and a refresh token if the application may use it.
    pub(super) fn begin_grant(
        &self,
        application: &Application,
        subject: Subject,
        grant_id: GrantId,
        scope: Permissions,
        audience: GrantedAudience,
    ) -> Result<TokenResponse, OAuthError> {
        let issued_at = self.clock.now().truncated_to_seconds();
        let ends_at = self.policy.grant_expiry(issued_at);
        let grant = AccessGrant { subject, grant_id, audience: audience.now, ends_at };
        let refresh_token = self.first_refresh_token(application, &grant, issued_at, scope, audience.whole)?;
        let (access_token, expires_in) = self.access_token(application, grant, scope)?;
        Ok(TokenResponse { access_token, expires_in, scope, refresh_token })
    }

    /// Signs an access token, which does not outlive its grant.
    pub(super) fn access_token(
        &self,
        application: &Application,
        grant: AccessGrant,
        scope: Permissions,
    ) -> Result<(AccessToken, u64), OAuthError> {
        let issued_at = self.clock.now().truncated_to_seconds();
        let expires_at = issued_at.plus(self.policy.access_token_ttl(application)).min(grant.ends_at);
        let claims = AccessTokenClaims {
            issuer: self.policy.resources.issuer.clone(),
            audience: self.policy.resources.uris(grant.audience),
            subject: grant.subject,
            client_id: application.client_id.clone(),
            grant_id: grant.grant_id,
            token_id: TokenId::generate(&*self.entropy),
            scope,
            issued_at,
            expires_at,
        };
        Ok((self.issuer.issue_access_token(&claims)?, expires_at.since(issued_at).as_secs()))
    }

    fn first_refresh_token(
        &self,
        application: &Application,
        grant: &AccessGrant,
        issued_at: Timestamp,
        scope: Permissions,
        audience: Audience,
    ) -> Result<Option<RefreshToken>, OAuthError> {
        if !application.grants.contains(&GrantType::RefreshToken) {
            return Ok(None);
        }
        let claims = RefreshTokenClaims {
            issuer: self.policy.resources.issuer.clone(),
            audience: self.policy.resources.uris(audience),
            subject: grant.subject.clone(),
            client_id: application.client_id.clone(),
            grant_id: grant.grant_id,
            token_id: TokenId::generate(&*self.entropy),
            scope,
            issued_at,
            expires_at: self.policy.refresh_expiry(application, issued_at, grant.ends_at),
            grant_expires_at: grant.ends_at,
        };
        Ok(Some(self.refresh_token(&claims)?))
    }

    /// Signs a refresh token.
    pub(super) fn refresh_token(&self, claims: &RefreshTokenClaims) -> Result<RefreshToken, OAuthError> {
        Ok(self.issuer.issue_refresh_token(claims)?)
    }

    /// The claims of a refresh token that is genuine and not expired. Uses and revocations are not checked here.
    pub(super) fn verify_refresh_token(&self, token: &PresentedToken, now: Timestamp) -> Option<RefreshTokenClaims> {
        let claims = self.issuer.verify_refresh_token(token.as_str()).ok()?;
        let resources = &self.policy.resources;
        let ours = claims.issuer == resources.issuer && resources.audience_of(&claims.audience).is_some();
        let in_time = now < claims.expires_at && claims.issued_at <= now.plus(self.policy.leeway);
        (ours && in_time).then_some(claims)
    }
}
