//! The phase that all grants share.

use std::net::IpAddr;
use std::sync::Arc;

use crate::applications::Application;
use crate::oauth::audience::Audience;
use crate::oauth::client::ClientAdmission;
use crate::oauth::error::OAuthError;
use crate::oauth::policy::TokenPolicy;
use crate::oauth::request::TokenRequest;

/// A token request that passed the shared phase: the application is authenticated and within its rate limit, what it asks
/// a token for exists, and it may use the grant type.
pub(in crate::oauth) struct GrantUse {
    application: Arc<Application>,
    audience: Option<Audience>,
}

impl GrantUse {
    /// Runs the phase, for a request from `address`.
    pub(in crate::oauth) async fn admit(
        admission: &ClientAdmission,
        policy: &TokenPolicy,
        request: &TokenRequest,
        address: IpAddr,
    ) -> Result<Self, OAuthError> {
        let application = admission.authenticate(&request.credentials, address).await?;
        let audience = policy.resources.requested(&request.resources)?;
        let grant_type = request.grant.grant_type();
        if !application.grants.contains(&grant_type) {
            return Err(OAuthError::UnauthorizedClient(grant_type));
        }
        Ok(Self { application, audience })
    }

    /// The application.
    pub(super) fn application(&self) -> &Application {
        &self.application
    }

    /// The audience that the token is asked for; `None` if the request does not say.
    pub(super) fn audience(&self) -> Option<Audience> {
        self.audience
    }
}
