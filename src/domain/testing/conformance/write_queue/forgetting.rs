//! What goes when a memory goes.

use std::time::Duration;

use super::super::Fixture;
use super::delivering::{ROOM, in_scope, in_seconds, line_up, store};
use super::{accept, another_request, full_memory, key, keyed_write, known, lease};
use crate::ids::{ApplicationId, MemoryId, RequestId};
use crate::memories::{
    Acceptance, Dispatch, Memory, MemoryScope, NewMemory, QueuedWrite, TrackedWrite, Undelivered, WriteQueue,
    WriteState,
};
use crate::testing::{content, now, queued_write, scope, scope_limited_to, scope_of_person, unique};

async fn by_memory(queue: &dyn WriteQueue, write: &QueuedWrite, id: &MemoryId) -> Option<TrackedWrite> {
    queue.find_by_memory(&write.scope, id).await.unwrap()
}

pub async fn a_write_is_found_by_its_memory_and_by_its_request(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write) = (fixture.port(), keyed_write());
    line_up(queue, &write).await;
    let proposed = write.memory.id.clone();
    let found = by_memory(fixture.other_instance(), &write, &proposed).await.unwrap();
    assert_eq!((&found.write, &found.state), (&write, &WriteState::Pending));
    assert_eq!(queue.find_undelivered(write.request_id).await.unwrap(), Some(found));
    let limited = QueuedWrite { scope: scope_limited_to(&write.scope, &["travel"]).into_scope(), ..write.clone() };
    assert!(by_memory(queue, &limited, &proposed).await.is_some());
    let by_request = async |write: &QueuedWrite, scope: &MemoryScope| {
        let found = fixture.other_instance().find_by_request(scope, write.request_id).await.unwrap();
        found.map(|tracked| (tracked.write.request_id, tracked.state))
    };
    for scope in [&write.scope, &limited.scope] {
        assert_eq!(by_request(&write, scope).await, Some((write.request_id, WriteState::Pending)));
    }
    for stranger in [scope(), scope_of_person(&write.scope)] {
        assert_eq!(queue.find_by_memory(&stranger, &proposed).await.unwrap(), None);
        assert_eq!(by_request(&write, &stranger).await, None);
    }
    queue.mark_failed(write.request_id, "no", now()).await.unwrap();
    assert!(by_memory(queue, &write, &proposed).await.is_some());
    assert!(queue.find_undelivered(write.request_id).await.unwrap().is_some());

    let stored = QueuedWrite { idempotency_key: Some(key("another")), ..another_request(&write) };
    line_up(queue, &stored).await;
    let memory = full_memory(&stored);
    assert!(queue.mark_stored(stored.request_id, &memory, now(), now()).await.unwrap());
    let found = by_memory(queue, &stored, &memory.id).await.unwrap();
    let expected = (stored.request_id, WriteState::Stored(Box::new(memory)));
    assert_eq!((found.write.request_id, found.state), expected);
    assert_eq!(by_request(&stored, &stored.scope).await, Some(expected), "whatever ID the bank has given it");
    assert_eq!(queue.find_undelivered(stored.request_id).await.unwrap(), None);
    assert_eq!(queue.find_undelivered(RequestId::from_uuid(unique())).await.unwrap(), None);
}

pub async fn a_write_is_found_by_its_key(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write) = (fixture.port(), keyed_write());
    let (application, scope) = (write.application_id, &write.scope);
    accept(queue, &write).await;
    accept(queue, &keyed_write()).await;
    let find = async |application, scope: &MemoryScope, name: &str| {
        let found = fixture.other_instance().find_by_key(application, scope, &key(name)).await.unwrap();
        found.map(|tracked| tracked.write.request_id)
    };
    let limited = scope_limited_to(scope, &["travel"]);
    for scope in [scope, &limited] {
        assert_eq!(find(application, scope, "trip-1").await, Some(write.request_id));
    }
    assert_eq!(find(application, scope, "Trip-1").await, None);
    assert_eq!(find(ApplicationId::from_uuid(unique()), scope, "trip-1").await, None);
    assert_eq!(find(application, &scope_of_person(scope), "trip-1").await, None);
}

pub async fn a_removed_write_is_forgotten_and_its_key_can_be_used_anew(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write) = (fixture.port(), keyed_write());
    accept(queue, &write).await;
    let memory = full_memory(&write);
    queue.mark_stored(write.request_id, &memory, now(), now()).await.unwrap();
    let found = by_memory(queue, &write, &memory.id).await.unwrap();
    assert!(fixture.other_instance().remove(&found, now()).await.unwrap());
    assert!(!queue.remove(&found, now()).await.unwrap());
    assert_eq!(queue.find(write.application_id, write.request_id).await.unwrap(), None);
    assert!(!queue.mark_stored(write.request_id, &memory, now(), now()).await.unwrap(), "it does not come back");
    assert_eq!(queue.find(write.application_id, write.request_id).await.unwrap(), None);
    assert_eq!(accept(queue, &another_request(&write)).await, Acceptance::Accepted(Dispatch::Claimed));
}

