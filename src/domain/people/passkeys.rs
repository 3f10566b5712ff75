//! Adding and removing passkeys, and verifying who signs in with one.

use std::sync::Arc;

use super::model::{Account, Person};
use super::passkey::{ChallengeKey, CredentialId, Passkey, PasskeyChallenge, PasskeyName};
use super::ports::{AddPasskeyError, PasskeyRepository, PasskeyVerifier, PasskeyVerifierError, PersonRepository};
use super::session::{PasskeyCeremony, SessionToken, SignInAttempt};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{PasskeyId, UserId};
use crate::system::{BoxError, Clock, Entropy, StorageError};

/// The ports behind [`PasskeyService`].
#[derive(Clone)]
pub struct PasskeyPorts {
    /// Passkeys.
    pub passkeys: Arc<dyn PasskeyRepository>,
    /// Verifies what browsers send; `None` where browsers have no passkeys, as on http.
    pub verifier: Option<Arc<dyn PasskeyVerifier>>,
    /// People.
    pub people: Arc<dyn PersonRepository>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Manages passkeys. People with an account at the identity provider have none: whoever may no longer sign in there may not
/// sign in here.
#[derive(Clone)]
pub struct PasskeyService {
    ports: PasskeyPorts,
    key: Arc<ChallengeKey>,
}

/// Why something with passkeys failed.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// There are none at this public URL, or for this account.
    #[error("there are no passkeys here")]
    NotOffered,
    /// The person has as many as there can be.
    #[error("this person has the maximum number of passkeys")]
    TooMany,
    /// The passkey was added before.
    #[error("this passkey was added before")]
    Exists,
    /// The response of the browser belongs to no ceremony of it, is too late or a repetition, its passkey is unknown or its
    /// person disabled, or it is not signed as it must be: deliberately the same.
    #[error("the passkey was not accepted")]
    Refused,
    /// An internal error.
    #[error("the passkey could not be verified")]
    Internal(#[source] BoxError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<PasskeyVerifierError> for PasskeyError {
    fn from(error: PasskeyVerifierError) -> Self {
        match error {
            PasskeyVerifierError::Refused(_) => Self::Refused,
            PasskeyVerifierError::Failed(error) => Self::Internal(error),
        }
    }
}

impl PasskeyService {
    /// Assembles the service; `key` seals challenges.
    #[must_use]
    pub fn new(ports: PasskeyPorts, key: ChallengeKey) -> Self {
        Self { ports, key: Arc::new(key) }
    }

    /// Whether people can sign in with passkeys here.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.ports.verifier.is_some()
    }

    /// Whether this person can add passkeys.
    #[must_use]
    pub fn is_offered_to(&self, person: &Person) -> bool {
        self.is_offered() && has_password(person)
    }

