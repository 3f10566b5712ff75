//! The audit log: who did what, without what was said.

use async_trait::async_trait;

use crate::ids::{ApplicationId, GrantId, RequestId, UserId};
use crate::memories::Context;
use crate::system::{StorageError, Timestamp};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditKind {
    /// An application was registered.
    ApplicationCreated,
    /// An application was changed.
    ApplicationUpdated,
    /// An application was let in again.
    ApplicationEnabled,
    /// An application was shut out.
    ApplicationDisabled,
    /// An application was deleted.
    ApplicationDeleted,
    /// A secret was added.
    SecretAdded,
    /// A secret was removed.
    SecretRemoved,
    /// A refresh token was used a second time: somebody else may have it. Its grant was revoked.
    RefreshTokenReused,
    /// A grant and all its tokens were revoked by its owner.
    GrantRevoked,
    /// One access token was revoked by its owner.
    TokenRevoked,
    /// A signing key was made.
    SigningKeyCreated,
    /// A signing key was taken out of use.
    SigningKeyRetired,
    /// The signing keys were encrypted anew with another master key.
    SigningKeysRewrapped,
    /// A person was registered, or signed in for the first time through the identity provider.
    PersonCreated,
    /// A person was let in again.
    PersonEnabled,
    /// A person was shut out.
    PersonDisabled,
    /// A person was deleted.
    PersonDeleted,
    /// The password of a person was replaced.
    PasswordChanged,
    /// A person signed in.
    PersonSignedIn,
    /// A person let an application act on their behalf.
    AuthorizationGranted,
    /// A person took that back.
    AuthorizationEnded,
    /// An authorization code was presented a second time: somebody else may have it. Its grant was revoked.
    AuthorizationCodeReused,
    /// Somebody failed so often to authenticate as a client that they have to wait.
    ClientThrottled,
    /// Somebody failed so often to sign in that they have to wait.
    SignInThrottled,
    /// An operator had a memory that was on its way to the bank, or that the bank refused, sent again.
    QueuedWriteRetried,
    /// An operator deleted a memory that was on its way to the bank, or that the bank refused.
    QueuedWriteDropped,
    /// Memories were searched.
    MemoriesSearched,
    /// Memories were listed, or one was read.
    MemoryRead,
    /// A memory was created.
    MemoryCreated,
    /// A memory was changed.
    MemoryUpdated,
    /// A memory was deleted.
    MemoryDeleted,
}

impl AuditKind {
    /// Every kind there is.
    pub const ALL: [Self; 31] = [
        Self::ApplicationCreated,
        Self::ApplicationUpdated,
        Self::ApplicationEnabled,
        Self::ApplicationDisabled,
        Self::ApplicationDeleted,
        Self::SecretAdded,
        Self::SecretRemoved,
        Self::RefreshTokenReused,
        Self::GrantRevoked,
        Self::TokenRevoked,
        Self::SigningKeyCreated,
        Self::SigningKeyRetired,
        Self::SigningKeysRewrapped,
        Self::PersonCreated,
        Self::PersonEnabled,
        Self::PersonDisabled,
        Self::PersonDeleted,
        Self::PasswordChanged,
        Self::PersonSignedIn,
        Self::AuthorizationGranted,
        Self::AuthorizationEnded,
        Self::AuthorizationCodeReused,
        Self::ClientThrottled,
        Self::SignInThrottled,
        Self::QueuedWriteRetried,
        Self::QueuedWriteDropped,
        Self::MemoriesSearched,
        Self::MemoryRead,
        Self::MemoryCreated,
        Self::MemoryUpdated,
        Self::MemoryDeleted,
    ];

