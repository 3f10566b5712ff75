//! Shares slots fairly by space, and within a space by person, so that nobody waits for all that another does.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::ids::UserId;

/// A maximum in total, for each space, and for each person of a space.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// In total.
    pub total: usize,
    /// For each space.
    pub space: usize,
    /// For each person of a space; the applications themselves can have all of it.
    pub person: usize,
}

/// There is no slot, and no place to wait for one or no time left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSlot;

/// A bounded number of slots. Waiting spaces, and waiting people of a space, get free slots round-robin.
#[derive(Clone, Debug)]
pub struct FairSlots(Arc<Mutex<SlotState>>);

#[derive(Debug)]
struct SlotState {
    running_at_most: Shares,
    waiting_at_most: Shares,
    running: usize,
    waiting: usize,
    spaces: HashMap<String, Space>,
    /// The spaces that wait, next first.
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
    waiting: VecDeque<oneshot::Sender<FairSlot>>,
}

/// A slot, until it is dropped.
#[derive(Debug)]
pub struct FairSlot {
    space: String,
    person: Option<UserId>,
    /// `None` if it was never taken.
    slots: Option<FairSlots>,
}

impl FairSlots {
    /// So many that run, and so many that wait, at most.
    #[must_use]
    pub fn new(running: Shares, waiting: Shares) -> Self {
        let least = |number: usize| number.max(1);
        let Shares { total, space, person } = running;
        Self(Arc::new(Mutex::new(SlotState {
            running_at_most: Shares { total: least(total), space: least(space), person: least(person) },
            waiting_at_most: waiting,
            running: 0,
            waiting: 0,
            spaces: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// Takes a slot for a person in a space, or for its applications; waits for it at most so long.
    ///
    /// # Errors
    /// [`NoSlot`], at once if too many wait already.
    pub async fn take(&self, space: &str, person: Option<UserId>, max_wait: Duration) -> Result<FairSlot, NoSlot> {
        let (sender, slot) = oneshot::channel();
        self.enqueue(space, person, sender)?;
        match tokio::time::timeout(max_wait, slot).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(NoSlot),
        }
    }

    fn enqueue(&self, name: &str, person: Option<UserId>, sender: oneshot::Sender<FairSlot>) -> Result<(), NoSlot> {
        let mut state = self.state();
        if !state.can_start(name, person) {
            if state.is_full(name, person) {
                state.forget_who_left();
            }
            if state.is_full(name, person) {
                return Err(NoSlot);
            }
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

    /// Assigns free slots to those that wait.
    fn start_next(&self, state: &mut SlotState) {
        for _ in 0..state.order.len() {
            if state.running >= state.running_at_most.total {
                return;
            }
            let Some(name) = state.order.pop_front() else { return };
            let Shares { space: per_space, person: per_person, .. } = state.running_at_most;
            let Some(space) = state.spaces.get_mut(&name) else { continue };
            let waited = space.waiting();
            if space.running < per_space {
                let slot = |person| FairSlot { space: name.clone(), person, slots: Some(self.clone()) };
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

impl Shares {
    /// Whether there may be one more than so many in total, of the space, and of the person if it is one.
    fn allows(&self, total: usize, space: usize, person: Option<usize>) -> bool {
        total < self.total && space < self.space && person.is_none_or(|number| number < self.person)
    }
}

impl SlotState {
    /// Whether a slot is free for them: then nobody else who could have it waits.
    fn can_start(&self, name: &str, person: Option<UserId>) -> bool {
        let (space, of_person) = self.counts(name, person, |space| space.running, |queue| queue.running);
        self.running_at_most.allows(self.running, space, of_person)
    }

    /// Whether no more may wait.
    fn is_full(&self, name: &str, person: Option<UserId>) -> bool {
        let (space, of_person) = self.counts(name, person, Space::waiting, |queue| queue.waiting.len());
        !self.waiting_at_most.allows(self.waiting, space, of_person)
    }

    /// A number of the space, and of the person.
    fn counts(
        &self,
        name: &str,
        person: Option<UserId>,
        of_space: impl Fn(&Space) -> usize,
        of_queue: impl Fn(&Queue) -> usize,
    ) -> (usize, Option<usize>) {
        let space = self.spaces.get(name);
        let queue = space.and_then(|space| space.queues.get(&person));
        (space.map_or(0, of_space), person.map(|_| queue.map_or(0, of_queue)))
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

    /// Gives the next one that waits a slot. Returns whether it took it.
    fn start_next(&mut self, per_person: usize, slot: impl Fn(Option<UserId>) -> FairSlot) -> bool {
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
                    // Who has left takes no slot.
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

impl Drop for FairSlot {
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

    const MAX_WAITING_PER_SPACE: usize = 64;
    const MAX_WAITING_PER_PERSON: usize = 16;
    const MAX_WAIT: Duration = Duration::from_secs(5);

    fn slots(places: usize) -> FairSlots {
        let running = Shares { total: places, space: places.saturating_sub(1), person: places.saturating_sub(2) };
        FairSlots::new(running, Shares { total: 1_024, space: MAX_WAITING_PER_SPACE, person: MAX_WAITING_PER_PERSON })
    }

    async fn taken(slots: &FairSlots, space: &str) -> FairSlot {
        slots.take(space, None, MAX_WAIT).await.unwrap()
    }

    /// Requests slots of `space`, which wait, and lets them queue up.
    async fn wait(slots: &FairSlots, space: &'static str, count: usize) -> Vec<tokio::task::JoinHandle<FairSlot>> {
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

    fn assert_nothing_is_left(slots: &FairSlots) {
        let state = slots.state();
        assert_eq!((state.running, state.waiting), (0, 0));
        assert!(state.spaces.is_empty(), "{state:?}");
        assert!(state.order.is_empty(), "{state:?}");
    }

    #[tokio::test]
    async fn a_space_never_has_all_places() {
        let slots = slots(4);
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
        let slots = slots(1);
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
        let slots = slots(1);
        let running = taken(&slots, "a").await;
        let waiting = wait(&slots, "a", MAX_WAITING_PER_SPACE).await;
        assert!(matches!(slots.take("a", None, MAX_WAIT).await, Err(NoSlot)));
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
        let slots = slots(4);
        let [marta, nils] = [1, 2].map(|number| Some(UserId::from_uuid(uuid::Uuid::from_u128(number))));
        let ask = |person| {
            let slots = slots.clone();
            tokio::spawn(async move { slots.take("gpt", person, MAX_WAIT).await })
        };
        let mut running =
            vec![slots.take("gpt", marta, MAX_WAIT).await.unwrap(), slots.take("gpt", marta, MAX_WAIT).await.unwrap()];
        let many: Vec<_> = (0..MAX_WAITING_PER_PERSON).map(|_| ask(marta)).collect();
        for _ in 0..MAX_WAITING_PER_PERSON {
            tokio::task::yield_now().await;
        }
        assert!(matches!(slots.take("gpt", marta, MAX_WAIT).await, Err(NoSlot)), "the line of a person is bounded");
        running.push(slots.take("gpt", nils, MAX_WAIT).await.unwrap());
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

    #[tokio::test]
    async fn where_nobody_may_wait_who_finds_a_slot_has_it() {
        let two = Shares { total: 2, space: 2, person: 1 };
        let slots = FairSlots::new(two, Shares { total: 0, space: 0, person: 0 });
        let marta = Some(UserId::from_uuid(uuid::Uuid::from_u128(1)));
        let first = slots.take("a", marta, MAX_WAIT).await.unwrap();
        assert_eq!(slots.take("a", marta, MAX_WAIT).await.unwrap_err(), NoSlot);
        let second = slots.take("a", None, MAX_WAIT).await.unwrap();
        assert_eq!(slots.take("b", None, MAX_WAIT).await.unwrap_err(), NoSlot);
        drop((first, second));
        assert_nothing_is_left(&slots);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_forever() {
        let slots = slots(1);
        let _running = taken(&slots, "a").await;
        assert!(matches!(slots.take("b", None, MAX_WAIT).await, Err(NoSlot)));
    }
}
