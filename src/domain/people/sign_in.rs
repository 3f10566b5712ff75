//! Signing in, staying signed in, and signing out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::admission::{Admission, label_of};
use super::model::{Account, ExternalUser, Login, Person};
use super::passkeys::{PasskeyError, PasskeyService};
use super::password::Password;
use super::ports::{IdentityError, IdentityProvider, PasswordHasher, PersonRepository, SessionStore};
use super::session::{Session, SessionId, SessionToken, SignInAttempt};
use crate::applications::{HasherError, SecretHash};
use crate::audit::{AuditEvent, AuditKind, AuditLog, EventPage};
use crate::ids::UserId;
use crate::limits::{Attempt, FailureThrottle, KeyedLimit, RateLimit, Throttled, network_of};
use crate::system::{BoxError, Clock, Entropy, StorageError};

/// The ports behind [`SignInService`].
#[derive(Clone)]
pub struct SignInPorts {
    /// People.
    pub people: Arc<dyn PersonRepository>,
    /// Sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Verifies passwords.
    pub hasher: Arc<dyn PasswordHasher>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The identity provider, and which of its accounts may sign in.
#[derive(Clone)]
pub struct ExternalSignIn {
    /// The provider.
    pub provider: Arc<dyn IdentityProvider>,
    /// The allow-list.
    pub admission: Admission,
}

/// Signs people in.
#[derive(Clone)]
pub struct SignInService {
    ports: SignInPorts,
    throttle: Arc<FailureThrottle>,
    external: Option<ExternalSignIn>,
    session_ttl: Duration,
    successes: Arc<KeyedLimit<UserId>>,
    passkeys: Option<PasskeyService>,
}

/// How often a person may sign in.
const SIGN_INS: RateLimit = RateLimit { burst: 100, interval: Duration::from_mins(1) };
/// Maximum number of people counted at a time.
const PEOPLE: usize = 10_000;

/// A signed-in person, with the token for the browser's cookie.
#[derive(Clone, Debug)]
pub struct SignedInUser {
    /// The token, for the cookie.
    pub token: SessionToken,
    /// The stored session.
    pub session: Session,
    /// The person.
    pub person: Person,
}

/// The response in an identity provider's redirect (RFC 6749 §4.1.2).
#[derive(Clone, Default)]
pub struct ProviderAnswer {
    /// The parameter `state`.
    pub state: Option<String>,
    /// The parameter `code`.
    pub code: Option<String>,
    /// The parameter `error`.
    pub error: Option<String>,
}

/// Why a sign-in failed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Unknown account, wrong password, or disabled account: deliberately the same.
    #[error("the login or the password is not right")]
    WrongCredentials,
    /// Too many failed attempts for this login, or from this address, or too many sessions begun in a row.
    #[error("too many attempts to sign in; wait before the next")]
    TooManyFailures {
        /// How long to wait.
        retry_after: Duration,
    },
    /// No identity provider is configured.
    #[error("sign-in with an identity provider is not set up here")]
    NoProvider,
    /// People cannot sign in with passkeys here.
    #[error("people cannot sign in with passkeys here")]
    NoPasskeys,
    /// The passkey is unknown, its response was not verified, or its person is disabled: deliberately the same.
    #[error("the passkey was not accepted")]
    PasskeyRefused,
    /// The response belongs to no attempt of this browser.
    #[error("this answer of the identity provider does not belong to a sign-in that began in this browser")]
    ForeignAnswer,
    /// The person, or the provider, declined.
    #[error("the identity provider did not sign you in")]
    Declined,
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] IdentityError),
    /// The provider verified the account, but it is not on the allow-list.
    #[error("this account may not sign in here")]
    NotAdmitted,
    /// The database is unavailable, or the queue for verifying passwords is full.
    #[error("the service is busy or its database is unavailable; try again shortly")]
    TemporarilyUnavailable(#[source] BoxError),
    /// An internal error.
    #[error("an internal error occurred")]
    Internal(#[source] BoxError),
}

impl From<StorageError> for SignInError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Unavailable(_) => Self::TemporarilyUnavailable(error.into()),
            StorageError::InconsistentRow { .. } => Self::Internal(error.into()),
        }
    }
}

impl From<PasskeyError> for SignInError {
    fn from(error: PasskeyError) -> Self {
        match error {
            PasskeyError::NotOffered => Self::NoPasskeys,
            PasskeyError::Refused | PasskeyError::TooMany | PasskeyError::Exists => Self::PasskeyRefused,
            PasskeyError::Internal(error) => Self::Internal(error),
            PasskeyError::Storage(error) => error.into(),
        }
    }
}

impl From<Throttled> for SignInError {
    fn from(throttled: Throttled) -> Self {
        Self::TooManyFailures { retry_after: throttled.retry_after }
    }
}