    /// The name under which it is stored and logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationCreated => "application_created",
            Self::ApplicationUpdated => "application_updated",
            Self::ApplicationEnabled => "application_enabled",
            Self::ApplicationDisabled => "application_disabled",
            Self::ApplicationDeleted => "application_deleted",
            Self::SecretAdded => "secret_added",
            Self::SecretRemoved => "secret_removed",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::GrantRevoked => "grant_revoked",
            Self::TokenRevoked => "token_revoked",
            Self::SigningKeyCreated => "signing_key_created",
            Self::SigningKeyRetired => "signing_key_retired",
            Self::SigningKeysRewrapped => "signing_keys_rewrapped",
            Self::PersonCreated => "person_created",
            Self::PersonEnabled => "person_enabled",
            Self::PersonDisabled => "person_disabled",
            Self::PersonDeleted => "person_deleted",
            Self::PasswordChanged => "password_changed",
            Self::PersonSignedIn => "person_signed_in",
            Self::AuthorizationGranted => "authorization_granted",
            Self::AuthorizationEnded => "authorization_ended",
            Self::AuthorizationCodeReused => "authorization_code_reused",
            Self::ClientThrottled => "client_throttled",
            Self::SignInThrottled => "sign_in_throttled",
            Self::QueuedWriteRetried => "queued_write_retried",
            Self::QueuedWriteDropped => "queued_write_dropped",
            Self::MemoriesSearched => "memories_searched",
            Self::MemoryRead => "memory_read",
            Self::MemoryCreated => "memory_created",
            Self::MemoryUpdated => "memory_updated",
            Self::MemoryDeleted => "memory_deleted",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the event has to outlive the log: the rare ones that change who may do what. Everyday use of memories
    /// is logged only, because a row for each search would cost more than the search.
    #[must_use]
    pub fn is_kept(self) -> bool {
        !matches!(
            self,
            Self::MemoriesSearched | Self::MemoryRead | Self::MemoryCreated | Self::MemoryUpdated | Self::MemoryDeleted
        )
    }
}

/// One entry. It holds no content, no query, no secret, no token and no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// What happened.
    pub kind: AuditKind,
    /// When.
    pub at: Timestamp,
    /// Whose application was concerned.
    pub application_id: Option<ApplicationId>,
    /// Which person was concerned.
    pub person_id: Option<UserId>,
    /// Which grant was concerned.
    pub grant_id: Option<GrantId>,
    /// Which request asked for it.
    pub request_id: Option<RequestId>,
    /// Which GPT and conversation it came from, as the assistant says. Logged, and not kept.
    pub context: Context,
}

impl AuditEvent {
    /// An event that concerns nobody in particular yet.
    #[must_use]
    pub fn new(kind: AuditKind, at: Timestamp) -> Self {
        Self {
            kind,
            at,
            application_id: None,
            person_id: None,
            grant_id: None,
            request_id: None,
            context: Context::default(),
        }
    }

    /// Says which application is concerned.
    #[must_use]
    pub fn application(mut self, id: ApplicationId) -> Self {
        self.application_id = Some(id);
        self
    }

    /// Says which person is concerned.
    #[must_use]
    pub fn person(mut self, id: UserId) -> Self {
        self.person_id = Some(id);
        self
    }

    /// Says which grant is concerned.
    #[must_use]
    pub fn grant(mut self, id: GrantId) -> Self {
        self.grant_id = Some(id);
        self
    }

    /// Says which GPT and conversation it came from.
    #[must_use]
    pub fn context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Says which request asked for it.
    #[must_use]
    pub fn request(mut self, id: RequestId) -> Self {
        self.request_id = Some(id);
        self
    }
}

/// Keeps audit events.
#[cfg_attr(feature = "testing", mockall::automock)]
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Keeps `event`. A log that cannot be written is the adapter's to report; what was done is done.
    async fn record(&self, event: &AuditEvent);

    /// The newest `limit` kept events ([`AuditKind::is_kept`]), newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn recent(&self, limit: u32) -> Result<Vec<AuditEvent>, StorageError>;

    /// Forgets at most `limit` events that happened before `before`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

#[cfg(test)]
mod tests;
