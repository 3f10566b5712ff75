//! The contract of [`WriteQueue`].

use std::time::Duration;

use serde_json::json;

mod delivering;
mod fairness;
mod forgetting;

pub use delivering::*;
pub use fairness::*;
pub use forgetting::*;

use super::Fixture;
use crate::ids::{ApplicationId, MemoryId, RequestId};
use crate::memories::{
    Acceptance, Actor, DeliveryOrder, Dispatch, IdempotencyKey, Lease, Memory, Metadata, NewMemory, Priority,
    QueuedWrite, WriteQueue, WriteState,
};
use crate::testing::{
    categories, content, context, metadata, now, queued_write, scope, scope_limited_to, scope_of_person, unique,
};

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! write_queue_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            write_queue,
            dyn $crate::memories::WriteQueue,
            $fixture,
            [
                a_write_is_accepted_once_and_then_known,
                writes_come_back_with_every_member,
                a_plain_write_comes_back_as_plain_as_it_was,
                of_a_hundred_concurrent_callers_with_one_key_exactly_one_is_accepted,
                writes_without_a_key_are_all_accepted,
                the_same_key_of_another_application_is_another_write,
                the_same_key_in_another_space_is_another_write,
                the_same_key_for_another_person_is_another_write,
                other_categories_of_the_application_do_not_make_another_write,
                keys_are_compared_to_the_letter,
                a_stored_write_comes_back_with_its_memory,
                a_failed_write_comes_back_with_its_reason,
                a_sweep_forgets_what_is_over_and_keeps_the_rest,
                a_sweep_forgets_no_more_than_its_limit,
                a_key_can_be_used_anew_after_a_sweep,
                an_accepted_write_is_under_its_lease_from_the_start,
                of_a_hundred_concurrent_callers_one_claims_a_write,
                a_hundred_concurrent_callers_claim_each_write_once,
                a_lease_that_ran_out_can_be_taken_over,
                a_lease_that_was_ended_can_be_taken_over_at_once,
                writes_of_a_scope_are_claimed_one_at_a_time_in_their_order,
                writes_of_other_scopes_do_not_wait_for_one_another,
                of_a_hundred_concurrent_writes_of_a_scope_one_is_delivered_at_once,
                a_write_says_whether_its_turn_is_soon_or_later,
                a_write_that_is_postponed_is_not_due_before_its_time,
                who_has_lost_its_lease_postpones_nothing,
                a_full_queue_accepts_nothing_but_knows_repetitions,
                a_hundred_concurrent_callers_do_not_overfill_the_queue,
                a_write_beside_the_line_waits_for_nobody,
                a_stored_write_stays_stored,
                writes_are_found_by_the_application_that_sent_them,
                pending_writes_of_a_scope_come_newest_first,
                dead_letters_are_listed_retried_and_dropped,
                what_is_erased_is_gone_however_far_it_has_come_and_the_rest_stays,
                only_dead_letters_are_dropped_and_what_is_stored_is_not_retried,
                a_write_that_waits_is_retried_at_once_in_its_place,
                statistics_count_what_is_there,
                what_is_delivered_late_is_retained_from_then_on,
                a_write_is_found_by_its_memory_and_by_its_request,
                a_write_is_found_by_its_key,
                a_removed_write_is_forgotten_and_its_key_can_be_used_anew,
                what_has_changed_or_is_being_delivered_is_not_removed,
                a_changed_memory_takes_the_place_of_what_the_write_said,
                a_stored_write_is_kept_no_longer_than_its_memory_lives,
                everything_but_what_is_pending_is_forgotten_of_a_scope,
                failures_are_counted_and_those_while_others_were_stored,
                a_write_that_is_set_aside_holds_nobody_up,
                no_more_than_a_few_writes_of_a_scope_are_set_aside,
                each_application_has_its_share_of_a_full_queue,
                one_person_leaves_half_of_the_share_of_an_application_to_others,
                of_a_queue_of_one_place_a_person_has_it,
                one_person_gets_no_more_than_half_by_asking_at_once,
            ]
        );
    };
}

fn key(text: &str) -> IdempotencyKey {
    text.to_owned().try_into().unwrap()
}

fn another_request(write: &QueuedWrite) -> QueuedWrite {
    QueuedWrite { request_id: RequestId::from_uuid(unique()), ..write.clone() }
}

fn keyed_write() -> QueuedWrite {
    QueuedWrite { idempotency_key: Some(key("trip-1")), ..queued_write() }
}

fn known(write: &QueuedWrite, state: WriteState) -> Acceptance {
    Acceptance::Duplicate { write: Box::new(write.clone()), state }
}

