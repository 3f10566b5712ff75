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
fn of_the_use_of_memories_only_what_an_application_changes_for_a_person_is_counted() {
    let of = |kind| AuditEvent::new(kind, now());
    let not_stored = AuditKind::ALL.into_iter().filter(|kind| of(*kind).storage() != Storage::Event);
    let names: Vec<&str> = not_stored.clone().map(AuditKind::as_str).collect();
    let everyday = ["memories_searched", "memory_read", "memory_created", "memory_updated", "memory_deleted"];
    assert_eq!(names, everyday);
    let (application, person) = (ApplicationId::from_uuid(unique()), UserId::from_uuid(unique()));
    for kind in not_stored {
        for event in [of(kind), of(kind).person(person), of(kind).application(application)] {
            assert_eq!(event.storage(), Storage::Nothing, "{event:?}");
        }
        let reads = matches!(kind, AuditKind::MemoriesSearched | AuditKind::MemoryRead);
        let for_a_person = of(kind).application(application).person(person);
        let expected = if reads { Storage::Nothing } else { Storage::DailyCount };
        assert_eq!(for_a_person.storage(), expected, "{kind:?}");
        assert_eq!(for_a_person.times(0).storage(), Storage::Nothing, "{kind:?}");
    }
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
        times: 1,
        application_id: Some(application),
        person_id: Some(person),
        grant_id: Some(grant),
        request_id: Some(request),
        context: context("g", "c"),
    };
    assert_eq!(event, expected);
}

#[test]
fn a_page_says_whether_there_are_older_events() {
    let event = |n| AuditEvent::new(AuditKind::PersonSignedIn, now()).times(n);
    for (listed, left, older) in [(0, 0, false), (2, 2, false), (3, 2, true)] {
        let page = EventPage::of((0..listed).map(event).collect(), 2);
        assert_eq!(page, EventPage { events: (0..left).map(event).collect(), has_older: older }, "{listed}");
    }
}
