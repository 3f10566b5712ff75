//! What of an audit event is in the log of the program.

use memgate::adapters::database::SeaOrmAuditLog;
use memgate::domain::audit::{AuditEvent, AuditKind, AuditLog};
use memgate::domain::ids::{ApplicationId, GrantId, RequestId, UserId};
use memgate_domain::testing::{context, now, unique};
use memgate_test_kit::log::Log;
use serde_json::Value;

use super::Place;

/// The kind after which those of people begin.
const LAST_BEFORE_PEOPLE: AuditKind = AuditKind::SigningKeysRewrapped;

/// The lines of the audit log so far.
fn lines_of(log: &Log) -> Vec<Value> {
    log.of_target("memgate::audit")
}

#[tokio::test]
async fn an_event_of_any_kind_is_logged_once_with_the_ids_that_it_has() {
    let place = Place::sqlite();
    let audit = SeaOrmAuditLog::new(place.migrated().await);
    let log = Log::start();
    let (application, grant) = (ApplicationId::from_uuid(unique()), GrantId::from_uuid(unique()));
    let (person, request) = (UserId::from_uuid(unique()), RequestId::from_uuid(unique()));
    for (index, kind) in AuditKind::ALL.into_iter().enumerate() {
        let event = AuditEvent::new(kind, now()).application(application).person(person).grant(grant);
        audit.record(&event.request(request).context(context("g-123", "c-456"))).await;
        let lines = lines_of(&log);
        assert_eq!(lines.len(), index + 1, "{kind:?}");
        let fields = &lines[index];
        assert_eq!(fields["kind"], kind.as_str());
        assert_eq!(fields["application.id"], application.to_string());
        assert_eq!(fields["person.id"], person.to_string());
        assert_eq!(fields["grant.id"], grant.to_string());
        assert_eq!(fields["request.id"], request.to_string());
        assert_eq!((&fields["gpt.id"], &fields["conversation.id"]), (&"g-123".into(), &"c-456".into()));
        let stolen = matches!(kind, AuditKind::RefreshTokenReused | AuditKind::AuthorizationCodeReused);
        let level = if stolen { "WARN" } else { "INFO" };
        assert_eq!(lines[index]["level"], level, "{kind:?}");
    }
    audit.record(&AuditEvent::new(AuditKind::SigningKeyCreated, now())).await;
    let fields = lines_of(&log).last().unwrap().as_object().unwrap().clone();
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["at", "kind", "level", "message", "target", "timestamp"]);
}

#[tokio::test]
async fn an_event_that_cannot_be_stored_is_an_error_in_the_log() {
    let place = Place::sqlite();
    let database = place.migrated().await;
    let audit = SeaOrmAuditLog::new(database.clone());
    database.close().await;
    let log = Log::start();
    audit.record(&AuditEvent::new(AuditKind::MemoryRead, now())).await;
    assert_eq!(lines_of(&log).len(), 1, "an everyday event is not stored");
    audit.record(&AuditEvent::new(AuditKind::SecretAdded, now())).await;
    let lines = lines_of(&log);
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2]["level"], "ERROR");
    assert_eq!(lines[2]["kind"], "secret_added");
    assert!(lines[2]["error"].as_str().unwrap().contains("closed"), "{}", lines[2]);
}

#[tokio::test]
async fn after_a_rollback_the_log_holds_no_kind_that_the_release_before_does_not_know() {
    let place = Place::sqlite();
    let database = place.migrated().await;
    let audit = SeaOrmAuditLog::new(database.clone());
    for kind in AuditKind::ALL {
        audit.record(&AuditEvent::new(kind, now())).await;
    }
    while !database.migrate_down(1).await.unwrap()[0].ends_with("name_people_in_the_audit_log") {}
    database.migrate_up().await.unwrap();
    let mut left: Vec<AuditKind> = audit.recent(100).await.unwrap().into_iter().map(|event| event.kind).collect();
    left.reverse();
    let known_before = &AuditKind::ALL[..=AuditKind::ALL.iter().position(|kind| *kind == LAST_BEFORE_PEOPLE).unwrap()];
    assert_eq!(left, known_before);
}
