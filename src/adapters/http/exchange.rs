//! What belongs to one request while it is answered.

use std::sync::Arc;

use poem::{FromRequest, Request, RequestBody};

use super::Services;
use super::error::ApiError;
use crate::domain::ids::RequestId;

/// Put into each request by the envelope, for the extractors and the resources.
#[derive(Clone)]
pub(super) struct Exchange {
    pub(super) services: Arc<Services>,
    pub(super) request_id: RequestId,
}

impl Exchange {
    /// The exchange that `request` is part of.
    ///
    /// # Errors
    /// [`ApiError::OutsideEnvelope`]: a route was put together without its envelope.
    pub(super) fn of(request: &Request) -> Result<&Self, ApiError> {
        request.data::<Self>().ok_or(ApiError::OutsideEnvelope)
    }
}

/// For the operations, which thereby cannot fail for want of it.
impl<'a> FromRequest<'a> for &'a Exchange {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Exchange::of(request)?)
    }
}
