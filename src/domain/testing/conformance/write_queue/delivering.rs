//! Leases, order, bounds, dead letters.

use std::collections::HashSet;
use std::time::Duration;

use super::super::Fixture;
use super::{accept, accept_until, another_request, full_memory, key, keyed_write, known, lease};
use crate::ids::{ApplicationId, RequestId};
use crate::memories::{
    Acceptance, Claim, DeliveryOrder, Dispatch, Lease, MemoryScope, NewMemory, QueueStatistics, QueuedWrite, Tenant,
    TenantGroup, Undelivered, WriteQueue, WriteState,
};
use crate::system::Timestamp;
use crate::testing::{new_memory, now, queued_write, scope, scope_of_person, unique};

pub(super) const ROOM: DeliveryOrder = DeliveryOrder::Fifo { capacity: 1_000 };

pub(super) fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub(super) fn in_seconds(number: u64) -> Timestamp {
    now().plus(seconds(number))
}

/// A write as the queue returns it: no scope of a stored write is limited to categories.
pub(super) fn in_scope(scope: &MemoryScope) -> QueuedWrite {
    QueuedWrite { scope: scope.clone(), ..queued_write() }
}

pub(super) async fn line_up(queue: &dyn WriteQueue, write: &QueuedWrite) -> Dispatch {
    match queue.accept(write, ROOM, lease()).await.unwrap() {
        Acceptance::Accepted(dispatch) => dispatch,
        other => panic!("{other:?}"),
    }
}

/// A write that is pending, and that nobody delivers.
async fn waiting(queue: &dyn WriteQueue, write: &QueuedWrite) {
    let lease = lease();
    let accepted = queue.accept(write, ROOM, lease).await.unwrap();
    if accepted == Acceptance::Accepted(Dispatch::Claimed) {
        queue.reschedule(write.request_id, lease.id, now(), "nobody is free", false).await.unwrap();
    }
}

pub(super) async fn claim(queue: &dyn WriteQueue, at: Timestamp, limit: u32) -> Vec<Claim> {
    let lease = Lease { id: unique(), until: at.plus(seconds(60)) };
    let claims = queue.claim(at, lease, limit).await.unwrap();
    assert!(claims.iter().all(|claim| claim.lease == lease));
    claims
}

pub(super) fn ids(claims: &[Claim]) -> Vec<RequestId> {
    claims.iter().map(|claim| claim.write.request_id).collect()
}

pub(super) async fn store(queue: &dyn WriteQueue, write: &QueuedWrite) {
    queue.mark_stored(write.request_id, &write.memory.clone().into_memory(), now(), now()).await.unwrap();
}

pub async fn an_accepted_write_is_under_its_lease_from_the_start(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write) = (fixture.port(), queued_write());
    assert_eq!(line_up(queue, &write).await, Dispatch::Claimed);
    assert_eq!(claim(fixture.other_instance(), in_seconds(59), 10).await, []);
    let claims = claim(fixture.other_instance(), in_seconds(60), 10).await;
    assert_eq!(claims, [Claim { write, lease: claims[0].lease, attempt: 2 }]);
}

pub async fn of_a_hundred_concurrent_callers_one_claims_a_write(fixture: Fixture<dyn WriteQueue>) {
    let write = queued_write();
    waiting(fixture.port(), &write).await;
    let claimed = fixture.together(100, |_, queue| async move { claim(&*queue, now(), 10).await }).await;
    assert_eq!(ids(&claimed.concat()), [write.request_id]);
}

pub async fn a_hundred_concurrent_callers_claim_each_write_once(fixture: Fixture<dyn WriteQueue>) {
    let mut expected = HashSet::new();
    for _ in 0..60 {
        let write = queued_write();
        waiting(fixture.port(), &write).await;
        expected.insert(write.request_id);
    }
    let claimed = fixture.together(100, |_, queue| async move { claim(&*queue, now(), 3).await }).await;
    assert!(claimed.iter().all(|claims| claims.len() <= 3));
    let mut claimed = ids(&claimed.concat());
    let distinct: HashSet<RequestId> = claimed.iter().copied().collect();
    assert_eq!(distinct.len(), claimed.len(), "a write was claimed twice");
    // Callers pass over what another is just taking; what they left is there for the next.
    claimed.extend(ids(&claim(fixture.port(), now(), 100).await));
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), expected);
}