/// A memory of a write in which every member has a value that is not usual.
fn full_memory(write: &QueuedWrite) -> Memory {
    Memory {
        id: "mem0:9f.A_b-1".parse().unwrap(),
        content: content("First line\nzweite Zeile: „Grüße“\t三行目 🦊 \u{202e}rtl ' \" \\ %00 ; --"),
        categories: categories(&["travel", "with, comma", "naïve \"quotes\"", "日本"]),
        metadata: metadata(json!({
            "text": "O'Brien \"x\" \\ \n 🦊", "empty": "", "null": null, "yes": true, "no": false,
            "integer": -42, "large": 9_007_199_254_740_993_i64, "float": 0.1, "array": [1, "2", [3]],
            "a.b": {"c d": {"$": {"é": []}}},
        }))
        .with_context(&context("g-42", "conv-1")),
        priority: Priority::High,
        created_at: now(),
        occurred_at: Some(now().minus(Duration::from_millis(5_000_000_001))),
        updated_at: now().plus(Duration::from_millis(1)),
        expires_at: Some(now().plus(Duration::from_millis(86_400_001))),
        created_by: Some(Actor::Application(write.application_id)),
    }
}

pub async fn a_write_is_accepted_once_and_then_known(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    assert_eq!(accept(fixture.port(), &write).await, Acceptance::Accepted(Dispatch::Claimed));
    let again = another_request(&write);
    assert_eq!(accept(fixture.other_instance(), &again).await, known(&write, WriteState::Pending));
    let other_body = QueuedWrite { fingerprint: [8; 32], ..another_request(&write) };
    let answer = accept(fixture.port(), &other_body).await;
    assert_eq!(answer, known(&write, WriteState::Pending), "what it says is for the caller to compare");
}

pub async fn writes_come_back_with_every_member(fixture: Fixture<dyn WriteQueue>) {
    let write = queued_write();
    let write = QueuedWrite {
        scope: scope_of_person(&scope()).into_scope(),
        idempotency_key: Some(key(&"schlüssel ' \" % 🦊 ".repeat(14))),
        fingerprint: std::array::from_fn(|index| u8::try_from(255 - index).unwrap()),
        memory: NewMemory {
            supersedes: Some("mem0:9f.A_b-0".parse().unwrap()),
            ..NewMemory::from(full_memory(&write))
        },
        accepted_at: now().plus(Duration::from_millis(5)),
        keep_until: now().plus(Duration::from_millis(86_400_005)),
        ..write
    };
    assert_eq!(accept(fixture.port(), &write).await, Acceptance::Accepted(Dispatch::Claimed));
    let answer = accept(fixture.port(), &another_request(&write)).await;
    assert_eq!(answer, known(&write, WriteState::Pending));
}

pub async fn a_plain_write_comes_back_as_plain_as_it_was(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    assert_eq!(write.memory.metadata, Metadata::default());
    accept(fixture.port(), &write).await;
    let answer = accept(fixture.port(), &another_request(&write)).await;
    assert_eq!(answer, known(&write, WriteState::Pending));
}

pub async fn of_a_hundred_concurrent_callers_with_one_key_exactly_one_is_accepted(fixture: Fixture<dyn WriteQueue>) {
    let first = keyed_write();
    let writes: Vec<QueuedWrite> = (0..100).map(|_| another_request(&first)).collect();
    let answers = fixture
        .together(writes.len(), |number, queue| {
            let write = writes[number].clone();
            async move { accept(&*queue, &write).await }
        })
        .await;
    let winners: Vec<usize> =
        (0..writes.len()).filter(|number| answers[*number] == Acceptance::Accepted(Dispatch::Claimed)).collect();
    assert_eq!(winners.len(), 1, "so many of a hundred writes were accepted: {winners:?}");
    let expected = known(&writes[winners[0]], WriteState::Pending);
    assert_eq!(answers.iter().filter(|answer| **answer == expected).count(), 99, "all others learn of that one");
}

pub async fn writes_without_a_key_are_all_accepted(fixture: Fixture<dyn WriteQueue>) {
    let write = queued_write();
    for _ in 0..3 {
        assert_eq!(accept(fixture.port(), &another_request(&write)).await, Acceptance::Accepted(Dispatch::Claimed));
    }
}

pub async fn the_same_key_of_another_application_is_another_write(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    accept(fixture.port(), &write).await;
    let other = QueuedWrite { application_id: ApplicationId::from_uuid(unique()), ..another_request(&write) };
    assert_eq!(accept(fixture.port(), &other).await, Acceptance::Accepted(Dispatch::Claimed));
}

pub async fn the_same_key_in_another_space_is_another_write(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    accept(fixture.port(), &write).await;
    let other = QueuedWrite { scope: scope().into_scope(), ..another_request(&write) };
    assert_eq!(accept(fixture.port(), &other).await, Acceptance::Accepted(Dispatch::Claimed));
}

pub async fn the_same_key_for_another_person_is_another_write(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    accept(fixture.port(), &write).await;
    for _ in 0..2 {
        let other = QueuedWrite { scope: scope_of_person(&write.scope).into_scope(), ..another_request(&write) };
        assert_eq!(accept(fixture.port(), &other).await, Acceptance::Accepted(Dispatch::Claimed));
        let again = another_request(&other);
        assert_eq!(accept(fixture.port(), &again).await, known(&other, WriteState::Pending));
    }
}

pub async fn other_categories_of_the_application_do_not_make_another_write(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    accept(fixture.port(), &write).await;
    let limited =
        QueuedWrite { scope: scope_limited_to(&write.scope, &["travel"]).into_scope(), ..another_request(&write) };
    assert_eq!(accept(fixture.port(), &limited).await, known(&write, WriteState::Pending));
}

