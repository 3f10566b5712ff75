//! A second attempt beside a first one that takes its time.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::sleep;

use super::super::failure::Failure;

/// Does `first`; when it has not ended after `delay`, and `may_hedge` agrees, does `second` beside it. The first success
/// counts, and the other attempt is dropped; of two failures the last one counts.
///
/// # Errors
/// Those of the attempts.
pub async fn race<T>(
    delay: Duration,
    first: impl Future<Output = Result<T, Failure>>,
    may_hedge: impl FnOnce() -> bool,
    second: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (mut first, second) = (pin!(first), pin!(second));
    if let Either::Left((answer, _)) = select(first.as_mut(), pin!(sleep(delay))).await {
        return answer;
    }
    if !may_hedge() {
        return first.await;
    }
    match select(first, second).await {
        Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => Ok(answer),
        Either::Left((Err(_), second)) => second.await,
        Either::Right((Err(_), first)) => first.await,
    }
}