pub async fn a_lease_that_ran_out_can_be_taken_over(fixture: Fixture<dyn WriteQueue>) {
    let write = queued_write();
    waiting(fixture.port(), &write).await;
    let first = claim(fixture.port(), now(), 10).await;
    assert_eq!(first[0].attempt, 2);
    assert_eq!(claim(fixture.other_instance(), in_seconds(59), 10).await, []);
    let second = claim(fixture.other_instance(), in_seconds(60), 10).await;
    assert_eq!((ids(&second), second[0].attempt), (vec![write.request_id], 3));
    store(fixture.port(), &write).await;
    assert_eq!(claim(fixture.port(), in_seconds(600), 10).await, []);
}

pub async fn a_lease_that_was_ended_can_be_taken_over_at_once(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write, stored) = (fixture.port(), queued_write(), queued_write());
    assert_eq!(line_up(queue, &stored).await, Dispatch::Claimed);
    store(queue, &stored).await;
    assert_eq!(line_up(queue, &write).await, Dispatch::Claimed);
    assert_eq!(claim(queue, now(), 10).await, []);
    fixture.other_instance().release_leases().await.unwrap();
    let claims = claim(queue, now(), 10).await;
    assert_eq!((ids(&claims), claims[0].attempt), (vec![write.request_id], 2), "and it counts as sent before");
}

pub async fn writes_of_a_scope_are_claimed_one_at_a_time_in_their_order(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first) = (fixture.port(), queued_write());
    let mut writes = vec![first.clone()];
    // The clock jumps back and the ids are random: neither is the order.
    writes.extend(
        (1..5).map(|number| QueuedWrite { accepted_at: now().minus(seconds(number)), ..in_scope(&first.scope) }),
    );
    for write in &writes {
        waiting(queue, write).await;
    }
    for write in &writes {
        assert_eq!(ids(&claim(queue, now(), 10).await), [write.request_id]);
        assert_eq!(claim(fixture.other_instance(), now(), 10).await, [], "the next one waits for it");
        store(queue, write).await;
    }
    assert_eq!(claim(queue, now(), 10).await, []);
}

pub async fn writes_of_other_scopes_do_not_wait_for_one_another(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first) = (fixture.port(), queued_write());
    let of_person = in_scope(&scope_of_person(&first.scope));
    let elsewhere = queued_write();
    for write in [&first, &of_person, &elsewhere] {
        assert_eq!(line_up(queue, write).await, Dispatch::Claimed);
    }
    let lease = lease();
    let unlucky = queued_write();
    queue.accept(&unlucky, ROOM, lease).await.unwrap();
    queue.reschedule(unlucky.request_id, lease.id, in_seconds(3_600), "away", false).await.unwrap();
    assert_eq!(claim(queue, in_seconds(60), 10).await.len(), 3, "the unlucky one holds nobody up");
}

pub async fn of_a_hundred_concurrent_writes_of_a_scope_one_is_delivered_at_once(fixture: Fixture<dyn WriteQueue>) {
    let scope = queued_write().scope;
    let dispatches = fixture
        .together(100, |_, queue| {
            let write = in_scope(&scope);
            async move { line_up(&*queue, &write).await }
        })
        .await;
    assert_eq!(dispatches.iter().filter(|dispatch| **dispatch == Dispatch::Claimed).count(), 1);
    assert_eq!(claim(fixture.port(), now(), 100).await, []);
}

pub async fn a_write_says_whether_its_turn_is_soon_or_later(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first, lease) = (fixture.port(), queued_write(), lease());
    assert_eq!(queue.accept(&first, ROOM, lease).await.unwrap(), Acceptance::Accepted(Dispatch::Claimed));
    assert_eq!(line_up(queue, &in_scope(&first.scope)).await, Dispatch::Queued);
    queue.reschedule(first.request_id, lease.id, in_seconds(1), "away", false).await.unwrap();
    assert_eq!(line_up(queue, &in_scope(&first.scope)).await, Dispatch::Deferred);
    queue.mark_failed(first.request_id, "no", now()).await.unwrap();
    assert_eq!(line_up(queue, &in_scope(&first.scope)).await, Dispatch::Queued, "a dead letter holds nobody up");
}

