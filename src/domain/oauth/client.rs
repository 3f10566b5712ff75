//! Authentication of clients (RFC 6749 §2.3), and their rate limits.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use sha2::{Digest, Sha256};

use super::error::OAuthError;
use super::request::PresentedCredentials;
use super::token::Subject;
use crate::applications::{
    Application, ApplicationRepository, ClientKind, ClientSecret, HasherError, SecretHash, SecretHasher, StoredSecret,
};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{ClientId, UserId};
use crate::limits::{Attempt, Coalescing, FailureThrottle, RateLimits};
use crate::system::{Clock, Timestamp};

/// How stale the recorded last use of a secret may be while its verification is cached.
const LAST_USE_PRECISION: Duration = Duration::from_mins(10);

/// Authenticates applications.
#[derive(Clone)]
pub struct ClientAuthenticator {
    applications: Arc<dyn ApplicationRepository>,
    hasher: Arc<dyn SecretHasher>,
    throttle: Arc<FailureThrottle>,
    running: Arc<Coalescing<Result<bool, Arc<HasherError>>>>,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
}

/// Authenticates applications, and counts their requests towards their rate limits.
#[derive(Clone)]
pub(super) struct ClientAdmission {
    pub(super) clients: ClientAuthenticator,
    pub(super) limits: RateLimits,
    pub(super) clock: Arc<dyn Clock>,
}

/// A presented secret, and what it is verified against.
struct PresentedSecret<'a> {
    client_id: &'a ClientId,
    secret: &'a ClientSecret,
    /// The application, and the only one of its secrets that can match; so one hash is enough, however many it has.
    stored: Option<(&'a Arc<Application>, &'a StoredSecret)>,
}

impl ClientAuthenticator {
    /// Assembles the authenticator.
    pub fn new(
        applications: Arc<dyn ApplicationRepository>,
        hasher: Arc<dyn SecretHasher>,
        throttle: Arc<FailureThrottle>,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { applications, hasher, throttle, running: Arc::default(), audit, clock }
    }

    /// The application with these credentials. A public application is identified by its client ID alone.
    ///
    /// An unknown client, a wrong or expired secret and a disabled application result in the same error in the same time: one
    /// hash is computed in any case. An ID or a secret with an impossible format costs no hash and is not counted. Identical
    /// concurrent requests count as one attempt and share one hash.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`], [`OAuthError::TooManyFailures`], [`OAuthError::TemporarilyUnavailable`],
    /// [`OAuthError::Internal`].
    pub async fn authenticate(
        &self,
        presented: &PresentedCredentials,
        address: IpAddr,
    ) -> Result<Arc<Application>, OAuthError> {
        let client_id: ClientId = presented.client_id.parse().map_err(|_| OAuthError::InvalidClient)?;
        let secret = match &presented.secret {
            Some(secret) => Some(ClientSecret::parse(secret).ok_or(OAuthError::InvalidClient)?),
            None => None,
        };
        let application = self.applications.find_by_client_id(&client_id).await?;
        let Some(secret) = secret else {
            return application
                .filter(|application| application.kind == ClientKind::Public && application.enabled)
                .ok_or(OAuthError::InvalidClient);
        };
        let now = self.clock.now();
        let stored = application.as_ref().and_then(|a| Some((a, candidate(a, &secret, now)?)));
        if let Some((application, stored)) = stored
            && self.hasher.has_verified(&secret, &stored.hash)
        {
            let noted = stored.last_used_at;
            if noted.is_none_or(|noted| now.since(noted) >= LAST_USE_PRECISION) {
                self.applications.record_secret_use(application.id, stored.id, now).await;
            }
            return enabled(application);
        }
        let candidate = PresentedSecret { client_id: &client_id, secret: &secret, stored };
        match stored {
            Some((_, stored)) if self.verify(&candidate, address).await? => self.still_holds(&client_id, stored).await,
            Some(_) => Err(OAuthError::InvalidClient),
            None => self.verify(&candidate, address).await.and(Err(OAuthError::InvalidClient)),
        }
    }

