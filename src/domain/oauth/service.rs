//! The token endpoint. Its neighbours are in `revocation` and `introspection`.

use std::net::IpAddr;
use std::sync::Arc;

use super::authorization::AuthorizationService;
use super::client::{ClientAdmission, ClientAuthenticator};
use super::error::OAuthError;
use super::grant_store::GrantStore;
use super::grants::{AuthorizationCodeGrant, ClientCredentialsGrant, GrantUse, RefreshTokenGrant};
use super::issuing::{TokenFactory, TokenResponse};
use super::policy::TokenPolicy;
use super::request::{GrantRequest, TokenRequest};
use super::revoker::Revoker;
use super::token::TokenIssuer;
use crate::applications::ApplicationRepository;
use crate::audit::AuditLog;
use crate::limits::RateLimits;
use crate::people::PersonRepository;
use crate::system::{Clock, Entropy};

/// The ports behind [`TokenService`].
#[derive(Clone)]
pub struct TokenPorts {
    /// Signs and verifies tokens.
    pub issuer: Arc<dyn TokenIssuer>,
    /// Uses of refresh tokens, and revocations.
    pub grants: Arc<dyn GrantStore>,
    /// Authorizations and their codes.
    pub authorizations: AuthorizationService,
    /// Applications.
    pub applications: Arc<dyn ApplicationRepository>,
    /// People.
    pub people: Arc<dyn PersonRepository>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Rate limits of the OAuth endpoints, separate from those of the memory API.
    pub limits: RateLimits,
}

/// Issues, revokes and introspects tokens.
#[derive(Clone)]
pub struct TokenService {
    pub(super) admission: ClientAdmission,
    pub(super) tokens: TokenFactory,
    pub(super) revoker: Revoker,
    pub(super) grants: Arc<dyn GrantStore>,
    pub(super) people: Arc<dyn PersonRepository>,
    pub(super) audit: Arc<dyn AuditLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) policy: Arc<TokenPolicy>,
    client_credentials: ClientCredentialsGrant,
    authorization_code: AuthorizationCodeGrant,
    refresh_token: RefreshTokenGrant,
}

impl TokenService {
    /// Assembles the service.
    #[must_use]
    pub fn new(clients: ClientAuthenticator, ports: TokenPorts, policy: Arc<TokenPolicy>) -> Self {
        let TokenPorts { issuer, grants, authorizations, applications, people, audit, clock, entropy, limits } = ports;
        let admission = ClientAdmission { clients, limits, clock: Arc::clone(&clock) };
        let tokens = TokenFactory {
            issuer,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            policy: Arc::clone(&policy),
        };
        let revoker = Revoker::new(Arc::clone(&grants), applications);
        Self {
            client_credentials: ClientCredentialsGrant { tokens: tokens.clone(), entropy: Arc::clone(&entropy) },
            authorization_code: AuthorizationCodeGrant {
                authorizations,
                people: Arc::clone(&people),
                admission: admission.clone(),
                tokens: tokens.clone(),
                revoker: revoker.clone(),
                clock: Arc::clone(&clock),
                policy: Arc::clone(&policy),
            },
            refresh_token: RefreshTokenGrant {
                grants: Arc::clone(&grants),
                people: Arc::clone(&people),
                admission: admission.clone(),
                tokens: tokens.clone(),
                revoker: revoker.clone(),
                audit: Arc::clone(&audit),
                clock: Arc::clone(&clock),
                entropy,
                policy: Arc::clone(&policy),
            },
            admission,
            tokens,
            revoker,
            grants,
            people,
            audit,
            clock,
            policy,
        }
    }

    /// Handles a token request from `address`.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn token(&self, request: &TokenRequest, address: IpAddr) -> Result<TokenResponse, OAuthError> {
        let usage = GrantUse::admit(&self.admission, &self.policy, request, address).await?;
        match &request.grant {
            GrantRequest::ClientCredentials { scope } => self.client_credentials.grant(&usage, *scope),
            GrantRequest::AuthorizationCode(exchange) => self.authorization_code.grant(&usage, exchange).await,
            GrantRequest::RefreshToken { token, scope } => self.refresh_token.grant(&usage, token, *scope).await,
        }
    }

    /// The public keys of access tokens (RFC 7517).
    #[must_use]
    pub fn published_keys(&self) -> serde_json::Value {
        self.tokens.issuer.published_keys()
    }
}

#[cfg(test)]
mod tests;