pub async fn a_write_that_is_postponed_is_not_due_before_its_time(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write, lease) = (fixture.port(), queued_write(), lease());
    queue.accept(&write, ROOM, lease).await.unwrap();
    queue
        .reschedule(write.request_id, lease.id, in_seconds(10), "the bank said \u{201e}nein\u{201c}", false)
        .await
        .unwrap();
    let tracked = queue.find(write.application_id, write.request_id).await.unwrap().unwrap();
    assert_eq!((tracked.attempts, tracked.next_attempt_at), (1, in_seconds(10)));
    assert_eq!(tracked.last_error.as_deref(), Some("the bank said \u{201e}nein\u{201c}"));
    assert_eq!(claim(queue, in_seconds(10).minus(Duration::from_millis(1)), 10).await, []);
    assert_eq!(claim(queue, in_seconds(10), 10).await[0].attempt, 2);
}

pub async fn who_has_lost_its_lease_postpones_nothing(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write, lost) = (fixture.port(), queued_write(), lease());
    queue.accept(&write, ROOM, lost).await.unwrap();
    let claims = claim(fixture.other_instance(), in_seconds(60), 10).await;
    queue.reschedule(write.request_id, lost.id, now(), "late", false).await.unwrap();
    assert_eq!(claim(queue, in_seconds(61), 10).await, [], "the new holder's lease is good");
    queue.reschedule(write.request_id, claims[0].lease.id, in_seconds(62), "away", false).await.unwrap();
    assert_eq!(claim(queue, in_seconds(62), 10).await.len(), 1);
    store(queue, &write).await;
    queue.reschedule(write.request_id, claims[0].lease.id, now(), "late", false).await.unwrap();
    assert_eq!(claim(queue, in_seconds(600), 10).await, [], "what is stored stays stored");
}

pub async fn a_full_queue_accepts_nothing_but_knows_repetitions(fixture: Fixture<dyn WriteQueue>) {
    let (queue, order, first) = (fixture.port(), DeliveryOrder::Fifo { capacity: 2 }, keyed_write());
    queue.accept(&first, order, lease()).await.unwrap();
    queue.accept(&queued_write(), order, lease()).await.unwrap();
    let refused = queued_write();
    assert_eq!(queue.accept(&refused, order, lease()).await.unwrap(), Acceptance::Full);
    assert_eq!(queue.find(refused.application_id, refused.request_id).await.unwrap(), None);
    let again = queue.accept(&another_request(&first), order, lease()).await.unwrap();
    assert_eq!(again, known(&first, WriteState::Pending));
    store(queue, &first).await;
    assert_eq!(queue.accept(&refused, order, lease()).await.unwrap(), Acceptance::Accepted(Dispatch::Claimed));
}

pub async fn a_hundred_concurrent_callers_do_not_overfill_the_queue(fixture: Fixture<dyn WriteQueue>) {
    let answers = fixture
        .together(100, |_, queue| async move {
            queue.accept(&queued_write(), DeliveryOrder::Fifo { capacity: 37 }, lease()).await.unwrap()
        })
        .await;
    assert_eq!(answers.iter().filter(|answer| **answer == Acceptance::Accepted(Dispatch::Claimed)).count(), 37);
    assert_eq!(answers.iter().filter(|answer| **answer == Acceptance::Full).count(), 63);
    assert_eq!(fixture.port().statistics().await.unwrap().pending, 37);
}

pub async fn a_write_beside_the_line_waits_for_nobody(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first) = (fixture.port(), queued_write());
    for _ in 0..3 {
        assert_eq!(accept(queue, &in_scope(&first.scope)).await, Acceptance::Accepted(Dispatch::Claimed));
    }
}

pub async fn a_stored_write_stays_stored(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write) = (fixture.port(), keyed_write());
    line_up(queue, &write).await;
    store(queue, &write).await;
    queue.mark_failed(write.request_id, "no", now()).await.unwrap();
    let stored = WriteState::Stored(Box::new(write.memory.clone().into_memory()));
    assert_eq!(accept(queue, &another_request(&write)).await, known(&write, stored));
}

