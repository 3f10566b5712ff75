//! The ranking against recorded vectors, which show when it changes: they were computed by the ranking itself, so they do not
//! prove it right. The sentences are invented.

use std::collections::HashMap;

use memgate_domain::memories::{Metadata, Priority};
use proptest::collection::{btree_set, vec};
use proptest::prelude::proptest;
use serde_json::Value;

use super::document::{Document, is_question, split_label};
use super::english::stem;
use super::fold::clean;
use super::words::{Token, tokens};
use super::{
    Candidate, Gathering, MAX_TERMS, TermRole, WeightedQuery, inverse_frequency, query_terms, relevance, scores, terms,
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).expect("the vectors are JSON")
}

fn cases(name: &str) -> Vec<Value> {
    vectors()[name].as_array().expect("a list").clone()
}

fn text<'a>(case: &'a Value, name: &str) -> &'a str {
    case[name].as_str().expect("text")
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("a list").iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}

/// The terms of a query that are not derived.
fn query_texts(query: &str) -> Vec<String> {
    query_terms(query).into_iter().filter(|term| !term.derived).map(|term| term.text).collect()
}

fn metadata(value: &Value) -> Metadata {
    Metadata::from_stored(value.as_object().cloned().unwrap_or_default()).expect("metadata")
}

#[test]
fn texts_of_any_script_become_words_and_terms() {
    for case in cases("words") {
        let words = tokens(&clean(text(&case, "text"))).into_iter().map(|token| match token {
            Token::Word(text) | Token::Pair(text) | Token::Single(text) | Token::Whole(text) => text,
        });
        assert_eq!(words.collect::<Vec<_>>(), texts(&case["words"]), "words of {case}");
        assert_eq!(terms::terms(text(&case, "text")), texts(&case["terms"]), "terms of {case}");
        assert_eq!(query_texts(text(&case, "text")), texts(&case["query_terms"]), "query terms of {case}");
    }
}

#[test]
fn forms_of_an_english_word_share_a_stem() {
    for (word, expected) in vectors()["stems"].as_object().expect("an object") {
        assert_eq!(stem(word), expected.as_str().expect("text"), "stem of {word}");
    }
}

#[test]
fn a_question_is_told_from_a_statement() {
    for case in cases("is_question") {
        assert_eq!(is_question(text(&case, "text")), case["question"], "{case}");
    }
}

#[test]
fn the_label_of_a_line_of_a_transcript_is_split_off() {
    for case in cases("labels") {
        assert_eq!(split_label(text(&case, "text")), (text(&case, "label"), text(&case, "body")), "{case}");
    }
}

#[test]
fn short_metadata_labels_a_memory_and_long_metadata_is_text() {
    for case in cases("metadata") {
        let document = Document::of("x", &metadata(&case["metadata"]), &[]);
        let attributes: Vec<String> = document.attributes.into_iter().collect();
        assert_eq!(attributes, texts(&case["attribute_terms"]), "{case}");
        assert_eq!(document.terms[1..], texts(&case["text_terms"]), "{case}");
    }
}

#[test]
fn the_ids_of_gpt_and_conversation_do_not_label_a_memory() {
    let ids = serde_json::json!({"custom_gpt_id": "g-blue", "conversation_id": "red"});
    assert!(Document::of("x", &metadata(&ids), &[]).attributes.is_empty());
}

fn counts(of_terms: impl IntoIterator<Item = u32>) -> [u32; MAX_TERMS] {
    let mut counts = [0; MAX_TERMS];
    counts.iter_mut().zip(of_terms).for_each(|(count, of_term)| *count = of_term);
    counts
}

/// An index in a list.
struct Index {
    ids: Vec<String>,
    conversations: Vec<Option<String>>,
    documents: Vec<Document>,
}