    /// The passkeys of a person, the oldest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list(&self, person: UserId) -> Result<Vec<Passkey>, StorageError> {
        self.ports.passkeys.list_by_person(person).await
    }

    /// Begins to add a passkey for a signed-in person who has just confirmed the password. Returns the options for the browser,
    /// as JSON. The challenge in them proves the confirmation to [`add`](Self::add).
    ///
    /// # Errors
    /// [`PasskeyError::NotOffered`], [`PasskeyError::TooMany`], [`PasskeyError::Internal`], [`PasskeyError::Storage`].
    pub async fn begin(&self, person: &Person, session: &SessionToken) -> Result<String, PasskeyError> {
        let verifier = self.verifier_for(person)?;
        let known = self.list(person.id).await?;
        if known.len() >= Passkey::MAX_PER_PERSON as usize {
            return Err(PasskeyError::TooMany);
        }
        let challenge = self.issue(&session.passkey_ceremony());
        Ok(verifier.creation_options(person, &ids_of(&known), &challenge)?)
    }

    /// Adds the passkey that the browser of this session made.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub async fn add(
        &self,
        person: &Person,
        session: &SessionToken,
        name: PasskeyName,
        response: &str,
    ) -> Result<Passkey, PasskeyError> {
        let verifier = self.verifier_for(person)?;
        let claim = verifier.claim(response).ok_or(PasskeyError::Refused)?;
        let challenge = self.open(&claim.challenge, &session.passkey_ceremony())?;
        let known = self.list(person.id).await?;
        let created = verifier.register(response, person, &ids_of(&known), &challenge)?;
        self.spend(&challenge).await?;
        let passkey = Passkey {
            id: PasskeyId::generate(&*self.ports.entropy),
            person: person.id,
            credential_id: created.id,
            name,
            credential: created.credential,
            created_at: self.ports.clock.now(),
            last_used_at: None,
        };
        match self.ports.passkeys.add(&passkey).await {
            Ok(()) => {}
            Err(AddPasskeyError::Exists) => return Err(PasskeyError::Exists),
            Err(AddPasskeyError::TooMany) => return Err(PasskeyError::TooMany),
            Err(AddPasskeyError::Storage(error)) => return Err(error.into()),
        }
        self.record(AuditKind::PasskeyAdded, passkey.person).await;
        Ok(passkey)
    }

    /// Removes a passkey of a person. Sessions that it began go on. Returns whether there was one.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn remove(&self, person: UserId, id: PasskeyId) -> Result<bool, StorageError> {
        let removed = self.ports.passkeys.remove(person, id).await?;
        if removed {
            self.record(AuditKind::PasskeyRemoved, person).await;
        }
        Ok(removed)
    }

    /// The options for the browser of `attempt` to sign in with any passkey, as JSON.
    ///
    /// # Errors
    /// [`PasskeyError::NotOffered`], [`PasskeyError::Internal`].
    pub fn sign_in_options(&self, attempt: &SignInAttempt) -> Result<String, PasskeyError> {
        let verifier = self.ports.verifier.as_ref().ok_or(PasskeyError::NotOffered)?;
        Ok(verifier.request_options(&self.issue(&attempt.passkey_ceremony()))?)
    }

    /// The person whose passkey signed the response of the browser of `attempt`. It works once.
    ///
    /// # Errors
    /// [`PasskeyError::NotOffered`], [`PasskeyError::Refused`], [`PasskeyError::Internal`], [`PasskeyError::Storage`].
    pub async fn verify(&self, attempt: &SignInAttempt, response: &str) -> Result<Person, PasskeyError> {
        let verifier = self.ports.verifier.as_ref().ok_or(PasskeyError::NotOffered)?;
        let claim = verifier.claim(response).ok_or(PasskeyError::Refused)?;
        let challenge = self.open(&claim.challenge, &attempt.passkey_ceremony())?;
        let passkey = self.ports.passkeys.find(&claim.credential_id).await?.ok_or(PasskeyError::Refused)?;
        if claim.person != Some(passkey.person) {
            return Err(PasskeyError::Refused);
        }
        let person = self.ports.people.find(passkey.person).await?;
        let good = |person: &Person| person.enabled && has_password(person);
        let person = person.filter(good).ok_or(PasskeyError::Refused)?;
        let renewed = verifier.authenticate(response, &challenge, &passkey)?;
        self.spend(&challenge).await?;
        // It was removed, or its counter went up, since it was read.
        if !self.ports.passkeys.record_use(&passkey, &renewed, self.ports.clock.now()).await? {
            return Err(PasskeyError::Refused);
        }
        Ok(person)
    }

    fn verifier_for(&self, person: &Person) -> Result<&Arc<dyn PasskeyVerifier>, PasskeyError> {
        self.ports.verifier.as_ref().filter(|_| has_password(person)).ok_or(PasskeyError::NotOffered)
    }

    fn issue(&self, ceremony: &PasskeyCeremony) -> PasskeyChallenge {
        self.key.issue(ceremony, &*self.ports.entropy, self.ports.clock.now())
    }

    fn open(&self, presented: &[u8], ceremony: &PasskeyCeremony) -> Result<PasskeyChallenge, PasskeyError> {
        self.key.open(presented, ceremony, self.ports.clock.now()).ok_or(PasskeyError::Refused)
    }

    /// Only what was signed as it must be is stored, so that whoever cannot sign leaves nothing behind.
    async fn spend(&self, challenge: &PasskeyChallenge) -> Result<(), PasskeyError> {
        let first = self.ports.passkeys.spend(&challenge.spent()).await?;
        if first { Ok(()) } else { Err(PasskeyError::Refused) }
    }

    async fn record(&self, kind: AuditKind, person: UserId) {
        self.ports.audit.record(&AuditEvent::new(kind, self.ports.clock.now()).person(person)).await;
    }
}

fn has_password(person: &Person) -> bool {
    matches!(person.account, Account::Local { .. })
}

fn ids_of(passkeys: &[Passkey]) -> Vec<CredentialId> {
    passkeys.iter().map(|passkey| passkey.credential_id.clone()).collect()
}

#[cfg(test)]
mod tests;