pub async fn what_has_changed_or_is_being_delivered_is_not_removed(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write, held) = (fixture.port(), keyed_write(), lease());
    queue.accept(&write, ROOM, held).await.unwrap();
    let found = queue.find_undelivered(write.request_id).await.unwrap().unwrap();
    assert!(!queue.remove(&found, now()).await.unwrap(), "somebody delivers it");
    queue.reschedule(write.request_id, held.id, now(), "away", false).await.unwrap();
    let again = queue.claim(now(), lease(), 1).await.unwrap();
    queue.reschedule(write.request_id, again[0].lease.id, now(), "away", false).await.unwrap();
    assert!(!queue.remove(&found, now()).await.unwrap(), "it was sent again since");
    let found = queue.find_undelivered(write.request_id).await.unwrap().unwrap();
    store(queue, &write).await;
    assert!(!queue.remove(&found, now()).await.unwrap(), "it is stored");

    let lost = keyed_write();
    line_up(queue, &lost).await;
    let found = queue.find_undelivered(lost.request_id).await.unwrap().unwrap();
    assert!(queue.remove(&found, in_seconds(60)).await.unwrap(), "whoever delivered it is gone");
}

pub async fn a_changed_memory_takes_the_place_of_what_the_write_said(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write, other) = (fixture.port(), keyed_write(), keyed_write());
    for write in [&write, &other] {
        accept(queue, write).await;
    }
    let before = full_memory(&write);
    queue.mark_stored(write.request_id, &before, now(), now()).await.unwrap();
    let other_memory = Memory { id: other.memory.id.clone(), ..full_memory(&other) };
    queue.mark_stored(other.request_id, &other_memory, now(), now()).await.unwrap();
    let after = Memory { content: content("Nothing of it is true."), expires_at: None, ..before.clone() };
    queue.replace_memory(&scope(), &after).await.unwrap();
    assert_eq!(by_memory(queue, &write, &before.id).await.unwrap().state, WriteState::Stored(Box::new(before)));
    queue.replace_memory(&write.scope, &after).await.unwrap();
    let found = by_memory(fixture.other_instance(), &write, &after.id).await.unwrap();
    assert_eq!(found.write.memory.content, after.content, "the old text is nowhere");
    assert_eq!(found.state, WriteState::Stored(Box::new(after)));
    assert_eq!(found.write.fingerprint, write.fingerprint, "and a repetition is still known");
    let untouched = by_memory(queue, &other, &other_memory.id).await.unwrap();
    assert_eq!(untouched.state, WriteState::Stored(Box::new(other_memory)));
}

pub async fn a_stored_write_is_kept_no_longer_than_its_memory_lives(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write) = (fixture.port(), keyed_write());
    accept(queue, &write).await;
    let memory = Memory { expires_at: Some(in_seconds(60)), ..full_memory(&write) };
    queue.mark_stored(write.request_id, &memory, now(), now().plus(Duration::from_hours(48))).await.unwrap();
    assert_eq!(queue.sweep(in_seconds(60), 10).await.unwrap(), 0);
    let sooner = Memory { expires_at: Some(in_seconds(30)), ..memory };
    queue.replace_memory(&write.scope, &sooner).await.unwrap();
    assert_eq!(queue.sweep(in_seconds(31), 10).await.unwrap(), 1);
    assert_eq!(accept(queue, &another_request(&write)).await, Acceptance::Accepted(Dispatch::Claimed));
}

pub async fn everything_but_what_is_pending_is_forgotten_of_a_scope(fixture: Fixture<dyn WriteQueue>) {
    let (queue, stored) = (fixture.port(), queued_write());
    let (failed, pending) = (in_scope(&stored.scope), in_scope(&stored.scope));
    let elsewhere = [in_scope(&scope_of_person(&stored.scope)), queued_write()];
    for write in [&stored, &failed, &pending, &elsewhere[0], &elsewhere[1]] {
        accept(queue, write).await;
    }
    for write in [&stored, &elsewhere[0], &elsewhere[1]] {
        let id = MemoryId::for_request(write.request_id);
        let memory = NewMemory { id, ..write.memory.clone() }.into_memory();
        queue.mark_stored(write.request_id, &memory, now(), in_seconds(60)).await.unwrap();
    }
    queue.mark_failed(failed.request_id, "no", in_seconds(60)).await.unwrap();
    assert_eq!(queue.forget_scope(&stored.scope).await.unwrap(), 2);
    let is_there = async |write: &QueuedWrite| {
        let application: ApplicationId = write.application_id;
        queue.find(application, write.request_id).await.unwrap().is_some()
    };
    assert!(!is_there(&stored).await && !is_there(&failed).await);
    assert!(is_there(&pending).await && is_there(&elsewhere[0]).await && is_there(&elsewhere[1]).await);
    assert_eq!(queue.list(Undelivered::Pending, 10).await.unwrap().len(), 1);
    let again = known(&pending, WriteState::Pending);
    assert_eq!(queue.accept(&pending, ROOM, lease()).await.unwrap(), again);
}
