//! The entries under which a memory is in the full-text index.
//!
//! Every entry begins with the number of the memory's scope, so a search reads no entry of anybody else's, and both
//! databases see plain words: no parser, no stemmer, no stop list of theirs has a say. Beside its terms a memory has an
//! entry for each category and for each member of its metadata that a filter can name.

use memgate_domain::memories::{Category, Metadata, Scalar};
use sha2::{Digest, Sha256};

use super::ranking::Document;

/// The entries of one memory, without the number of its scope.
#[derive(Debug)]
pub(super) struct IndexEntries(Vec<String>);

impl IndexEntries {
    pub(super) fn of(document: &Document, categories: &[Category], metadata: &Metadata) -> Self {
        let terms = document.distinct_terms().into_iter().map(term_entry);
        let categories = categories.iter().map(category_entry);
        let members = metadata.as_object().iter();
        let members = members.filter_map(|(name, value)| Some(member_entry(name, &Scalar::from_json(value)?)));
        Self(terms.chain(categories).chain(members).collect())
    }

    /// All of them, with spaces between.
    pub(super) fn in_scope(&self, scope: i64) -> String {
        let entries: Vec<String> = self.0.iter().map(|entry| format!("{scope}{entry}")).collect();
        entries.join(" ")
    }
}

/// The entry of a term in a scope.
pub(super) fn term(scope: i64, term: &str) -> String {
    format!("{scope}{}", term_entry(term))
}

/// The entry of a category in a scope.
pub(super) fn category(scope: i64, category: &Category) -> String {
    format!("{scope}{}", category_entry(category))
}

/// The entry of a member of the metadata in a scope.
pub(super) fn member(scope: i64, name: &str, value: &Scalar) -> String {
    format!("{scope}{}", member_entry(name, value))
}

fn term_entry(term: &str) -> String {
    format!("_{term}")
}

fn category_entry(category: &Category) -> String {
    format!("c{}", digest(category.as_str(), ""))
}

fn member_entry(name: &str, value: &Scalar) -> String {
    let value = match value {
        Scalar::Text(text) => format!("text {text}"),
        // Adding zero makes a negative zero a positive one, which it is equal to.
        Scalar::Number(number) => format!("number {:x}", (number + 0.0).to_bits()),
        Scalar::Bool(value) => format!("bool {value}"),
    };
    format!("m{}", digest(name, &value))
}

/// Any text as letters and digits, of a length that an index likes.
fn digest(first: &str, second: &str) -> String {
    let digest = Sha256::new().chain_update(first).chain_update("\0").chain_update(second).finalize();
    let half = u64::from_be_bytes(std::array::from_fn(|index| digest[index]));
    let rest = u16::from_be_bytes([digest[8], digest[9]]);
    format!("{half:016x}{rest:04x}")
}
