//! Which indexes of scopes are kept in memory: as many small ones as fit, and at most one that alone would take their room.

use std::collections::HashMap;

/// Number of searches, of any scope, for which a large index keeps its place after its last use. A scope that would take it is
/// tried again after as many.
const STAYS: u64 = 1_000;

/// Maximum sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexLimits {
    /// Of all small indexes together. The least recently used one makes room.
    pub(super) small: u64,
    /// Of the large one. An index is large if it alone exceeds the limit of the small ones.
    pub(super) large: u64,
}

/// Indexes by the number of their scope.
#[derive(Debug)]
pub(super) struct IndexShelf<T> {
    entries: HashMap<i64, ShelvedIndex<T>>,
    /// Counts searches.
    clock: u64,
    limits: IndexLimits,
}

#[derive(Debug)]
enum ShelvedIndex<T> {
    Building,
    /// There is none: a row is invalid, or it is too large. So many memories the scope had then.
    Failed {
        memories: i64,
    },
    /// There is none: it is large, and another one is in use. It is tried again from this search on.
    Deferred {
        until: u64,
    },
    Ready {
        index: T,
        bytes: u64,
        used: u64,
    },
}

/// What a search finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TakenIndex<T> {
    Ready(T),
    /// There is none. The caller has to build it.
    Due,
    /// There is none for now.
    Absent,
}

impl<T: Clone> IndexShelf<T> {
    pub(super) fn new(limits: IndexLimits) -> Self {
        Self { entries: HashMap::new(), clock: 0, limits }
    }

    /// The index of a scope that has so many memories now. One that failed is tried again once the scope has lost a quarter of
    /// them.
    pub(super) fn take(&mut self, scope: i64, memories: i64) -> TakenIndex<T> {
        self.clock += 1;
        match self.entries.get_mut(&scope) {
            Some(ShelvedIndex::Ready { index, used, .. }) => {
                *used = self.clock;
                TakenIndex::Ready(index.clone())
            }
            Some(ShelvedIndex::Building) => TakenIndex::Absent,
            Some(ShelvedIndex::Failed { memories: then }) if memories > *then / 4 * 3 => TakenIndex::Absent,
            Some(ShelvedIndex::Deferred { until }) if self.clock < *until => TakenIndex::Absent,
            _ => {
                self.entries.insert(scope, ShelvedIndex::Building);
                TakenIndex::Due
            }
        }
    }

    /// Drops an index that is to be built anew. Returns whether the caller has to do that: nobody does yet.
    pub(super) fn rebuild(&mut self, scope: i64) -> bool {
        !matches!(self.entries.insert(scope, ShelvedIndex::Building), Some(ShelvedIndex::Building))
    }

    /// Keeps an index that was built.
    pub(super) fn put(&mut self, scope: i64, index: T, bytes: u64) {
        let small = self.limits.small;
        if bytes > small
            && let Some(used) = self.large_beside(scope)
        {
            if used + STAYS > self.clock {
                self.entries.insert(scope, ShelvedIndex::Deferred { until: self.clock + STAYS });
                return;
            }
            self.entries.retain(|_, entry| !matches!(entry, ShelvedIndex::Ready { bytes, .. } if *bytes > small));
        }
        self.entries.insert(scope, ShelvedIndex::Ready { index, bytes, used: self.clock });
        self.make_room();
    }

    /// Notes that the index of a scope with so many memories cannot be built.
    pub(super) fn fail(&mut self, scope: i64, memories: i64) {
        self.entries.insert(scope, ShelvedIndex::Failed { memories });
    }

    /// Forgets a scope: its next search tries again.
    pub(super) fn forget(&mut self, scope: i64) {
        self.entries.remove(&scope);
    }

    /// Drops the index of a scope whose searches do not use it any more.
    pub(super) fn drop_index(&mut self, scope: i64) {
        if matches!(self.entries.get(&scope), Some(ShelvedIndex::Ready { .. })) {
            self.forget(scope);
        }
    }

    /// Notes how large the index of a scope has become. One that has outgrown its place goes itself, and no other; built anew, it
    /// may be smaller.
    pub(super) fn weigh(&mut self, scope: i64, now: u64) {
        let Some(ShelvedIndex::Ready { bytes, .. }) = self.entries.get_mut(&scope) else { return };
        *bytes = now;
        if now > self.limits.large || (now > self.limits.small && self.large_beside(scope).is_some()) {
            self.forget(scope);
        }
        self.make_room();
    }

    /// When the large index of another scope was last used, if there is one.
    fn large_beside(&self, scope: i64) -> Option<u64> {
        self.entries.iter().find_map(|(other, entry)| match entry {
            ShelvedIndex::Ready { bytes, used, .. } if *bytes > self.limits.small && *other != scope => Some(*used),
            _ => None,
        })
    }

