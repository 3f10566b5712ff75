//! A verifier of passkeys that believes everybody.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::UserId;
use crate::people::{
    CredentialId, NewCredential, Passkey, PasskeyChallenge, PasskeyClaim, PasskeyVerifier, PasskeyVerifierError,
    Person, StoredCredential,
};

/// A verifier whose responses say what is true of them, **for tests only**. A stored credential is its counter.
#[derive(Debug, Default)]
pub struct FakePasskeyVerifier;

/// A response of a browser to the [`FakePasskeyVerifier`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FakeResponse {
    /// The challenge, as in the options.
    pub challenge: String,
    /// The ID of the credential.
    pub credential_id: Vec<u8>,
    /// Whose it is.
    pub person: Option<Uuid>,
    /// Whether it is signed as it must be.
    pub is_genuine: bool,
    /// Its counter.
    pub counter: u64,
}

impl FakeResponse {
    /// A genuine response with this passkey to these options.
    ///
    /// # Panics
    /// If these are no options.
    #[must_use]
    pub fn to(options: &str, passkey: &Passkey) -> Self {
        let options: serde_json::Value = serde_json::from_str(options).expect("options");
        Self {
            challenge: options["publicKey"]["challenge"].as_str().expect("a challenge").to_owned(),
            credential_id: passkey.credential_id.as_bytes().to_vec(),
            person: Some(passkey.person.as_uuid()),
            is_genuine: true,
            counter: 1,
        }
    }

    /// The response as the browser sends it.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("it is JSON")
    }
}

fn options(challenge: &PasskeyChallenge) -> String {
    serde_json::json!({"publicKey": {"challenge": URL_SAFE_NO_PAD.encode(challenge.as_bytes())}}).to_string()
}

fn refused(why: &str) -> PasskeyVerifierError {
    PasskeyVerifierError::Refused(why.into())
}

fn genuine(response: &str, challenge: &PasskeyChallenge) -> Result<FakeResponse, PasskeyVerifierError> {
    let response: FakeResponse = serde_json::from_str(response).map_err(|_| refused("unreadable"))?;
    let answers = response.challenge == URL_SAFE_NO_PAD.encode(challenge.as_bytes());
    if answers && response.is_genuine { Ok(response) } else { Err(refused("not genuine")) }
}

impl PasskeyVerifier for FakePasskeyVerifier {
    fn creation_options(
        &self,
        _: &Person,
        _: &[CredentialId],
        challenge: &PasskeyChallenge,
    ) -> Result<String, PasskeyVerifierError> {
        Ok(options(challenge))
    }

    fn request_options(&self, challenge: &PasskeyChallenge) -> Result<String, PasskeyVerifierError> {
        Ok(options(challenge))
    }

    fn claim(&self, response: &str) -> Option<PasskeyClaim> {
        let response: FakeResponse = serde_json::from_str(response).ok()?;
        Some(PasskeyClaim {
            challenge: URL_SAFE_NO_PAD.decode(response.challenge).ok()?,
            credential_id: response.credential_id.try_into().ok()?,
            person: response.person.map(UserId::from_uuid),
        })
    }

    fn register(
        &self,
        response: &str,
        _: &Person,
        known: &[CredentialId],
        challenge: &PasskeyChallenge,
    ) -> Result<NewCredential, PasskeyVerifierError> {
        let response = genuine(response, challenge)?;
        let id = CredentialId::try_from(response.credential_id).map_err(|_| refused("no ID"))?;
        if known.contains(&id) {
            return Err(refused("it is known"));
        }
        let credential = StoredCredential::new(response.counter.to_string()).map_err(|_| refused("too long"))?;
        Ok(NewCredential { id, credential })
    }

    fn authenticate(
        &self,
        response: &str,
        challenge: &PasskeyChallenge,
        passkey: &Passkey,
    ) -> Result<StoredCredential, PasskeyVerifierError> {
        let response = genuine(response, challenge)?;
        let before: u64 = passkey.credential.as_str().parse().map_err(|_| PasskeyVerifierError::Failed("?".into()))?;
        if response.counter <= before {
            return Err(refused("the counter went back"));
        }
        StoredCredential::new(response.counter.to_string()).map_err(|_| refused("too long"))
    }
}
