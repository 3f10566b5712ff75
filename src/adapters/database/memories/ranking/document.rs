//! A memory as the ranking sees it.

use std::collections::BTreeSet;

use memgate_domain::applications::Category;
use memgate_domain::memories::Metadata;
use serde_json::Value;

use super::terms::terms;

/// Text of a member of the metadata that is no longer, in characters, labels the memory (a speaker, a place, a project);
/// longer text is read as part of its content.
const MAX_ATTRIBUTE: usize = 32;

/// A memory with more terms does not count as a mere question, even if it ends as one: "I have to finish the report by Friday,
/// can you help me?" states a fact.
const LONGEST_QUESTION: usize = 12;

/// A memory of the maximum length has fewer terms, unless it consists of characters that stand for whole phrases.
const MAX_TERMS: usize = 65_536;

/// A memory as the ranking sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Document {
    /// The terms of its text, with repetitions.
    pub(in super::super) terms: Vec<String>,
    /// The terms of its labels: who said it, when, its categories.
    pub(in super::super) attributes: BTreeSet<String>,
    /// Whether its text is a question.
    pub(in super::super) question: bool,
}

impl Document {
    /// Reads a memory.
    pub(in super::super) fn of(content: &str, metadata: &Metadata, categories: &[Category]) -> Self {
        let (label, body) = split_label(content);
        let body_terms = terms(body);
        let question = body_terms.len() <= LONGEST_QUESTION && is_question(body);
        let mut document = Self { terms: body_terms, attributes: BTreeSet::new(), question };
        document.attributes.extend(terms(label));
        for category in categories {
            document.attributes.extend(terms(category.as_str()));
        }
        document.add_metadata(metadata);
        document.terms.truncate(MAX_TERMS);
        document
    }

    fn add_metadata(&mut self, metadata: &Metadata) {
        let mut members: Vec<(&String, &Value)> = metadata.as_object().iter().collect();
        members.sort_by_key(|(name, _)| *name);
        for (name, value) in members {
            // These name the origin of a memory; nobody searches for them.
            if name == Metadata::CUSTOM_GPT_ID || name == Metadata::CONVERSATION_ID {
                continue;
            }
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for text in values.iter().filter_map(Value::as_str) {
                if let Some(date) = date_of(text) {
                    self.attributes.extend(terms(date));
                } else if text.chars().count() <= MAX_ATTRIBUTE {
                    self.attributes.extend(terms(text));
                } else {
                    self.terms.extend(terms(text));
                }
            }
        }
    }

    /// Every term by which the memory can be found.
    pub(in super::super) fn distinct_terms(&self) -> BTreeSet<&str> {
        self.terms.iter().chain(&self.attributes).map(String::as_str).collect()
    }
}

/// The date in text that is an ISO 8601 date or date-time and nothing else.
fn date_of(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let date = text.get(..10)?;
    let shaped = date.bytes().enumerate().all(|(index, b)| match index {
        4 | 7 => b == b'-',
        _ => b.is_ascii_digit(),
    });
    let goes_on = text[10..].chars().next();
    (shaped && matches!(goes_on, None | Some('T' | ' '))).then_some(date)
}

/// Splits the label off a line of a transcript: `Nils Berg: see you` is said by `Nils Berg`. A label is one to three words
/// that begin with a capital letter. Returns an empty label if there is none.
pub(super) fn split_label(content: &str) -> (&str, &str) {
    let start = content.trim_start();
    let Some((label, rest)) = start.split_once(':') else { return ("", content) };
    let body = rest.trim_start();
    let spaced = body.len() < rest.len() && !body.is_empty();
    let parts: Vec<&str> = label.split(' ').collect();
    if spaced && parts.len() <= 3 && parts.into_iter().all(is_name) { (label, body) } else { ("", content) }
}

fn is_name(part: &str) -> bool {
    part.starts_with(char::is_uppercase) && part.chars().all(|c| c.is_alphanumeric() || "_'.-".contains(c))
}

/// Whether text ends as a question, ignoring trailing notes in brackets.
pub(super) fn is_question(text: &str) -> bool {
    let mut text = text.trim_end();
    while let Some(before) = without_note(text) {
        text = before.trim_end();
    }
    text.trim_end_matches(['"', '\'', '\u{201d}', '\u{2019}', ')', '*', '_', ' '])
        .ends_with(['?', '\u{ff1f}', '\u{61f}'])
}

fn without_note(text: &str) -> Option<&str> {
    let (opening, closing) = if text.ends_with(']') { ('[', ']') } else { ('(', ')') };
    let (before, note) = text.strip_suffix(closing)?.rsplit_once(opening)?;
    (!note.contains(closing)).then_some(before)
}
