//! A hash that nothing was hashed to.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use crate::domain::applications::SecretHash;
use crate::domain::system::Entropy;

/// bcrypt writes salt and hash in Base64 with an alphabet of its own.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

/// Only its form matters: it takes as long as any other of this cost, and what it is the hash of is known to nobody.
pub(super) fn decoy(cost: u32, entropy: &dyn Entropy) -> SecretHash {
    let salt = BCRYPT_BASE64.encode(entropy.bytes::<16>());
    let hash = BCRYPT_BASE64.encode(entropy.bytes::<23>());
    SecretHash::from_stored(format!("$2b${cost:02}${salt}{hash}"))
}
