//! Web Authentication with the library `webauthn-rs` (ADR 22).
//!
//! The library makes a challenge of its own for each ceremony and wants the state with it to be kept on the server. Here the
//! challenge is the domain's, which proves what the state would: so a state is made anew, with that challenge, to verify.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    CreationChallengeResponse, DiscoverableAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, WebauthnError,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::domain::ids::UserId;
use crate::domain::people::{
    CredentialId, NewCredential, Passkey, PasskeyChallenge, PasskeyClaim, PasskeyVerifier, PasskeyVerifierError,
    Person, StoredCredential,
};

/// Verifies passkeys for one origin.
#[derive(Debug)]
pub struct WebauthnVerifier {
    webauthn: Webauthn,
}

impl WebauthnVerifier {
    /// A verifier for a service at `public_url`, whose host is the relying party ID. `None` where browsers have no passkeys:
    /// they are for https and for `localhost`, and not for IP addresses.
    #[must_use]
    pub fn at(public_url: &str) -> Option<Self> {
        let origin = Url::parse(public_url).ok()?;
        let host = origin.domain()?;
        let is_local = host == "localhost" || host.ends_with(".localhost");
        if origin.scheme() != "https" && !(origin.scheme() == "http" && is_local) {
            return None;
        }
        let builder = WebauthnBuilder::new(host, &origin).ok()?.rp_name("memgate").timeout(PasskeyChallenge::LIFETIME);
        Some(Self { webauthn: builder.build().ok()? })
    }

    fn start_registration(
        &self,
        person: &Person,
        known: &[CredentialId],
    ) -> Result<(CreationChallengeResponse, PasskeyRegistration), PasskeyVerifierError> {
        let known = known.iter().map(|id| id.as_bytes().to_vec()).collect();
        let (id, label) = (person.id.as_uuid(), person.label());
        self.webauthn.start_passkey_registration(id, label, label, Some(known)).map_err(failed)
    }
}

/// The part of a response that says what it is for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claimed {
    raw_id: String,
    response: ClaimedResponse,
}

#[derive(Deserialize)]
struct ClaimedResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    #[serde(rename = "userHandle")]
    user_handle: Option<String>,
}

#[derive(Deserialize)]
struct ClientData {
    challenge: String,
}

impl PasskeyVerifier for WebauthnVerifier {
    fn creation_options(
        &self,
        person: &Person,
        known: &[CredentialId],
        challenge: &PasskeyChallenge,
    ) -> Result<String, PasskeyVerifierError> {
        let (options, _) = self.start_registration(person, known)?;
        let mut options = serde_json::to_value(options).map_err(failed)?;
        let selection = replace(&mut options, "/publicKey/challenge", encoded(challenge))
            .and_then(|()| options.pointer_mut("/publicKey/authenticatorSelection"))
            .ok_or_else(changed)?;
        // Only a discoverable credential signs in somebody who has not said who they are.
        selection["residentKey"] = json!("required");
        selection["requireResidentKey"] = json!(true);
        Ok(options.to_string())
    }

    fn request_options(&self, challenge: &PasskeyChallenge) -> Result<String, PasskeyVerifierError> {
        let (options, _) = self.webauthn.start_discoverable_authentication().map_err(failed)?;
        let mut options = serde_json::to_value(options).map_err(failed)?;
        replace(&mut options, "/publicKey/challenge", encoded(challenge)).ok_or_else(changed)?;
        // A button asks for it, rather than the field for the login.
        options.as_object_mut().ok_or_else(changed)?.remove("mediation");
        Ok(options.to_string())
    }

