//! A decoy hash, which no input matches.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use crate::domain::applications::SecretHash;
use crate::domain::system::Entropy;

/// bcrypt encodes salt and hash in Base64 with its own alphabet.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

/// Only its form matters: verifying against it takes as long as against any other hash of this cost, and its preimage is unknown.
pub(super) fn decoy(cost: u32, entropy: &dyn Entropy) -> SecretHash {
    let salt = BCRYPT_BASE64.encode(entropy.bytes::<16>());
    let hash = BCRYPT_BASE64.encode(entropy.bytes::<23>());
    SecretHash::from_stored(format!("$2b${cost:02}${salt}{hash}"))
}
