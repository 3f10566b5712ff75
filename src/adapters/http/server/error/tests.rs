use std::error::Error;
use std::sync::{Arc, Mutex};

use poem::http::StatusCode;
use tokio::time::Instant;
use tracing::Level;
use tracing::subscriber::with_default;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::*;
use crate::domain::applications::HasherError;
use crate::domain::oauth::{AccessError, Audience, OAuthError, Resources};
use crate::domain::people::SignInError;
use crate::domain::system::StorageError;

/// Notes the text of every error.
#[derive(Clone, Default)]
struct Texts(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Texts {
    fn record_debug(&mut self, _field: &tracing::field::Field, _value: &dyn std::fmt::Debug) {}

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "error" {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Texts {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        event.record(&mut self.clone());
    }
}

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
    levels_of(status, "kind", &[error])[0]
}

/// The same for each of these.
fn levels_of(status: StatusCode, kind: &'static str, errors: &[&(dyn Error + 'static)]) -> Vec<Level> {
    let levels = Levels::default();
    let id = RequestId::from_uuid(uuid::Uuid::nil());
    with_default(tracing_subscriber::registry().with(levels.clone()), || {
        for error in errors {
            log(status, kind, *error, id);
        }
    });
    let levels = levels.0.lock().unwrap().clone();
    assert_eq!(levels.len(), errors.len());
    levels
}

#[test]
fn what_a_caller_can_repeat_is_a_warning_once_a_second() {
    let (unread, began) = (ApiError::AnswersUnread, Instant::now());
    let errors: Vec<&(dyn Error + 'static)> = vec![&unread; 10_000];
    let levels = levels_of(StatusCode::SERVICE_UNAVAILABLE, "of-this-test", &errors);
    let warnings = levels.iter().filter(|level| **level == Level::WARN).count();
    assert_eq!(levels[0], Level::WARN, "somebody has to know");
    assert!(warnings as u64 <= 1 + began.elapsed().as_secs(), "{warnings} warnings");
    assert!(levels.iter().all(|level| matches!(*level, Level::WARN | Level::DEBUG)));
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
    let unavailable = || StorageError::Unavailable("the disk is full".into());
    assert_eq!(level_of(StatusCode::SERVICE_UNAVAILABLE, &RefusedGrant(OAuthError::from(unavailable()))), Level::WARN);
    let levels = levels_of(StatusCode::SERVICE_UNAVAILABLE, "of-another-kind", &[&SignInError::from(unavailable())]);
    assert_eq!(levels, [Level::WARN]);
    let broken = HasherError::Failed("a stored hash is malformed".into());
    assert_eq!(level_of(StatusCode::INTERNAL_SERVER_ERROR, &RefusedGrant(OAuthError::from(broken))), Level::ERROR);
}

#[test]
fn a_token_or_a_grant_for_another_resource_is_logged_with_both_and_nothing_that_a_caller_made_up() {
    let (ours, mcp) = ("https://memory.example", "https://memory.example/mcp");
    let wrong = AccessError::WrongAudience { expected: mcp.to_owned(), actual: ours.to_owned() };
    let resources = Resources { issuer: ours.to_owned(), api: ours.to_owned() };
    let foreign = resources.requested(&["https://evil.example"]).unwrap_err();
    let widened = resources.narrow(Audience::Api, Some(Audience::Mcp)).unwrap_err();
    let id = RequestId::from_uuid(uuid::Uuid::nil());
    for (error, logged) in [
        (&ApiError::from(wrong) as &(dyn Error + 'static), true),
        (&OAuthError::from(foreign), true),
        (&OAuthError::from(widened), true),
        (&OAuthError::InvalidRequest("made up".to_owned()), false),
        (&ApiError::Malformed("made up".to_owned()), false),
    ] {
        let texts = Texts::default();
        let subscriber = tracing_subscriber::registry().with(texts.clone());
        with_default(subscriber, || log(StatusCode::BAD_REQUEST, "kind", error, id));
        let texts = texts.0.lock().unwrap();
        assert_eq!(texts.len(), usize::from(logged), "{error}");
        assert!(
            texts.iter().all(|text| text.contains(ours) && text.contains(mcp) && !text.contains("evil")),
            "{texts:?}"
        );
    }
}

#[test]
fn who_comes_when_too_many_registered_is_told_when_to_come_back() {
    let response = of_oauth(&OAuthError::TooManyRegistrations);
    assert_eq!((response.status, response.slug), (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"));
    assert_eq!(response.headers, [(header::RETRY_AFTER, HeaderValue::from(3600))]);
}
