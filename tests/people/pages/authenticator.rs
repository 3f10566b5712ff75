//! An authenticator without a device: it makes and uses one passkey, and breaks the rules that a test names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[derive(Clone)]
pub struct Authenticator {
    pub key: SigningKey,
    pub id: Vec<u8>,
    /// Of whom the passkey is, as the options said.
    pub user: Option<String>,
    pub counter: u32,
    pub origin: String,
    pub relying_party: Option<&'static str>,
    pub is_verified: bool,
    pub kind: Option<&'static str>,
}

impl Authenticator {
    /// One whose passkey is made of `seed`, in a browser at `origin`.
    pub fn new(seed: u8, origin: &str) -> Self {
        Self {
            key: SigningKey::from_slice(&[seed; 32]).unwrap(),
            id: vec![seed; 16],
            user: None,
            counter: 0,
            origin: origin.to_owned(),
            relying_party: None,
            is_verified: true,
            kind: None,
        }
    }

    /// The response of `navigator.credentials.create`.
    pub fn create(&mut self, options: &Value) -> String {
        let options = &options["publicKey"];
        self.user = Some(options["user"]["id"].as_str().unwrap().to_owned());
        let data = self.client_data("webauthn.create", options);
        // Attested credential data: no model, the ID, and the key as COSE writes it (ES256 on P-256).
        let point = self.key.verifying_key().to_sec1_bytes();
        let (x, y) = (&point[1..33], &point[33..65]);
        let length = u16::try_from(self.id.len()).unwrap().to_be_bytes();
        let key = [&[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20], x, &[0x22, 0x58, 0x20], y].concat();
        let attested = [&[0; 16], &length[..], &self.id, &key].concat();
        let rp = options["rp"]["id"].as_str().unwrap();
        let authenticator_data = [self.authenticator_data(rp, 0x40), attested].concat();
        // {"fmt": "none", "attStmt": {}, "authData": …} in CBOR.
        let length = u16::try_from(authenticator_data.len()).unwrap().to_be_bytes();
        let head = [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59", &length[..]].concat();
        self.response(&json!({
            "attestationObject": encoded([head, authenticator_data].concat()),
            "clientDataJSON": encoded(data),
        }))
    }

    /// The response of `navigator.credentials.get`.
    pub fn get(&mut self, options: &Value) -> String {
        let options = &options["publicKey"];
        let data = self.client_data("webauthn.get", options);
        let authenticator_data = self.authenticator_data(options["rpId"].as_str().unwrap(), 0);
        let signed = [&*authenticator_data, &Sha256::digest(&data)].concat();
        let signature: Signature = self.key.sign(&signed);
        self.response(&json!({
            "authenticatorData": encoded(authenticator_data),
            "clientDataJSON": encoded(data),
            "signature": encoded(der(&signature.to_bytes())),
            "userHandle": self.user,
        }))
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let (kind, origin) = (self.kind.unwrap_or(kind), &self.origin);
        json!({"type": kind, "challenge": options["challenge"], "origin": origin, "crossOrigin": false})
            .to_string()
            .into_bytes()
    }

    /// The user is present, and verified unless a test says otherwise.
    fn authenticator_data(&self, relying_party: &str, flags: u8) -> Vec<u8> {
        let relying_party = Sha256::digest(self.relying_party.unwrap_or(relying_party));
        let flags = flags | 0x01 | if self.is_verified { 0x04 } else { 0 };
        [&*relying_party, &[flags], &self.counter.to_be_bytes()].concat()
    }

    fn response(&self, response: &Value) -> String {
        let id = encoded(&self.id);
        json!({"id": id, "rawId": id, "type": "public-key", "response": response}).to_string()
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A signature of two numbers of 32 bytes as ASN.1 writes it.
fn der(signature: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
        let sign: &[u8] = if bytes[start] >= 0x80 { &[0] } else { &[] };
        let digits = [sign, &bytes[start..]].concat();
        [&[0x02, u8::try_from(digits.len()).unwrap()], &digits[..]].concat()
    };
    let numbers = [number(&signature[..32]), number(&signature[32..])].concat();
    [&[0x30, u8::try_from(numbers.len()).unwrap()], &numbers[..]].concat()
}
