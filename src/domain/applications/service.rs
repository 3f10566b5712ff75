//! Managing applications.

use std::sync::Arc;
use std::time::Duration;

use super::model::{Application, ApplicationChanges, ClientKind, NewApplication};
use super::ports::{ApplicationRepository, ChangeApplicationError, CreateApplicationError, HasherError, SecretHasher};
use super::secret::{ClientSecret, StoredSecret};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{ApplicationId, SecretId};
use crate::system::{Clock, Entropy, StorageError, Timestamp};
use crate::validation::InvalidValue;

/// Registers and manages applications.
#[derive(Clone)]
pub struct ApplicationService {
    repository: Arc<dyn ApplicationRepository>,
    hasher: Arc<dyn SecretHasher>,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// A new secret: the only time that it is visible.
#[derive(Debug)]
pub struct IssuedSecret {
    /// The secret itself.
    pub secret: ClientSecret,
    /// What is stored of it.
    pub stored: StoredSecret,
}

/// A newly registered application.
#[derive(Debug)]
pub struct Registration {
    /// The application.
    pub application: Application,
    /// Its secret, if it is confidential.
    pub secret: Option<ClientSecret>,
}

/// Why managing applications failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// A value is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// There is no such application.
    #[error("there is no such application")]
    NotFound,
    /// The application has no such secret.
    #[error("the application has no such secret")]
    SecretNotFound,
    /// It has the maximum number of secrets.
    #[error("the application has {} secrets already; remove one first", Application::MAX_SECRETS)]
    TooManySecrets,
    /// The secret could not be hashed.
    #[error(transparent)]
    Hasher(#[from] HasherError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<ChangeApplicationError> for ApplicationError {
    fn from(error: ChangeApplicationError) -> Self {
        match error {
            ChangeApplicationError::NotFound => Self::NotFound,
            ChangeApplicationError::Inconsistent(invalid) => Self::Invalid(invalid),
            ChangeApplicationError::TooManySecrets => Self::TooManySecrets,
            ChangeApplicationError::Storage(error) => Self::Storage(error),
        }
    }
}

impl ApplicationService {
    /// Assembles the service.
    pub fn new(
        repository: Arc<dyn ApplicationRepository>,
        hasher: Arc<dyn SecretHasher>,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { repository, hasher, audit, clock, entropy }
    }

    /// Registers an application, with a first secret if it is confidential.
    ///
    /// # Errors
    /// [`ApplicationError::Invalid`] if its members are inconsistent, or a port's error.
    pub async fn register(&self, new: NewApplication) -> Result<Registration, ApplicationError> {
        let now = self.clock.now();
        let id = ApplicationId::generate(&*self.entropy);
        let mut application = Application::new(new, id, now);
        application.check_consistency()?;
        let mut secret = None;
        if application.kind == ClientKind::Confidential {
            let issued = self.make_secret(None).await?;
            application.secrets.push(issued.stored);
            secret = Some(issued.secret);
        }
        match self.repository.create(&application).await {
            Ok(()) => {}
            Err(CreateApplicationError::Exists) => {
                return Err(InvalidValue::new("client_id", "is taken; try again").into());
            }
            Err(CreateApplicationError::Storage(error)) => return Err(error.into()),
        }
        self.record(AuditKind::ApplicationCreated, id).await;
        Ok(Registration { application, secret })
    }

    /// The application of that id.
    ///
    /// # Errors
    /// [`ApplicationError::NotFound`], [`ApplicationError::Storage`].
    pub async fn get(&self, id: ApplicationId) -> Result<Arc<Application>, ApplicationError> {
        self.repository.find(id).await?.ok_or(ApplicationError::NotFound)
    }

