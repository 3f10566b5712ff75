//! Authentication of clients (RFC 6749 §2.3).

use std::net::IpAddr;
use std::sync::Arc;

use super::error::OAuthError;
use super::request::PresentedCredentials;
use crate::applications::{Application, ApplicationRepository, ClientKind, ClientSecret, SecretHasher, StoredSecret};
use crate::ids::ClientId;
use crate::limits::FailureThrottle;
use crate::system::Clock;

/// Tells which application a request comes from.
#[derive(Clone)]
pub struct ClientAuthenticator {
    applications: Arc<dyn ApplicationRepository>,
    hasher: Arc<dyn SecretHasher>,
    throttle: Arc<FailureThrottle>,
    clock: Arc<dyn Clock>,
}

impl ClientAuthenticator {
    /// Puts the authenticator together.
    pub fn new(
        applications: Arc<dyn ApplicationRepository>,
        hasher: Arc<dyn SecretHasher>,
        throttle: Arc<FailureThrottle>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { applications, hasher, throttle, clock }
    }

    /// The application whose credentials these are. A public application is known by its id alone.
    ///
    /// An unknown client, a wrong secret, an expired one and a disabled application are all the same error. As long as
    /// the secret is well-formed they take the same time too: one hash is computed, whatever is known of the client.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`], [`OAuthError::TooManyFailures`], [`OAuthError::TemporarilyUnavailable`],
    /// [`OAuthError::Internal`].
    pub async fn authenticate(
        &self,
        presented: &PresentedCredentials,
        address: IpAddr,
    ) -> Result<Arc<Application>, OAuthError> {
        let application = match presented.client_id.parse::<ClientId>() {
            Ok(client_id) => self.applications.find_by_client_id(&client_id).await?,
            Err(_) => None,
        };
        let Some(secret) = &presented.secret else {
            return application
                .filter(|application| application.kind == ClientKind::Public && application.enabled)
                .ok_or(OAuthError::InvalidClient);
        };
        let secret = ClientSecret::parse(secret);
        let stored = application.as_deref().zip(secret.as_ref()).and_then(|(a, s)| self.candidate(a, s));
        if let (Some(application), Some(secret), Some(stored)) = (&application, &secret, stored)
            && self.hasher.remembers(secret, &stored.hash)
        {
            return enabled(application);
        }
        self.throttle
            .check(&presented.client_id, address, self.clock.now())
            .map_err(|retry_after| OAuthError::TooManyFailures { retry_after })?;
        if self.verify(secret.as_ref(), stored).await?
            && let Some((application, stored)) = application.as_ref().zip(stored)
        {
            self.throttle.record_success(&presented.client_id, address);
            self.applications.record_secret_use(application.id, stored.id, self.clock.now()).await;
            return enabled(application);
        }
        self.throttle.record_failure(&presented.client_id, address, self.clock.now());
        Err(OAuthError::InvalidClient)
    }

    /// The only secret that this can be, so that one hash is enough however many the application has.
    fn candidate<'a>(&self, application: &'a Application, secret: &ClientSecret) -> Option<&'a StoredSecret> {
        let hint = secret.hint();
        let now = self.clock.now();
        application.secrets.iter().find(|stored| stored.hint == hint && stored.is_valid_at(now))
    }

    async fn verify(&self, secret: Option<&ClientSecret>, stored: Option<&StoredSecret>) -> Result<bool, OAuthError> {
        let Some(secret) = secret else { return Ok(false) };
        let decoy = self.hasher.decoy();
        let hash = stored.map_or(&decoy, |stored| &stored.hash);
        Ok(self.hasher.verify(secret, hash).await? && stored.is_some())
    }
}

fn enabled(application: &Arc<Application>) -> Result<Arc<Application>, OAuthError> {
    if application.enabled { Ok(Arc::clone(application)) } else { Err(OAuthError::InvalidClient) }
}

#[cfg(test)]
mod tests;
