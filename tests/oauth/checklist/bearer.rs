//! Access tokens at the resources.

use std::time::Duration;

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;

use super::{Answer, me};

#[track_caller]
fn assert_invalid_token(answer: &Answer) {
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(answer.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
}

pub(crate) async fn line_26_a_refresh_token_opens_nothing(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let tokens = gate.tokens(&application).await;
    assert_invalid_token(&me(&gate, tokens["refresh_token"].as_str().unwrap()).await);
}

pub(crate) async fn line_27_a_token_of_another_issuer_or_another_time_is_refused(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    // The same keys and the same application, under another name.
    let elsewhere = [("MEMGATE_PUBLIC_URL", "https://elsewhere.example.org")];
    let other = gate.beside(&elsewhere).await;
    let foreign = other.access_token(&application).await;
    assert_eq!(me(&other, &foreign).await.status, 200);
    assert_invalid_token(&me(&gate, &foreign).await);

    let token = gate.access_token(&application).await;
    assert_eq!(me(&gate, &token).await.status, 200);
    gate.clock.jump_back(Duration::from_mins(10));
    assert_invalid_token(&me(&gate, &token).await);
    gate.advance(Duration::from_mins(10));
    assert_eq!(me(&gate, &token).await.status, 200);
    gate.advance(Duration::from_hours(2));
    assert_invalid_token(&me(&gate, &token).await);
}

pub(crate) async fn line_28_without_credentials_the_challenge_names_no_error(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let answer = Answer::read(gate.http.get(gate.url("/api/v1/me")).send().await.unwrap()).await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer ") && !challenge.contains("error"), "{challenge}");
}

pub(crate) async fn line_29_a_missing_permission_is_named(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let token = gate.scoped_token(&application, "memory:write").await;
    let search = gate.http.post(gate.url("/api/v1/search")).json(&serde_json::json!({"query": "a"}));
    let answer = Answer::read(search.bearer_auth(token).send().await.unwrap()).await;
    assert_eq!(answer.status, 403);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    assert!(challenge.contains(r#"scope="memory:read""#), "{challenge}");
}

pub(crate) async fn line_30_a_token_in_the_query_or_in_two_places_is_refused(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let token = gate.access_token(&gate.application().await).await;
    let in_query = gate.url(&format!("/api/v1/me?access_token={token}"));
    let in_body = || {
        let search = gate.http.post(gate.url("/api/v1/search"));
        search.header("Content-Type", "application/x-www-form-urlencoded").body(format!("access_token={token}"))
    };
    for (request, status) in [
        (gate.http.get(&in_query), 400),
        (gate.http.get(&in_query).bearer_auth(&token), 400),
        (gate.http.get(gate.url("/api/v1/me")).bearer_auth(&token).bearer_auth(&token), 400),
        (in_body().bearer_auth(&token), 400),
        (in_body(), 401),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
}

pub(crate) async fn line_38_a_token_is_good_until_its_second_and_not_after(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let token = gate.access_token(&gate.application().await).await;
    let milliseconds_past_the_second = 123;
    gate.advance(Duration::from_millis(3_600_000 - milliseconds_past_the_second - 1));
    assert_eq!(me(&gate, &token).await.status, 200);
    gate.advance(Duration::from_millis(1));
    assert_invalid_token(&me(&gate, &token).await);
    gate.advance(Duration::from_secs(1));
    assert_invalid_token(&me(&gate, &token).await);

    // The leeway for clocks that differ: a token may come from five seconds ahead, and no more.
    let token = gate.access_token(&gate.application().await).await;
    gate.clock.jump_back(Duration::from_secs(5));
    assert_eq!(me(&gate, &token).await.status, 200);
    gate.clock.jump_back(Duration::from_secs(1));
    assert_invalid_token(&me(&gate, &token).await);
}
