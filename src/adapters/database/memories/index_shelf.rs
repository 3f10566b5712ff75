//! Which indexes of scopes are kept in memory: as many small ones as fit, and at most one that alone would take their room.
//!
//! When there is no room, a small index replaces only those of scopes that are searched clearly less often. If the least recently
//! used one made room, many scopes that are searched in turn would evict each other, and every search would pay for an index
//! that nobody uses.

use std::collections::HashMap;

/// Minimum number of searches, of any scope, between two times at which all counts of searches are halved. If more indexes are
/// ready than that, it is their number: what is searched within so many searches is worth its place.
const LEAST_PERIOD: u64 = 100;
/// Number of searches, of any scope, for which a large index keeps its place after its last use: it takes long to build.
const LARGE_STAYS: u64 = 1_000;
/// How many times larger than its estimate an index may turn out to be.
const MISJUDGED: u64 = 8;
/// Number of scopes from which on those without a recent search are forgotten.
const REMEMBERED: usize = 10_000;

/// Maximum sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexLimits {
    /// Of all small indexes together.
    pub(super) small: u64,
    /// Of the large one. An index is large if it alone exceeds the limit of the small ones.
    pub(super) large: u64,
}

/// Indexes by the number of their scope.
#[derive(Debug)]
pub(super) struct IndexShelf<T> {
    places: HashMap<i64, ShelfPlace<T>>,
    /// Number of all searches.
    clock: u64,
    /// When the counts are halved next.
    halved_at: u64,
    limits: IndexLimits,
}

#[derive(Debug)]
struct ShelfPlace<T> {
    /// How often the scope was searched lately.
    searches: u64,
    /// When it was last searched.
    used: u64,
    /// A lower bound of the size of its index, at its last search.
    estimate: u64,
    state: PlaceState<T>,
}

