//! Signing keys: publication, activation and retirement.

mod clock;
mod model;
mod ports;
mod service;

pub use clock::{SigningClock, SigningClockChange};
pub use model::{KeyAlgorithm, KeyId, KeyPurpose, KeyState, MasterKey, NewSigningKey, SealedKey, SigningKey, state_of};
pub use ports::{KeyVault, SigningKeyStore, VaultError};
pub use service::{KeyError, KeyPolicy, KeyService};
