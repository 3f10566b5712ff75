//! How many memories there are.

use std::collections::BTreeMap;

use super::actor::Actor;
use super::model::Memory;
use crate::applications::Category;
use crate::ids::ApplicationId;
use crate::system::Timestamp;

/// The statistics of the visible memories of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStatistics {
    /// How many there are.
    pub memories: u64,
    /// How many have no category.
    pub uncategorized: u64,
    /// When the oldest was created.
    pub oldest: Option<Timestamp>,
    /// When the newest was created.
    pub newest: Option<Timestamp>,
    /// How many have each category. One with several counts for each of them.
    pub by_category: BTreeMap<Category, u64>,
    /// How many were stored by whom; `None` stands for those of which that is not known.
    pub by_actor: BTreeMap<Option<Actor>, u64>,
}

impl MemoryStatistics {
    /// Adds `number` memories with `categories`.
    pub fn add(&mut self, categories: &[Category], number: u64) {
        self.memories += number;
        if categories.is_empty() {
            self.uncategorized += number;
        }
        for category in categories {
            *self.by_category.entry(category.clone()).or_default() += number;
        }
    }

    /// Takes away `number` memories with `categories`, which were added before.
    pub fn remove(&mut self, categories: &[Category], number: u64) {
        self.memories = self.memories.saturating_sub(number);
        if categories.is_empty() {
            self.uncategorized = self.uncategorized.saturating_sub(number);
        }
        for category in categories {
            if let Some(count) = self.by_category.get_mut(category) {
                *count = count.saturating_sub(number);
            }
        }
        self.by_category.retain(|_, count| *count > 0);
    }

    /// Counts `number` memories that `actor` stored.
    pub fn add_of(&mut self, actor: Option<Actor>, number: u64) {
        *self.by_actor.entry(actor).or_default() += number;
    }

    /// Extends the time from the oldest to the newest to `created_at`.
    pub fn reach(&mut self, created_at: Timestamp) {
        self.oldest = Some(self.oldest.map_or(created_at, |oldest| oldest.min(created_at)));
        self.newest = Some(self.newest.map_or(created_at, |newest| newest.max(created_at)));
    }

    /// Adds one memory.
    pub fn count(&mut self, memory: &Memory) {
        self.add(&memory.categories, 1);
        self.add_of(memory.created_by, 1);
        self.reach(memory.created_at);
    }

    /// Adds the statistics of other memories.
    pub fn merge(&mut self, other: &Self) {
        self.memories += other.memories;
        self.uncategorized += other.uncategorized;
        for at in other.oldest.into_iter().chain(other.newest) {
            self.reach(at);
        }
        for (category, number) in &other.by_category {
            *self.by_category.entry(category.clone()).or_default() += number;
        }
        for (actor, number) in &other.by_actor {
            self.add_of(*actor, *number);
        }
    }

    /// The applications that stored the most memories first.
    #[must_use]
    pub fn most_active(&self) -> Vec<(ApplicationId, u64)> {
        let of_application = |(actor, number): (&Option<Actor>, &u64)| match actor {
            Some(Actor::Application(id)) => Some((*id, *number)),
            Some(Actor::Person) | None => None,
        };
        let mut counts: Vec<(ApplicationId, u64)> = self.by_actor.iter().filter_map(of_application).collect();
        counts.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        counts
    }

    /// How many memories `actor` stored.
    #[must_use]
    pub fn stored_by(&self, actor: Option<Actor>) -> u64 {
        self.by_actor.get(&actor).copied().unwrap_or_default()
    }

    /// The categories with the most memories first.
    #[must_use]
    pub fn most_used(&self) -> Vec<(&Category, u64)> {
        let mut counts: Vec<(&Category, u64)> = self.by_category.iter().map(|(name, number)| (name, *number)).collect();
        counts.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memories::NewMemory;
    use crate::testing::{categories, category, new_memory, now, unique};

    fn memory(names: &[&str], seconds: u64) -> Memory {
        let created_at = now().plus(Duration::from_secs(seconds));
        NewMemory { categories: categories(names), created_at, ..new_memory("x") }.into_memory()
    }

    #[test]
    fn memories_are_counted_once_in_all_and_in_each_of_their_categories() {
        let mut statistics = MemoryStatistics::default();
        for memory in [memory(&["food", "guests"], 5), memory(&["food"], 1), memory(&[], 9)] {
            statistics.count(&memory);
        }
        let expected = MemoryStatistics {
            memories: 3,
            uncategorized: 1,
            oldest: Some(now().plus(Duration::from_secs(1))),
            newest: Some(now().plus(Duration::from_secs(9))),
            by_category: [(category("food"), 2), (category("guests"), 1)].into(),
            by_actor: [(None, 3)].into(),
        };
        assert_eq!(statistics, expected);
        assert_eq!(statistics.most_used(), [(&category("food"), 2), (&category("guests"), 1)]);
    }

    #[test]
    fn memories_are_counted_by_who_stored_them() {
        let [few, many] = [(); 2].map(|()| ApplicationId::from_uuid(unique()));
        let actors = [Some(few), Some(many), Some(many)].map(|id| id.map(Actor::Application));
        let mut statistics = MemoryStatistics::default();
        for created_by in actors.into_iter().chain([Some(Actor::Person), None, None]) {
            statistics.count(&Memory { created_by, ..memory(&[], 0) });
        }
        assert_eq!(statistics.most_active(), [(many, 2), (few, 1)]);
        assert_eq!([Some(Actor::Person), None].map(|actor| statistics.stored_by(actor)), [1, 2]);
        assert_eq!(statistics.stored_by(Some(Actor::Application(ApplicationId::from_uuid(unique())))), 0);
    }

    #[test]
    fn the_statistics_of_two_scopes_are_those_of_all_their_memories() {
        let memories = [memory(&["food"], 5), memory(&["food", "travel"], 1), memory(&[], 9), memory(&["travel"], 3)];
        let of = |memories: &[Memory]| {
            let mut statistics = MemoryStatistics::default();
            for memory in memories {
                statistics.count(memory);
            }
            statistics
        };
        let mut merged = of(&memories[..2]);
        merged.merge(&of(&memories[2..]));
        assert_eq!(merged, of(&memories));
        merged.merge(&MemoryStatistics::default());
        assert_eq!(merged, of(&memories));
    }
}