impl Index {
    fn of_vectors() -> Self {
        let scope = vectors()["scope"].clone();
        let mut index = Self { ids: Vec::new(), conversations: Vec::new(), documents: Vec::new() };
        for memory in scope["memories"].as_array().expect("a list") {
            let document = Document::of(text(memory, "content"), &metadata(&memory["metadata"]), &[]);
            assert_eq!(document.terms, texts(&memory["terms"]), "{memory}");
            assert_eq!(
                document.attributes.iter().cloned().collect::<Vec<_>>(),
                texts(&memory["attributes"]),
                "{memory}"
            );
            assert_eq!(document.question, memory["question"], "{memory}");
            index.ids.push(text(memory, "id").to_owned());
            index.conversations.push(memory["conversation_id"].as_str().map(ToOwned::to_owned));
            index.documents.push(document);
        }
        index
    }

    fn with_term(&self, term: &str) -> Vec<i64> {
        let all = (0_i64..).zip(&self.documents);
        all.filter(|(_, document)| document.distinct_terms().contains(term)).map(|(place, _)| place).collect()
    }

    fn weight(&self, term: &str) -> f64 {
        inverse_frequency(self.documents.len() as u64, self.with_term(term).len() as u64)
    }

    fn candidates(&self, query: &str, budget: u64, count: usize) -> Vec<usize> {
        let mut found: Vec<(String, Vec<i64>)> =
            query_texts(query).into_iter().map(|term| (term.clone(), self.with_term(&term))).collect();
        found.retain(|(_, memories)| !memories.is_empty());
        found.sort_by(|a, b| (a.1.len(), &a.0).cmp(&(b.1.len(), &b.0)));
        let mut gathering = Gathering::new(budget);
        for (term, memories) in &found {
            let size = memories.len() as u64;
            let role = gathering.role_of(size);
            let newest = memories.len().saturating_sub(usize::try_from(budget).expect("small"));
            let read = if role == TermRole::Selects { &memories[newest..] } else { memories };
            gathering.add(self.weight(term), size, read);
        }
        gathering.heaviest(count).into_iter().map(|place| usize::try_from(place).expect("small")).collect()
    }

    fn neighbour(&self, place: usize, distance: isize) -> Option<usize> {
        let conversation = self.conversations[place].as_ref()?;
        let mates: Vec<usize> =
            (0..self.ids.len()).filter(|&other| self.conversations[other].as_ref() == Some(conversation)).collect();
        let at = mates.iter().position(|&mate| mate == place)?;
        mates.get(at.checked_add_signed(distance)?).copied()
    }