    fn claim(&self, response: &str) -> Option<PasskeyClaim> {
        let Claimed { raw_id, response } = serde_json::from_str(response).ok()?;
        let data: ClientData = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(response.client_data).ok()?).ok()?;
        let person = match response.user_handle {
            Some(handle) => Some(Uuid::from_slice(&URL_SAFE_NO_PAD.decode(handle).ok()?).ok()?),
            None => None,
        };
        Some(PasskeyClaim {
            challenge: URL_SAFE_NO_PAD.decode(data.challenge).ok()?,
            credential_id: URL_SAFE_NO_PAD.decode(raw_id).ok()?.try_into().ok()?,
            person: person.map(UserId::from_uuid),
        })
    }

    fn register(
        &self,
        response: &str,
        person: &Person,
        known: &[CredentialId],
        challenge: &PasskeyChallenge,
    ) -> Result<NewCredential, PasskeyVerifierError> {
        let response: RegisterPublicKeyCredential = serde_json::from_str(response).map_err(refused)?;
        let (_, state) = self.start_registration(person, known)?;
        let state: PasskeyRegistration = with_challenge(&state, "/rs/challenge", challenge)?;
        let created = self.webauthn.finish_passkey_registration(&response, &state).map_err(rejection_of)?;
        Ok(NewCredential { id: created.cred_id().clone().try_into().map_err(refused)?, credential: stored(&created)? })
    }

    fn authenticate(
        &self,
        response: &str,
        challenge: &PasskeyChallenge,
        passkey: &Passkey,
    ) -> Result<StoredCredential, PasskeyVerifierError> {
        let response: PublicKeyCredential = serde_json::from_str(response).map_err(refused)?;
        let (_, state) = self.webauthn.start_discoverable_authentication().map_err(failed)?;
        let state: DiscoverableAuthentication = with_challenge(&state, "/ast/challenge", challenge)?;
        let mut known: webauthn_rs::prelude::Passkey =
            serde_json::from_str(passkey.credential.as_str()).map_err(failed)?;
        let result =
            self.webauthn.finish_discoverable_authentication_v2(&response, state, &known).map_err(rejection_of)?;
        match known.update_credential(&result) {
            Some(true) => stored(&known),
            _ => Ok(passkey.credential.clone()),
        }
    }
}

fn stored(credential: &webauthn_rs::prelude::Passkey) -> Result<StoredCredential, PasskeyVerifierError> {
    StoredCredential::new(serde_json::to_string(credential).map_err(failed)?).map_err(refused)
}

fn encoded(challenge: &PasskeyChallenge) -> Value {
    URL_SAFE_NO_PAD.encode(challenge.as_bytes()).into()
}

/// Replaces the value at `pointer`; `None` if there is none.
fn replace(document: &mut Value, pointer: &str, value: Value) -> Option<()> {
    *document.pointer_mut(pointer)? = value;
    Some(())
}

