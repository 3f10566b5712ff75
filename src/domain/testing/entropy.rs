//! Randomness that can be foretold.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::system::Entropy;

/// Bytes that follow from a seed, **for tests only**: who knows the seed knows every secret made of them.
///
/// It never yields the same 16 bytes twice; two of the same seed yield the same.
#[derive(Debug, Default)]
pub struct SeededEntropy {
    seed: u64,
    blocks: AtomicU64,
}

impl SeededEntropy {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, blocks: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let block = self.blocks.fetch_add(1, Ordering::SeqCst);
            let digest =
                Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(block.to_le_bytes()).finalize();
            chunk.copy_from_slice(&digest[..chunk.len()]);
        }
    }
}

/// A UUID that no other call in this process returns.
#[must_use]
pub fn unique() -> Uuid {
    static SEEDS: AtomicU64 = AtomicU64::new(1 << 32);
    let entropy: &dyn Entropy = &SeededEntropy::new(SEEDS.fetch_add(1, Ordering::SeqCst));
    entropy.uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_repeated_and_a_seed_always_yields_the_same() {
        let (one, same, other) = (SeededEntropy::new(1), SeededEntropy::new(1), SeededEntropy::new(2));
        let draw = |entropy: &SeededEntropy| -> Vec<[u8; 40]> {
            (0..100).map(|_| (entropy as &dyn Entropy).bytes()).collect()
        };
        let drawn = draw(&one);
        assert_eq!(drawn, draw(&same));
        assert_ne!(drawn, draw(&other));
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 100);
    }
}
