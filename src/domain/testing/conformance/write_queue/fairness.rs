//! Nobody is held up by another's writes, nor all writes of a scope by one.

use super::super::Fixture;
use super::delivering::{ROOM, claim, ids, in_scope, in_seconds, line_up, store};
use super::lease;
use crate::ids::ApplicationId;
use crate::memories::{
    Acceptance, DeliveryFailures, DeliveryOrder, Dispatch, Lease, MAX_SET_ASIDE, MemoryScope, QueuedWrite, Undelivered,
    WriteQueue,
};
use crate::testing::{now, queued_write, scope_of_person, unique};

fn counted(total: u32, outvoted: u32) -> DeliveryFailures {
    DeliveryFailures { total, outvoted }
}

pub async fn failures_are_counted_and_those_while_others_were_stored(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write, held) = (fixture.port(), queued_write(), lease());
    queue.accept(&write, ROOM, held).await.unwrap();
    let note = async |seconds| queue.note_failure(write.request_id, held.id, in_seconds(seconds)).await.unwrap();
    assert_eq!(note(10).await, counted(1, 0), "nothing else was stored");
    let store_another = async |seconds| {
        let other = queued_write();
        line_up(queue, &other).await;
        let memory = other.memory.clone().into_memory();
        queue.mark_stored(other.request_id, &memory, in_seconds(seconds), in_seconds(seconds)).await.unwrap();
    };
    store_another(15).await;
    assert_eq!(note(20).await, counted(2, 1));
    assert_eq!(note(30).await, counted(3, 1), "nothing was stored since");
    store_another(31).await;
    store_another(32).await;
    assert_eq!(note(40).await, counted(4, 2));
    let lost = queue.note_failure(write.request_id, unique(), in_seconds(50)).await.unwrap();
    assert_eq!(lost, counted(0, 0), "the lease is another's");
    assert!(queue.retry(write.request_id, in_seconds(60)).await.unwrap());
    assert_eq!(note(70).await, counted(1, 0), "what was counted is forgotten");
}

/// Takes a write and sets it aside.
async fn set_aside(queue: &dyn WriteQueue, write: &QueuedWrite) {
    let lease = Lease { id: unique(), until: in_seconds(60) };
    let claims = queue.claim(now(), lease, 100).await.unwrap();
    for claim in claims {
        let is_it = claim.write.request_id == write.request_id;
        let at = if is_it { in_seconds(600) } else { now() };
        queue.reschedule(claim.write.request_id, lease.id, at, "no", is_it).await.unwrap();
    }
}

async fn waiting(queue: &dyn WriteQueue, write: &QueuedWrite) {
    let lease = lease();
    if queue.accept(write, ROOM, lease).await.unwrap() == Acceptance::Accepted(Dispatch::Claimed) {
        queue.reschedule(write.request_id, lease.id, now(), "nobody is free", false).await.unwrap();
    }
}

pub async fn a_write_that_is_set_aside_holds_nobody_up(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first) = (fixture.port(), queued_write());
    let (second, third) = (in_scope(&first.scope), in_scope(&first.scope));
    for write in [&first, &second, &third] {
        waiting(queue, write).await;
    }
    set_aside(queue, &first).await;
    assert_eq!(ids(&claim(queue, now(), 10).await), [second.request_id], "the next one goes");
    store(queue, &second).await;
    assert_eq!(ids(&claim(fixture.other_instance(), now(), 10).await), [third.request_id]);
    store(queue, &third).await;
    assert_eq!(line_up(queue, &in_scope(&first.scope)).await, Dispatch::Claimed, "and a new one need not wait");
    assert_eq!(ids(&claim(queue, in_seconds(599), 10).await.split_off(1)), []);
    let found = queue.find_undelivered(first.request_id).await.unwrap().unwrap();
    assert!(found.set_aside);
    let due = claim(queue, in_seconds(700), 10).await;
    assert!(ids(&due).contains(&first.request_id), "it is still tried itself");
    queue.reschedule(first.request_id, due[0].lease.id, in_seconds(800), "away", false).await.unwrap();
    assert!(queue.find_undelivered(first.request_id).await.unwrap().unwrap().set_aside, "and stays aside");
}

