//! Signing keys, encrypted with XChaCha20-Poly1305 under the master key.

use std::sync::Arc;

use async_trait::async_trait;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use jwt_simple::prelude::{ES256KeyPair, Ed25519KeyPair, HS256Key, RS256KeyPair};
use secrecy::{ExposeSecret, SecretSlice};

use crate::domain::oauth::{KeyAlgorithm, KeyId, KeyPurpose, KeyVault, MasterKey, SealedKey, SigningKey, VaultError};
use crate::domain::system::Entropy;

/// The first byte of a sealed key, so that another way to seal can follow.
const FORMAT: u8 = 1;
const NONCE_LENGTH: usize = 24;
/// The least that RFC 7518 §3.3 allows, which every verifier accepts.
const RSA_BITS: usize = 2048;

/// Makes, seals and opens signing keys.
///
/// A sealed key is a format byte, a random nonce of 24 bytes and the ciphertext. Its id, purpose and algorithm are
/// authenticated with it, so a row cannot be passed off as another.
pub struct SealingKeyVault {
    master: MasterKey,
    entropy: Arc<dyn Entropy>,
}

impl SealingKeyVault {
    /// A vault under this master key.
    pub fn new(master: MasterKey, entropy: Arc<dyn Entropy>) -> Self {
        Self { master, entropy }
    }

    /// Opens a key.
    pub(super) fn open(&self, key: &SigningKey) -> Result<Vec<u8>, VaultError> {
        let wrong = || VaultError::WrongMasterKey(key.id.clone());
        let (format, rest) = key.sealed.as_bytes().split_first().ok_or_else(wrong)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LENGTH).ok_or_else(wrong)?;
        if *format != FORMAT {
            return Err(wrong());
        }
        let nonce = XNonce::try_from(nonce).map_err(|_| wrong())?;
        let aad = associated_data(&key.id, key.purpose, key.algorithm);
        cipher(&self.master)?.decrypt(&nonce, Payload { msg: ciphertext, aad: &aad }).map_err(|_| wrong())
    }

    fn seal(
        &self,
        master: &MasterKey,
        id: &KeyId,
        purpose: KeyPurpose,
        algorithm: KeyAlgorithm,
        opened: &SecretSlice<u8>,
    ) -> Result<SealedKey, VaultError> {
        let nonce: [u8; NONCE_LENGTH] = self.entropy.bytes();
        let aad = associated_data(id, purpose, algorithm);
        let payload = Payload { msg: opened.expose_secret(), aad: &aad };
        let ciphertext = cipher(master)?
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|error| VaultError::Failed(error.to_string().into()))?;
        Ok(SealedKey::from_stored([&[FORMAT], nonce.as_slice(), &ciphertext].concat()))
    }
}

#[async_trait]
impl KeyVault for SealingKeyVault {
    async fn generate(&self, purpose: KeyPurpose, algorithm: KeyAlgorithm) -> Result<(KeyId, SealedKey), VaultError> {
        // The id of a public key is its thumbprint (RFC 7638); that of a shared secret says nothing about it.
        let (id, bytes) = match algorithm {
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
            KeyAlgorithm::Hs256 => (self.entropy.uuid().simple().to_string(), HS256Key::generate().to_bytes()),
        };
        let id: KeyId = id.parse().map_err(|error| VaultError::Failed(Box::new(error)))?;
        let sealed = self.seal(&self.master, &id, purpose, algorithm, &bytes.into())?;
        Ok((id, sealed))
    }

    fn reseal(&self, key: &SigningKey, new_master: &MasterKey) -> Result<SealedKey, VaultError> {
        let opened = self.open(key)?.into();
        self.seal(new_master, &key.id, key.purpose, key.algorithm, &opened)
    }
}

fn cipher(master: &MasterKey) -> Result<XChaCha20Poly1305, VaultError> {
    XChaCha20Poly1305::new_from_slice(master.expose()).map_err(|error| VaultError::Failed(error.to_string().into()))
}

fn associated_data(id: &KeyId, purpose: KeyPurpose, algorithm: KeyAlgorithm) -> Vec<u8> {
    format!("memgate signing key\0{id}\0{}\0{}", purpose.as_str(), algorithm.as_str()).into_bytes()
}
