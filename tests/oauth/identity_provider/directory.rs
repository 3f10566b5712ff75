//! Metadata and keys: when they are fetched, for how long they are good, and what they must not be.

use std::time::Duration;

use futures_util::future::join_all;
use jwt_simple::prelude::Ed25519KeyPair;
use memgate::domain::people::{IdentityError, IdentityProvider as _};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::double::{CODE, Double, KEYS, METADATA, TOKEN, key_set, ok, signed};

fn unavailability(error: IdentityError) -> String {
    match error {
        IdentityError::Unavailable(why) => why.to_string(),
        IdentityError::Rejected(_) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn nothing_is_fetched_before_somebody_signs_in_and_then_once_for_all() {
    let double = Double::start().await;
    let client = double.client();
    assert_eq!(client.name(), "127.0.0.1");
    assert!(double.requests(METADATA).await.is_empty());
    let urls = join_all((0..20).map(|_| client.authorization_url(&double.attempt))).await;
    assert!(urls.into_iter().all(|url| url.is_ok()));
    assert_eq!(double.requests(METADATA).await.len(), 1);
    assert_eq!(double.requests(KEYS).await.len(), 1);
}

#[tokio::test]
async fn what_is_known_is_good_for_an_hour() {
    let double = Double::start().await;
    let client = double.client();
    for (wait, fetches) in [(0, 1), (3599, 1), (1, 2), (0, 2)] {
        double.clock.advance(Duration::from_secs(wait));
        client.authorization_url(&double.attempt).await.unwrap();
        assert_eq!(double.requests(METADATA).await.len(), fetches);
    }
    double.clock.jump_back(Duration::from_secs(1));
    client.authorization_url(&double.attempt).await.unwrap();
    assert_eq!(double.requests(METADATA).await.len(), 3, "a clock that jumped back makes nothing last longer");
}

#[tokio::test]
async fn what_is_known_serves_on_while_the_provider_is_unavailable() {
    let double = Double::start().await;
    let client = double.client();
    client.authorization_url(&double.attempt).await.unwrap();
    double.clock.advance(Duration::from_hours(2));
    double.answers(METADATA, ResponseTemplate::new(503)).await;
    double.gives(&signed(&double.key, &double.claims())).await;
    client.authorization_url(&double.attempt).await.unwrap();
    assert!(client.identify(&double.attempt, CODE).await.is_ok());
    assert_eq!(double.requests(METADATA).await.len(), 2, "it is not asked again at once");
    double.clock.advance(Duration::from_secs(5));
    client.authorization_url(&double.attempt).await.unwrap();
    assert_eq!(double.requests(METADATA).await.len(), 3);
}

#[tokio::test]
async fn a_provider_that_is_unavailable_at_first_is_asked_again_a_little_later() {
    let double = Double::start().await;
    double.answers(METADATA, ResponseTemplate::new(503)).await;
    let client = double.client();
    for _ in 0..3 {
        let error = client.authorization_url(&double.attempt).await.unwrap_err();
        assert!(unavailability(error).contains("status 503"));
    }
    assert_eq!(double.requests(METADATA).await.len(), 1);
    double.serves_well().await;
    double.clock.advance(Duration::from_secs(5));
    client.authorization_url(&double.attempt).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_unavailable() {
    let mut double = Double::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    double.config.issuer = format!("http://{closed}").parse().unwrap();
    let client = double.client();
    let error = client.authorization_url(&double.attempt).await.unwrap_err();
    assert!(unavailability(error).contains("could not connect"));
    let error = client.identify(&double.attempt, CODE).await.unwrap_err();
    assert!(unavailability(error).contains("could not connect"));
}

#[tokio::test]
async fn a_provider_that_cannot_prove_itself_with_tls_is_unavailable() {
    let mut double = Double::start().await;
    double.config.issuer = double.server.uri().replace("http:", "https:").parse().unwrap();
    let error = double.client().authorization_url(&double.attempt).await.unwrap_err();
    assert!(unavailability(error).contains("could not connect"));
    assert!(double.requests(METADATA).await.is_empty());
}

#[tokio::test]
async fn metadata_that_do_not_come_are_not_waited_for() {
    let mut double = Double::start().await;
    double.config.timeout = Duration::from_secs(2);
    double.answers(METADATA, ok(&double.metadata()).set_delay(Duration::from_mins(10))).await;
    let error = double.client().authorization_url(&double.attempt).await.unwrap_err();
    assert!(unavailability(error).contains("timed out"));
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_first_seen() {
    let double = Double::start().await;
    let client = double.client();
    double.gives(&signed(&double.key, &double.claims())).await;
    client.identify(&double.attempt, CODE).await.unwrap();
    let second = Ed25519KeyPair::generate().with_key_id("second");
    double.answers(KEYS, ok(&key_set(&[&double.key, &second]))).await;
    double.gives(&signed(&second, &double.claims())).await;
    for _ in 0..2 {
        client.identify(&double.attempt, CODE).await.unwrap();
        assert_eq!(double.requests(KEYS).await.len(), 2);
    }
}

#[tokio::test]
async fn a_new_key_without_a_name_is_found_too() {
    let mut double = Double::start().await;
    double.key = Ed25519KeyPair::generate();
    double.serves_well().await;
    let client = double.client();
    double.gives(&signed(&double.key, &double.claims())).await;
    client.identify(&double.attempt, CODE).await.unwrap();
    let second = Ed25519KeyPair::generate();
    double.answers(KEYS, ok(&key_set(&[&second]))).await;
    double.gives(&signed(&second, &double.claims())).await;
    client.identify(&double.attempt, CODE).await.unwrap();
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once_and_a_withdrawn_one_is_forgotten() {
    let double = Double::start().await;
    let client = double.client();
    let foreign = Ed25519KeyPair::generate().with_key_id("foreign");
    double.gives(&signed(&foreign, &double.claims())).await;
    assert!(matches!(client.identify(&double.attempt, CODE).await, Err(IdentityError::Rejected(_))));
    assert_eq!(double.requests(KEYS).await.len(), 2);

    double.answers(KEYS, ok(&key_set(&[&foreign]))).await;
    client.identify(&double.attempt, CODE).await.unwrap();
    double.gives(&signed(&double.key, &double.claims())).await;
    assert!(matches!(client.identify(&double.attempt, CODE).await, Err(IdentityError::Rejected(_))));
}

#[tokio::test]
async fn an_unknown_key_while_the_provider_is_unavailable_is_a_failure_that_may_pass() {
    let double = Double::start().await;
    let client = double.client();
    client.authorization_url(&double.attempt).await.unwrap();
    double.gives(&signed(&Ed25519KeyPair::generate().with_key_id("second"), &double.claims())).await;
    double.answers(KEYS, ResponseTemplate::new(500)).await;
    let error = client.identify(&double.attempt, CODE).await.unwrap_err();
    assert!(unavailability(error).contains("status 500"));
}

#[tokio::test]
async fn metadata_that_cannot_be_trusted_or_read_are_refused() {
    let double = Double::start().await;
    let with = |name: &str, value: Value| {
        let mut metadata = double.metadata();
        metadata[name] = value;
        ok(&metadata)
    };
    for (answer, rejected, reason) in [
        (with("issuer", json!("https://another.example")), true, "another issuer"),
        (with("issuer", json!(format!("{}/", double.server.uri()))), true, "trailing slash"),
        (with("authorization_endpoint", json!("http://192.0.2.1/authorize")), true, "not https"),
        (with("authorization_endpoint", json!("javascript:alert(1)")), true, "not https"),
        (with("jwks_uri", json!("http://192.0.2.1/jwks")), true, "not https"),
        (with("authorization_endpoint", json!("nowhere")), false, "not valid metadata"),
        (with("jwks_uri", Value::Null), false, "not valid metadata"),
        (with("jwks_uri", json!("file:///etc/passwd")), false, "not valid metadata"),
        (ResponseTemplate::new(404), false, "status 404"),
        (ResponseTemplate::new(200).set_body_string("<html>"), false, "not valid metadata"),
        (ok(&json!({"issuer": double.server.uri()})), false, "not valid metadata"),
        (ResponseTemplate::new(200).set_body_string("x".repeat(1 << 20)), false, "too large"),
    ] {
        double.serves_well().await;
        double.answers(METADATA, answer).await;
        let error = double.client().authorization_url(&double.attempt).await.unwrap_err();
        assert_eq!(matches!(error, IdentityError::Rejected(_)), rejected, "{error:?}");
        let (IdentityError::Rejected(why) | IdentityError::Unavailable(why)) = error;
        assert!(why.to_string().contains(reason), "{why}");
    }
}

#[tokio::test]
async fn a_code_is_not_sent_where_it_would_be_less_safe_than_the_provider() {
    let double = Double::start().await;
    for (endpoint, reason) in [(json!("http://192.0.2.1/token"), "not https"), (Value::Null, "no token endpoint")] {
        let mut metadata = double.metadata();
        metadata["token_endpoint"] = endpoint;
        double.serves_well().await;
        double.answers(METADATA, ok(&metadata)).await;
        let error = double.client().identify(&double.attempt, CODE).await.unwrap_err();
        double.assert_silent(&error);
        let (IdentityError::Rejected(why) | IdentityError::Unavailable(why)) = error;
        assert!(why.to_string().contains(reason), "{why}");
    }
}

#[tokio::test]
async fn however_many_come_back_at_once_the_provider_is_asked_by_a_bounded_number() {
    let double = Double::start().await;
    let client = double.client();
    client.authorization_url(&double.attempt).await.unwrap();
    let refused = ResponseTemplate::new(400).set_body_json(json!({"error": "invalid_grant"}));
    double.answers(TOKEN, refused.set_delay(Duration::from_millis(500))).await;
    let answers = join_all((0..300).map(|_| client.identify(&double.attempt, "made-up"))).await;
    let (rejected, unavailable): (Vec<_>, Vec<_>) =
        answers.into_iter().map(Result::unwrap_err).partition(|error| matches!(error, IdentityError::Rejected(_)));
    assert_eq!((rejected.len(), unavailable.len(), double.requests(TOKEN).await.len()), (16, 284, 16));
    assert!(unavailability(unavailable.into_iter().next().unwrap()).contains("too many sign-ins"));
    double.gives(&signed(&double.key, &double.claims())).await;
    assert!(client.identify(&double.attempt, CODE).await.is_ok(), "the places are free again");
}
