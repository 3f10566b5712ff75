use std::sync::{Arc, Mutex};

use tracing::Level;
use tracing::subscriber::with_default;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::*;
use crate::domain::people::SignInError;
use crate::domain::system::StorageError;

/// Notes the level of every event.
#[derive(Clone, Default)]
struct Levels(Arc<Mutex<Vec<Level>>>);

impl<S: tracing::Subscriber> Layer<S> for Levels {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }
}

/// The level of the one line that this error leaves when it is answered with `status`.
fn level_of(status: StatusCode, error: &(dyn Error + 'static)) -> Level {
    let levels = Levels::default();
    let id = RequestId::from_uuid(uuid::Uuid::nil());
    with_default(tracing_subscriber::registry().with(levels.clone()), || log(status, "kind", error, id));
    let levels = levels.0.lock().unwrap();
    assert_eq!(levels.len(), 1, "{error}");
    levels[0]
}

#[test]
fn what_anybody_can_cause_without_end_fills_no_log() {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let overload = RefusedGrant(OAuthError::from(HasherError::Overloaded));
    assert_eq!(level_of(busy, &overload), Level::DEBUG, "made-up client ids");
    assert_eq!(level_of(busy, &SignInError::from(HasherError::Overloaded)), Level::DEBUG, "made-up logins");
    assert_eq!(level_of(StatusCode::UNAUTHORIZED, &RefusedGrant(OAuthError::InvalidClient)), Level::DEBUG);
}

#[test]
fn what_an_operator_has_to_know_is_a_warning_or_an_error() {
    let away = || StorageError::Unavailable("the disk is full".into());
    assert_eq!(level_of(StatusCode::SERVICE_UNAVAILABLE, &RefusedGrant(OAuthError::from(away()))), Level::WARN);
    assert_eq!(level_of(StatusCode::SERVICE_UNAVAILABLE, &SignInError::from(away())), Level::WARN);
    let broken = HasherError::Failed("a stored hash is malformed".into());
    assert_eq!(level_of(StatusCode::INTERNAL_SERVER_ERROR, &RefusedGrant(OAuthError::from(broken))), Level::ERROR);
}
