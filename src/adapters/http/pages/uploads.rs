//! What people have uploaded and not decided about, and the imports under way (ADR 20).
//!
//! An upload becomes rows in a temporary file without a name, which vanishes with the process that has it open. A person has one
//! at a time, for half an hour; all of them together are bounded in number and in bytes.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::domain::applications::SpaceName;
use crate::domain::ids::UserId;
use crate::domain::memories::{Conversation, ImportFormat, ImportReport};
use crate::domain::system::{Clock, Timestamp};

/// For how long something is kept after its last step.
const LIFETIME: Duration = Duration::from_mins(30);
/// How many uploads are received, or wait to be read, at the same time.
const RECEIVED_AT_ONCE: usize = 8;
/// How many are read at the same time.
const READ_AT_ONCE: usize = 2;
/// How many imports store something at the same time; they take turns.
const STORED_AT_ONCE: usize = 4;
/// How many uploads wait for a decision.
const WAITING: usize = 32;
/// Maximum size of the rows of one upload in bytes: those of memgate's own export are longer than its lines by a few bytes.
pub(super) const ROWS_OF_ONE: u64 = 320 << 20;
/// Maximum size of the rows of all uploads in bytes.
const ROWS_OF_ALL: u64 = 1 << 30;

/// What is kept for people who import.
pub struct Uploads {
    inner: Mutex<Inner>,
    numbers: AtomicU64,
    pub(super) reading: Semaphore,
    pub(super) storing: Semaphore,
}

#[derive(Default)]
struct Inner {
    receiving: HashSet<UserId>,
    held: HashMap<UserId, HeldUpload>,
}

/// How far a person's import is.
#[derive(Clone)]
pub(super) struct HeldUpload {
    /// Tells it from an earlier one.
    pub(super) number: u64,
    pub(super) step: Step,
    until: Timestamp,
}

#[derive(Clone)]
pub(super) enum Step {
    /// The upload is read.
    Reading,
    /// It was read; the person decides.
    Waiting(Arc<WaitingUpload>),
    /// What was chosen is stored.
    Storing(Arc<Storing>),
    /// All was done that could be.
    Done(Arc<ImportOutcome>),
    /// The upload could not be read, or its import broke off.
    Failed(Failure),
}

/// An upload that was read.
pub(super) struct WaitingUpload {
    pub(super) space: SpaceName,
    /// What the person calls it.
    pub(super) space_name: String,
    pub(super) file_name: String,
    pub(super) formats: Vec<ImportFormat>,
    /// Those that are kept, and how many there are.
    pub(super) conversations: Vec<Conversation>,
    pub(super) conversation_count: usize,
    pub(super) memories: u64,
    pub(super) messages: u64,
    pub(super) skipped: u64,
    pub(super) left_out: ImportReport,
    /// The beginnings of the first texts.
    pub(super) samples: Vec<String>,
    /// What an import of all would do; `None` if the memory bank did not answer.
    pub(super) preview: Option<Preview>,
    pub(super) rows: File,
    pub(super) bytes: u64,
}

pub(super) struct Preview {
    pub(super) report: ImportReport,
    /// Whether all rows were looked at.
    pub(super) is_complete: bool,
}

/// An import under way.
pub(super) struct Storing {
    pub(super) done: AtomicU64,
    pub(super) total: u64,
    bytes: u64,
}

/// How an import ended.
pub(super) struct ImportOutcome {
    pub(super) space_name: String,
    pub(super) report: ImportReport,
    /// The items of the file that could not be read.
    pub(super) left_out: ImportReport,
    /// How many rows were not chosen.
    pub(super) not_chosen: u64,
    /// Whether it stopped before its end.
    pub(super) stopped: bool,
}

/// Why an upload could not be read, or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is a ZIP archive that is damaged.
    Damaged,
    /// It unpacks to too much, or has too many files.
    UnpacksToTooMuch,
    /// It holds more text than an import takes.
    TooMuchText,
    /// Too much is kept for others.
    Busy,
    /// The disk.
    Internal,
    /// Storing ended without an outcome.
    BrokenOff,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            numbers: AtomicU64::new(1),
            reading: Semaphore::new(READ_AT_ONCE),
            storing: Semaphore::new(STORED_AT_ONCE),
        }
    }
}

impl Uploads {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what nobody has decided about in time, and outcomes that were shown for long enough.
    pub fn sweep(&self, now: Timestamp) {
        self.inner().held.retain(|_, held| held.until > now || held.is_under_way());
    }

    /// Forgets what a person uploaded; an import that has begun goes on.
    pub(super) fn forget(&self, person: UserId) {
        let mut inner = self.inner();
        if inner.held.get(&person).is_some_and(|held| !matches!(held.step, Step::Storing(_))) {
            inner.held.remove(&person);
        }
    }

