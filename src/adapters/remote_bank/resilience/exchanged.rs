//! The result of a request.

use std::sync::Arc;

use crate::adapters::remote_bank::exchange::BankResponse;

/// The result of an exchange.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The response.
    pub response: Arc<BankResponse>,
    /// How often the request was sent.
    pub attempts: u32,
    /// Whether the response is that of the look-up: what was to be created exists already.
    pub was_there: bool,
}