pub async fn no_more_than_a_few_writes_of_a_scope_are_set_aside(fixture: Fixture<dyn WriteQueue>) {
    let (queue, first) = (fixture.port(), queued_write());
    let mut writes = vec![first.clone()];
    writes.extend((0..MAX_SET_ASIDE).map(|_| in_scope(&first.scope)));
    for write in &writes {
        waiting(queue, write).await;
    }
    let elsewhere = in_scope(&scope_of_person(&first.scope));
    waiting(queue, &elsewhere).await;
    for write in writes.iter().chain([&elsewhere]) {
        set_aside(queue, write).await;
    }
    let aside = queue.list(Undelivered::Pending, 100).await.unwrap();
    let aside: Vec<_> = aside.iter().filter(|tracked| tracked.set_aside).map(|tracked| &tracked.write).collect();
    assert_eq!(aside.len(), writes.len(), "one less of the scope, and the one elsewhere");
    assert!(!aside.contains(&&writes[writes.len() - 1]) && aside.contains(&&elsewhere));
}

pub async fn each_application_has_its_share_of_a_full_queue(fixture: Fixture<dyn WriteQueue>) {
    let (queue, order, greedy) =
        (fixture.port(), DeliveryOrder::Fifo { capacity: 12 }, ApplicationId::from_uuid(unique()));
    let send = async |application_id: ApplicationId| {
        let write = QueuedWrite { application_id, ..queued_write() };
        queue.accept(&write, order, lease()).await.unwrap() != Acceptance::Full
    };
    for _ in 0..12 {
        assert!(send(greedy).await, "alone it has all of it");
    }
    assert!(!send(greedy).await);
    for (number, share) in [(2, 6), (3, 4), (4, 3)] {
        let application = ApplicationId::from_uuid(unique());
        for _ in 0..share {
            assert!(send(application).await, "of {number} applications each may have {share}");
        }
        assert!(!send(application).await);
        assert!(!send(greedy).await);
    }
}

pub async fn one_person_leaves_half_of_the_share_of_an_application_to_others(fixture: Fixture<dyn WriteQueue>) {
    const CAPACITY: u32 = 12;
    let (queue, order) = (fixture.port(), DeliveryOrder::Fifo { capacity: CAPACITY });
    let (crowded, other) = (ApplicationId::from_uuid(unique()), ApplicationId::from_uuid(unique()));
    let space = queued_write().scope;
    let [marta, nils, olga] = [(); 3].map(|()| scope_of_person(&space).into_scope());
    let sent = async |application_id: ApplicationId, scope: &MemoryScope| {
        let mut accepted = 0;
        for _ in 0..CAPACITY {
            let write = QueuedWrite { application_id, ..in_scope(scope) };
            accepted += u32::from(queue.accept(&write, order, lease()).await.unwrap() != Acceptance::Full);
        }
        accepted
    };
    assert_eq!(sent(crowded, &marta).await, 6, "half of what the application can have");
    assert_eq!(sent(other, &marta).await, 6, "in another application she is somebody else's person");
    // The queue is full now, and each of the two applications has its share of 6.
    assert_eq!(sent(crowded, &marta).await, 0);
    assert_eq!(sent(crowded, &nils).await, 3, "half of the share is left to others");
    assert_eq!((sent(crowded, &nils).await, sent(crowded, &olga).await), (0, 0), "and not more");
    assert_eq!(sent(other, &nils).await, 3);
    assert_eq!(sent(ApplicationId::from_uuid(unique()), &space).await, 4, "of an application itself all of the share");
}

pub async fn of_a_queue_of_one_place_a_person_has_it(fixture: Fixture<dyn WriteQueue>) {
    let (queue, write) = (fixture.port(), queued_write());
    let write = QueuedWrite { scope: scope_of_person(&write.scope).into_scope(), ..write };
    let accepted = queue.accept(&write, DeliveryOrder::Fifo { capacity: 1 }, lease()).await.unwrap();
    assert_eq!(accepted, Acceptance::Accepted(Dispatch::Claimed));
}

pub async fn one_person_gets_no_more_than_half_by_asking_at_once(fixture: Fixture<dyn WriteQueue>) {
    let (application_id, scope) =
        (ApplicationId::from_uuid(unique()), scope_of_person(&queued_write().scope).into_scope());
    let answers = fixture
        .together(40, move |_, queue| {
            let write = QueuedWrite { application_id, ..in_scope(&scope) };
            async move { queue.accept(&write, DeliveryOrder::Fifo { capacity: 20 }, lease()).await.unwrap() }
        })
        .await;
    assert_eq!(answers.iter().filter(|answer| **answer != Acceptance::Full).count(), 10);
}