    /// At most `limit` applications, starting after `after`.
    ///
    /// # Errors
    /// [`ApplicationError::Storage`].
    pub async fn list(
        &self,
        after: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<Arc<Application>>, ApplicationError> {
        Ok(self.repository.list(after, limit).await?)
    }

    /// Changes an application.
    ///
    /// # Errors
    /// [`ApplicationError::Invalid`] if nothing would change or the members would be inconsistent,
    /// [`ApplicationError::NotFound`], [`ApplicationError::Storage`].
    pub async fn update(
        &self,
        id: ApplicationId,
        changes: &ApplicationChanges,
    ) -> Result<Arc<Application>, ApplicationError> {
        if changes.is_empty() {
            return Err(InvalidValue::new("changes", "must contain at least one change").into());
        }
        let application = self.repository.update(id, changes, self.clock.now()).await?;
        let kind = match changes.enabled {
            Some(true) => AuditKind::ApplicationEnabled,
            Some(false) => AuditKind::ApplicationDisabled,
            None => AuditKind::ApplicationUpdated,
        };
        self.record(kind, id).await;
        Ok(application)
    }

    /// Enables an application, or disables it, which invalidates all its tokens.
    ///
    /// # Errors
    /// [`ApplicationError::NotFound`], [`ApplicationError::Storage`].
    pub async fn set_enabled(&self, id: ApplicationId, enabled: bool) -> Result<Arc<Application>, ApplicationError> {
        self.update(id, &ApplicationChanges { enabled: Some(enabled), ..ApplicationChanges::default() }).await
    }

    /// Deletes an application. Its tokens become invalid at once; its memories stay in its space.
    ///
    /// # Errors
    /// [`ApplicationError::NotFound`], [`ApplicationError::Storage`].
    pub async fn delete(&self, id: ApplicationId) -> Result<(), ApplicationError> {
        if !self.repository.delete(id).await? {
            return Err(ApplicationError::NotFound);
        }
        self.record(AuditKind::ApplicationDeleted, id).await;
        Ok(())
    }

    /// Adds a secret, which expires after `lifetime` if that is given.
    ///
    /// # Errors
    /// [`ApplicationError::Invalid`] for a public application or a lifetime of zero, and every other.
    pub async fn add_secret(
        &self,
        id: ApplicationId,
        lifetime: Option<Duration>,
    ) -> Result<IssuedSecret, ApplicationError> {
        if lifetime.is_some_and(|lifetime| lifetime.is_zero()) {
            return Err(InvalidValue::new("expires_in", "must be longer than zero").into());
        }
        self.check_confidential(id).await?;
        let issued = self.make_secret(lifetime.map(|lifetime| self.clock.now().plus(lifetime))).await?;
        self.repository.add_secret(id, &issued.stored, self.clock.now()).await?;
        self.record(AuditKind::SecretAdded, id).await;
        Ok(issued)
    }

    /// Removes a secret; it is rejected from now on.
    ///
    /// # Errors
    /// [`ApplicationError::NotFound`], [`ApplicationError::SecretNotFound`], [`ApplicationError::Storage`].
    pub async fn remove_secret(&self, id: ApplicationId, secret: SecretId) -> Result<(), ApplicationError> {
        self.get(id).await?;
        if !self.repository.remove_secret(id, secret, self.clock.now()).await? {
            return Err(ApplicationError::SecretNotFound);
        }
        self.record(AuditKind::SecretRemoved, id).await;
        Ok(())
    }

    /// Atomically replaces all secrets by a new one.
    ///
    /// # Errors
    /// [`ApplicationError::Invalid`] for a public application, [`ApplicationError::NotFound`], [`ApplicationError::Hasher`],
    /// [`ApplicationError::Storage`].
    pub async fn rotate_secret(&self, id: ApplicationId) -> Result<IssuedSecret, ApplicationError> {
        self.check_confidential(id).await?;
        let issued = self.make_secret(None).await?;
        let replaced = self.repository.replace_secrets(id, &issued.stored, self.clock.now()).await?;
        self.record(AuditKind::SecretAdded, id).await;
        for _ in 0..replaced {
            self.record(AuditKind::SecretRemoved, id).await;
        }
        Ok(issued)
    }

    async fn check_confidential(&self, id: ApplicationId) -> Result<(), ApplicationError> {
        if self.get(id).await?.kind == ClientKind::Public {
            return Err(InvalidValue::new("kind", "is public: such an application has no secret").into());
        }
        Ok(())
    }

    async fn make_secret(&self, expires_at: Option<Timestamp>) -> Result<IssuedSecret, ApplicationError> {
        let secret = ClientSecret::generate(&*self.entropy);
        let hash = self.hasher.hash(&secret).await?;
        let stored = StoredSecret {
            id: SecretId::generate(&*self.entropy),
            hint: secret.hint(),
            hash,
            created_at: self.clock.now(),
            expires_at,
            last_used_at: None,
        };
        Ok(IssuedSecret { secret, stored })
    }

    async fn record(&self, kind: AuditKind, id: ApplicationId) {
        self.audit.record(&AuditEvent::new(kind, self.clock.now()).application(id)).await;
    }
}

#[cfg(test)]
mod tests;
