//! A vault that only pretends to seal.

use async_trait::async_trait;

use crate::oauth::{KeyId, KeyVault, MasterKey, NewSigningKey, SealedKey, SigningKey, VaultError};
use crate::testing::entropy::unique;

/// A vault whose sealed keys are the master key in plain sight, followed by the key's id.
#[derive(Debug)]
pub struct FakeKeyVault {
    master: MasterKey,
}

impl FakeKeyVault {
    /// The vault of that master key.
    #[must_use]
    pub fn new(master: MasterKey) -> Self {
        Self { master }
    }

    /// How the key of that id looks when it is sealed with `master`.
    #[must_use]
    pub fn sealed_with(master: &MasterKey, id: &KeyId) -> SealedKey {
        SealedKey::from_stored([master.expose(), id.as_str().as_bytes()].concat())
    }
}

#[async_trait]
impl KeyVault for FakeKeyVault {
    async fn generate(&self, new: &NewSigningKey) -> Result<SigningKey, VaultError> {
        let id: KeyId = unique().simple().to_string().parse().map_err(|error| VaultError::Failed(Box::new(error)))?;
        Ok(SigningKey {
            sealed: Self::sealed_with(&self.master, &id),
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
        if key.sealed != Self::sealed_with(&self.master, &key.id) {
            return Err(VaultError::WrongMasterKey(key.id.clone()));
        }
        Ok(Self::sealed_with(new_master, &key.id))
    }
}