impl From<HasherError> for SignInError {
    fn from(error: HasherError) -> Self {
        match error {
            HasherError::Overloaded => Self::TemporarilyUnavailable(error.into()),
            HasherError::Failed(_) => Self::Internal(error.into()),
        }
    }
}

impl SignInService {
    /// Assembles the service. Failures are counted by `throttle`; a session is valid for `session_ttl`.
    #[must_use]
    pub fn new(
        ports: SignInPorts,
        throttle: Arc<FailureThrottle>,
        external: Option<ExternalSignIn>,
        session_ttl: Duration,
    ) -> Self {
        let successes = Arc::new(KeyedLimit::new(SIGN_INS, PEOPLE));
        Self { ports, throttle, external, session_ttl, successes, passkeys: None }
    }

    /// The same, and people can sign in with passkeys where there are any.
    #[must_use]
    pub fn with_passkeys(self, passkeys: PasskeyService) -> Self {
        Self { passkeys: Some(passkeys), ..self }
    }

    /// A new attempt, for its cookie.
    #[must_use]
    pub fn begin(&self) -> SignInAttempt {
        SignInAttempt::begin(&*self.ports.entropy)
    }

    /// Signs in with a login and a password, both unverified. An unknown login, a wrong password and a disabled account result
    /// in the same error in the same time: one hash. So does a login or a password with an impossible format, but that costs no
    /// hash and is not counted.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn with_password(
        &self,
        login: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<SignedInUser, SignInError> {
        let login: Login = login.trim().to_ascii_lowercase().parse().map_err(|_| SignInError::WrongCredentials)?;
        let password = Password::parse(password).ok_or(SignInError::WrongCredentials)?;
        let attempt = self.throttle.begin(login.as_str(), address, self.ports.clock.now())?;
        let person = match self.ports.people.find_by_login(&login).await {
            Ok(person) => person,
            Err(error) => {
                attempt.unavailable();
                return Err(error.into());
            }
        };
        let stored = person.as_ref().and_then(|person| match &person.account {
            Account::Local { password, .. } => Some(password.clone()),
            Account::External { .. } => None,
        });
        let is_known = stored.is_some();
        let hash = stored.unwrap_or_else(|| self.ports.hasher.decoy());
        let verified = match self.verify(&password, &hash, address).await {
            Ok(verified) => verified && is_known,
            Err(error) => {
                attempt.unavailable();
                return Err(error.into());
            }
        };
        let id = person.as_ref().map(|person| person.id);
        let Some(person) = person.filter(|person| verified && person.enabled) else {
            self.fail(attempt, id).await;
            return Err(SignInError::WrongCredentials);
        };
        attempt.succeeded();
        // The password was replaced, or the account disabled, during the verification.
        let user = self.open_session(person, AuditKind::PersonSignedIn).await?;
        let user = user.ok_or(SignInError::WrongCredentials)?;
        self.renew(user.person.id, &password, &hash).await;
        Ok(user)
    }

    /// Rehashes a password, which is available now, if its hash does not have the configured cost.
    async fn renew(&self, person: UserId, password: &Password, current: &SecretHash) {
        if !self.ports.hasher.is_outdated(current) {
            return;
        }
        // If that is not possible now, a later sign-in will do it; this one has succeeded.
        if let Ok(renewed) = self.ports.hasher.hash(password).await {
            let _renewed = self.ports.people.renew_password_hash(person, current, &renewed).await;
        }
    }

    /// Leaves an attempt counted, and announces it if throttling begins now.
    async fn fail(&self, attempt: Attempt<'_>, person: Option<UserId>) {
        if attempt.failed() {
            let event = AuditEvent::new(AuditKind::SignInThrottled, self.ports.clock.now());
            let event = match person {
                Some(person) => event.person(person),
                None => event,
            };
            self.ports.audit.record(&event).await;
        }
    }

    /// A hash from before passwords were normalized is of the original input. The number of hashes depends on the input alone,
    /// not on whether the account exists.
    async fn verify(&self, password: &Password, hash: &SecretHash, caller: IpAddr) -> Result<bool, HasherError> {
        let caller = network_of(caller);
        if self.ports.hasher.verify(password, hash, caller).await? {
            return Ok(true);
        }
        match password.as_typed() {
            Some(typed) => self.ports.hasher.verify(&typed, hash, caller).await,
            None => Ok(false),
        }
    }

    /// Signs in somebody who was just verified in another way, such as by a link; `None` if that is true no longer.
    ///
    /// # Errors
    /// [`SignInError::TooManyFailures`], [`SignInError::TemporarilyUnavailable`], [`SignInError::Internal`].
    pub async fn after_verification(&self, person: Person) -> Result<Option<SignedInUser>, SignInError> {
        self.open_session(person, AuditKind::PersonSignedIn).await
    }

