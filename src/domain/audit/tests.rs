use super::*;
use crate::testing::{context, now, unique};

#[test]
fn every_kind_is_found_by_its_name() {
    for kind in AuditKind::ALL {
        assert_eq!(AuditKind::from_name(kind.as_str()), Some(kind));
    }
    assert_eq!(AuditKind::from_name("unknown"), None);
    let mut names: Vec<&str> = AuditKind::ALL.iter().map(|kind| kind.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), AuditKind::ALL.len(), "no two kinds share a name");
}

#[test]
fn everyday_use_of_memories_is_not_kept_and_everything_else_is() {
    let not_kept: Vec<&str> =
        AuditKind::ALL.into_iter().filter(|kind| !kind.is_kept()).map(AuditKind::as_str).collect();
    let everyday = ["memories_searched", "memory_read", "memory_created", "memory_updated", "memory_deleted"];
    assert_eq!(not_kept, everyday);
}

#[test]
fn an_event_says_whom_it_concerns() {
    let (application, person) = (ApplicationId::from_uuid(unique()), UserId::from_uuid(unique()));
    let (grant, request) = (GrantId::from_uuid(unique()), RequestId::from_uuid(unique()));
    let event = AuditEvent::new(AuditKind::GrantRevoked, now())
        .application(application)
        .person(person)
        .grant(grant)
        .request(request)
        .context(context("g", "c"));
    let expected = AuditEvent {
        kind: AuditKind::GrantRevoked,
        at: now(),
        application_id: Some(application),
        person_id: Some(person),
        grant_id: Some(grant),
        request_id: Some(request),
        context: context("g", "c"),
    };
    assert_eq!(event, expected);
}
