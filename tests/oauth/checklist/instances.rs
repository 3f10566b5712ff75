//! Two instances on one database.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;

use super::{GRANT, about, is_active, me, oauth_error, refresh, token};

/// For how long another instance may still believe what it knew.
const BOUND: Duration = Duration::from_secs(2);

pub(crate) async fn what_one_instance_does_acts_on_the_other_within_two_seconds(database: TestDatabase) {
    let here = TestGate::on(database).await;
    let there = here.second_instance().await;
    let (revoked, disabled) = (here.application().await, here.application().await);
    let first = token(&here, &revoked, &[GRANT]).await;
    let second = token(&here, &disabled, &[GRANT]).await;
    for answer in [&first, &second] {
        assert_eq!(me(&there, &answer.text("access_token")).await.status, 200);
    }

    let parameters = [("token", &*first.text("refresh_token"))];
    assert_eq!(about(&here, "/auth/revoke", &revoked, &parameters).await.status, 200);
    assert_eq!(me(&here, &first.text("access_token")).await.status, 401, "at once where it was done");
    here.applications().set_enabled(disabled.id, false).await.unwrap();

    here.advance(BOUND);
    for answer in [&first, &second] {
        assert_eq!(me(&there, &answer.text("access_token")).await.status, 401);
    }
    let answer = refresh(&there, &revoked, &first.text("refresh_token")).await;
    assert_eq!(oauth_error(&answer, 400), "invalid_grant");
    assert_eq!(oauth_error(&token(&there, &disabled, &[GRANT]).await, 401), "invalid_client");
}

pub(crate) async fn of_refreshes_at_two_instances_one_successor_lives(database: TestDatabase) {
    let here = TestGate::on(database).await;
    let instances = [Arc::new(here.second_instance().await), Arc::new(here)];
    let application = instances[0].application().await;
    let first = token(&instances[0], &application, &[GRANT]).await.text("refresh_token");
    // Each verifies the secret for itself, once.
    assert_eq!(token(&instances[1], &application, &[GRANT]).await.status, 200);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (gate, application, first) = (Arc::clone(&instances[number % 2]), application.clone(), first.clone());
        tasks.spawn(async move { refresh(&gate, &application, &first).await });
    }
    let mut successors = HashSet::new();
    for answer in tasks.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.body);
        successors.insert(answer.text("refresh_token"));
    }
    assert_eq!(successors.len(), 1);
    let successor = successors.into_iter().next().unwrap();
    for gate in &instances {
        assert!(is_active(gate, &application, &successor).await);
    }
}
