//! Refresh tokens: used once, and what happens otherwise.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use memgate::domain::audit::AuditKind;
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;

use super::{GRANT, about, is_active, me, oauth_error, refresh, token};

const RETRY_WINDOW: Duration = Duration::from_secs(30);

pub(crate) async fn line_15_a_refresh_token_that_cannot_be_used_is_an_invalid_grant(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let (application, other) = (gate.application().await, gate.application().await);
    let theirs = token(&gate, &other, &[GRANT]).await.text("refresh_token");
    let ours = token(&gate, &application, &[GRANT]).await;
    let (genuine, access_token) = (ours.text("refresh_token"), ours.text("access_token"));
    let tampered = format!("{}A", &genuine[..genuine.len() - 1]);
    let tampered = if tampered == genuine { format!("{}B", &genuine[..genuine.len() - 1]) } else { tampered };
    let dots = ".".repeat(10_000);
    for unusable in [&*theirs, &tampered, &access_token, "unknown", &dots, &"a".repeat(200_000)] {
        let answer = refresh(&gate, &application, unusable).await;
        assert_eq!(oauth_error(&answer, 400), "invalid_grant", "{unusable:.60}");
    }
    for absent in [&[("grant_type", "refresh_token")][..], &[("grant_type", "refresh_token"), ("refresh_token", "")]] {
        assert_eq!(oauth_error(&token(&gate, &application, absent).await, 400), "invalid_request");
    }
    // The attempt of another client has used nothing up.
    assert_eq!(refresh(&gate, &other, &theirs).await.status, 200);

    let revoked = token(&gate, &application, &[GRANT]).await.text("refresh_token");
    about(&gate, "/auth/revoke", &application, &[("token", &revoked)]).await;
    assert_eq!(oauth_error(&refresh(&gate, &application, &revoked).await, 400), "invalid_grant");

    gate.advance(Duration::from_hours(24 * 400));
    assert_eq!(oauth_error(&refresh(&gate, &application, &genuine).await, 400), "invalid_grant");
}

pub(crate) async fn line_16_a_refresh_may_narrow_the_scope_and_never_widens_it(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let first = token(&gate, &application, &[GRANT, ("scope", "memory:read memory:write")]).await;
    let refresh_with = |refresh_token: String, scope: &'static str| {
        let (gate, application) = (&gate, &application);
        async move {
            let parameters = [("grant_type", "refresh_token"), ("refresh_token", &*refresh_token), ("scope", scope)];
            token(gate, application, &parameters).await
        }
    };
    for wider in ["memory:delete", "memory:read memory:delete", "admin"] {
        let answer = refresh_with(first.text("refresh_token"), wider).await;
        assert_eq!(oauth_error(&answer, 400), "invalid_scope", "{wider}");
    }
    let narrow = refresh_with(first.text("refresh_token"), "memory:read").await;
    assert_eq!(narrow.text("scope"), "memory:read");
    let answer = me(&gate, &narrow.text("access_token")).await;
    assert_eq!(answer.json()["permissions"], serde_json::json!(["memory:read"]));
    let whole = refresh_with(narrow.text("refresh_token"), "").await;
    assert_eq!(whole.text("scope"), "memory:read memory:write");
}

pub(crate) async fn line_17_of_fifty_refreshes_one_successor_lives(database: TestDatabase) {
    let gate = Arc::new(TestGate::on(database).await);
    let application = gate.application().await;
    let first = token(&gate, &application, &[GRANT]).await.text("refresh_token");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (gate, application, first) = (Arc::clone(&gate), application.clone(), first.clone());
        tasks.spawn(async move { refresh(&gate, &application, &first).await });
    }
    let mut successors = HashSet::new();
    for answer in tasks.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.body);
        successors.insert(answer.text("refresh_token"));
    }
    assert_eq!(successors.len(), 1);
    let successor = successors.into_iter().next().unwrap();
    assert!(is_active(&gate, &application, &successor).await);
    assert!(!is_active(&gate, &application, &first).await);
}

pub(crate) async fn line_18_after_a_lost_answer_the_same_successor_comes_again(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let first = token(&gate, &application, &[GRANT]).await.text("refresh_token");
    let lost = refresh(&gate, &application, &first).await;
    gate.advance(RETRY_WINDOW);
    let again = refresh(&gate, &application, &first).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.text("refresh_token"), lost.text("refresh_token"));
    assert_eq!(me(&gate, &again.text("access_token")).await.status, 200);
    assert_eq!(refresh(&gate, &application, &again.text("refresh_token")).await.status, 200);
}

pub(crate) async fn line_19_a_replayed_refresh_token_kills_its_grant(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;

    // Its successor was used: within the window or not, somebody has a copy.
    let first = token(&gate, &application, &[GRANT]).await;
    let second = refresh(&gate, &application, &first.text("refresh_token")).await;
    let third = refresh(&gate, &application, &second.text("refresh_token")).await;
    let replayed = refresh(&gate, &application, &first.text("refresh_token")).await;
    assert_eq!(oauth_error(&replayed, 400), "invalid_grant");
    for answer in [&first, &second, &third] {
        assert_eq!(me(&gate, &answer.text("access_token")).await.status, 401);
        assert!(!is_active(&gate, &application, &answer.text("access_token")).await);
    }
    let last = refresh(&gate, &application, &third.text("refresh_token")).await;
    assert_eq!(oauth_error(&last, 400), "invalid_grant");

    // Its successor was not used, but the window has passed.
    let first = token(&gate, &application, &[GRANT]).await;
    let second = refresh(&gate, &application, &first.text("refresh_token")).await;
    gate.advance(RETRY_WINDOW + Duration::from_millis(1));
    let late = refresh(&gate, &application, &first.text("refresh_token")).await;
    assert_eq!(oauth_error(&late, 400), "invalid_grant");
    let successor = refresh(&gate, &application, &second.text("refresh_token")).await;
    assert_eq!(oauth_error(&successor, 400), "invalid_grant");
    assert_eq!(me(&gate, &second.text("access_token")).await.status, 401);

    let events = gate.gate().backend().audit().recent(100).await.unwrap();
    let reused = events.iter().filter(|event| event.kind == AuditKind::RefreshTokenReused);
    assert_eq!(reused.filter(|event| event.application_id == Some(application.id)).count(), 2);

    // Another grant of the same application lives on.
    assert_eq!(me(&gate, &gate.access_token(&application).await).await.status, 200);
}

pub(crate) async fn line_20_no_token_survives_a_race_of_refresh_and_revoke(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    for _ in 0..10 {
        let first = token(&gate, &application, &[GRANT]).await;
        let refresh_token = first.text("refresh_token");
        let parameters = [("token", &*refresh_token)];
        let (refreshed, revoked) = tokio::join!(
            refresh(&gate, &application, &refresh_token),
            about(&gate, "/auth/revoke", &application, &parameters),
        );
        assert_eq!(revoked.status, 200);
        assert_eq!(me(&gate, &first.text("access_token")).await.status, 401);
        if refreshed.status == 200 {
            assert_eq!(me(&gate, &refreshed.text("access_token")).await.status, 401);
            let successor = refresh(&gate, &application, &refreshed.text("refresh_token")).await;
            assert_eq!(oauth_error(&successor, 400), "invalid_grant");
        } else {
            assert_eq!(oauth_error(&refreshed, 400), "invalid_grant");
        }
    }
}
