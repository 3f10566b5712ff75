//! The contract of [`AuditLog`].

use std::time::Duration;

use super::Fixture;
use crate::audit::{AuditEvent, AuditKind, AuditLog, Context, Storage};
use crate::ids::{ApplicationId, GrantId, RequestId, UserId};
use crate::testing::{context, now, unique};

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! audit_log_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            audit_log,
            dyn $crate::audit::AuditLog,
            $fixture,
            [
                an_empty_log_has_no_events,
                events_come_back_with_every_member_but_the_context,
                an_event_that_concerns_nobody_comes_back_so,
                events_of_every_kind_that_is_kept_are_kept_and_no_others,
                the_newest_events_come_first_and_no_more_than_the_limit,
                the_events_of_a_person_are_told_from_all_others,
                a_hundred_concurrent_events_are_all_kept,
                what_applications_change_for_a_person_is_counted_by_day,
                a_hundred_concurrent_changes_are_all_counted,
                a_sweep_forgets_what_is_older_and_keeps_the_rest,
                a_sweep_forgets_no_more_than_its_limit,
            ]
        );
    };
}

pub async fn an_empty_log_has_no_events(fixture: Fixture<dyn AuditLog>) {
    assert_eq!(fixture.port().recent(10).await.unwrap(), []);
}

pub async fn events_come_back_with_every_member_but_the_context(fixture: Fixture<dyn AuditLog>) {
    let event = AuditEvent::new(AuditKind::RefreshTokenReused, now())
        .application(ApplicationId::from_uuid(unique()))
        .person(UserId::from_uuid(unique()))
        .grant(GrantId::from_uuid(unique()))
        .request(RequestId::from_uuid(unique()))
        .context(context("g-1", "c-1"));
    fixture.port().record(&event).await;
    let kept = event.context(Context::default());
    assert_eq!(fixture.other_instance().recent(10).await.unwrap(), [kept]);
}

pub async fn the_events_of_a_person_are_told_from_all_others(fixture: Fixture<dyn AuditLog>) {
    let [person, bystander] = [(); 2].map(|()| UserId::from_uuid(unique()));
    let mut own = Vec::new();
    for seconds in 0..3 {
        let at = now().plus(Duration::from_secs(seconds));
        let event = AuditEvent::new(AuditKind::PersonSignedIn, at);
        fixture.port().record(&event.clone().person(bystander)).await;
        fixture.port().record(&event.clone()).await;
        own.insert(0, event.person(person));
        fixture.port().record(&own[0]).await;
    }
    assert_eq!(fixture.other_instance().recent_of_person(person, 0, 10).await.unwrap(), own);
    assert_eq!(fixture.port().recent_of_person(person, 0, 2).await.unwrap(), own[..2]);
    assert_eq!(fixture.port().recent_of_person(person, 1, 1).await.unwrap(), own[1..2]);
    assert_eq!(fixture.port().recent_of_person(person, 2, 10).await.unwrap(), own[2..]);
    assert_eq!(fixture.port().recent_of_person(person, 3, 10).await.unwrap(), []);
    assert_eq!(fixture.port().recent_of_person(UserId::from_uuid(unique()), 0, 10).await.unwrap(), []);
}

pub async fn an_event_that_concerns_nobody_comes_back_so(fixture: Fixture<dyn AuditLog>) {
    let event = AuditEvent::new(AuditKind::SigningKeyCreated, now());
    fixture.port().record(&event).await;
    assert_eq!(fixture.port().recent(10).await.unwrap(), [event]);
}

pub async fn events_of_every_kind_that_is_kept_are_kept_and_no_others(fixture: Fixture<dyn AuditLog>) {
    for kind in AuditKind::ALL {
        fixture.port().record(&AuditEvent::new(kind, now())).await;
    }
    let kept: Vec<AuditKind> = fixture.port().recent(100).await.unwrap().into_iter().map(|event| event.kind).collect();
    for kind in AuditKind::ALL {
        let times = kept.iter().filter(|kept| **kept == kind).count();
        assert_eq!(times, usize::from(AuditEvent::new(kind, now()).storage() == Storage::Event), "{}", kind.as_str());
    }
}

pub async fn the_newest_events_come_first_and_no_more_than_the_limit(fixture: Fixture<dyn AuditLog>) {
    for number in 0..5 {
        let at = now().plus(Duration::from_millis(number));
        fixture.port().record(&AuditEvent::new(AuditKind::SecretAdded, at)).await;
    }
    let recent = fixture.port().recent(3).await.unwrap();
    let milliseconds: Vec<u128> = recent.iter().map(|event| event.at.since(now()).as_millis()).collect();
    assert_eq!(milliseconds, [4, 3, 2]);
}