pub async fn keys_are_compared_to_the_letter(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    for text in ["trip-1", "TRIP-1", "trip-1 ", "trip_1", "trip-%", "é", "e\u{301}"] {
        let other = QueuedWrite { idempotency_key: Some(key(text)), ..another_request(&write) };
        assert_eq!(accept(fixture.port(), &other).await, Acceptance::Accepted(Dispatch::Claimed), "{text:?}");
    }
}

pub async fn a_stored_write_comes_back_with_its_memory(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    let memory = full_memory(&write);
    accept(fixture.port(), &write).await;
    fixture.port().mark_stored(write.request_id, &memory, now(), now()).await.unwrap();
    let answer = accept(fixture.other_instance(), &another_request(&write)).await;
    assert_eq!(answer, known(&write, WriteState::Stored(Box::new(memory))));
}

pub async fn a_failed_write_comes_back_with_its_reason(fixture: Fixture<dyn WriteQueue>) {
    let write = keyed_write();
    let other = QueuedWrite { idempotency_key: Some(key("trip-2")), ..another_request(&write) };
    accept(fixture.port(), &write).await;
    accept(fixture.port(), &other).await;
    fixture.port().mark_failed(write.request_id, "the bank said: „nein“", now()).await.unwrap();
    let answer = accept(fixture.port(), &another_request(&write)).await;
    assert_eq!(answer, known(&write, WriteState::Failed("the bank said: „nein“".to_owned())));
    let answer = accept(fixture.port(), &another_request(&other)).await;
    assert_eq!(answer, known(&other, WriteState::Pending), "the other write is not concerned");
}

/// A lease of a minute, unlike any other.
fn lease() -> Lease {
    Lease { id: unique(), until: now().plus(Duration::from_mins(1)) }
}

/// Accepts a write for which order does not matter.
async fn accept(queue: &dyn WriteQueue, write: &QueuedWrite) -> Acceptance {
    queue.accept(write, DeliveryOrder::Unordered, lease()).await.unwrap()
}

async fn accept_until(queue: &dyn WriteQueue, name: &str, seconds: u64) -> QueuedWrite {
    let keep_until = now().plus(Duration::from_secs(seconds));
    let write = QueuedWrite { idempotency_key: Some(key(name)), keep_until, ..queued_write() };
    assert_eq!(accept(queue, &write).await, Acceptance::Accepted(Dispatch::Claimed));
    write
}

pub async fn a_sweep_forgets_what_is_over_and_keeps_the_rest(fixture: Fixture<dyn WriteQueue>) {
    let queue = fixture.port();
    let stored = accept_until(queue, "stored", 1).await;
    let failed = accept_until(queue, "failed", 1).await;
    let pending = accept_until(queue, "pending", 1).await;
    let recent = accept_until(queue, "recent", 2).await;
    let memory = NewMemory { id: MemoryId::for_request(stored.request_id), ..stored.memory.clone() }.into_memory();
    queue.mark_stored(stored.request_id, &memory, now(), now()).await.unwrap();
    let memory = NewMemory { id: memory.id, ..recent.memory.clone() }.into_memory();
    queue.mark_stored(recent.request_id, &memory, now(), now()).await.unwrap();
    queue.mark_failed(failed.request_id, "no", now()).await.unwrap();

    assert_eq!(queue.sweep(now().plus(Duration::from_secs(1)), 100).await.unwrap(), 0, "still to be retained");
    assert_eq!(queue.sweep(now().plus(Duration::from_secs(2)), 100).await.unwrap(), 2);
    let answer = accept(queue, &another_request(&pending)).await;
    assert_eq!(answer, known(&pending, WriteState::Pending), "a write that is on its way is never forgotten");
    let answer = accept(queue, &another_request(&recent)).await;
    assert_eq!(answer, known(&recent, WriteState::Stored(Box::new(memory))));
}

pub async fn a_sweep_forgets_no_more_than_its_limit(fixture: Fixture<dyn WriteQueue>) {
    let queue = fixture.port();
    for number in 0..5 {
        let write = accept_until(queue, &format!("key-{number}"), 1).await;
        queue.mark_failed(write.request_id, "no", now()).await.unwrap();
    }
    let later = now().plus(Duration::from_hours(1));
    assert_eq!(queue.sweep(later, 3).await.unwrap(), 3);
    assert_eq!(queue.sweep(later, 3).await.unwrap(), 2);
    assert_eq!(queue.sweep(later, 3).await.unwrap(), 0);
}

pub async fn a_key_can_be_used_anew_after_a_sweep(fixture: Fixture<dyn WriteQueue>) {
    let queue = fixture.port();
    let write = accept_until(queue, "trip-1", 1).await;
    queue.mark_failed(write.request_id, "no", now()).await.unwrap();
    queue.sweep(now().plus(Duration::from_hours(1)), 100).await.unwrap();
    assert_eq!(accept(queue, &another_request(&write)).await, Acceptance::Accepted(Dispatch::Claimed));
}
