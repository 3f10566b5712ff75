//! Signing keys, encrypted with XChaCha20-Poly1305 under the master key.

use std::sync::Arc;

use async_trait::async_trait;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use jwt_simple::prelude::{ES256KeyPair, Ed25519KeyPair, RS256KeyPair};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};

use crate::domain::oauth::{
    KeyAlgorithm, KeyId, KeyPurpose, KeyVault, MasterKey, NewSigningKey, SealedKey, SigningKey, VaultError,
};
use crate::domain::system::Entropy;

/// Format byte of a key sealed with all attributes of its row.
const FORMAT: u8 = 2;
/// Format byte of a key sealed by an earlier release, without its generation and times.
const FORMAT_WITHOUT_TIMES: u8 = 1;
const NONCE_LENGTH: usize = 24;
/// The minimum of RFC 7518 §3.3, which every verifier accepts.
const RSA_BITS: usize = 2048;
/// The minimum of RFC 7518 §3.2, in bytes.
const HS256_LENGTH: usize = 32;

/// Creates, seals and opens signing keys.
///
/// A sealed key is a format byte, a random nonce of 24 bytes and the ciphertext. Its ID, purpose, algorithm, generation and
/// times are authenticated data, so a row cannot be passed off as another, nor as older or newer than it is. Keys sealed by
/// an earlier release can be opened too; resealing gives them the current format.
pub struct SealingKeyVault {
    master: MasterKey,
    entropy: Arc<dyn Entropy>,
}

impl SealingKeyVault {
    /// A vault with this master key.
    pub fn new(master: MasterKey, entropy: Arc<dyn Entropy>) -> Self {
        Self { master, entropy }
    }

    /// A key for another purpose, which reveals nothing of the master key. All instances with the same master key have it.
    #[must_use]
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        let digest = Sha256::new()
            .chain_update("memgate derived key\0")
            .chain_update(purpose)
            .chain_update("\0")
            .chain_update(self.master.expose());
        digest.finalize().into()
    }

    /// Opens a key.
    pub(super) fn open(&self, key: &SigningKey) -> Result<Vec<u8>, VaultError> {
        let wrong = || VaultError::WrongMasterKey(key.id.clone());
        let (format, rest) = key.sealed.as_bytes().split_first().ok_or_else(wrong)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LENGTH).ok_or_else(wrong)?;
        let aad = match *format {
            FORMAT => associated_data(&key.id, &facts_of(key)),
            FORMAT_WITHOUT_TIMES => associated_data_without_times(&key.id, key.purpose, key.algorithm),
            _ => return Err(wrong()),
        };
        let nonce = XNonce::try_from(nonce).map_err(|_| wrong())?;
        cipher(&self.master)?.decrypt(&nonce, Payload { msg: ciphertext, aad: &aad }).map_err(|_| wrong())
    }

    fn seal(
        &self,
        master: &MasterKey,
        id: &KeyId,
        facts: &NewSigningKey,
        opened: &SecretSlice<u8>,
    ) -> Result<SealedKey, VaultError> {
        let nonce: [u8; NONCE_LENGTH] = self.entropy.bytes();
        let aad = associated_data(id, facts);
        let payload = Payload { msg: opened.expose_secret(), aad: &aad };
        let ciphertext = cipher(master)?
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|error| VaultError::Failed(error.to_string().into()))?;
        Ok(SealedKey::from_stored([&[FORMAT], nonce.as_slice(), &ciphertext].concat()))
    }
}

#[async_trait]
impl KeyVault for SealingKeyVault {
    async fn generate(&self, new: &NewSigningKey) -> Result<SigningKey, VaultError> {
        // The ID of a public key is its thumbprint (RFC 7638); that of a symmetric key reveals nothing about it. The library
        // takes no randomness for a key pair, but draws it from the operating system.
        let (id, bytes) = match new.algorithm {
            KeyAlgorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate();
                (pair.public_key().jwk_thumbprint(), pair.to_bytes())
            }
            KeyAlgorithm::Es256 => {
                let pair = ES256KeyPair::generate();
                (pair.public_key().jwk_thumbprint(), pair.to_bytes())
            }
            KeyAlgorithm::Rs256 => {
                let made = tokio::task::spawn_blocking(|| RS256KeyPair::generate(RSA_BITS)).await;
                let pair = made.map_err(|error| VaultError::Failed(error.into()))?;
                let pair = pair.map_err(|error| VaultError::Failed(error.into()))?;
                (pair.jwk_thumbprint(), pair.to_der().map_err(|error| VaultError::Failed(error.into()))?)
            }
            KeyAlgorithm::Hs256 => {
                (self.entropy.uuid().simple().to_string(), self.entropy.bytes::<HS256_LENGTH>().into())
            }
        };
        let id: KeyId = id.parse().map_err(|error| VaultError::Failed(Box::new(error)))?;
        Ok(SigningKey {
            sealed: self.seal(&self.master, &id, new, &bytes.into())?,
            id,
            purpose: new.purpose,
            algorithm: new.algorithm,
            generation: new.generation,
            created_at: new.created_at,
            activates_at: new.activates_at,
            retired_at: None,
        })
    }

    fn reseal(&self, key: &SigningKey, new_master: &MasterKey) -> Result<SealedKey, VaultError> {
        let opened = self.open(key)?.into();
        self.seal(new_master, &key.id, &facts_of(key), &opened)
    }
}