    /// Drops the least recently used small indexes until the others fit.
    fn make_room(&mut self) {
        loop {
            let small = self.entries.iter().filter_map(|(scope, entry)| match entry {
                ShelvedIndex::Ready { bytes, used, .. } if *bytes <= self.limits.small => Some((*used, *scope, *bytes)),
                _ => None,
            });
            let (total, oldest) = small.fold((0, None::<(u64, i64)>), |(total, oldest), (used, scope, bytes)| {
                (total + bytes, Some(oldest.map_or((used, scope), |oldest| oldest.min((used, scope)))))
            });
            match oldest {
                Some((_, scope)) if total > self.limits.small => self.forget(scope),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> IndexShelf<&'static str> {
        IndexShelf::new(IndexLimits { small: 64, large: 128 })
    }

    /// Builds the index of a scope, as its first search makes somebody do.
    fn build(shelf: &mut IndexShelf<&'static str>, scope: i64, bytes: u64) {
        assert_eq!(shelf.take(scope, 1_000), TakenIndex::Due);
        assert_eq!(shelf.take(scope, 1_000), TakenIndex::Absent, "one is being built");
        shelf.put(scope, "index", bytes);
    }

    fn ready(shelf: &mut IndexShelf<&'static str>, scope: i64) -> bool {
        matches!(shelf.entries.get(&scope), Some(ShelvedIndex::Ready { .. }))
    }

    #[test]
    fn the_least_recently_used_makes_room_and_a_large_one_takes_none_from_the_others() {
        let mut shelf = shelf();
        for (scope, bytes) in [(1, 32), (2, 16), (3, 16), (4, 100)] {
            build(&mut shelf, scope, bytes);
        }
        assert_eq!(shelf.take(1, 1_000), TakenIndex::Ready("index"));
        build(&mut shelf, 5, 1);
        let kept = [1, 2, 3, 4, 5].map(|scope| ready(&mut shelf, scope));
        assert_eq!(kept, [true, false, true, true, true]);
    }

    #[test]
    fn two_large_ones_do_not_push_each_other_out_search_by_search() {
        let mut shelf = shelf();
        build(&mut shelf, 1, 70);
        build(&mut shelf, 2, 70);
        let mut built = 0;
        for _ in 0..STAYS * 5 {
            assert_eq!(shelf.take(1, 1_000), TakenIndex::Ready("index"));
            if shelf.take(2, 1_000) == TakenIndex::Due {
                built += 1;
                shelf.put(2, "index", 70);
            }
        }
        assert!((1..=10).contains(&built), "{built}");
        // Once nobody asks for the first, the second takes its place.
        for _ in 0..STAYS * 2 {
            if shelf.take(2, 1_000) == TakenIndex::Due {
                shelf.put(2, "index", 70);
            }
        }
        assert!(ready(&mut shelf, 2) && !ready(&mut shelf, 1));
    }

    #[test]
    fn one_that_has_outgrown_its_place_goes_alone_and_is_built_anew() {
        let mut shelf = shelf();
        for (scope, bytes) in [(1, 32), (2, 100)] {
            build(&mut shelf, scope, bytes);
        }
        shelf.weigh(2, 128);
        assert!(ready(&mut shelf, 2));
        shelf.weigh(2, 129);
        assert!(ready(&mut shelf, 1) && !ready(&mut shelf, 2));
        build(&mut shelf, 2, 100);
        shelf.weigh(1, 65);
        assert!(!ready(&mut shelf, 1) && ready(&mut shelf, 2), "there is one large one");
        assert_eq!(shelf.take(1, 1_000), TakenIndex::Due);
    }

    #[test]
    fn one_that_failed_is_tried_again_once_the_scope_is_smaller_by_a_quarter() {
        let mut shelf = shelf();
        assert_eq!(shelf.take(1, 1_000_000), TakenIndex::Due);
        shelf.fail(1, 1_000_000);
        assert_eq!(shelf.take(1, 1_100_000), TakenIndex::Absent);
        assert_eq!(shelf.take(1, 750_001), TakenIndex::Absent);
        assert_eq!(shelf.take(1, 750_000), TakenIndex::Due);
    }

    #[test]
    fn what_is_not_used_any_more_is_dropped_and_what_is_being_built_is_not() {
        let mut shelf = shelf();
        build(&mut shelf, 1, 100);
        shelf.drop_index(1);
        assert!(!ready(&mut shelf, 1));
        assert_eq!(shelf.take(1, 1_000), TakenIndex::Due);
        shelf.drop_index(1);
        assert!(!shelf.rebuild(1), "somebody builds it");
    }
}
