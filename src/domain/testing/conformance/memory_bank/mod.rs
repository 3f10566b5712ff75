//! The contract of [`MemoryBank`]. Cases for optional capabilities check that the bank reports an unsupported one.

mod changing;
mod creating;
mod filtering;
mod history;
mod isolation;
mod listing;
mod searching;

use std::time::Duration;

pub use changing::*;
pub use creating::*;
pub use filtering::*;
pub use history::*;
pub use isolation::*;
pub use listing::*;
pub use searching::*;

use crate::memories::{
    Admitted, Capability, Hit, Limit, ListQuery, Memory, MemoryBank, MemoryBankError, MemoryFilter, MemoryQuery,
    MemoryScope, NewMemory, Page, SearchResults,
};
use crate::system::Timestamp;
use crate::testing::{new_memory, now};

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! memory_bank_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            memory_bank,
            dyn $crate::memories::MemoryBank,
            $fixture,
            [
                a_bank_that_answers_is_healthy,
                // creating
                a_memory_comes_back_with_every_member,
                a_plain_memory_comes_back_as_plain_as_it_was,
                the_longest_memory_comes_back_whole,
                the_largest_metadata_comes_back_whole,
                an_unknown_memory_is_none,
                the_same_write_creates_one_memory,
                a_write_that_arrived_is_found,
                many_memories_created_at_once_are_all_there_and_known_ones_stay_as_they_are,
                the_same_write_from_many_concurrent_callers_creates_one_memory,
                a_repeated_write_does_not_undo_a_change,
                the_same_write_in_two_scopes_creates_two_memories,
                a_hundred_concurrent_writes_are_all_kept,
                an_expired_memory_is_forgotten,
                // searching
                a_question_finds_its_answer_first,
                a_search_returns_memories_with_every_member,
                a_search_of_an_empty_scope_finds_nothing,
                text_in_other_scripts_is_found,
                a_query_is_never_syntax,
                odd_queries_are_answered,
                the_longest_query_is_answered,
                a_search_returns_no_more_than_its_limit,
                results_come_best_first_with_a_relevance_from_0_to_1,
                results_below_the_threshold_are_left_out,
                of_memories_that_fit_equally_the_more_important_comes_first,
                of_memories_that_fit_equally_the_one_said_later_comes_first,
                a_created_memory_is_found_at_once,
                // filtering
                a_search_can_be_narrowed_to_categories,
                a_search_can_be_narrowed_to_dates_both_included,
                a_search_can_be_narrowed_to_when_things_were_said,
                a_search_can_be_narrowed_by_metadata_compared_by_type,
                a_search_can_be_narrowed_by_members_with_odd_names,
                all_filters_hold_at_once,
                a_search_can_be_narrowed_by_combined_conditions,
                // listing
                a_list_is_newest_first,
                pages_have_no_gap_and_no_repetition_even_among_equal_dates,
                the_last_page_says_that_it_is_the_last,
                a_page_of_large_memories_ends_early_and_the_list_has_no_gap,
                a_list_goes_on_where_a_memory_was_deleted,
                a_list_can_be_narrowed_to_a_category,
                a_list_can_be_sorted_by_when_things_were_said,
                a_list_can_be_narrowed_by_every_filter,
                a_list_of_an_empty_scope_is_empty,
                statistics_count_what_is_visible,
                whoever_deletes_samples_gets_through_the_whole_scope,
                // changing
                each_change_alone_leaves_everything_else_as_it_was,
                an_expiry_can_be_set_and_taken_away,
                a_change_of_the_metadata_keeps_where_the_memory_came_from,
                a_changed_memory_is_found_by_its_new_words_and_not_by_its_old,
                a_changed_memory_is_filtered_by_its_new_categories_and_metadata,
                what_is_not_there_cannot_be_changed,
                a_change_of_what_was_read_applies_unless_it_was_changed_since,
                of_concurrent_changes_of_what_was_read_one_applies,
                concurrent_changes_of_different_members_are_all_kept,
                a_deletion_of_what_was_read_spares_what_was_changed_since,
                a_deleted_memory_is_gone_everywhere,
                of_many_concurrent_callers_exactly_one_deletes,
                // history
                an_update_is_noted_with_who_made_it_but_not_with_what_was_there,
                a_new_memory_takes_the_place_of_the_one_that_it_supersedes,
                what_is_not_there_is_not_superseded_and_the_new_memory_is_stored,
                of_several_that_supersede_one_memory_each_is_stored_and_one_holds_it,
                memories_created_at_once_supersede_too,
                a_history_is_bounded_and_the_oldest_goes,
                a_history_goes_with_its_memory_and_can_be_forgotten,
                superseded_memories_are_shown_only_where_they_may_be_and_while_they_live,
                a_memory_is_created_with_the_history_that_it_had,
                // isolation
                another_space_sees_and_touches_nothing,
                another_person_sees_and_touches_nothing,
                an_application_and_its_persons_see_and_touch_nothing_of_each_other,
                names_of_spaces_are_compared_to_the_letter,
                only_memories_whose_categories_are_all_allowed_are_seen,
                only_memories_whose_categories_are_all_allowed_are_touched,
                filters_do_not_reach_beyond_the_allowed_categories,
            ]
        );
    };
}