fn cipher(master: &MasterKey) -> Result<XChaCha20Poly1305, VaultError> {
    XChaCha20Poly1305::new_from_slice(master.expose()).map_err(|error| VaultError::Failed(error.to_string().into()))
}

fn facts_of(key: &SigningKey) -> NewSigningKey {
    NewSigningKey {
        purpose: key.purpose,
        algorithm: key.algorithm,
        generation: key.generation,
        created_at: key.created_at,
        activates_at: key.activates_at,
    }
}

fn associated_data(id: &KeyId, facts: &NewSigningKey) -> Vec<u8> {
    let NewSigningKey { purpose, algorithm, generation, created_at, activates_at } = facts;
    let (created_at, activates_at) = (created_at.unix_millis(), activates_at.unix_millis());
    let times = format!("\0{generation}\0{created_at}\0{activates_at}");
    [associated_data_without_times(id, *purpose, *algorithm), times.into_bytes()].concat()
}

fn associated_data_without_times(id: &KeyId, purpose: KeyPurpose, algorithm: KeyAlgorithm) -> Vec<u8> {
    format!("memgate signing key\0{id}\0{}\0{}", purpose.as_str(), algorithm.as_str()).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use memgate_domain::testing::{SeededEntropy, now};

    use super::*;
    use crate::domain::system::Timestamp;

    fn vault(seed: u64) -> SealingKeyVault {
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(seed));
        SealingKeyVault::new(MasterKey::generate(&*entropy), entropy)
    }

    async fn key(vault: &SealingKeyVault) -> SigningKey {
        let (purpose, algorithm) = (KeyPurpose::RefreshToken, KeyAlgorithm::Hs256);
        let new = NewSigningKey { purpose, algorithm, generation: 3, created_at: now(), activates_at: now() };
        vault.generate(&new).await.unwrap()
    }

    /// The key as an earlier release sealed it.
    fn sealed_without_times(vault: &SealingKeyVault, key: &SigningKey) -> SigningKey {
        let (nonce, opened) = ([7; NONCE_LENGTH], vault.open(key).unwrap());
        let aad = associated_data_without_times(&key.id, key.purpose, key.algorithm);
        let payload = Payload { msg: &opened, aad: &aad };
        let ciphertext = cipher(&vault.master).unwrap().encrypt(&XNonce::from(nonce), payload).unwrap();
        let sealed = [&[FORMAT_WITHOUT_TIMES], nonce.as_slice(), &ciphertext].concat();
        SigningKey { sealed: SealedKey::from_stored(sealed), ..key.clone() }
    }

    #[test]
    fn a_derived_key_differs_by_purpose_and_by_master_key() {
        let keys = [vault(1).derived_key("a"), vault(1).derived_key("b"), vault(2).derived_key("a")];
        assert_eq!(vault(1).derived_key("a"), keys[0]);
        assert!(keys[0] != keys[1] && keys[0] != keys[2]);
    }

    #[tokio::test]
    async fn a_row_whose_generation_or_times_were_changed_is_refused() {
        let vault = vault(1);
        let key = key(&vault).await;
        assert!(vault.open(&key).is_ok());
        let later: Timestamp = now().plus(Duration::from_millis(1));
        for changed in [
            SigningKey { generation: 4, ..key.clone() },
            SigningKey { created_at: later, ..key.clone() },
            SigningKey { activates_at: later, ..key.clone() },
            SigningKey { purpose: KeyPurpose::AccessToken, ..key.clone() },
            SigningKey { algorithm: KeyAlgorithm::EdDsa, ..key.clone() },
        ] {
            assert!(matches!(vault.open(&changed), Err(VaultError::WrongMasterKey(_))), "{changed:?}");
        }
        let mut bytes = key.sealed.as_bytes().to_vec();
        bytes[0] = FORMAT_WITHOUT_TIMES;
        let downgraded = SigningKey { sealed: SealedKey::from_stored(bytes), ..key };
        assert!(vault.open(&downgraded).is_err(), "it cannot be passed off as one of an earlier release");
    }

    #[tokio::test]
    async fn a_key_of_an_earlier_release_is_opened_and_sealed_anew_with_its_times() {
        let (vault, next) = (vault(1), vault(2));
        let key = key(&vault).await;
        let old = sealed_without_times(&vault, &key);
        assert_eq!(vault.open(&old).unwrap(), vault.open(&key).unwrap());
        let rewrapped = SigningKey { sealed: vault.reseal(&old, &next.master).unwrap(), ..old };
        assert_eq!(rewrapped.sealed.as_bytes()[0], FORMAT);
        assert_eq!(next.open(&rewrapped).unwrap(), vault.open(&key).unwrap());
        assert!(next.open(&SigningKey { generation: 4, ..rewrapped }).is_err());
    }
}