    fn search(&self, query: &str) -> Vec<(String, f64)> {
        const DISTANCES: [isize; 4] = [-2, -1, 1, 2];
        let terms = query_texts(query);
        let mut pool = self.candidates(query, 10_000, 100);
        for place in pool.clone() {
            for neighbour in DISTANCES.iter().filter_map(|&distance| self.neighbour(place, distance)) {
                if !pool.contains(&neighbour) {
                    pool.push(neighbour);
                }
            }
        }
        let places: HashMap<usize, usize> = pool.iter().enumerate().map(|(index, &place)| (place, index)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a dozen")]
        let newness = |place: usize| pool.iter().filter(|&&other| other <= place).count() as f64 / pool.len() as f64;
        let candidates: Vec<Candidate> = pool
            .iter()
            .map(|&place| {
                let document = &self.documents[place];
                let count = |term: &String| document.terms.iter().filter(|other| *other == term).count();
                let bits =
                    terms.iter().enumerate().map(|(bit, term)| u32::from(document.attributes.contains(term)) << bit);
                Candidate {
                    counts: counts(terms.iter().map(|term| u32::try_from(count(term)).expect("small"))),
                    attributes: bits.sum(),
                    length: u32::try_from(document.terms.len()).expect("small"),
                    question: document.question,
                    priority: Priority::Normal,
                    newness: newness(place),
                    neighbours: DISTANCES
                        .map(|d| self.neighbour(place, d).and_then(|other| places.get(&other).copied())),
                }
            })
            .collect();
        let length: usize = self.documents.iter().map(|document| document.terms.len()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a dozen")]
        let average_length = length as f64 / self.documents.len() as f64;
        let query = WeightedQuery { weights: terms.iter().map(|term| self.weight(term)).collect(), average_length };
        let mut found: Vec<(f64, usize)> = scores(&query, &candidates).into_iter().zip(pool).collect();
        found.retain(|(score, _)| *score > 0.0);
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        found.into_iter().map(|(score, place)| (self.ids[place].clone(), score)).collect()
    }
}

#[test]
fn searches_find_the_same_in_the_same_order_with_the_same_scores() {
    let index = Index::of_vectors();
    for case in cases("searches") {
        let found = index.search(text(&case, "query"));
        for (expected, (id, score)) in case["results"].as_array().expect("a list").iter().zip(&found) {
            assert_eq!(id, &expected["id"], "{case}");
            assert!((score - expected["x"].as_f64().expect("a number")).abs() < 1e-6, "{case}: {score}");
            assert!((relevance(*score) - expected["relevance"].as_f64().expect("a number")).abs() < 1e-6, "{case}");
        }
        // The vectors keep the first five.
        assert_eq!(found.len().min(5), case["results"].as_array().expect("a list").len(), "{case}");
    }
}

#[test]
fn common_terms_rank_what_rare_ones_brought_in_once_the_budget_is_used() {
    let index = Index::of_vectors();
    for case in cases("candidates") {
        let budget = case["budget"].as_u64().expect("a number");
        let count = usize::try_from(case["limit"].as_u64().expect("a number")).expect("small");
        let ids: Vec<&str> = index
            .candidates(text(&case, "query"), budget, count)
            .iter()
            .map(|&place| index.ids[place].as_str())
            .collect();
        assert_eq!(ids, texts(&case["ids"]), "{case}");
    }
}

proptest! {
    #[test]
    fn the_heaviest_are_the_same_when_hopeless_ones_are_not_ranked(
        selecting in vec((0.1..9.0_f64, btree_set(0..300_i64, 0..200)), 1..5),
        ranking in vec((0.1..9.0_f64, btree_set(0..300_i64, 0..300)), 0..5),
        count in 1..40_usize,
    ) {
        let (mut all, mut hopeful) = (Gathering::new(1_000), Gathering::new(1_000));
        for (weight, found) in &selecting {
            all.select(*weight, 1, found.iter().copied());
            hopeful.select(*weight, 1, found.iter().copied());
        }
        let weights: Vec<f64> = ranking.iter().map(|(weight, _)| *weight).collect();
        for (place, (weight, found)) in ranking.iter().enumerate() {
            all.rank_only(*weight, |memory| found.contains(&memory));
            hopeful.drop_hopeless(count, &weights[place..]);
            hopeful.rank_only(*weight, |memory| found.contains(&memory));
        }
        assert_eq!(hopeful.heaviest(count), all.heaviest(count));
        assert_eq!(hopeful.len(), all.len());
        assert!((0..300).all(|memory| hopeful.contains(memory) == all.contains(memory)));
    }
}

#[test]
fn priority_decides_between_memories_that_fit_equally_well() {
    let candidate = |priority, count| Candidate {
        counts: counts([count]),
        attributes: 0,
        length: 5,
        question: false,
        priority,
        newness: 0.0,
        neighbours: [None; 4],
    };
    let query = WeightedQuery { weights: vec![2.0], average_length: 5.0 };
    let pool = [Priority::Low, Priority::Normal, Priority::High].map(|priority| candidate(priority, 1));
    let scores_of_equals = scores(&query, &pool);
    assert!(scores_of_equals[0] < scores_of_equals[1] && scores_of_equals[1] < scores_of_equals[2]);

    let unequal = scores(&query, &[candidate(Priority::Low, 2), candidate(Priority::High, 1)]);
    assert!(unequal[0] > unequal[1], "a clearly better fit comes first whatever its priority");
}

#[test]
fn the_longest_text_of_characters_that_expand_stays_bounded() {
    let document = Document::of(&"\u{fdfa}".repeat(32_768), &Metadata::default(), &[]);
    assert!(document.terms.len() <= 65_536);
    assert!(document.terms.iter().all(|term| term.chars().count() <= 64));
}
