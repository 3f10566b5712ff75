//! The caller and the request, for the tools.

use crate::domain::ids::RequestId;
use crate::domain::oauth::{AnyToken, Authorized};

/// The caller and the request, for the tools.
#[derive(Clone)]
pub(super) struct McpCall {
    pub(super) caller: Authorized<AnyToken>,
    pub(super) request_id: RequestId,
}
