//! The opened keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::Noise;
use hmac::{Hmac, Mac as _};
use jwt_simple::claims::JWTClaims;
use jwt_simple::common::HeaderOptions;
use jwt_simple::prelude::{Duration, UnixTimeStamp};
use jwt_simple::prelude::{
    ECDSAP256KeyPairLike, ECDSAP256PublicKeyLike, ES256KeyPair, ES256PublicKey, Ed25519KeyPair, Ed25519PublicKey,
    EdDSAKeyPairLike, EdDSAPublicKeyLike, HS256Key, MACLike as _, RS256KeyPair, RS256PublicKey, RSAKeyPairLike,
    RSAPublicKeyLike, VerificationOptions,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::Sha256;

use super::vault::SealingKeyVault;
use crate::domain::oauth::{KeyAlgorithm, KeyPurpose, SigningKey, VaultError};
use crate::domain::system::Timestamp;

/// The keys that verify. Which of them signs depends on the time.
pub(super) struct KeyRing(Vec<OpenKey>);

impl KeyRing {
    /// Opens all keys that are not retired.
    pub(super) fn open(vault: &SealingKeyVault, keys: &[SigningKey]) -> Result<Self, VaultError> {
        keys.iter()
            .filter(|key| key.retired_at.is_none())
            .map(|key| OpenKey::open(vault, key))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The key that signs at `at`: the newest that is active by then. If none is, the oldest: a clock that was ahead when
    /// the first keys were created, and has been corrected since, must not lock everybody out.
    pub(super) fn signing_at(&self, purpose: KeyPurpose, at: Timestamp) -> Option<&OpenKey> {
        let active = self.of(purpose).filter(|key| key.activates_at <= at);
        active.max_by_key(|key| (key.activates_at, key.generation)).or_else(|| self.oldest(purpose))
    }

    /// From when there is an active key for each purpose.
    pub(super) fn active_from(&self) -> Option<Timestamp> {
        KeyPurpose::ALL.into_iter().filter_map(|purpose| self.oldest(purpose)).map(|key| key.activates_at).max()
    }

    fn of(&self, purpose: KeyPurpose) -> impl Iterator<Item = &OpenKey> {
        self.0.iter().filter(move |key| key.purpose == purpose)
    }

    fn oldest(&self, purpose: KeyPurpose) -> Option<&OpenKey> {
        self.of(purpose).min_by_key(|key| (key.activates_at, key.generation))
    }

    pub(super) fn find(&self, id: &str, purpose: KeyPurpose) -> Option<&OpenKey> {
        self.0.iter().find(|key| key.id == id && key.purpose == purpose)
    }

    /// The JSON Web Key Set of the access tokens' keys.
    pub(super) fn published(&self) -> Value {
        let access = self.0.iter().filter(|key| key.purpose == KeyPurpose::AccessToken);
        json!({ "keys": access.filter_map(OpenKey::published).collect::<Vec<_>>() })
    }
}

/// `typ` of the tokens for a purpose: that of access tokens (RFC 9068 §2.1), and another, so that neither is taken for the
/// other (RFC 8725 §3.11).
fn typ(purpose: KeyPurpose) -> &'static str {
    match purpose {
        KeyPurpose::AccessToken => "at+jwt",
        KeyPurpose::RefreshToken => "rt+jwt",
    }
}

/// A token of this encoded header and these claims, with the signature that `sign` makes of them.
fn encode<S: AsRef<[u8]>>(
    header: &str,
    claims: &impl Serialize,
    sign: impl FnOnce(&str) -> S,
) -> Result<String, jwt_simple::Error> {
    let claims = serde_json::to_vec(claims)?;
    let mut token = String::with_capacity(header.len() + claims.len() * 4 / 3 + 96);
    token.push_str(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut token);
    let signature = sign(&token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// One key, opened.
pub(super) struct OpenKey {
    id: String,
    purpose: KeyPurpose,
    generation: u32,
    activates_at: Timestamp,
    material: Material,
}

enum Material {
    /// `header` is the encoded header of its tokens, which never changes.
    EdDsa {
        pair: Box<Ed25519KeyPair>,
        public: Box<Ed25519PublicKey>,
        header: String,
    },
    Es256 {
        pair: Box<ES256KeyPair>,
        public: Box<ES256PublicKey>,
    },
    Rs256 {
        pair: Box<RS256KeyPair>,
        public: Box<RS256PublicKey>,
    },
    /// `mac` is the same key, ready to authenticate.
    Hs256 {
        key: Box<HS256Key>,
        mac: Box<Hmac<Sha256>>,
        header: String,
    },
}

impl OpenKey {
    fn open(vault: &SealingKeyVault, key: &SigningKey) -> Result<Self, VaultError> {
        let bytes = vault.open(key)?;
        let id = key.id.as_str();
        let unusable = || VaultError::WrongMasterKey(key.id.clone());
        let header = || {
            let header = json!({ "alg": key.algorithm.as_str(), "kid": id, "typ": typ(key.purpose) });
            URL_SAFE_NO_PAD.encode(header.to_string())
        };
        let material = match key.algorithm {
            KeyAlgorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_bytes(&bytes).map_err(|_| unusable())?.with_key_id(id);
                Material::EdDsa { public: Box::new(pair.public_key()), pair: Box::new(pair), header: header() }
            }
            KeyAlgorithm::Es256 => {
                let pair = ES256KeyPair::from_bytes(&bytes).map_err(|_| unusable())?.with_key_id(id);
                Material::Es256 { public: Box::new(pair.public_key()), pair: Box::new(pair) }
            }
            KeyAlgorithm::Rs256 => {
                let pair = RS256KeyPair::from_der(&bytes).map_err(|_| unusable())?.with_key_id(id);
                Material::Rs256 { public: Box::new(pair.public_key()), pair: Box::new(pair) }
            }
            KeyAlgorithm::Hs256 => {
                let mac = Hmac::new_from_slice(&bytes).map_err(|_| unusable())?;
                let key = HS256Key::from_bytes(&bytes).with_key_id(id);
                Material::Hs256 { key: Box::new(key), mac: Box::new(mac), header: header() }
            }
        };
        let (purpose, generation, activates_at) = (key.purpose, key.generation, key.activates_at);
        Ok(Self { id: id.to_owned(), purpose, generation, activates_at, material })
    }

    /// Signs `claims` as a token of the key's purpose.
    pub(super) fn sign<T: Serialize>(&self, claims: JWTClaims<T>) -> Result<String, jwt_simple::Error> {
        let options = || HeaderOptions { content_type: None, signature_type: Some(typ(self.purpose).to_owned()) };
        match &self.material {
            // As the library does it, with less to encode, and with the processor's instructions for SHA-256.
            Material::EdDsa { pair, header, .. } => {
                let secret = &pair.key_pair().as_ref().sk;
                encode(header, &claims, |signed| *secret.sign(signed, Some(Noise::generate())))
            }
            Material::Hs256 { mac, header, .. } => {
                encode(header, &claims, |signed| mac.as_ref().clone().chain_update(signed).finalize().into_bytes())
            }
            Material::Es256 { pair, .. } => pair.sign_with_options(claims, &options()),
            Material::Rs256 { pair, .. } => pair.sign_with_options(claims, &options()),
        }
    }

    /// The claims of a token of the key's purpose signed with this key.
    pub(super) fn verify<T: DeserializeOwned>(&self, token: &str) -> Option<JWTClaims<T>> {
        // The domain checks times, so the library's time checks are disabled.
        let options = VerificationOptions {
            accept_future: true,
            artificial_time: Some(UnixTimeStamp::from_secs(0)),
            time_tolerance: Some(Duration::from_secs(0)),
            required_key_id: Some(self.id.clone()),
            required_signature_type: Some(typ(self.purpose).to_owned()),
            ..VerificationOptions::default()
        };
        match &self.material {
            Material::EdDsa { public, .. } => public.verify_token(token, Some(options)).ok(),
            Material::Es256 { public, .. } => public.verify_token(token, Some(options)).ok(),
            Material::Rs256 { public, .. } => public.verify_token(token, Some(options)).ok(),
            Material::Hs256 { key, .. } => key.verify_token(token, Some(options)).ok(),
        }
    }

    /// The public key as a JSON Web Key; `None` for a symmetric key.
    fn published(&self) -> Option<Value> {
        let (jwk, algorithm) = match &self.material {
            Material::EdDsa { public, .. } => (public.to_jwk(), KeyAlgorithm::EdDsa),
            Material::Es256 { public, .. } => (public.to_jwk(), KeyAlgorithm::Es256),
            Material::Rs256 { public, .. } => (public.to_jwk(), KeyAlgorithm::Rs256),
            Material::Hs256 { .. } => return None,
        };
        let mut jwk: Value = serde_json::from_str(&jwk).ok()?;
        let members = jwk.as_object_mut()?;
        members.insert("kid".to_owned(), self.id.as_str().into());
        members.insert("use".to_owned(), "sig".into());
        members.insert("alg".to_owned(), algorithm.as_str().into());
        Some(jwk)
    }
}
