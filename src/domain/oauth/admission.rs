//! What every request with a client's credentials passes first.

use std::net::IpAddr;
use std::sync::Arc;

use super::client::ClientAuthenticator;
use super::error::OAuthError;
use super::request::PresentedCredentials;
use super::token::Subject;
use crate::applications::{Application, ClientKind};
use crate::ids::UserId;
use crate::limits::RateLimits;
use crate::system::Clock;

/// Authenticates applications, and counts their requests towards their rate limits.
#[derive(Clone)]
pub(super) struct ClientAdmission {
    pub(super) clients: ClientAuthenticator,
    pub(super) limits: RateLimits,
    pub(super) clock: Arc<dyn Clock>,
}

impl ClientAdmission {
    /// Authenticates the application, and counts the request towards its rate limit. Anybody can use a public application's
    /// client ID: its limit is only charged for requests that prove to be its own, in [`admit_public`].
    ///
    /// [`admit_public`]: Self::admit_public
    pub(super) async fn authenticate(
        &self,
        credentials: &PresentedCredentials,
        address: IpAddr,
    ) -> Result<Arc<Application>, OAuthError> {
        let application = self.clients.authenticate(credentials, address).await?;
        if application.kind == ClientKind::Confidential {
            self.take(&application, None)?;
        }
        Ok(application)
    }

    /// Counts a request of a public application about `subject`, before something is written for it.
    pub(super) fn admit_public(&self, application: &Application, subject: &Subject) -> Result<(), OAuthError> {
        if application.kind == ClientKind::Public { self.take(application, subject.person()) } else { Ok(()) }
    }

    fn take(&self, application: &Application, person: Option<UserId>) -> Result<(), OAuthError> {
        Ok(self.limits.take(application, person, self.clock.now())?)
    }
}
