//! Schedules searches fairly by space, so that no application waits for all the searches of another.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::failure::MemoryStoreError;

/// Maximum number of waiting searches per space, and in total.
const MAX_WAITING_PER_SPACE: usize = 64;
const MAX_WAITING: usize = 1_024;
/// Maximum waiting time.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Bounds the number of concurrent searches. A space never has all slots, and waiting spaces get free slots round-robin.
#[derive(Clone, Debug)]
pub(super) struct SearchSlots(Arc<Mutex<SlotState>>);

#[derive(Debug)]
struct SlotState {
    /// Maximum number of running searches, in total and per space.
    places: usize,
    places_per_space: usize,
    running: usize,
    waiting: usize,
    spaces: HashMap<String, Space>,
    /// The spaces with waiting searches, next first.
    order: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Space {
    running: usize,
    waiting: VecDeque<oneshot::Sender<SearchSlot>>,
}

/// The right to search, until it is dropped.
#[derive(Debug)]
pub(super) struct SearchSlot {
    space: String,
    /// `None` if it was never taken.
    slots: Option<SearchSlots>,
}

impl SearchSlots {
    /// Allows `places` concurrent searches.
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(SlotState {
            places: places.max(1),
            places_per_space: places.saturating_sub(1).max(1),
            running: 0,
            waiting: 0,
            spaces: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// Waits for a slot.
    ///
    /// # Errors
    /// [`MemoryStoreError::Busy`] if too many searches wait already, or the wait times out.
    pub(super) async fn take(&self, space: &str) -> Result<SearchSlot, MemoryStoreError> {
        let (sender, slot) = oneshot::channel();
        self.enqueue(space, sender)?;
        match tokio::time::timeout(MAX_WAIT, slot).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(MemoryStoreError::Busy),
        }
    }

    fn enqueue(&self, name: &str, sender: oneshot::Sender<SearchSlot>) -> Result<(), MemoryStoreError> {
        let mut state = self.state();
        if state.waiting >= MAX_WAITING || state.waiting_in(name) >= MAX_WAITING_PER_SPACE {
            state.forget_who_left();
        }
        if state.waiting >= MAX_WAITING || state.waiting_in(name) >= MAX_WAITING_PER_SPACE {
            return Err(MemoryStoreError::Busy);
        }
        let space = state.spaces.entry(name.to_owned()).or_default();
        space.waiting.push_back(sender);
        if space.waiting.len() == 1 {
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
            let places_per_space = state.places_per_space;
            let Some(space) = state.spaces.get_mut(&name) else { continue };
            while space.running < places_per_space
                && let Some(sender) = space.waiting.pop_front()
            {
                state.waiting -= 1;
                match sender.send(SearchSlot { space: name.clone(), slots: Some(self.clone()) }) {
                    Ok(()) => {
                        space.running += 1;
                        state.running += 1;
                        break;
                    }
                    // A cancelled search takes no slot.
                    Err(mut slot) => slot.slots = None,
                }
            }
            if !space.waiting.is_empty() {
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
    fn waiting_in(&self, name: &str) -> usize {
        self.spaces.get(name).map_or(0, |space| space.waiting.len())
    }

    fn forget_who_left(&mut self) {
        for space in self.spaces.values_mut() {
            space.waiting.retain(|sender| !sender.is_closed());
        }
        self.waiting = self.spaces.values().map(|space| space.waiting.len()).sum();
        let spaces = &self.spaces;
        self.order.retain(|name| spaces.get(name).is_some_and(|space| !space.waiting.is_empty()));
        self.spaces.retain(|_, space| space.running > 0 || !space.waiting.is_empty());
    }
}

impl Drop for SearchSlot {
    fn drop(&mut self) {
        let Some(slots) = self.slots.take() else { return };
        let mut state = slots.state();
        state.running = state.running.saturating_sub(1);
        if let Some(space) = state.spaces.get_mut(&self.space) {
            space.running = space.running.saturating_sub(1);
            if space.running == 0 && space.waiting.is_empty() {
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
        slots.take(space).await.unwrap()
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
        assert!(matches!(slots.take("a").await, Err(MemoryStoreError::Busy)));
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

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_forever() {
        let slots = SearchSlots::new(1);
        let _running = taken(&slots, "a").await;
        assert!(matches!(slots.take("b").await, Err(MemoryStoreError::Busy)));
    }
}
