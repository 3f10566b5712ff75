//! The authorization endpoint, and a person's view of what is authorized.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use url::Url;

use super::model::{Authorization, AuthorizationCode};
use super::request::{AuthorizationRequest, Destination, Refusal, UntrustedRequest, ValidRequest, validate};
use super::store::{AuthorizationStore, Consent};
use crate::applications::{
    Application, ApplicationRepository, LONGEST_ACCESS_TOKEN_LIFETIME, Permissions, RegisteredBy,
};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{ApplicationId, ClientId, GrantId, UserId};
use crate::limits::{KeyedLimit, RateLimit};
use crate::oauth::audience::Audience;
use crate::oauth::grant_store::{GrantStore, Revocation, Revoked};
use crate::oauth::parameters::Parameters;
use crate::oauth::policy::TokenPolicy;
use crate::oauth::registration::{DocumentClients, DocumentUrl, SaveError};
use crate::people::{Person, PersonAuthorizations};
use crate::system::{BoxError, Clock, Entropy, StorageError, Timestamp};

/// The ports behind [`AuthorizationService`].
#[derive(Clone)]
pub struct AuthorizationPorts {
    /// Applications.
    pub applications: Arc<dyn ApplicationRepository>,
    /// Applications that a document describes; `None` if there shall be none.
    pub documents: Option<DocumentClients>,
    /// Authorizations.
    pub authorizations: Arc<dyn AuthorizationStore>,
    /// Revocations.
    pub grants: Arc<dyn GrantStore>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// How often a person may connect applications, which bounds what consenting and disconnecting in a loop leaves behind.
const CONSENTS: RateLimit = RateLimit { burst: 100, interval: Duration::from_mins(10) };
/// Maximum number of people counted at a time.
const PEOPLE: usize = 10_000;

/// Validates authorization requests, and records the decisions of people.
#[derive(Clone)]
pub struct AuthorizationService {
    ports: AuthorizationPorts,
    policy: Arc<TokenPolicy>,
    consents: Arc<KeyedLimit<UserId>>,
}

/// Why an authorization request fails.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizationError {
    /// The client or the redirect URI is not verified: the person sees a page.
    #[error(transparent)]
    Untrusted(#[from] UntrustedRequest),
    /// The application made a mistake, and is told so at `location`.
    #[error("the application's request was refused")]
    Refused {
        /// The redirect URI with the error in it.
        location: Url,
    },
    /// The database is temporarily unavailable.
    #[error("the service is busy or its database is unavailable; try again shortly")]
    TemporarilyUnavailable(#[source] StorageError),
    /// An internal error.
    #[error("an internal error occurred")]
    Internal(#[source] BoxError),
}

impl From<StorageError> for AuthorizationError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unavailable(_) => Self::TemporarilyUnavailable(error),
            StorageError::InconsistentRow { .. } => Self::Internal(error.into()),
        }
    }
}

/// A connected application, with everything it was granted in total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The application.
    pub application_id: ApplicationId,
    /// The application itself; `None` if it has been deleted since.
    pub application: Option<Arc<Application>>,
    /// Its permissions.
    pub scope: Permissions,
    /// Since when.
    pub since: Timestamp,
    /// Until when at most.
    pub until: Timestamp,
}

impl AuthorizationService {
    /// Assembles the service.
    #[must_use]
    pub fn new(ports: AuthorizationPorts, policy: Arc<TokenPolicy>) -> Self {
        Self { ports, policy, consents: Arc::new(KeyedLimit::new(CONSENTS, PEOPLE)) }
    }

