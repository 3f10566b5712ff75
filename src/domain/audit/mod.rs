//! The audit log: who did what, without any content.

mod context;

use async_trait::async_trait;

pub use context::{Context, ContextId};

use crate::ids::{ApplicationId, GrantId, RequestId, UserId};
use crate::system::{StorageError, Timestamp};

/// What is stored of an event, in addition to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Nothing: a row per search would cost more than the search.
    Nothing,
    /// The event.
    Event,
    /// How often its like happened on that day in UTC: events of the same kind, application and person are one, whose
    /// [`times`](AuditEvent::times) are added up, at the time of the latest, and without a grant or a request.
    DailyCount,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditKind {
    /// An application was registered.
    ApplicationCreated,
    /// An application was changed.
    ApplicationUpdated,
    /// An application was enabled.
    ApplicationEnabled,
    /// An application was disabled.
    ApplicationDisabled,
    /// An application was deleted.
    ApplicationDeleted,
    /// A secret was added.
    SecretAdded,
    /// A secret was removed.
    SecretRemoved,
    /// A refresh token was reused: it may be stolen. Its grant was revoked.
    RefreshTokenReused,
    /// A grant and all its tokens were revoked by its owner.
    GrantRevoked,
    /// One access token was revoked by its owner.
    TokenRevoked,
    /// A signing key was created.
    SigningKeyCreated,
    /// A signing key was retired.
    SigningKeyRetired,
    /// The signing keys were re-encrypted with another master key.
    SigningKeysRewrapped,
    /// A person was registered, or signed in for the first time through the identity provider.
    PersonCreated,
    /// A person was enabled.
    PersonEnabled,
    /// A person was disabled.
    PersonDisabled,
    /// A person was deleted.
    PersonDeleted,
    /// The password of a person was replaced.
    PasswordChanged,
    /// A link with which a person chooses a password was made.
    PasswordLinkCreated,
    /// A person added a passkey.
    PasskeyAdded,
    /// A person removed a passkey.
    PasskeyRemoved,
    /// A person signed in.
    PersonSignedIn,
    /// A person signed in with a passkey.
    PersonSignedInWithPasskey,
    /// A person authorized an application to act on their behalf.
    AuthorizationGranted,
    /// A person revoked an authorization.
    AuthorizationEnded,
    /// An authorization code was reused: it may be stolen. Its grant was revoked.
    AuthorizationCodeReused,
    /// A client was throttled after too many failed authentications.
    ClientThrottled,
    /// A sign-in was throttled after too many failed attempts.
    SignInThrottled,
    /// An operator retried a queued memory or a dead letter.
    QueuedWriteRetried,
    /// An operator deleted a queued memory or a dead letter.
    QueuedWriteDropped,
    /// An operator exported memories of an application or of a person.
    MemoriesExported,
    /// An operator imported memories of an application or of a person.
    MemoriesImported,
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
    /// Every kind.
    pub const ALL: [Self; 37] = [
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
        Self::PasswordLinkCreated,
        Self::PasskeyAdded,
        Self::PasskeyRemoved,
        Self::PersonSignedIn,
        Self::PersonSignedInWithPasskey,
        Self::AuthorizationGranted,
        Self::AuthorizationEnded,
        Self::AuthorizationCodeReused,
        Self::ClientThrottled,
        Self::SignInThrottled,
        Self::QueuedWriteRetried,
        Self::QueuedWriteDropped,
        Self::MemoriesExported,
        Self::MemoriesImported,
        Self::MemoriesSearched,
        Self::MemoryRead,
        Self::MemoryCreated,
        Self::MemoryUpdated,
        Self::MemoryDeleted,
    ];

    /// The name in storage and logs.
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
            Self::PasswordLinkCreated => "password_link_created",
            Self::PasskeyAdded => "passkey_added",
            Self::PasskeyRemoved => "passkey_removed",
            Self::PersonSignedIn => "person_signed_in",
            Self::PersonSignedInWithPasskey => "person_signed_in_with_passkey",
            Self::AuthorizationGranted => "authorization_granted",
            Self::AuthorizationEnded => "authorization_ended",
            Self::AuthorizationCodeReused => "authorization_code_reused",
            Self::ClientThrottled => "client_throttled",
            Self::SignInThrottled => "sign_in_throttled",
            Self::QueuedWriteRetried => "queued_write_retried",
            Self::QueuedWriteDropped => "queued_write_dropped",
            Self::MemoriesExported => "memories_exported",
            Self::MemoriesImported => "memories_imported",
            Self::MemoriesSearched => "memories_searched",
            Self::MemoryRead => "memory_read",
            Self::MemoryCreated => "memory_created",
            Self::MemoryUpdated => "memory_updated",
            Self::MemoryDeleted => "memory_deleted",
        }
    }

    /// Parses the name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One entry. It contains no content, query, secret, token or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its kind.
    pub kind: AuditKind,
    /// Its time.
    pub at: Timestamp,
    /// How often it happened.
    pub times: u64,
    /// The application.
    pub application_id: Option<ApplicationId>,
    /// The person.
    pub person_id: Option<UserId>,
    /// The grant.
    pub grant_id: Option<GrantId>,
    /// The request.
    pub request_id: Option<RequestId>,
    /// The GPT and the conversation, according to the assistant. Logged, but not stored.
    pub context: Context,
}

