//! The context of one request.

use std::sync::{Arc, Mutex, PoisonError};

use poem::{FromRequest, Request, RequestBody};

use super::answers::Reservation;
use super::error::ApiError;
use crate::adapters::http::server::services::Services;
use crate::domain::ids::RequestId;
use crate::domain::oauth::Caller;

/// Attached to each request by the envelope, for extractors and resources.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) services: Arc<Services>,
    pub(crate) request_id: RequestId,
    /// The reservation for the response.
    reservation: Arc<Mutex<Option<Reservation>>>,
}

impl Exchange {
    pub(crate) fn new(services: Arc<Services>, request_id: RequestId) -> Self {
        Self { services, request_id, reservation: Arc::default() }
    }

    /// Reserves what a response with `memories` memories may need, before they are read.
    ///
    /// # Errors
    /// [`ApiError::AnswersUnread`].
    pub(crate) async fn reserve(&self, caller: &Caller, memories: u32) -> Result<(), ApiError> {
        let reservation = self.services.answers.reserve(caller, memories).await?;
        *self.reservation.lock().unwrap_or_else(PoisonError::into_inner) = Some(reservation);
        Ok(())
    }

    pub(crate) fn take_reservation(&self) -> Option<Reservation> {
        self.reservation.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The exchange of `request`.
    ///
    /// # Errors
    /// [`ApiError::OutsideEnvelope`]: a route was assembled without its envelope.
    pub(crate) fn of(request: &Request) -> Result<&Self, ApiError> {
        request.data::<Self>().ok_or(ApiError::OutsideEnvelope)
    }
}

/// An extractor for operations, which need no error path for it.
impl<'a> FromRequest<'a> for &'a Exchange {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Exchange::of(request)?)
    }
}