    /// Validates the query (or the form) of an authorization request that comes from `address`. Nothing is written.
    ///
    /// # Errors
    /// [`AuthorizationError`].
    pub async fn validate(&self, query: &[u8], address: IpAddr) -> Result<AuthorizationRequest, AuthorizationError> {
        let (parameters, fault) = Parameters::from_query(query);
        if fault.as_ref().is_some_and(|fault| fault.concerns(&["client_id", "redirect_uri"])) {
            return Err(UntrustedRequest::Malformed.into());
        }
        let client_id = parameters.get("client_id").ok_or(UntrustedRequest::NoClient)?;
        let application = self.application(client_id, address).await?;
        let destination = Destination::of(&application, &parameters, &self.policy.resources.issuer)?;
        let validated = match fault {
            Some(fault) => Err(Refusal::InvalidRequest(fault.to_string())),
            None => validate(&application, &parameters),
        };
        match validated {
            Ok(ValidRequest { scope, challenge, recency }) => {
                let resources: Vec<String> = parameters.all("resource").map(str::to_owned).collect();
                let audience = match self.policy.resources.requested(&resources) {
                    Ok(audience) => audience.unwrap_or_else(|| Audience::by_default(&application)),
                    Err(error) => {
                        let location = destination.refusing(&Refusal::InvalidTarget(error));
                        return Err(AuthorizationError::Refused { location });
                    }
                };
                Ok(AuthorizationRequest { application, scope, audience, recency, challenge, destination })
            }
            Err(refusal) => Err(AuthorizationError::Refused { location: destination.refusing(&refusal) }),
        }
    }

    /// The enabled application with this client ID, as its document describes it now if it has one.
    async fn application(&self, client_id: &str, address: IpAddr) -> Result<Arc<Application>, AuthorizationError> {
        let client_id: ClientId = client_id.parse().map_err(|_| UntrustedRequest::UnknownClient)?;
        let stored = self.ports.applications.find_by_client_id(&client_id).await?;
        let is_of_document = |stored: &Application| matches!(stored.registered_by, RegisteredBy::Document { .. });
        if stored.as_ref().is_some_and(|stored| !stored.enabled) {
            return Err(UntrustedRequest::UnknownClient.into());
        }
        match (&self.ports.documents, DocumentUrl::of(&client_id), stored) {
            (_, _, Some(stored)) if !is_of_document(&stored) => Ok(stored),
            (Some(documents), Some(url), stored) => {
                let described = documents.application(&url, stored, address).await;
                described.map_err(|problem| {
                    UntrustedRequest::UnusableDocument { host: url.host().to_owned(), problem }.into()
                })
            }
            _ => Err(UntrustedRequest::UnknownClient.into()),
        }
    }

    /// The application as it is stored, so that it can be authorized.
    async fn stored(&self, application: &Arc<Application>) -> Result<Arc<Application>, AuthorizationError> {
        match &self.ports.documents {
            Some(documents) if matches!(application.registered_by, RegisteredBy::Document { .. }) => {
                documents.save(application).await.map_err(|error| match error {
                    SaveError::TooMany => UntrustedRequest::TooManyApplications.into(),
                    SaveError::Storage(error) => error.into(),
                    SaveError::Inconsistent(_) => AuthorizationError::Internal(error.into()),
                })
            }
            _ => Ok(Arc::clone(application)),
        }
    }

    /// Records the consent of `person`, as verified at sign-in. Returns the redirect with the code.
    ///
    /// # Errors
    /// [`AuthorizationError::Refused`] if the person was disabled, changed the password, or connected the application too
    /// often; [`AuthorizationError::TemporarilyUnavailable`], [`AuthorizationError::Internal`].
    pub async fn approve(&self, request: &AuthorizationRequest, person: &Person) -> Result<Url, AuthorizationError> {
        let now = self.ports.clock.now();
        if self.consents.take(person.id, now).is_err() {
            let location = request.destination.refusing(&Refusal::ConnectedTooOften);
            return Err(AuthorizationError::Refused { location });
        }
        let application = self.stored(&request.application).await?;
        let code = AuthorizationCode::generate(&*self.ports.entropy);
        let code_expires_at = now.plus(AuthorizationCode::LIFETIME);
        let authorization = Authorization {
            grant_id: GrantId::generate(&*self.ports.entropy),
            application_id: application.id,
            person: person.id,
            scope: request.scope,
            audience: request.audience,
            redirect_uri: request.destination.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            code: code.digest(),
            created_at: now,
            code_expires_at,
            redeemed_at: None,
            keep_until: now.plus(AuthorizationCode::KEPT_FOR),
        };
        match self.ports.authorizations.create(&authorization, person.sign_in_version).await? {
            Consent::Stored => {}
            Consent::Outdated | Consent::TooMany => {
                let location = request.destination.refusing(&Refusal::AccessDenied);
                return Err(AuthorizationError::Refused { location });
            }
        }
        self.record(AuditKind::AuthorizationGranted, &authorization, now).await;
        Ok(request.destination.with(&[("code", code.expose())]))
    }

