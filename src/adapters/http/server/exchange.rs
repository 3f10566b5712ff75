//! The context of one request.

use std::sync::Arc;

use poem::{FromRequest, Request, RequestBody};

use super::answers::AnswerRoom;
use super::error::ApiError;
use super::services::Services;
use crate::domain::ids::RequestId;

/// Attached to each request by the envelope, for extractors and resources.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) services: Arc<Services>,
    pub(crate) request_id: RequestId,
    /// What a response with memories reserves before it reads them.
    pub(crate) answer: AnswerRoom,
}

impl Exchange {
    pub(crate) fn new(services: Arc<Services>, request_id: RequestId) -> Self {
        let answer = AnswerRoom::within(Arc::clone(&services.answers));
        Self { services, request_id, answer }
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