    /// Whether people can sign in with passkeys.
    #[must_use]
    pub fn has_passkeys(&self) -> bool {
        self.passkeys.as_ref().is_some_and(PasskeyService::is_offered)
    }

    /// The options for the browser of `attempt` to sign in with a passkey, as JSON.
    ///
    /// # Errors
    /// [`SignInError::NoPasskeys`], [`SignInError::Internal`].
    pub fn passkey_options(&self, attempt: &SignInAttempt) -> Result<String, SignInError> {
        Ok(self.passkeys.as_ref().ok_or(SignInError::NoPasskeys)?.sign_in_options(attempt)?)
    }

    /// Signs in with the response of a passkey in the browser of `attempt`, which is at `address`. The address is counted before
    /// anything is read.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn with_passkey(
        &self,
        attempt: &SignInAttempt,
        response: &str,
        address: IpAddr,
    ) -> Result<SignedInUser, SignInError> {
        let passkeys = self.passkeys.as_ref().filter(|passkeys| passkeys.is_offered());
        let passkeys = passkeys.ok_or(SignInError::NoPasskeys)?;
        let counted = self.throttle.begin_unnamed(address, self.ports.clock.now())?;
        let person = match passkeys.verify(attempt, response).await {
            Ok(person) => person,
            Err(error @ (PasskeyError::Storage(_) | PasskeyError::Internal(_))) => {
                counted.unavailable();
                return Err(error.into());
            }
            Err(error) => {
                self.fail(counted, None).await;
                return Err(error.into());
            }
        };
        counted.succeeded();
        // The account was disabled, or its password replaced, during the verification.
        let user = self.open_session(person, AuditKind::PersonSignedInWithPasskey).await?;
        user.ok_or(SignInError::PasskeyRefused)
    }

    /// The name of the identity provider; `None` if there is none.
    #[must_use]
    pub fn provider_name(&self) -> Option<&str> {
        self.external.as_ref().map(|external| external.provider.name())
    }

    /// The URL that the browser of `attempt` is redirected to for signing in.
    ///
    /// # Errors
    /// [`SignInError::NoProvider`], [`SignInError::Provider`].
    pub async fn provider_url(&self, attempt: &SignInAttempt) -> Result<Url, SignInError> {
        let external = self.external.as_ref().ok_or(SignInError::NoProvider)?;
        Ok(external.provider.authorization_url(attempt).await?)
    }

    /// Signs in with the identity provider's response to the browser of `attempt`, which is at `address`. Anybody can make up a
    /// code, so the address is counted before the provider is called.
    ///
    /// # Errors
    /// [`SignInError`].
    pub async fn with_provider(
        &self,
        attempt: &SignInAttempt,
        answer: &ProviderAnswer,
        address: IpAddr,
    ) -> Result<SignedInUser, SignInError> {
        let external = self.external.as_ref().ok_or(SignInError::NoProvider)?;
        if !answer.state.as_ref().is_some_and(|state| attempt.state().matches(state)) {
            return Err(SignInError::ForeignAnswer);
        }
        let code = answer.code.as_ref().filter(|_| answer.error.is_none()).ok_or(SignInError::Declined)?;
        let counted = self.throttle.begin_unnamed(address, self.ports.clock.now())?;
        let proven = match external.provider.identify(attempt, code).await {
            Ok(proven) => proven,
            Err(error @ IdentityError::Rejected(_)) => {
                self.fail(counted, None).await;
                return Err(error.into());
            }
            Err(error @ IdentityError::Unavailable(_)) => {
                counted.unavailable();
                return Err(error.into());
            }
        };
        if !external.admission.admits(&proven) {
            self.fail(counted, None).await;
            return Err(SignInError::NotAdmitted);
        }
        counted.succeeded();
        let new_id = UserId::generate(&*self.ports.entropy);
        let external_user = ExternalUser {
            id: new_id,
            label: label_of(&proven),
            identity: proven.identity,
            at: self.ports.clock.now(),
        };
        let person = self.ports.people.find_or_create(&external_user).await?;
        if person.id == new_id {
            self.record(AuditKind::PersonCreated, new_id).await;
        }
        if !person.enabled {
            return Err(SignInError::NotAdmitted);
        }
        self.open_session(person, AuditKind::PersonSignedIn).await?.ok_or(SignInError::NotAdmitted)
    }

    /// The user with this cookie; `None` if the session has ended, or its person is disabled or deleted.
    ///
    /// # Errors
    /// [`SignInError::TemporarilyUnavailable`], [`SignInError::Internal`].
    pub async fn recognize(&self, cookie: &str) -> Result<Option<SignedInUser>, SignInError> {
        let Some(token) = SessionToken::parse(cookie) else { return Ok(None) };
        let Some(session) = self.ports.sessions.find(&token.id(), self.ports.clock.now()).await? else {
            return Ok(None);
        };
        let person = self.ports.people.find(session.person).await?.filter(|person| person.enabled);
        Ok(person.map(|person| SignedInUser { token, session, person }))
    }

    /// Whether the user with this token, who was recognized before, still would be.
    ///
    /// # Errors
    /// [`SignInError::TemporarilyUnavailable`], [`SignInError::Internal`].
    pub async fn is_signed_in(&self, token: &SessionToken) -> Result<bool, SignInError> {
        match self.ports.sessions.find(&token.id(), self.ports.clock.now()).await? {
            Some(session) => self.is_enabled(session.person).await,
            None => Ok(false),
        }
    }

    /// Whether a person exists and is enabled: what goes on in their name without a session asks this.
    ///
    /// # Errors
    /// [`SignInError::TemporarilyUnavailable`], [`SignInError::Internal`].
    pub async fn is_enabled(&self, person: UserId) -> Result<bool, SignInError> {
        Ok(self.ports.people.is_enabled(person).await?)
    }

    /// Ends the session with this token.
    ///
    /// # Errors
    /// [`SignInError::TemporarilyUnavailable`], [`SignInError::Internal`].
    pub async fn sign_out(&self, token: &SessionToken) -> Result<(), SignInError> {
        self.ports.sessions.delete(&token.id()).await?;
        Ok(())
    }

    /// Whether `password` is that of a person who is signed in, at `address`. Failures are counted as those of a sign-in are.
    ///
    /// # Errors
    /// [`SignInError::WrongCredentials`], also for an account without a password here; [`SignInError`].
    pub async fn confirm(&self, person: &Person, password: &str, address: IpAddr) -> Result<(), SignInError> {
        let Account::Local { login, password: hash } = &person.account else {
            return Err(SignInError::WrongCredentials);
        };
        let password = Password::parse(password).ok_or(SignInError::WrongCredentials)?;
        let attempt = self.throttle.begin(login.as_str(), address, self.ports.clock.now())?;
        match self.verify(&password, hash, address).await {
            Ok(true) => {
                attempt.succeeded();
                Ok(())
            }
            Ok(false) => {
                self.fail(attempt, Some(person.id)).await;
                Err(SignInError::WrongCredentials)
            }
            Err(error) => {
                attempt.unavailable();
                Err(error.into())
            }
        }
    }

    /// The sessions of a person, the newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn sessions(&self, person: UserId) -> Result<Vec<Session>, StorageError> {
        self.ports.sessions.list_by_person(person, self.ports.clock.now()).await
    }

    /// Ends one session of a person. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn end_session(&self, person: UserId, id: &SessionId) -> Result<bool, StorageError> {
        match self.ports.sessions.find(id, self.ports.clock.now()).await? {
            Some(session) if session.person == person => self.ports.sessions.delete(id).await,
            _ => Ok(false),
        }
    }

    /// Ends every session of a person. Returns how many there were.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn sign_out_everywhere(&self, person: UserId) -> Result<u64, StorageError> {
        self.ports.sessions.delete_by_person(person).await
    }

    /// The newest `limit` events that concern a person, after the newest `skip` of them.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn history(&self, person: UserId, skip: u32, limit: u32) -> Result<EventPage, StorageError> {
        let events = self.ports.audit.recent_of_person(person, skip, limit.saturating_add(1)).await?;
        Ok(EventPage::of(events, limit))
    }

    /// `None` if what was verified of `person` is true no longer.
    async fn open_session(&self, person: Person, how: AuditKind) -> Result<Option<SignedInUser>, SignInError> {
        let signed_in_at = self.ports.clock.now();
        // Each session leaves a line and an event behind.
        let allowed = self.successes.take(person.id, signed_in_at);
        allowed.map_err(|retry_after| SignInError::TooManyFailures { retry_after })?;
        let token = SessionToken::generate(&*self.ports.entropy);
        let session = Session {
            id: token.id(),
            person: person.id,
            signed_in_at,
            expires_at: signed_in_at.plus(self.session_ttl),
        };
        if !self.ports.sessions.create(&session, person.sign_in_version).await? {
            return Ok(None);
        }
        self.record(how, person.id).await;
        Ok(Some(SignedInUser { token, session, person }))
    }

    async fn record(&self, kind: AuditKind, person: UserId) {
        self.ports.audit.record(&AuditEvent::new(kind, self.ports.clock.now()).person(person)).await;
    }
}

#[cfg(test)]
mod tests;