pub async fn writes_are_found_by_the_application_that_sent_them(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write) = (fixture.port(), queued_write());
    line_up(queue, &write).await;
    let tracked = fixture.other_instance().find(write.application_id, write.request_id).await.unwrap().unwrap();
    assert_eq!((&tracked.write, &tracked.state), (&write, &WriteState::Pending));
    assert_eq!((tracked.attempts, tracked.last_error), (1, None));
    let other = ApplicationId::from_uuid(unique());
    assert_eq!(queue.find(other, write.request_id).await.unwrap(), None);
    assert_eq!(queue.find(write.application_id, RequestId::from_uuid(unique())).await.unwrap(), None);
    queue.mark_stored(write.request_id, &full_memory(&write), now(), now()).await.unwrap();
    let tracked = queue.find(write.application_id, write.request_id).await.unwrap().unwrap();
    assert_eq!(tracked.state, WriteState::Stored(Box::new(full_memory(&write))));
}

pub async fn pending_writes_of_a_scope_come_newest_first(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first) = (fixture.port(), queued_write());
    let writes = [first.clone(), in_scope(&first.scope), in_scope(&first.scope), in_scope(&first.scope)];
    for write in &writes {
        line_up(queue, write).await;
    }
    line_up(queue, &in_scope(&scope_of_person(&first.scope))).await;
    store(queue, &writes[0]).await;
    queue.mark_failed(writes[1].request_id, "no", now()).await.unwrap();
    let pending = fixture.other_instance().pending(&first.scope, 10).await.unwrap();
    assert_eq!(pending, [writes[3].clone(), writes[2].clone()]);
    assert_eq!(queue.pending(&first.scope, 1).await.unwrap(), [writes[3].clone()]);
}

pub async fn dead_letters_are_listed_retried_and_dropped(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first) = (fixture.port(), queued_write());
    let second = QueuedWrite { accepted_at: in_seconds(1), ..in_scope(&first.scope) };
    let third = QueuedWrite { accepted_at: in_seconds(2), ..in_scope(&first.scope) };
    for write in [&first, &second, &third] {
        line_up(queue, write).await;
    }
    queue.mark_failed(first.request_id, "too long", now()).await.unwrap();
    queue.mark_failed(second.request_id, "too rude", now()).await.unwrap();
    let failed = queue.list(Undelivered::Failed, 10).await.unwrap();
    let listed: Vec<_> = failed.iter().map(|tracked| (tracked.write.request_id, tracked.state.clone())).collect();
    let expected = [(&first, "too long"), (&second, "too rude")]
        .map(|(write, reason)| (write.request_id, WriteState::Failed(reason.to_owned())));
    assert_eq!(listed, expected);
    assert_eq!(queue.list(Undelivered::Failed, 1).await.unwrap().len(), 1);

    assert!(queue.drop_failed(second.request_id).await.unwrap());
    assert!(!queue.drop_failed(second.request_id).await.unwrap());
    assert!(queue.retry(first.request_id, in_seconds(3)).await.unwrap());
    assert_eq!(queue.list(Undelivered::Failed, 10).await.unwrap(), []);
    let pending: Vec<RequestId> =
        queue.list(Undelivered::Pending, 10).await.unwrap().iter().map(|tracked| tracked.write.request_id).collect();
    assert_eq!(pending, [first.request_id, third.request_id]);
    // Its place in the line is lost: the third has not waited for it.
    assert_eq!(ids(&claim(queue, in_seconds(3), 10).await), [third.request_id]);
    store(queue, &third).await;
    let claims = claim(queue, in_seconds(3), 10).await;
    assert_eq!(ids(&claims), [first.request_id]);
    assert!(claims[0].attempt > 1, "it was sent before");
}

pub async fn only_dead_letters_are_dropped_and_what_is_stored_is_not_retried(fixture: Fixture<dyn WriteQueue>) {
    let (queue, pending, stored) = (fixture.port(), queued_write(), queued_write());
    line_up(queue, &pending).await;
    line_up(queue, &stored).await;
    store(queue, &stored).await;
    for request in [stored.request_id, RequestId::from_uuid(unique())] {
        assert!(!queue.retry(request, now()).await.unwrap());
    }
    for request in [pending.request_id, stored.request_id, RequestId::from_uuid(unique())] {
        assert!(!queue.drop_failed(request).await.unwrap());
    }
    assert_eq!(claim(queue, now(), 10).await, []);
}