pub async fn a_bank_that_answers_is_healthy(fixture: super::Fixture<dyn MemoryBank>) {
    fixture.port().check_health().await.unwrap();
    assert!(!fixture.port().capabilities().kind.is_empty());
}

fn after(milliseconds: u64) -> Timestamp {
    now().plus(Duration::from_millis(milliseconds))
}

fn query(text: &str) -> MemoryQuery {
    MemoryQuery {
        text: text.to_owned().try_into().unwrap(),
        limit: limit(100),
        threshold: None,
        filter: MemoryFilter::default(),
        now: after(60_000),
    }
}

fn limit(number: i64) -> Limit {
    number.try_into().unwrap()
}

/// A memory that was created so many milliseconds after [`now`].
fn memory_at(text: &str, milliseconds: u64) -> NewMemory {
    NewMemory { created_at: after(milliseconds), ..new_memory(text) }
}

async fn create(bank: &dyn MemoryBank, scope: &Admitted, memory: NewMemory) -> Memory {
    bank.create(scope, &memory).await.unwrap()
}

async fn search(bank: &dyn MemoryBank, scope: &MemoryScope, query: &MemoryQuery) -> Vec<Hit> {
    let SearchResults { hits, total_found } = bank.search(scope, query).await.unwrap();
    assert!(total_found >= u64::try_from(hits.len()).unwrap(), "{total_found} found in all, but {} shown", hits.len());
    hits
}

/// What a search for `text` finds, best first.
async fn found(bank: &dyn MemoryBank, scope: &MemoryScope, text: &str) -> Vec<String> {
    texts(search(bank, scope, &query(text)).await)
}

fn texts(hits: Vec<Hit>) -> Vec<String> {
    hits.into_iter().map(|hit| hit.memory.content.as_str().to_owned()).collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

async fn get(bank: &dyn MemoryBank, scope: &MemoryScope, memory: &Memory) -> Option<Memory> {
    bank.get(scope, &memory.id, after(60_000)).await.unwrap()
}

fn first_page(number: i64) -> ListQuery {
    ListQuery::new(limit(number), after(60_000))
}

/// Whether the bank lists; checks that it says so if it does not.
async fn lists(bank: &dyn MemoryBank, scope: &MemoryScope) -> bool {
    if !bank.capabilities().list {
        assert_unsupported(bank.list(scope, &first_page(10)).await, Capability::List);
    }
    bank.capabilities().list
}

/// Every page of that size, one after the other.
async fn all_pages(bank: &dyn MemoryBank, scope: &MemoryScope, query: ListQuery) -> Vec<Vec<Memory>> {
    let (mut pages, mut query) = (Vec::new(), query);
    loop {
        let Page { memories, next } = bank.list(scope, &query).await.unwrap();
        pages.push(memories);
        query.after = next;
        if query.after.is_none() {
            return pages;
        }
        assert!(pages.len() < 100, "the list does not end");
    }
}

#[track_caller]
fn assert_unsupported<T: std::fmt::Debug>(answer: Result<T, MemoryBankError>, expected: Capability) {
    match answer {
        Err(MemoryBankError::Unsupported(capability)) => assert_eq!(capability, expected),
        answer => panic!("a bank that cannot {} has to say so, and not {answer:?}", expected.as_str()),
    }
}