    /// How far the person's import is.
    pub(super) fn of(&self, person: UserId, now: Timestamp) -> Option<HeldUpload> {
        self.sweep(now);
        self.inner().held.get(&person).cloned()
    }

    /// The right of a person to have an upload on the disk, until it is dropped.
    ///
    /// # Errors
    /// [`Occupied`].
    pub(super) fn receive(self: &Arc<Self>, person: UserId) -> Result<Receiving, Occupied> {
        let mut inner = self.inner();
        if inner.held.get(&person).is_some_and(HeldUpload::is_under_way) || inner.receiving.contains(&person) {
            return Err(Occupied::Already);
        }
        if inner.receiving.len() >= RECEIVED_AT_ONCE {
            return Err(Occupied::ByOthers);
        }
        inner.receiving.insert(person);
        Ok(Receiving { uploads: Arc::clone(self), person })
    }

    /// An upload is read from now on. Returns its number.
    pub(super) fn begin(&self, person: UserId, now: Timestamp) -> u64 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let held = HeldUpload { number, step: Step::Reading, until: now.plus(LIFETIME) };
        self.inner().held.insert(person, held);
        number
    }

    /// The reading of an upload has ended.
    pub(super) fn end_reading(
        &self,
        person: UserId,
        number: u64,
        now: Timestamp,
        read: Result<WaitingUpload, Failure>,
    ) {
        self.sweep(now);
        let mut inner = self.inner();
        let step = match read {
            Ok(waiting) => {
                let others = inner.held.iter().filter(|(other, _)| **other != person);
                let bytes: Vec<u64> = others.filter_map(|(_, held)| held.bytes()).collect();
                let has_room = bytes.len() < WAITING && bytes.iter().sum::<u64>() + waiting.bytes <= ROWS_OF_ALL;
                if has_room { Step::Waiting(Arc::new(waiting)) } else { Step::Failed(Failure::Busy) }
            }
            Err(failure) => Step::Failed(failure),
        };
        inner.proceed(person, number, now, step);
    }

    /// Begins to store `total` rows of the upload with this number; `None` if it is not waiting any more.
    pub(super) fn begin_storing(
        &self,
        person: UserId,
        number: u64,
        now: Timestamp,
        total: u64,
    ) -> Option<(Arc<WaitingUpload>, Arc<Storing>)> {
        let mut inner = self.inner();
        let held = inner.held.get(&person).filter(|held| held.number == number)?;
        let Step::Waiting(waiting) = &held.step else { return None };
        let (waiting, storing) =
            (Arc::clone(waiting), Arc::new(Storing { done: AtomicU64::new(0), total, bytes: waiting.bytes }));
        inner.proceed(person, number, now, Step::Storing(Arc::clone(&storing)));
        Some((waiting, storing))
    }

    /// Watches the work on the upload with this number: if it ends without an outcome, the import is not under way any more.
    pub(super) fn watch(self: &Arc<Self>, person: UserId, number: u64, clock: &Arc<dyn Clock>) -> Watched {
        Watched { uploads: Arc::clone(self), person, number, clock: Arc::clone(clock) }
    }

    /// An import has ended.
    pub(super) fn end_storing(&self, person: UserId, number: u64, now: Timestamp, outcome: ImportOutcome) {
        self.inner().proceed(person, number, now, Step::Done(Arc::new(outcome)));
    }
}

impl Inner {
    fn proceed(&mut self, person: UserId, number: u64, now: Timestamp, step: Step) {
        if let Some(held) = self.held.get_mut(&person).filter(|held| held.number == number) {
            held.step = step;
            held.until = now.plus(LIFETIME);
        }
    }
}

impl HeldUpload {
    fn is_under_way(&self) -> bool {
        matches!(self.step, Step::Reading | Step::Storing(_))
    }

    /// How much of the disk it holds.
    fn bytes(&self) -> Option<u64> {
        match &self.step {
            Step::Waiting(waiting) => Some(waiting.bytes),
            Step::Storing(storing) => Some(storing.bytes),
            Step::Reading | Step::Done(_) | Step::Failed(_) => None,
        }
    }
}

/// Why a person may not upload now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupied {
    /// They upload or import already.
    Already,
    /// Too many others upload.
    ByOthers,
}

/// See [`Uploads::receive`].
pub(super) struct Receiving {
    uploads: Arc<Uploads>,
    person: UserId,
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.uploads.inner().receiving.remove(&self.person);
    }
}

