//! What the service deletes by itself when its time has come.

use std::time::Duration;

use memgate::domain::audit::AuditKind;
use memgate::domain::oauth::MasterKey;
use memgate_domain::testing::FixedClock;
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use serde_json::Value;

const DAY: Duration = Duration::from_hours(24);

struct Upkeep {
    gate: TestGate,
}

impl Upkeep {
    async fn on(database: TestDatabase, variables: &[(&str, &str)]) -> Self {
        Self { gate: TestGate::configured(database, variables).await }
    }

    /// How many registrations the audit log holds after the background has done its work.
    async fn registrations(&self) -> usize {
        self.gate.gate().run_background_work().await;
        let events = self.gate.gate().backend().audit().recent(10_000).await.unwrap();
        events.iter().filter(|event| event.kind == AuditKind::ApplicationCreated).count()
    }
}

async fn audit_events_are_kept_for_a_year(database: TestDatabase) {
    let upkeep = Upkeep::on(database, &[]).await;
    for _ in 0..3 {
        upkeep.gate.application().await;
    }
    upkeep.gate.advance(DAY * 365);
    upkeep.gate.application().await;
    assert_eq!(upkeep.registrations().await, 4);
    upkeep.gate.advance(Duration::from_millis(1));
    assert_eq!(upkeep.registrations().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_events_are_kept_for_a_year_in_sqlite() {
    audit_events_are_kept_for_a_year(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_events_are_kept_for_a_year_in_postgresql() {
    if let Some(database) = TestDatabase::postgres().await {
        audit_events_are_kept_for_a_year(database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_says_for_how_long_audit_events_are_kept() {
    let upkeep = Upkeep::on(TestDatabase::sqlite(), &[("MEMGATE_AUDIT_RETENTION", "30d")]).await;
    upkeep.gate.application().await;
    upkeep.gate.advance(DAY * 30);
    assert_eq!(upkeep.registrations().await, 1);
    upkeep.gate.advance(Duration::from_millis(1));
    assert_eq!(upkeep.registrations().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_could_not_open_its_keys_again_is_not_ready() {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let before = gate.http.get(gate.url("/health/ready")).send().await.unwrap();
    assert_eq!(before.status(), 200);
    // Another instance, since the outcome of the check holds for a moment.
    let gate = gate.second_instance().await;
    let ready = || async { gate.http.get(gate.url("/health/ready")).send().await.unwrap() };
    // As another instance with another master key, or a restored database, would leave them.
    let keys = gate.gate().backend().keys().await.unwrap();
    let other = MasterKey::parse("key", "YW5vdGhlciBtYXN0ZXIga2V5IHdpdGggMzIgYnl0ZXM=").unwrap();
    keys.rewrap(&other).await.unwrap();
    gate.gate().run_background_work().await;
    gate.advance(Duration::from_secs(5));
    let answer = ready().await;
    assert_eq!(answer.status(), 503);
    let said = answer.text().await.unwrap();
    assert!(said.contains("signing_keys"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_at_the_first_start_and_is_set_right_keeps_nobody_out() {
    let ahead = FixedClock::default();
    ahead.advance(DAY * 365);
    let gate = TestGate::with_clock(TestDatabase::sqlite(), &[], ahead).await;
    gate.clock.jump_back(DAY * 365);
    for gate in [gate.second_instance().await, gate.restarted().await] {
        let application = gate.application().await;
        let tokens = gate.tokens(&application).await;
        gate.remember(tokens["access_token"].as_str().unwrap(), "remembered").await;
        let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
        assert_eq!(gate.token_request(&application, &refresh).await.status(), 200);
        let ready = gate.http.get(gate.url("/health/ready")).send().await.unwrap();
        assert_eq!(ready.status(), 200);
        let ready: Value = ready.json().await.unwrap();
        let clock = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "clock").unwrap();
        assert_eq!(clock["status"], "warning");
        gate.advance(DAY * 365);
        let ready: Value = gate.http.get(gate.url("/health/ready")).send().await.unwrap().json().await.unwrap();
        assert_eq!(ready["checks"].as_array().unwrap().len(), 2, "{ready}");
        gate.clock.jump_back(DAY * 365);
    }
}
