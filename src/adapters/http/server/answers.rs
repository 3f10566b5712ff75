//! Bounds the bytes of responses that clients have not read yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use poem::{Body, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use crate::domain::ids::{ApplicationId, UserId};
use crate::domain::oauth::Caller;

/// Unit in which bytes are counted.
const UNIT: usize = 1024;
/// Units reserved per memory that a response may contain. Most are smaller; the actual size replaces the reservation.
const UNITS_PER_MEMORY: u32 = 32;
/// Maximum number of units reserved for one response: a full page of the largest memories, as JSON.
const UNITS_PER_ANSWER: u32 = 2 * 1024;
/// How long a request waits for earlier responses to be read.
const WAIT: Duration = Duration::from_secs(5);

/// Bounds the bytes of unread responses with memories in them, per application and in total. A person gets at most half of
/// what an application does.
///
/// A request reserves what its response may need before the memory bank is called, and the response's bytes count until
/// the socket has taken them. A client that does not read its responses waits, and is then refused; others are unaffected.
pub struct AnswerBudget {
    per_application: usize,
    all: Arc<Semaphore>,
    callers: Mutex<HashMap<AnswerReader, Arc<Semaphore>>>,
}

/// An application, a person of one, or a person with a browser.
type AnswerReader = (Option<ApplicationId>, Option<UserId>);

impl AnswerBudget {
    /// Bounds per application and in total, in bytes. A single response always fits.
    #[must_use]
    pub fn new(per_application: usize, all: usize) -> Self {
        let units = |bytes: usize| (bytes / UNIT).max(UNITS_PER_ANSWER as usize);
        Self {
            per_application: units(per_application),
            all: Arc::new(Semaphore::new(units(all))),
            callers: Mutex::default(),
        }
    }

    /// Reserves what a response with `memories` memories may need.
    ///
    /// # Errors
    /// [`ApiError::AnswersUnread`] if earlier responses are not read in time.
    pub(crate) async fn reserve(&self, caller: &Caller, memories: u32) -> Result<Reservation, ApiError> {
        self.reserve_for(caller.application().id, caller.subject().person(), memories).await
    }

    /// The same for a person with a browser, who gets at most half of what an application does.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub(crate) async fn reserve_for_person(&self, person: UserId, memories: u32) -> Result<Reservation, ApiError> {
        self.reserve_within([(None, Some(person))], memories).await
    }

    async fn reserve_for(
        &self,
        application: ApplicationId,
        person: Option<UserId>,
        memories: u32,
    ) -> Result<Reservation, ApiError> {
        // The person's first, so that whoever waits for that holds nothing of what others need.
        let of_person = person.map(|person| (Some(application), Some(person)));
        self.reserve_within(of_person.into_iter().chain([(Some(application), None)]), memories).await
    }

    async fn reserve_within(
        &self,
        readers: impl IntoIterator<Item = AnswerReader>,
        memories: u32,
    ) -> Result<Reservation, ApiError> {
        let units = memories.saturating_mul(UNITS_PER_MEMORY).clamp(UNITS_PER_MEMORY, UNITS_PER_ANSWER);
        let bounds: Vec<_> = readers.into_iter().map(|reader| self.of(reader)).chain([Arc::clone(&self.all)]).collect();
        let wait = async {
            let mut permits = Vec::with_capacity(3);
            for bound in bounds {
                permits.push(bound.acquire_many_owned(units).await.ok()?);
            }
            Some(Reservation { permits })
        };
        tokio::time::timeout(WAIT, wait).await.ok().flatten().ok_or(ApiError::AnswersUnread)
    }

    fn of(&self, reader: AnswerReader) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = callers.get(&reader) {
            return Arc::clone(known);
        }
        // Whoever holds or waits for a reservation has a reference.
        callers.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        let units = match reader {
            (_, None) => self.per_application,
            (_, Some(_)) => (self.per_application / 2).max(UNITS_PER_ANSWER as usize),
        };
        Arc::clone(callers.entry(reader).or_insert_with(|| Arc::new(Semaphore::new(units))))
    }
}

impl Default for AnswerBudget {
    /// 64 MiB per application, 256 MiB in total.
    fn default() -> Self {
        Self::new(64 << 20, 256 << 20)
    }
}

/// The reservation of one response.
pub(crate) struct Reservation {
    permits: Vec<OwnedSemaphorePermit>,
}

impl Reservation {
    /// Replaces the reservation by what `bytes` need. A response larger than expected takes more if available.
    fn settle(&mut self, bytes: usize) {
        let needed = bytes.div_ceil(UNIT);
        for permit in &mut self.permits {
            let held = permit.num_permits();
            if let Some(surplus) = held.checked_sub(needed) {
                drop(permit.split(surplus));
            } else if let Ok(more) = u32::try_from(needed - held)
                && let Ok(more) = Arc::clone(permit.semaphore()).try_acquire_many_owned(more)
            {
                permit.merge(more);
            }
        }
    }

