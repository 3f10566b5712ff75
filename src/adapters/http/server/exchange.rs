//! What belongs to one request while it is answered.

use std::sync::{Arc, Mutex, PoisonError};

use poem::{FromRequest, Request, RequestBody};

use super::answers::Reservation;
use super::error::ApiError;
use crate::adapters::http::server::services::Services;
use crate::domain::ids::RequestId;
use crate::domain::oauth::Caller;

/// Put into each request by the envelope, for the extractors and the resources.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) services: Arc<Services>,
    pub(crate) request_id: RequestId,
    /// What is set aside for the answer.
    reservation: Arc<Mutex<Option<Reservation>>>,
}

impl Exchange {
    pub(crate) fn new(services: Arc<Services>, request_id: RequestId) -> Self {
        Self { services, request_id, reservation: Arc::default() }
    }

    /// Sets aside what an answer with so many memories may need, before they are read.
    ///
    /// # Errors
    /// [`ApiError::AnswersUnread`].
    pub(crate) async fn reserve(&self, caller: &Caller, memories: u32) -> Result<(), ApiError> {
        let reservation = self.services.answers.reserve(caller.application.id, memories).await?;
        *self.reservation.lock().unwrap_or_else(PoisonError::into_inner) = Some(reservation);
        Ok(())
    }

    pub(crate) fn take_reservation(&self) -> Option<Reservation> {
        self.reservation.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The exchange that `request` is part of.
    ///
    /// # Errors
    /// [`ApiError::OutsideEnvelope`]: a route was put together without its envelope.
    pub(crate) fn of(request: &Request) -> Result<&Self, ApiError> {
        request.data::<Self>().ok_or(ApiError::OutsideEnvelope)
    }
}

/// For the operations, which thereby cannot fail for want of it.
impl<'a> FromRequest<'a> for &'a Exchange {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Exchange::of(request)?)
    }
}
