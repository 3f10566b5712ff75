//! Text to terms, for indexing and for searching.

use std::collections::{BTreeSet, HashSet};

use super::compounds::compounds;
use super::english::{is_stop_word, stem, uncut_stem};
use super::fold::clean;
use super::words::{Token, tokens};

/// The terms of a text to be found, with repetitions.
pub(in super::super) fn terms(text: &str) -> Vec<String> {
    let text = clean(text);
    tokens(&text).into_iter().chain(compounds(&text)).filter_map(term).collect()
}

/// A term of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct QueryTerm {
    /// The term, as it is in the index.
    pub(in super::super) text: String,
    /// The word it derives from, if any.
    pub(in super::super) word: Option<String>,
    /// Whether it is an alternative spelling: one that does not occur does not lower the score.
    pub(in super::super) derived: bool,
}

/// The distinct terms of a query, in the order in which they first occur; derived ones come last.
pub(in super::super) fn query_terms(text: &str) -> Vec<QueryTerm> {
    let text = clean(text);
    let words: Vec<Token> = tokens(&text).into_iter().filter(|token| !matches!(token, Token::Single(_))).collect();
    let mut others = compounds(&text);
    for pair in words.windows(2) {
        if let [Token::Word(first), Token::Word(second)] = pair {
            others.push(Token::Word(format!("{first}{second}")));
        }
    }
    let mut distinct = Distinct::default();
    for token in &words {
        distinct.add(token.clone(), false);
    }
    // In a query of stop words alone each word counts.
    if distinct.terms.is_empty() {
        let whole = others.iter().filter(|token| matches!(token, Token::Whole(_))).cloned();
        let wholes: Vec<Token> = whole.collect();
        let stop_words = words.iter().filter_map(|token| match token {
            Token::Word(word) => Some(Token::Whole(word.clone())),
            _ => None,
        });
        for token in if wholes.is_empty() { stop_words.collect() } else { wholes } {
            distinct.add(token, false);
        }
    }
    // As in memories indexed by an older version.
    let uncut = words.iter().filter_map(|token| match token {
        Token::Word(word) if !is_stop_word(word) => Some(Token::Whole(uncut_stem(word))),
        _ => None,
    });
    for token in others.into_iter().chain(uncut) {
        distinct.add(token, true);
    }
    distinct.terms
}

#[derive(Default)]
struct Distinct {
    terms: Vec<QueryTerm>,
    seen: HashSet<String>,
}

impl Distinct {
    fn add(&mut self, token: Token, derived: bool) {
        let word = match &token {
            Token::Word(word) if !derived => Some(word.clone()),
            _ => None,
        };
        if let Some(text) = term(token).filter(|term| self.seen.insert(term.clone())) {
            self.terms.push(QueryTerm { text, word, derived });
        }
    }
}

/// The term of a word that is not a stop word.
pub(in super::super) fn word_term(word: &str) -> Option<String> {
    term(Token::Word(word.to_owned()))
}

/// The terms of the words of `text` that end with the stem of `word`, as hazelnuts do with that of nuts. What goes before has
/// to be a word too, so it is not short.
pub(in super::super) fn terms_ending_with(text: &str, word: &str) -> BTreeSet<String> {
    const LEAST: usize = 3;
    let ending = uncut_stem(word);
    let words = tokens(&clean(text)).into_iter().filter_map(|token| match token {
        Token::Word(word) => Some(word),
        _ => None,
    });
    words
        .filter(|word| uncut_stem(word).strip_suffix(&ending).is_some_and(|before| before.chars().count() >= LEAST))
        .filter_map(|word| word_term(&word))
        .collect()
}

fn term(token: Token) -> Option<String> {
    match token {
        Token::Word(word) => (!is_stop_word(&word)).then(|| stem(&word)),
        Token::Pair(text) | Token::Single(text) | Token::Whole(text) => Some(text),
    }
}
