//! Schedules searches fairly by space, and within a space by person, so that nobody waits for all the searches of another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::failure::MemoryStoreError;
use crate::domain::ids::UserId;

/// Maximum number of waiting searches per person of a space, per space, and in total.
const MAX_WAITING_PER_PERSON: usize = 16;
const MAX_WAITING_PER_SPACE: usize = 64;
const MAX_WAITING: usize = 1_024;
/// Maximum waiting time.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Bounds the number of concurrent searches. A space never has all slots, a person never all that a space can have, and waiting
/// spaces, and waiting people of a space, get free slots round-robin.
#[derive(Clone, Debug)]
pub(super) struct SearchSlots(Arc<Mutex<SlotState>>);

#[derive(Debug)]
struct SlotState {
    /// Maximum number of running searches, in total, per space, and per person of a space.
    places: usize,
    places_per_space: usize,
    places_per_person: usize,
    running: usize,
    waiting: usize,
    spaces: HashMap<String, Space>,
    /// The spaces with waiting searches, next first.
    order: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Space {
    running: usize,
    /// By person; `None` for those of the applications themselves.
    queues: HashMap<Option<UserId>, Queue>,
    /// Those with waiting searches, next first.
    order: VecDeque<Option<UserId>>,
}

#[derive(Debug, Default)]
struct Queue {
    running: usize,
    waiting: VecDeque<oneshot::Sender<SearchSlot>>,
}

/// The right to search, until it is dropped.
#[derive(Debug)]
pub(super) struct SearchSlot {
    space: String,
    person: Option<UserId>,
    /// `None` if it was never taken.
    slots: Option<SearchSlots>,
}

impl SearchSlots {
    /// Allows `places` concurrent searches.
    pub(super) fn new(places: usize) -> Self {
        let places_per_space = places.saturating_sub(1).max(1);
        Self(Arc::new(Mutex::new(SlotState {
            places: places.max(1),
            places_per_space,
            places_per_person: places_per_space.saturating_sub(1).max(1),
            running: 0,
            waiting: 0,
            spaces: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// Waits for a slot for the memories of a person in a space, or for those of its applications.
    ///
    /// # Errors
    /// [`MemoryStoreError::Busy`] if too many searches wait already, or the wait times out.
    pub(super) async fn take(&self, space: &str, person: Option<UserId>) -> Result<SearchSlot, MemoryStoreError> {
        let (sender, slot) = oneshot::channel();
        self.enqueue(space, person, sender)?;
        match tokio::time::timeout(MAX_WAIT, slot).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(MemoryStoreError::Busy),
        }
    }

    fn enqueue(
        &self,
        name: &str,
        person: Option<UserId>,
        sender: oneshot::Sender<SearchSlot>,
    ) -> Result<(), MemoryStoreError> {
        let mut state = self.state();
        if state.is_full(name, person) {
            state.forget_who_left();
        }
        if state.is_full(name, person) {
            return Err(MemoryStoreError::Busy);
        }
        let space = state.spaces.entry(name.to_owned()).or_default();
        let is_spaces_first = space.order.is_empty();
        let queue = space.queues.entry(person).or_default();
        queue.waiting.push_back(sender);
        if queue.waiting.len() == 1 {
            space.order.push_back(person);
        }
        if is_spaces_first {
            state.order.push_back(name.to_owned());
        }
        state.waiting += 1;
        self.start_next(&mut state);
        Ok(())
    }

    /// Assigns free slots to waiting searches.
    fn start_next(&self, state: &mut SlotState) {
        for _ in 0..state.order.len() {
            if state.running >= state.places {
                return;
            }
            let Some(name) = state.order.pop_front() else { return };
            let (per_space, per_person) = (state.places_per_space, state.places_per_person);
            let Some(space) = state.spaces.get_mut(&name) else { continue };
            let waited = space.waiting();
            if space.running < per_space {
                let slot = |person| SearchSlot { space: name.clone(), person, slots: Some(self.clone()) };
                state.running += usize::from(space.start_next(per_person, slot));
            }
            state.waiting -= waited - space.waiting();
            if !space.order.is_empty() {
                state.order.push_back(name);
            } else if space.running == 0 {
                state.spaces.remove(&name);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlotState {
    /// Whether no more searches may wait.
    fn is_full(&self, name: &str, person: Option<UserId>) -> bool {
        let space = self.spaces.get(name);
        let queue = space.and_then(|space| space.queues.get(&person).filter(|_| person.is_some()));
        self.waiting >= MAX_WAITING
            || space.is_some_and(|space| space.waiting() >= MAX_WAITING_PER_SPACE)
            || queue.is_some_and(|queue| queue.waiting.len() >= MAX_WAITING_PER_PERSON)
    }

    fn forget_who_left(&mut self) {
        for space in self.spaces.values_mut() {
            for queue in space.queues.values_mut() {
                queue.waiting.retain(|sender| !sender.is_closed());
            }
            space.queues.retain(|_, queue| queue.running > 0 || !queue.waiting.is_empty());
            let queues = &space.queues;
            space.order.retain(|person| queues.get(person).is_some_and(|queue| !queue.waiting.is_empty()));
        }
        self.waiting = self.spaces.values().map(Space::waiting).sum();
        let spaces = &self.spaces;
        self.order.retain(|name| spaces.get(name).is_some_and(|space| !space.order.is_empty()));
        self.spaces.retain(|_, space| space.running > 0 || !space.order.is_empty());
    }
}

impl Space {
    fn waiting(&self) -> usize {
        self.queues.values().map(|queue| queue.waiting.len()).sum()
    }

    /// Gives the next waiting search a slot. Returns whether one took it.
    fn start_next(&mut self, per_person: usize, slot: impl Fn(Option<UserId>) -> SearchSlot) -> bool {
        for _ in 0..self.order.len() {
            let Some(person) = self.order.pop_front() else { return false };
            let Some(queue) = self.queues.get_mut(&person) else { continue };
            let mut is_taken = false;
            while !is_taken
                && (person.is_none() || queue.running < per_person)
                && let Some(sender) = queue.waiting.pop_front()
            {
                match sender.send(slot(person)) {
                    Ok(()) => is_taken = true,
                    // A cancelled search takes no slot.
                    Err(mut slot) => slot.slots = None,
                }
            }
            queue.running += usize::from(is_taken);
            if !queue.waiting.is_empty() {
                self.order.push_back(person);
            } else if queue.running == 0 {
                self.queues.remove(&person);
            }
            if is_taken {
                self.running += 1;
                return true;
            }
        }
        false
    }

    fn end(&mut self, person: Option<UserId>) {
        self.running = self.running.saturating_sub(1);
        if let Some(queue) = self.queues.get_mut(&person) {
            queue.running = queue.running.saturating_sub(1);
            if queue.running == 0 && queue.waiting.is_empty() {
                self.queues.remove(&person);
            }
        }
    }
}

impl Drop for SearchSlot {
    fn drop(&mut self) {
        let Some(slots) = self.slots.take() else { return };
        let mut state = slots.state();
        state.running = state.running.saturating_sub(1);
        if let Some(space) = state.spaces.get_mut(&self.space) {
            space.end(self.person);
            if space.running == 0 && space.order.is_empty() {
                state.spaces.remove(&self.space);
            }
        }
        slots.start_next(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(slots: &SearchSlots, space: &str) -> SearchSlot {
        slots.take(space, None).await.unwrap()
    }

    /// Requests slots of `space`, which wait, and lets them queue up.
    async fn wait(slots: &SearchSlots, space: &'static str, count: usize) -> Vec<tokio::task::JoinHandle<SearchSlot>> {
        let one = || {
            let slots = slots.clone();
            tokio::spawn(async move { taken(&slots, space).await })
        };
        let tasks = (0..count).map(|_| one()).collect();
        for _ in 0..count {
            tokio::task::yield_now().await;
        }
        tasks
    }

    fn assert_nothing_is_left(slots: &SearchSlots) {
        let state = slots.state();
        assert_eq!((state.running, state.waiting), (0, 0));
        assert!(state.spaces.is_empty(), "{state:?}");
        assert!(state.order.is_empty(), "{state:?}");
    }

    #[tokio::test]
    async fn a_space_never_has_all_places() {
        let slots = SearchSlots::new(4);
        let busy = [taken(&slots, "a").await, taken(&slots, "a").await, taken(&slots, "a").await];
        let waiting = wait(&slots, "a", 10).await;
        let other = taken(&slots, "b").await;
        assert!(waiting.iter().all(|task| !task.is_finished()));
        drop((busy, other));
        for task in waiting {
            task.await.unwrap();
        }
        assert_nothing_is_left(&slots);
    }

    #[tokio::test]
    async fn spaces_that_wait_get_the_next_place_in_turn() {
        let slots = SearchSlots::new(1);
        let first = taken(&slots, "a").await;
        let many = wait(&slots, "a", 20).await;
        let few = wait(&slots, "b", 1).await;
        drop(first);
        tokio::task::yield_now().await;
        // At most one search of the busy space goes before the other's.
        let mut before = 0;
        for task in many {
            if few[0].is_finished() {
                break;
            }
            drop(task.await.unwrap());
            before += 1;
            tokio::task::yield_now().await;
        }
        assert!(before <= 1, "{before} searches went before");
    }

    #[tokio::test]
    async fn the_line_of_a_space_is_bounded_and_who_leaves_it_makes_room() {
        let slots = SearchSlots::new(1);
        let running = taken(&slots, "a").await;
        let waiting = wait(&slots, "a", MAX_WAITING_PER_SPACE).await;
        assert!(matches!(slots.take("a", None).await, Err(MemoryStoreError::Busy)));
        for task in waiting {
            task.abort();
            drop(task.await);
        }
        let last = wait(&slots, "a", 1).await;
        assert_eq!(slots.state().waiting, 1);
        drop(running);
        for task in last {
            task.await.unwrap();
        }
        assert_nothing_is_left(&slots);
    }

    #[tokio::test]
    async fn a_person_never_has_all_that_a_space_can_have_and_people_take_turns() {
        let slots = SearchSlots::new(4);
        let [marta, nils] = [1, 2].map(|number| Some(UserId::from_uuid(uuid::Uuid::from_u128(number))));
        let ask = |person| {
            let slots = slots.clone();
            tokio::spawn(async move { slots.take("gpt", person).await })
        };
        let mut running = vec![slots.take("gpt", marta).await.unwrap(), slots.take("gpt", marta).await.unwrap()];
        let many: Vec<_> = (0..MAX_WAITING_PER_PERSON).map(|_| ask(marta)).collect();
        for _ in 0..MAX_WAITING_PER_PERSON {
            tokio::task::yield_now().await;
        }
        assert!(
            matches!(slots.take("gpt", marta).await, Err(MemoryStoreError::Busy)),
            "the line of a person is bounded"
        );
        running.push(slots.take("gpt", nils).await.unwrap());
        let next = ask(nils);
        tokio::task::yield_now().await;
        assert!(
            many.iter().all(|task| !task.is_finished()) && !next.is_finished(),
            "the space has all that it can have"
        );
        // Of the places that become free, one of two goes to the other person.
        running.clear();
        let next = next.await.unwrap().unwrap();
        assert!(many.iter().filter(|task| task.is_finished()).count() <= 2);
        drop(next);
        for task in many {
            drop(task.await.unwrap().unwrap());
        }
        assert_nothing_is_left(&slots);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_forever() {
        let slots = SearchSlots::new(1);
        let _running = taken(&slots, "a").await;
        assert!(matches!(slots.take("b", None).await, Err(MemoryStoreError::Busy)));
    }
}
