//! Text to terms: what is indexed, and what is looked up in the index.

use std::collections::HashSet;

use super::english::{is_stop_word, stem};
use super::words::{Token, tokens};

/// The terms of a text that is to be found, with repetitions.
pub(super) fn terms(text: &str) -> Vec<String> {
    tokens(text).into_iter().filter_map(term).collect()
}

/// The distinct terms of a query, in the order in which they first occur.
pub(in super::super) fn query_terms(text: &str) -> Vec<String> {
    let (mut distinct, mut seen) = (Vec::new(), HashSet::new());
    for token in tokens(text) {
        if matches!(token, Token::Single(_)) {
            continue;
        }
        if let Some(term) = term(token).filter(|term| seen.insert(term.clone())) {
            distinct.push(term);
        }
    }
    distinct
}

fn term(token: Token) -> Option<String> {
    match token {
        Token::Word(word) => (!is_stop_word(&word)).then(|| stem(&word)),
        Token::Pair(text) | Token::Single(text) => Some(text),
    }
}
