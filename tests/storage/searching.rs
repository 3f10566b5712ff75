//! Searches of the embedded bank, and texts to search in.

use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::domain::memories::{Limit, MemoryBank, MemoryFilter, MemoryQuery, MemoryScope};
use memgate_domain::testing::now;

/// A query without filters, for at most so many results.
pub(super) fn query(text: &str, limit: i64) -> MemoryQuery {
    MemoryQuery {
        text: text.to_owned().try_into().unwrap(),
        limit: Limit::try_from(limit).unwrap(),
        threshold: None,
        filter: MemoryFilter::default(),
        now: now(),
    }
}

/// The texts that are found, best first.
pub(super) async fn found(bank: &EmbeddedMemoryBank, scope: &MemoryScope, query: &MemoryQuery) -> Vec<String> {
    let results = bank.search(scope, query).await.unwrap();
    results.hits.into_iter().map(|hit| hit.memory.content.as_str().to_owned()).collect()
}

/// Numbers that look random and are the same in every run.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// Of so many different words, each equally frequent.
    pub(super) fn even_text(&mut self, words: u64, different: u64) -> String {
        self.text_of(words, |numbers| numbers.below(different))
    }

    /// Few words are frequent and many are rare.
    pub(super) fn skewed_text(&mut self, words: u64) -> String {
        self.text_of(words, |numbers| 1 + numbers.below(30) * numbers.below(30))
    }

    fn text_of(&mut self, words: u64, next: impl Fn(&mut Self) -> u64) -> String {
        (0..words).map(|_| format!("word{}x", next(self))).collect::<Vec<_>>().join(" ")
    }
}
