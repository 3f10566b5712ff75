//! The cost of a hash, and constant-time rejection of wrong guesses, of unknown names too.

use std::str::FromStr as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use bcrypt::{BcryptError, HashParts};

use crate::domain::applications::SecretHash;
use crate::domain::system::Entropy;

/// bcrypt encodes salt and hash in Base64 with its own alphabet.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

/// A hash that no input matches. Only its form matters: verifying against it takes as long as against any other hash of this cost, and its preimage is unknown.
pub(super) fn decoy(cost: u32, entropy: &dyn Entropy) -> SecretHash {
    let salt = BCRYPT_BASE64.encode(entropy.bytes::<16>());
    let hash = BCRYPT_BASE64.encode(entropy.bytes::<23>());
    SecretHash::from_stored(format!("$2b${cost:02}${salt}{hash}"))
}

/// The cost that `hash` was made with; `None` if it is not a bcrypt hash.
pub(super) fn cost_of(hash: &SecretHash) -> Option<u32> {
    HashParts::from_str(hash.as_str()).ok().map(|parts| parts.get_cost())
}

/// Whether `hash` is a hash of `text`. A mismatch takes as long as at `cost` even if the hash has a lower one, so that an
/// old hash cannot be told from the decoy by timing.
pub(super) fn verify(text: &str, hash: &SecretHash, cost: u32) -> Result<bool, BcryptError> {
    let verified = bcrypt::non_truncating_verify(text, hash.as_str())?;
    if !verified && let Some(made_at) = cost_of(hash) {
        for missing in missing_costs(made_at, cost) {
            bcrypt::non_truncating_hash(text, missing)?;
        }
    }
    Ok(verified)
}

/// The costs of the additional hashes that make up the difference between `made_at` and `cost`.
fn missing_costs(made_at: u32, cost: u32) -> std::ops::Range<u32> {
    made_at..cost.max(made_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_guess_takes_the_rounds_of_the_cost_that_is_configured() {
        let rounds = |cost: u32| 1_u64 << cost;
        for made_at in 4..=14 {
            for cost in made_at..=14 {
                let all = rounds(made_at) + missing_costs(made_at, cost).map(rounds).sum::<u64>();
                assert_eq!(all, rounds(cost), "{made_at} {cost}");
            }
        }
        assert!(missing_costs(12, 10).is_empty());
    }
}