    /// The application, if it still has the secret that was just verified: that takes long enough for it to be removed.
    async fn still_holds(&self, client_id: &ClientId, stored: &StoredSecret) -> Result<Arc<Application>, OAuthError> {
        let now = self.clock.now();
        let holds = |application: &Arc<Application>| {
            application.secrets.iter().any(|secret| secret.id == stored.id && secret.is_valid_at(now))
        };
        let application = self.applications.find_by_client_id(client_id).await?;
        application.filter(holds).as_ref().map_or(Err(OAuthError::InvalidClient), enabled)
    }

    async fn verify(&self, candidate: &PresentedSecret<'_>, address: IpAddr) -> Result<bool, OAuthError> {
        let hash = candidate.stored.map_or_else(|| self.hasher.decoy(), |(_, stored)| stored.hash.clone());
        let mut attempt = None;
        let verification = self.running.join_or_begin(candidate.digest(&hash), || {
            let begun = self.throttle.begin(candidate.client_id.as_str(), address, self.clock.now());
            attempt = Some(begun.map_err(|wait| OAuthError::TooManyFailures { retry_after: wait.retry_after })?);
            let (hasher, secret) = (Arc::clone(&self.hasher), candidate.secret.clone());
            Ok::<_, OAuthError>(async move { hasher.verify(&secret, &hash).await.map_err(Arc::new) }.boxed())
        })?;
        let verified = verification.await.map(|verified| verified && candidate.stored.is_some());
        // A caller that joined an attempt has counted nothing, and leaves the rest to the one that started it.
        if let Some(attempt) = attempt {
            self.conclude(attempt, candidate, verified.as_ref().ok().copied()).await;
        }
        verified.map_err(|error| HasherError::from(error).into())
    }

    /// Records the outcome of an attempt; `None` if it could not be verified.
    async fn conclude(&self, attempt: Attempt<'_>, candidate: &PresentedSecret<'_>, verified: Option<bool>) {
        match (verified, candidate.stored) {
            (None, _) => attempt.unavailable(),
            (Some(true), Some((application, stored))) => {
                attempt.succeeded();
                self.applications.record_secret_use(application.id, stored.id, self.clock.now()).await;
                self.renew(application, stored, candidate.secret).await;
            }
            (Some(_), stored) => {
                if attempt.failed() {
                    let event = AuditEvent::new(AuditKind::ClientThrottled, self.clock.now());
                    let event = match stored {
                        Some((application, _)) => event.application(application.id),
                        None => event,
                    };
                    self.audit.record(&event).await;
                }
            }
        }
    }

    /// Rehashes a secret, which is available now, if its hash does not have the configured cost.
    async fn renew(&self, application: &Application, stored: &StoredSecret, secret: &ClientSecret) {
        if !self.hasher.is_outdated(&stored.hash) {
            return;
        }
        // If the hasher is busy now, a later success will do it.
        if let Ok(renewed) = self.hasher.hash(secret).await {
            self.applications.renew_secret_hash(application.id, stored, &renewed).await;
        }
    }
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

impl PresentedSecret<'_> {
    /// Identifies identical attempts.
    fn digest(&self, hash: &SecretHash) -> [u8; 32] {
        let digest = Sha256::new().chain_update(self.client_id.as_str()).chain_update("\0").chain_update(hash.as_str());
        digest.chain_update("\0").chain_update(self.secret.expose()).finalize().into()
    }
}

fn candidate<'a>(application: &'a Application, secret: &ClientSecret, now: Timestamp) -> Option<&'a StoredSecret> {
    let hint = secret.hint();
    application.secrets.iter().find(|stored| stored.hint == hint && stored.is_valid_at(now))
}

fn enabled(application: &Arc<Application>) -> Result<Arc<Application>, OAuthError> {
    if application.enabled { Ok(Arc::clone(application)) } else { Err(OAuthError::InvalidClient) }
}

#[cfg(test)]
mod tests;