pub async fn a_write_that_waits_is_retried_at_once_in_its_place(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first, lease) = (fixture.port(), queued_write(), lease());
    queue.accept(&first, ROOM, lease).await.unwrap();
    queue.reschedule(first.request_id, lease.id, in_seconds(3_600), "away", false).await.unwrap();
    let second = in_scope(&first.scope);
    line_up(queue, &second).await;
    assert!(queue.retry(second.request_id, in_seconds(1)).await.unwrap());
    assert_eq!(claim(queue, in_seconds(1), 10).await, [], "it still waits for the first");
    assert!(fixture.other_instance().retry(first.request_id, in_seconds(1)).await.unwrap());
    assert_eq!(ids(&claim(queue, in_seconds(1), 10).await), [first.request_id]);
}

pub async fn statistics_count_what_is_there(fixture: Fixture<dyn WriteQueue>) {
    let queue = fixture.port();
    assert_eq!(queue.statistics().await.unwrap(), QueueStatistics::default());
    let mut writes = Vec::new();
    for number in [3, 1, 2, 0] {
        let write = QueuedWrite { accepted_at: in_seconds(number), ..queued_write() };
        line_up(queue, &write).await;
        writes.push(write);
    }
    store(queue, &writes[3]).await;
    queue.mark_failed(writes[2].request_id, "no", now()).await.unwrap();
    let expected = QueueStatistics { pending: 2, failed: 1, oldest_pending: Some(in_seconds(1)) };
    assert_eq!(fixture.other_instance().statistics().await.unwrap(), expected);
}

pub async fn what_is_delivered_late_is_retained_from_then_on(fixture: Fixture<dyn WriteQueue>) {
    let queue = fixture.port();
    let (late, dead) = (accept_until(queue, "late", 1).await, accept_until(queue, "dead", 1).await);
    let memory = NewMemory { id: late.memory.id.clone(), ..new_memory("late") }.into_memory();
    queue.mark_stored(late.request_id, &memory, now(), in_seconds(100)).await.unwrap();
    queue.mark_failed(dead.request_id, "no", in_seconds(200)).await.unwrap();
    assert_eq!(queue.sweep(in_seconds(100), 10).await.unwrap(), 0);
    assert_eq!(queue.sweep(in_seconds(101), 10).await.unwrap(), 1);
    let kept = QueuedWrite { idempotency_key: Some(key("dead")), ..another_request(&dead) };
    assert!(matches!(accept(queue, &kept).await, Acceptance::Duplicate { state: WriteState::Failed(_), .. }));
    assert_eq!(queue.sweep(in_seconds(201), 10).await.unwrap(), 1);
}

pub async fn what_is_erased_is_gone_however_far_it_has_come_and_the_rest_stays(fixture: Fixture<dyn WriteQueue>) {
    let queue = fixture.port();
    let application = scope();
    let (person, bystander) = (scope_of_person(&application), scope_of_person(&application));
    let elsewhere = MemoryScope::from_stored(scope().space().clone(), person.person());
    for scope in [&application, &person, &bystander, &elsewhere] {
        for end in 0..3 {
            let write = QueuedWrite { scope: scope.clone(), ..queued_write() };
            queue.accept(&write, DeliveryOrder::Unordered, Lease { id: unique(), until: now() }).await.unwrap();
            match end {
                0 => {}
                1 => assert!(queue.mark_stored(write.request_id, &full_memory(&write), now(), now()).await.unwrap()),
                _ => queue.mark_failed(write.request_id, "refused", now()).await.unwrap(),
            }
        }
    }
    let other = fixture.other_instance();
    let group = TenantGroup::OfPerson(person.person().unwrap());
    for (group, erased) in [
        (TenantGroup::One(Tenant::from(&*person)), 3),
        (group.clone(), 3),
        (group, 0),
        (TenantGroup::InSpace(application.space().clone()), 6),
    ] {
        assert_eq!(other.erase(&group).await.unwrap(), erased, "{group:?}");
    }
    assert_eq!(queue.statistics().await.unwrap(), QueueStatistics::default());
    assert_eq!(queue.pending(&bystander, 10).await.unwrap(), []);
}