impl AuditEvent {
    /// An event without further attributes.
    #[must_use]
    pub fn new(kind: AuditKind, at: Timestamp) -> Self {
        Self {
            kind,
            at,
            times: 1,
            application_id: None,
            person_id: None,
            grant_id: None,
            request_id: None,
            context: Context::default(),
        }
    }

    /// Sets how often it happened.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Sets the application.
    #[must_use]
    pub fn application(mut self, id: ApplicationId) -> Self {
        self.application_id = Some(id);
        self
    }

    /// Sets the person.
    #[must_use]
    pub fn person(mut self, id: UserId) -> Self {
        self.person_id = Some(id);
        self
    }

    /// Sets the grant.
    #[must_use]
    pub fn grant(mut self, id: GrantId) -> Self {
        self.grant_id = Some(id);
        self
    }

    /// Sets the GPT and the conversation.
    #[must_use]
    pub fn context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Sets the request.
    #[must_use]
    pub fn request(mut self, id: RequestId) -> Self {
        self.request_id = Some(id);
        self
    }

    /// What is stored of it: the rare events that change who may do what, what an operator took out or brought in, and what an
    /// application changed in a person's memories, which the person is told.
    #[must_use]
    pub fn storage(&self) -> Storage {
        match self.kind {
            AuditKind::MemoriesSearched | AuditKind::MemoryRead => Storage::Nothing,
            AuditKind::MemoryCreated | AuditKind::MemoryUpdated | AuditKind::MemoryDeleted => {
                let in_ones_name = self.application_id.is_some() && self.person_id.is_some() && self.times > 0;
                if in_ones_name { Storage::DailyCount } else { Storage::Nothing }
            }
            _ => Storage::Event,
        }
    }
}

/// Some of the events that concern a person, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<AuditEvent>,
    /// Whether there are older ones.
    pub has_older: bool,
}

impl EventPage {
    /// The first `limit` of `events`, which are more if there are older ones.
    #[must_use]
    pub fn of(mut events: Vec<AuditEvent>, limit: u32) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_older = events.len() > limit;
        events.truncate(limit);
        Self { events, has_older }
    }
}

/// Stores audit events.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Records `event`. The adapter logs failures: what was done cannot be undone.
    async fn record(&self, event: &AuditEvent);

    /// The newest `limit` events that are stored themselves ([`Storage::Event`]), newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn recent(&self, limit: u32) -> Result<Vec<AuditEvent>, StorageError>;

    /// The newest `limit` stored events and daily counts that concern a person, newest first, after the newest `skip` of them.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn recent_of_person(&self, person: UserId, skip: u32, limit: u32) -> Result<Vec<AuditEvent>, StorageError>;

    /// Deletes at most `limit` events that happened before `before`. Returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    async fn sweep(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError>;
}

#[cfg(test)]
mod tests;