    /// Counts the body of `response` until its last byte is sent.
    async fn hold(mut self, response: &mut Response) {
        // Our bodies are in memory, so reading them does not fail.
        let Ok(bytes) = response.take_body().into_bytes().await else { return };
        self.settle(bytes.len());
        response.set_body(Body::from(Bytes::from_owner(Counted { bytes, _reservation: self })));
    }
}

/// The room for the response to one request.
#[derive(Clone)]
pub(crate) struct AnswerRoom {
    budget: Arc<AnswerBudget>,
    reserved: Arc<Mutex<Option<Reservation>>>,
}

impl AnswerRoom {
    pub(crate) fn within(budget: Arc<AnswerBudget>) -> Self {
        Self { budget, reserved: Arc::default() }
    }

    /// Reserves what a response with `memories` memories may need, before they are read.
    ///
    /// # Errors
    /// As [`AnswerBudget::reserve`].
    pub(crate) async fn reserve(&self, caller: &Caller, memories: u32) -> Result<(), ApiError> {
        let reservation = self.budget.reserve(caller, memories).await?;
        *self.reserved.lock().unwrap_or_else(PoisonError::into_inner) = Some(reservation);
        Ok(())
    }

    /// Counts the body of `response` until its last byte is sent, if room was reserved for it.
    pub(crate) async fn hold(&self, response: &mut Response) {
        let reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reservation) = reserved {
            reservation.hold(response).await;
        }
    }
}

/// Bytes of a response with their reservation.
struct Counted {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const MIB: usize = 1 << 20;

    fn application(number: u128) -> ApplicationId {
        ApplicationId::from_uuid(Uuid::from_u128(number))
    }

    async fn answer(budget: &AnswerBudget, of: ApplicationId, bytes: usize) -> Response {
        let reservation = budget.reserve_for(of, None, 1000).await.unwrap();
        let mut response = Response::builder().body(vec![0; bytes]);
        reservation.hold(&mut response).await;
        response
    }

    #[tokio::test(start_paused = true)]
    async fn an_application_that_reads_nothing_is_refused_and_others_are_not() {
        let budget = AnswerBudget::new(4 * MIB, 64 * MIB);
        let unread = [answer(&budget, application(1), 2 * MIB).await, answer(&budget, application(1), 2 * MIB).await];
        assert!(matches!(budget.reserve_for(application(1), None, 1).await, Err(ApiError::AnswersUnread)));
        answer(&budget, application(2), 2 * MIB).await;
        drop(unread);
        answer(&budget, application(1), 2 * MIB).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_person_who_reads_nothing_leaves_half_of_the_application_to_others() {
        let budget = AnswerBudget::new(8 * MIB, 64 * MIB);
        let (marta, nils) = (Some(UserId::from_uuid(Uuid::from_u128(1))), Some(UserId::from_uuid(Uuid::from_u128(2))));
        let mut unread = Vec::new();
        for _ in 0..2 {
            unread.push(budget.reserve_for(application(1), marta, 1000).await.unwrap());
        }
        assert!(budget.reserve_for(application(1), marta, 1).await.is_err());
        unread.push(budget.reserve_for(application(1), nils, 1000).await.unwrap());
        drop(unread);
        assert!(budget.reserve_for(application(1), marta, 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn all_applications_together_are_bounded_too() {
        let budget = AnswerBudget::new(4 * MIB, 6 * MIB);
        let mut unread = Vec::new();
        for number in 0..3 {
            unread.push(answer(&budget, application(number), 2 * MIB).await);
        }
        assert!(budget.reserve_for(application(9), None, 1).await.is_err());
        unread.pop();
        assert!(budget.reserve_for(application(9), None, 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_with_its_own_bytes() {
        let budget = AnswerBudget::new(4 * MIB, 4 * MIB);
        let mut unread = Vec::new();
        for _ in 0..2048 {
            unread.push(answer(&budget, application(1), 1024).await);
        }
        // More than is reserved for one memory.
        let mut large = Response::builder().body(vec![0; MIB]);
        budget.reserve_for(application(1), None, 1).await.unwrap().hold(&mut large).await;
        assert!(budget.reserve_for(application(1), None, 1000).await.is_err(), "less than 2 MiB are left");
        drop((unread, large));
        assert_eq!(budget.of((Some(application(1)), None)).available_permits(), 4096);
    }

    #[tokio::test]
    async fn applications_that_hold_nothing_are_not_kept() {
        let budget = AnswerBudget::default();
        for number in 0..100 {
            answer(&budget, application(number), 1).await;
        }
        assert_eq!(budget.callers.lock().unwrap().len(), 1);
    }
}