    /// The person declines. Returns the redirect with the error.
    #[must_use]
    pub fn deny(&self, request: &AuthorizationRequest) -> Url {
        request.destination.refusing(&Refusal::AccessDenied)
    }

    /// The applications that act on a person's behalf, the newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn connections(&self, person: UserId) -> Result<Vec<Connection>, StorageError> {
        let now = self.ports.clock.now();
        let mut connections: Vec<Connection> = Vec::new();
        let mut places: BTreeMap<ApplicationId, usize> = BTreeMap::new();
        let all = self.ports.authorizations.list_by_person(person).await?;
        for authorization in all.iter().filter(|a| a.redeemed_at.is_some() && now <= a.keep_until) {
            if let Some(place) = places.get(&authorization.application_id) {
                let known = &mut connections[*place];
                known.scope = known.scope.union(authorization.scope);
                known.since = known.since.min(authorization.created_at);
                known.until = known.until.max(authorization.keep_until);
                continue;
            }
            let application = self.ports.applications.find(authorization.application_id).await?;
            places.insert(authorization.application_id, connections.len());
            connections.push(Connection {
                application_id: authorization.application_id,
                application,
                scope: authorization.scope,
                since: authorization.created_at,
                until: authorization.keep_until,
            });
        }
        Ok(connections)
    }

    /// Revokes everything that a person has authorized an application to do: its tokens become invalid at once, and pending
    /// codes can no longer be exchanged. Returns whether there was anything.
    ///
    /// # Errors
    /// [`StorageError`]. The call can be repeated.
    pub async fn disconnect(&self, person: UserId, application: ApplicationId) -> Result<bool, StorageError> {
        self.revoke_where(person, |authorization| authorization.application_id == application).await
    }

    async fn revoke_where(
        &self,
        person: UserId,
        ends: impl Fn(&Authorization) -> bool + Send,
    ) -> Result<bool, StorageError> {
        let now = self.ports.clock.now();
        let mut any = false;
        for authorization in self.ports.authorizations.list_by_person(person).await?.into_iter().filter(|a| ends(a)) {
            self.revoke(&authorization, now).await?;
            if self.ports.authorizations.delete(authorization.grant_id).await? {
                self.record(AuditKind::AuthorizationEnded, &authorization, now).await;
                any = true;
            }
        }
        Ok(any)
    }

    /// Revokes every token that descends from an authorization. One whose code is being exchanged at this moment is kept as
    /// long as a grant that begins now.
    async fn revoke(&self, authorization: &Authorization, now: Timestamp) -> Result<(), StorageError> {
        self.ports.grants.revoke(&self.revocation_of(authorization, now)).await.map(drop)
    }

    /// The revocation of every token that descends from an authorization.
    pub(in crate::oauth) fn revocation_of(&self, authorization: &Authorization, now: Timestamp) -> Revocation {
        let begun_now = self.policy.grant_expiry(now);
        let last_refresh = authorization.keep_until.max(begun_now);
        Revocation {
            what: Revoked::Grant(authorization.grant_id),
            at: now,
            keep_until: last_refresh.plus(LONGEST_ACCESS_TOKEN_LIFETIME),
        }
    }

    pub(in crate::oauth) async fn record(&self, kind: AuditKind, authorization: &Authorization, now: Timestamp) {
        let event = AuditEvent::new(kind, now)
            .application(authorization.application_id)
            .grant(authorization.grant_id)
            .person(authorization.person);
        self.ports.audit.record(&event).await;
    }

    pub(in crate::oauth) fn store(&self) -> &dyn AuthorizationStore {
        &*self.ports.authorizations
    }
}

#[async_trait]
impl PersonAuthorizations for AuthorizationService {
    async fn disconnect_all(&self, person: UserId) -> Result<bool, StorageError> {
        self.revoke_where(person, |_| true).await
    }

    async fn withdraw_codes(&self, person: UserId) -> Result<bool, StorageError> {
        self.revoke_where(person, |authorization| authorization.redeemed_at.is_none()).await
    }
}

#[cfg(test)]
mod tests;