#[derive(Debug)]
enum PlaceState<T> {
    /// No index. Its size when it was last built, if it ever was.
    Absent(Option<MeasuredIndex>),
    Building,
    /// No index: a row is invalid, or it is too large. The number of memories that the scope had then.
    Failed {
        memories: i64,
    },
    Ready {
        index: T,
        bytes: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct MeasuredIndex {
    bytes: u64,
    /// What it was estimated to be.
    estimate: u64,
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
        Self { places: HashMap::new(), clock: 0, halved_at: LEAST_PERIOD, limits }
    }

    /// The index of a scope that has so many memories now; `estimate` is a lower bound of its size. One that failed is tried
    /// again once the scope has lost a quarter of its memories.
    pub(super) fn take(&mut self, scope: i64, memories: i64, estimate: u64) -> TakenIndex<T> {
        self.clock += 1;
        if self.clock >= self.halved_at {
            self.halve();
        }
        let clock = self.clock;
        let place = self.place(scope);
        (place.searches, place.used, place.estimate) = (place.searches + 1, clock, estimate);
        match &place.state {
            PlaceState::Ready { index, .. } => return TakenIndex::Ready(index.clone()),
            PlaceState::Building => return TakenIndex::Absent,
            PlaceState::Failed { memories: then } if memories > *then / 4 * 3 => return TakenIndex::Absent,
            PlaceState::Failed { .. } | PlaceState::Absent(_) => {}
        }
        if !self.has_room(scope) {
            return TakenIndex::Absent;
        }
        self.set(scope, PlaceState::Building);
        TakenIndex::Due
    }

    /// Whether there seems to be room for the index of a scope.
    pub(super) fn has_room(&self, scope: i64) -> bool {
        let Some(ShelfPlace { estimate, state, .. }) = self.places.get(&scope) else { return false };
        if let PlaceState::Absent(Some(then)) = state {
            let bytes = estimate.saturating_mul(then.bytes) / then.estimate.max(1);
            return self.makes_room(scope, bytes).is_some();
        }
        // It may turn out large even if the estimate is small.
        let most = estimate.saturating_mul(MISJUDGED).min(self.limits.large);
        [*estimate, most].into_iter().any(|bytes| self.makes_room(scope, bytes).is_some())
    }

    /// Drops an index that is to be built anew. Returns whether the caller has to do that: it is the first to find that.
    pub(super) fn rebuild(&mut self, scope: i64) -> bool {
        let is_ready = self.is_ready(scope);
        if is_ready {
            self.set(scope, PlaceState::Building);
        }
        is_ready
    }

    /// Keeps an index that was built, if there is room for it.
    pub(super) fn put(&mut self, scope: i64, index: T, bytes: u64) {
        let Some(others) = self.makes_room(scope, bytes) else {
            let estimate = self.place(scope).estimate;
            return self.set(scope, PlaceState::Absent(Some(MeasuredIndex { bytes, estimate })));
        };
        for other in others {
            self.evict(other);
        }
        self.set(scope, PlaceState::Ready { index, bytes });
    }

    /// Notes that the index of a scope with so many memories cannot be built.
    pub(super) fn fail(&mut self, scope: i64, memories: i64) {
        self.set(scope, PlaceState::Failed { memories });
    }

    /// Notes that the index of a scope was not built. Its next search may try again.
    pub(super) fn give_up(&mut self, scope: i64) {
        self.set(scope, PlaceState::Absent(None));
    }

    /// Drops the index of a scope whose searches do not use it any more.
    pub(super) fn drop_index(&mut self, scope: i64) {
        if self.is_ready(scope) {
            self.give_up(scope);
        }
    }

    /// Notes how large the index of a scope has become. A large one that has outgrown its place is dropped, and may be smaller
    /// when it is built anew. Where small ones have, the least searched are dropped.
    pub(super) fn weigh(&mut self, scope: i64, now: u64) {
        let Some(ShelfPlace { state: PlaceState::Ready { bytes, .. }, .. }) = self.places.get_mut(&scope) else {
            return;
        };
        *bytes = now;
        if now > self.limits.large || (now > self.limits.small && self.large().any(|(other, ..)| other != scope)) {
            self.give_up(scope);
        }
        while self.small().map(|(.., bytes)| bytes).sum::<u64>() > self.limits.small
            && let Some((least, ..)) = self.small().min_by_key(|(scope, searches, _)| (*searches, *scope))
        {
            self.evict(least);
        }
    }

    /// The scopes whose indexes make room for one of so many bytes of this scope; `None` if they may not.
    fn makes_room(&self, scope: i64, bytes: u64) -> Option<Vec<i64>> {
        if bytes > self.limits.small {
            let other = self.large().find(|(other, ..)| *other != scope);
            let is_used = other.is_some_and(|(.., used)| used + LARGE_STAYS > self.clock);
            return (bytes <= self.limits.large && !is_used)
                .then(|| other.map(|(other, _)| other).into_iter().collect());
        }
        let searches = self.places.get(&scope).map_or(0, |place| place.searches);
        let mut others: Vec<(u64, i64, u64)> = self
            .small()
            .filter(|(other, ..)| *other != scope)
            .map(|(other, searches, bytes)| (searches, other, bytes))
            .collect();
        others.sort_unstable();
        let (mut taken, mut lost): (u64, u64) = (others.iter().map(|(.., bytes)| bytes).sum(), 0);
        let mut evicted = Vec::new();
        for (less, other, freed) in others {
            if taken + bytes <= self.limits.small {
                break;
            }
            lost += less;
            // Twice as often as all of them, and twice more: those that are searched about equally often do not swap places.
            if lost * 2 + 2 > searches {
                return None;
            }
            evicted.push(other);
            taken -= freed;
        }
        Some(evicted)
    }

    fn is_ready(&self, scope: i64) -> bool {
        self.places.get(&scope).is_some_and(|place| matches!(place.state, PlaceState::Ready { .. }))
    }

    /// The small indexes that are ready: their scopes, how often these were searched lately, and the sizes.
    fn small(&self) -> impl Iterator<Item = (i64, u64, u64)> {
        self.places.iter().filter_map(|(scope, place)| match place.state {
            PlaceState::Ready { bytes, .. } if bytes <= self.limits.small => Some((*scope, place.searches, bytes)),
            _ => None,
        })
    }

    /// The large index that is ready: its scope, and when that was last searched.
    fn large(&self) -> impl Iterator<Item = (i64, u64)> {
        self.places.iter().filter_map(|(scope, place)| match place.state {
            PlaceState::Ready { bytes, .. } if bytes > self.limits.small => Some((*scope, place.used)),
            _ => None,
        })
    }

    /// Drops an index and remembers its size.
    fn evict(&mut self, scope: i64) {
        let place = self.place(scope);
        if let PlaceState::Ready { bytes, .. } = place.state {
            place.state = PlaceState::Absent(Some(MeasuredIndex { bytes, estimate: place.estimate }));
        }
    }

    fn set(&mut self, scope: i64, state: PlaceState<T>) {
        self.place(scope).state = state;
    }

    fn place(&mut self, scope: i64) -> &mut ShelfPlace<T> {
        let none = ShelfPlace { searches: 0, used: 0, estimate: 0, state: PlaceState::Absent(None) };
        self.places.entry(scope).or_insert(none)
    }

    /// Halves all counts, and forgets scopes with nothing left to remember.
    fn halve(&mut self) {
        self.halved_at = self.clock + LEAST_PERIOD.max(self.small().count() as u64);
        let are_many = self.places.len() > REMEMBERED;
        self.places.retain(|_, place| {
            place.searches /= 2;
            let is_known = match place.state {
                PlaceState::Absent(then) => then.is_some() && !are_many,
                PlaceState::Failed { .. } => !are_many,
                PlaceState::Building | PlaceState::Ready { .. } => true,
            };
            place.searches > 0 || is_known
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Shelf = IndexShelf<&'static str>;

    fn shelf() -> Shelf {
        IndexShelf::new(IndexLimits { small: 64, large: 128 })
    }

    /// Searches a scope whose index has so many bytes, as is estimated, and builds it if it is due. Returns whether it was.
    fn search(shelf: &mut Shelf, scope: i64, bytes: u64) -> bool {
        search_estimated(shelf, scope, bytes, bytes)
    }

    fn search_estimated(shelf: &mut Shelf, scope: i64, estimate: u64, bytes: u64) -> bool {
        let is_due = shelf.take(scope, 1_000, estimate) == TakenIndex::Due;
        if is_due {
            assert!(!shelf.rebuild(scope), "one is being built");
            shelf.put(scope, "index", bytes);
        }
        is_due
    }

    fn finds(shelf: &mut Shelf, scope: i64) -> bool {
        let bytes = shelf.place(scope).estimate;
        shelf.take(scope, 1_000, bytes) == TakenIndex::Ready("index")
    }

    #[test]
    fn what_is_searched_clearly_less_often_makes_room_and_a_large_one_takes_none_from_the_others() {
        let mut shelf = shelf();
        for (scope, bytes) in [(1, 32), (2, 16), (3, 16), (4, 100)] {
            assert!(search(&mut shelf, scope, bytes));
        }
        assert!(finds(&mut shelf, 1) && finds(&mut shelf, 3));
        let built: Vec<bool> = (0..4).map(|_| search(&mut shelf, 5, 8)).collect();
        assert_eq!(built, [false, false, false, true], "four is twice one, and two more");
        assert_eq!([1, 2, 3, 4, 5].map(|scope| shelf.is_ready(scope)), [true, false, true, true, true]);
        // Two would make room, which were searched four times in all.
        (0..8).for_each(|_| assert!(!search(&mut shelf, 2, 48)));
        assert!(search(&mut shelf, 2, 48) && !shelf.is_ready(1) && !shelf.is_ready(3));
    }

    #[test]
    fn many_scopes_that_are_searched_in_turn_do_not_evict_each_other() {
        let mut shelf = shelf();
        let (mut built, mut found) = (0, 0);
        for _ in 0..20 {
            for scope in 0..300 {
                found += u32::from(shelf.is_ready(scope));
                built += u32::from(search(&mut shelf, scope, 1 + scope.unsigned_abs() % 3));
            }
        }
        // There is room for 32 of them.
        assert!((30..=50).contains(&built), "{built}");
        assert!(found >= 19 * 30, "{found}");
    }

    #[test]
    fn scopes_that_are_searched_for_a_while_each_get_an_index() {
        let mut shelf = shelf();
        for scope in 0..300 {
            let found = (0..20).filter(|_| !search(&mut shelf, scope, 2) && shelf.is_ready(scope)).count();
            assert!(found >= 10, "{found} of 20 searches of {scope}");
        }
    }

    #[test]
    fn two_large_ones_do_not_evict_each_other_and_one_that_is_not_searched_any_more_makes_room() {
        let mut shelf = shelf();
        search(&mut shelf, 1, 70);
        for _ in 0..LARGE_STAYS * 5 {
            assert!(finds(&mut shelf, 1));
            assert!(!search(&mut shelf, 2, 70));
        }
        let needed = (0..LARGE_STAYS * 2).take_while(|_| !search(&mut shelf, 2, 70)).count() as u64;
        assert!((LARGE_STAYS - 5..=LARGE_STAYS).contains(&needed), "{needed}");
        assert!(shelf.is_ready(2) && !shelf.is_ready(1));
    }

    #[test]
    fn one_that_is_larger_than_was_estimated_is_not_built_again_and_again() {
        let mut shelf = shelf();
        search(&mut shelf, 1, 30);
        search(&mut shelf, 2, 30);
        assert!(search_estimated(&mut shelf, 3, 3, 6), "there seemed to be room");
        for _ in 0..LEAST_PERIOD * 10 {
            assert!(finds(&mut shelf, 1) && finds(&mut shelf, 2));
            assert!(!search_estimated(&mut shelf, 3, 3, 6));
        }
        assert!(search_estimated(&mut shelf, 3, 2, 4) && shelf.is_ready(3), "it has become smaller");
    }

    #[test]
    fn the_place_of_the_large_one_is_not_kept_from_one_that_was_estimated_small() {
        let mut shelf = shelf();
        search(&mut shelf, 1, 60);
        assert!(search_estimated(&mut shelf, 2, 10, 60) && !shelf.is_ready(2));
        assert!(!search_estimated(&mut shelf, 2, 10, 60), "its size is known");
        assert!(search_estimated(&mut shelf, 3, 10, 70) && shelf.is_ready(3));
        assert!(shelf.is_ready(1));
    }

    #[test]
    fn what_outgrows_its_place_is_dropped_if_it_is_large_and_else_the_least_searched() {
        let mut shelf = shelf();
        for (scope, bytes) in [(1, 32), (2, 100), (3, 4)] {
            search(&mut shelf, scope, bytes);
        }
        shelf.weigh(2, 128);
        assert!(shelf.is_ready(2));
        shelf.weigh(2, 129);
        assert!(shelf.is_ready(1) && !shelf.is_ready(2));
        assert!(search(&mut shelf, 2, 100));
        assert!(finds(&mut shelf, 1));
        shelf.weigh(1, 61);
        assert!(shelf.is_ready(1) && !shelf.is_ready(3), "of the small ones the least searched is dropped");
        shelf.weigh(1, 65);
        assert!(!shelf.is_ready(1) && shelf.is_ready(2), "there is one large one");
        assert!(search(&mut shelf, 1, 60));
    }

    #[test]
    fn one_that_failed_is_tried_again_once_the_scope_is_smaller_by_a_quarter() {
        let mut shelf = shelf();
        assert_eq!(shelf.take(1, 1_000_000, 1), TakenIndex::Due);
        shelf.fail(1, 1_000_000);
        assert_eq!(shelf.take(1, 1_100_000, 1), TakenIndex::Absent);
        assert_eq!(shelf.take(1, 750_001, 1), TakenIndex::Absent);
        assert_eq!(shelf.take(1, 750_000, 1), TakenIndex::Due);
        shelf.give_up(1);
        assert_eq!(shelf.take(1, 750_000, 1), TakenIndex::Due);
    }

    #[test]
    fn one_is_built_anew_by_the_first_who_finds_that_and_may_find_its_place_taken() {
        let mut shelf = shelf();
        search(&mut shelf, 1, 8);
        assert!(shelf.rebuild(1));
        assert!(!shelf.rebuild(1), "somebody builds it");
        assert!(search(&mut shelf, 2, 60), "there is room meanwhile");
        assert!(!shelf.has_room(1));
        shelf.put(1, "index", 8);
        assert!(!shelf.is_ready(1) && shelf.is_ready(2));
        assert!(!shelf.rebuild(1), "nobody needs an index that was evicted");
    }

    #[test]
    fn what_is_not_used_any_more_is_dropped_and_what_is_being_built_is_not() {
        let mut shelf = shelf();
        search(&mut shelf, 1, 100);
        shelf.drop_index(1);
        assert!(!shelf.is_ready(1));
        assert_eq!(shelf.take(1, 1_000, 100), TakenIndex::Due);
        shelf.drop_index(1);
        assert_eq!(shelf.take(1, 1_000, 100), TakenIndex::Absent, "somebody builds it");
    }

    #[test]
    fn scopes_that_nobody_searches_any_more_are_forgotten() {
        let mut shelf = shelf();
        for scope in 0..30_000 {
            search_estimated(&mut shelf, scope, 1, 60);
        }
        assert!(shelf.places.len() <= REMEMBERED + 200, "{}", shelf.places.len());
    }
}