/// See [`Uploads::watch`].
pub(super) struct Watched {
    uploads: Arc<Uploads>,
    person: UserId,
    number: u64,
    clock: Arc<dyn Clock>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut inner = self.uploads.inner();
        let failure = match inner.held.get(&self.person).map(|held| &held.step) {
            Some(Step::Reading) => Failure::Internal,
            Some(Step::Storing(_)) => Failure::BrokenOff,
            _ => return,
        };
        inner.proceed(self.person, self.number, self.clock.now(), Step::Failed(failure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memgate_domain::testing::{FixedClock, now, person};

    fn waiting(bytes: u64) -> WaitingUpload {
        WaitingUpload {
            space: "home".parse().unwrap(),
            space_name: String::new(),
            file_name: String::new(),
            formats: Vec::new(),
            conversations: Vec::new(),
            conversation_count: 0,
            memories: 1,
            messages: 0,
            skipped: 0,
            left_out: ImportReport::default(),
            samples: Vec::new(),
            preview: None,
            rows: tempfile::tempfile().unwrap(),
            bytes,
        }
    }

    fn upload(uploads: &Uploads, bytes: u64) -> (UserId, u64) {
        let person = person().id;
        let number = uploads.begin(person, now());
        uploads.end_reading(person, number, now(), Ok(waiting(bytes)));
        (person, number)
    }

    #[test]
    fn a_person_uploads_once_at_a_time_and_all_a_few_times() {
        let uploads = Arc::new(Uploads::default());
        let marta = person().id;
        let first = uploads.receive(marta).unwrap();
        assert_eq!(uploads.receive(marta).err().unwrap(), Occupied::Already);
        let others: Vec<_> = (1..RECEIVED_AT_ONCE).map(|_| uploads.receive(person().id).unwrap()).collect();
        assert_eq!(uploads.receive(person().id).err().unwrap(), Occupied::ByOthers);
        drop((first, others));
        let number = uploads.begin(marta, now());
        assert_eq!(uploads.receive(marta).err().unwrap(), Occupied::Already, "it is still read");
        uploads.end_reading(marta, number, now(), Err(Failure::Damaged));
        assert!(uploads.receive(marta).is_ok());
    }

    #[test]
    fn what_is_forgotten_while_it_is_read_does_not_come_back() {
        let uploads = Uploads::default();
        let marta = person().id;
        let number = uploads.begin(marta, now());
        uploads.forget(marta);
        uploads.end_reading(marta, number, now(), Ok(waiting(1)));
        assert!(uploads.of(marta, now()).is_none());
    }

    #[tokio::test]
    async fn work_that_panics_leaves_nothing_under_way() {
        let (uploads, clock): (_, Arc<dyn Clock>) = (Arc::new(Uploads::default()), Arc::new(FixedClock::at(now())));
        let panics = |watched: Watched| async move {
            let _watched = watched;
            panic!("a mistake");
        };
        let marta = person().id;
        let number = uploads.begin(marta, now());
        let older = uploads.watch(marta, number, &clock);
        let number = uploads.begin(marta, now());
        drop(older);
        assert!(matches!(uploads.of(marta, now()).unwrap().step, Step::Reading), "another upload");
        assert!(tokio::spawn(panics(uploads.watch(marta, number, &clock))).await.is_err());
        assert!(matches!(uploads.of(marta, now()).unwrap().step, Step::Failed(Failure::Internal)));

        let (marta, number) = upload(&uploads, 1);
        uploads.begin_storing(marta, number, now(), 1).unwrap();
        assert!(tokio::spawn(panics(uploads.watch(marta, number, &clock))).await.is_err());
        assert!(matches!(uploads.of(marta, now()).unwrap().step, Step::Failed(Failure::BrokenOff)));
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_bytes_and_in_time() {
        let uploads = Uploads::default();
        for _ in 0..WAITING {
            upload(&uploads, 1);
        }
        let (late, _) = upload(&uploads, 1);
        assert!(matches!(uploads.of(late, now()).unwrap().step, Step::Failed(Failure::Busy)));
        let after = now().plus(LIFETIME);
        assert!(uploads.of(late, after).is_none());
        assert!(uploads.inner().held.is_empty(), "nobody decided in time");

        let (large, _) = upload(&uploads, ROWS_OF_ALL);
        let (other, _) = upload(&uploads, 1);
        assert!(matches!(uploads.of(other, now()).unwrap().step, Step::Failed(Failure::Busy)));
        uploads.forget(large);
        let (other, number) = upload(&uploads, 1);
        assert!(matches!(uploads.of(other, now()).unwrap().step, Step::Waiting(_)));
        assert!(uploads.begin_storing(other, number + 1, now(), 1).is_none(), "another upload");
        assert!(uploads.begin_storing(other, number, now(), 1).is_some());
        assert!(uploads.begin_storing(other, number, now(), 1).is_none(), "once");
        let (large, _) = upload(&uploads, ROWS_OF_ALL);
        let failed = uploads.of(large, now()).unwrap().step;
        assert!(matches!(failed, Step::Failed(Failure::Busy)), "what is being stored is on the disk too");
        uploads.forget(other);
        assert!(uploads.of(other, after).is_some(), "it is under way");
    }
}