pub async fn a_hundred_concurrent_events_are_all_kept(fixture: Fixture<dyn AuditLog>) {
    let event = AuditEvent::new(AuditKind::GrantRevoked, now());
    fixture
        .together(100, |_, log| {
            let event = event.clone();
            async move { log.record(&event).await }
        })
        .await;
    assert_eq!(fixture.port().recent(1000).await.unwrap().len(), 100);
}

pub async fn what_applications_change_for_a_person_is_counted_by_day(fixture: Fixture<dyn AuditLog>) {
    let log = fixture.port();
    let [person, bystander] = [(); 2].map(|()| UserId::from_uuid(unique()));
    let [one, other] = [(); 2].map(|()| ApplicationId::from_uuid(unique()));
    let midnight = now().minus(Duration::from_secs(u64::try_from(now().unix_seconds() % 86_400).unwrap()));
    let at = |hours| midnight.plus(Duration::from_hours(hours));
    let changed = |kind, application, hours| AuditEvent::new(kind, at(hours)).application(application).person(person);
    for event in [
        changed(AuditKind::MemoryDeleted, one, 20).times(3).request(RequestId::from_uuid(unique())),
        changed(AuditKind::MemoryCreated, one, 1).times(0),
        changed(AuditKind::MemoryRead, one, 1),
        changed(AuditKind::MemoryCreated, one, 2),
        changed(AuditKind::MemoryCreated, one, 21),
        changed(AuditKind::MemoryCreated, one, 3).times(5),
        changed(AuditKind::MemoryCreated, other, 4),
        changed(AuditKind::MemoryCreated, one, 24),
        changed(AuditKind::MemoryCreated, one, 2).person(bystander),
    ] {
        log.record(&event).await;
    }
    let expected = [
        changed(AuditKind::MemoryCreated, one, 24),
        changed(AuditKind::MemoryCreated, one, 21).times(7),
        changed(AuditKind::MemoryDeleted, one, 20).times(3),
        changed(AuditKind::MemoryCreated, other, 4),
    ];
    assert_eq!(fixture.other_instance().recent_of_person(person, 0, 10).await.unwrap(), expected);
    assert_eq!(log.recent(10).await.unwrap(), [], "an operator is not told what people do all day");
    log.sweep(at(24), 100).await.unwrap();
    assert_eq!(log.recent_of_person(person, 0, 10).await.unwrap(), expected[..1]);
}

pub async fn a_hundred_concurrent_changes_are_all_counted(fixture: Fixture<dyn AuditLog>) {
    let (application, person) = (ApplicationId::from_uuid(unique()), UserId::from_uuid(unique()));
    let event = AuditEvent::new(AuditKind::MemoryCreated, now()).application(application).person(person);
    fixture
        .together(100, |_, log| {
            let event = event.clone();
            async move { log.record(&event).await }
        })
        .await;
    assert_eq!(fixture.port().recent_of_person(person, 0, 10).await.unwrap(), [event.times(100)]);
}

pub async fn a_sweep_forgets_what_is_older_and_keeps_the_rest(fixture: Fixture<dyn AuditLog>) {
    let log = fixture.port();
    let at = |milliseconds| AuditEvent::new(AuditKind::GrantRevoked, now().plus(Duration::from_millis(milliseconds)));
    for event in [at(2), at(0), at(1)] {
        log.record(&event).await;
    }
    assert_eq!(log.sweep(at(0).at, 100).await.unwrap(), 0, "what happened at that very moment is not older");
    assert_eq!(log.sweep(at(2).at, 100).await.unwrap(), 2);
    assert_eq!(log.sweep(at(2).at, 100).await.unwrap(), 0);
    assert_eq!(fixture.other_instance().recent(10).await.unwrap(), [at(2)]);
}

pub async fn a_sweep_forgets_no_more_than_its_limit(fixture: Fixture<dyn AuditLog>) {
    let log = fixture.port();
    for _ in 0..5 {
        log.record(&AuditEvent::new(AuditKind::SecretAdded, now())).await;
    }
    let later = now().plus(Duration::from_millis(1));
    assert_eq!(log.sweep(later, 3).await.unwrap(), 3);
    assert_eq!(log.recent(10).await.unwrap().len(), 2);
    assert_eq!(log.sweep(later, 3).await.unwrap(), 2);
    assert_eq!(log.recent(10).await.unwrap(), []);
}