/// The same state of the library, for this challenge.
fn with_challenge<S: Serialize + DeserializeOwned>(
    state: &S,
    pointer: &str,
    challenge: &PasskeyChallenge,
) -> Result<S, PasskeyVerifierError> {
    let mut document = serde_json::to_value(state).map_err(failed)?;
    replace(&mut document, pointer, encoded(challenge)).ok_or_else(changed)?;
    serde_json::from_value(document).map_err(failed)
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> PasskeyVerifierError {
    PasskeyVerifierError::Refused(Box::new(error))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> PasskeyVerifierError {
    PasskeyVerifierError::Failed(Box::new(error))
}

fn changed() -> PasskeyVerifierError {
    PasskeyVerifierError::Failed("the library writes no challenge where it did".into())
}

fn rejection_of(error: WebauthnError) -> PasskeyVerifierError {
    match error {
        WebauthnError::Configuration => failed(error),
        error => refused(error),
    }
}

#[cfg(test)]
mod tests {
    use memgate_domain::testing::{SeededEntropy, now, passkey, person};

    use super::*;
    use crate::domain::people::{ChallengeKey, SignInAttempt};

    fn challenge() -> PasskeyChallenge {
        let entropy = SeededEntropy::default();
        let ceremony = SignInAttempt::begin(&entropy).passkey_ceremony();
        ChallengeKey::new([7; 32]).issue(&ceremony, &entropy, now())
    }

    #[test]
    fn there_are_passkeys_on_https_and_on_localhost_and_not_for_addresses() {
        for (public_url, expected) in [
            ("https://gate.example", true),
            ("https://gate.example:8443", true),
            ("http://localhost:8080", true),
            ("http://gate.localhost:8080", true),
            ("http://gate.example", false),
            ("http://localhost.example", false),
            ("http://127.0.0.1:8080", false),
            ("https://192.0.2.1", false),
            ("https://[2001:db8::1]", false),
            ("", false),
        ] {
            assert_eq!(WebauthnVerifier::at(public_url).is_some(), expected, "{public_url}");
        }
    }

    #[test]
    fn options_carry_our_challenge_and_require_a_discoverable_credential_and_a_verified_user() {
        let verifier = WebauthnVerifier::at("https://gate.example").unwrap();
        let (challenge, person) = (challenge(), person());
        let known = passkey(&person).credential_id;
        let options = verifier.creation_options(&person, std::slice::from_ref(&known), &challenge).unwrap();
        let options: Value = serde_json::from_str(&options).unwrap();
        let public_key = &options["publicKey"];
        assert_eq!(public_key["challenge"], encoded(&challenge));
        assert_eq!(public_key["rp"], json!({"id": "gate.example", "name": "memgate"}));
        assert_eq!(public_key["user"]["id"], URL_SAFE_NO_PAD.encode(person.id.as_uuid()));
        assert_eq!(public_key["user"]["name"], person.label());
        assert_eq!(public_key["excludeCredentials"][0]["id"], URL_SAFE_NO_PAD.encode(known.as_bytes()));
        assert_eq!(public_key["attestation"], "none");
        assert_eq!(
            public_key["authenticatorSelection"],
            json!({"residentKey": "required", "requireResidentKey": true, "userVerification": "required"})
        );
        let options: Value = serde_json::from_str(&verifier.request_options(&challenge).unwrap()).unwrap();
        let public_key = &options["publicKey"];
        assert_eq!(public_key["challenge"], encoded(&challenge));
        assert_eq!(public_key["rpId"], "gate.example");
        assert_eq!(public_key["userVerification"], "required");
        assert_eq!((&public_key["allowCredentials"], options.get("mediation")), (&json!([]), None));
    }

    #[test]
    fn what_cannot_be_read_is_no_claim_and_refused() {
        let verifier = WebauthnVerifier::at("https://gate.example").unwrap();
        let data = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let claim = |id: &str, data: &str, handle: Value| {
            let response = json!({"rawId": id, "response": {"clientDataJSON": data, "userHandle": handle}});
            verifier.claim(&response.to_string())
        };
        let person = person().id;
        let handle = json!(URL_SAFE_NO_PAD.encode(person.as_uuid()));
        let good = data(r#"{"challenge":"AQI"}"#);
        let expected =
            PasskeyClaim { challenge: vec![1, 2], credential_id: vec![3].try_into().unwrap(), person: Some(person) };
        assert_eq!(claim("Aw", &good, handle.clone()), Some(expected));
        assert_eq!(claim("Aw", &good, Value::Null).unwrap().person, None);
        for (id, data, handle) in [
            ("", &good, &handle),
            ("?", &good, &handle),
            ("Aw", &data("{}"), &handle),
            ("Aw", &data(r#"{"challenge":"?"}"#), &handle),
            ("Aw", &"?".to_owned(), &handle),
            ("Aw", &good, &json!("Aw")),
        ] {
            assert_eq!(claim(id, data, handle.clone()), None, "{id} {data} {handle}");
        }
        let known = Passkey {
            credential: StoredCredential::new("{}".to_owned()).unwrap(),
            ..passkey(&memgate_domain::testing::person())
        };
        for response in ["", "{}", "[]", "null"] {
            assert_eq!(verifier.claim(response), None);
            let answer = verifier.authenticate(response, &challenge(), &known);
            assert!(matches!(answer, Err(PasskeyVerifierError::Refused(_))), "{answer:?}");
        }
    }
}
