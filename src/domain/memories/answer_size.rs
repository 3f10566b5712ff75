//! The size of one response.

use std::io;

use super::model::Memory;
use crate::applications::Category;

/// Measures the memories of one response, which ends early when they are large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerSize(usize);

impl AnswerSize {
    /// Number of bytes of memories, as JSON, after which a response takes no more: 1 MiB. It exceeds this by at most a part of
    /// one memory.
    pub const MAX: usize = 1024 * 1024;
    /// Maximum number of bytes of one memory, as JSON: its content with every character escaped, its metadata, its categories
    /// and the rest.
    pub const MAX_MEMORY: usize = 256 * 1024;
    /// What a memory has beside content, metadata and categories: member names, ID, dates.
    const REST: usize = 320;

    /// Whether `memory` fits too. The first one always does.
    pub fn take(&mut self, memory: &Memory) -> bool {
        let fits = self.0 < Self::MAX;
        if fits {
            self.0 += bytes_of(memory);
        }
        fits
    }
}

/// The approximate length of a memory as JSON.
fn bytes_of(memory: &Memory) -> usize {
    let categories: usize = memory.categories.iter().map(Category::as_str).map(|name| escaped(name) + 3).sum();
    let mut metadata = Counter(0);
    // A counter accepts everything, and JSON values always serialize.
    let _counted = serde_json::to_writer(&mut metadata, memory.metadata.as_object());
    escaped(memory.content.as_str()) + categories + metadata.0 + AnswerSize::REST
}

/// Number of bytes of a text as a JSON string (RFC 8259 §7).
fn escaped(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0x00..=0x1f => 6,
            _ => 1,
        })
        .sum()
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::memories::{Content, Limit, ListOrder, Metadata, Page, Position};
    use crate::testing::{categories, new_memory};

    fn memory(content: &str) -> Memory {
        new_memory(content).into_memory()
    }

    #[test]
    fn the_size_is_that_of_the_json() {
        for content in ["short", "\u{1}\n\"\\\u{7f}é🦊", &"x".repeat(Content::MAX)] {
            let Value::Object(object) = json!({"name": "va\"lue", "number": 1.5, "list": [null, true]}) else {
                unreachable!()
            };
            let memory = Memory {
                categories: categories(&["health", "food"]),
                metadata: Metadata::from_caller(object).unwrap(),
                ..memory(content)
            };
            let written = serde_json::to_string(&json!({
                "content": content, "categories": ["health", "food"], "metadata": memory.metadata.as_object(),
            }))
            .unwrap();
            let size = bytes_of(&memory);
            assert!((written.len()..written.len() + AnswerSize::REST).contains(&size), "{size}, {}", written.len());
        }
    }

    #[test]
    fn the_largest_memory_is_no_larger_than_it_says() {
        let Value::Object(object) = json!({ "x": "y".repeat(16_000) }) else { unreachable!() };
        let names: Vec<String> = (0..16).map(|number| format!("{number:\u{e9}>64}")).collect();
        let memory = Memory {
            categories: Category::parse_list("categories", &names).unwrap(),
            metadata: Metadata::from_caller(object).unwrap(),
            ..memory(&"\u{1}".repeat(Content::MAX))
        };
        assert!(bytes_of(&memory) <= AnswerSize::MAX_MEMORY, "{}", bytes_of(&memory));
    }

    #[test]
    fn a_page_ends_with_its_limit_or_its_size_and_says_where_the_next_begins() {
        const ORDER: ListOrder = ListOrder::Created;
        let limit = |number: i64| Limit::try_from(number).unwrap();
        let small: Vec<Memory> = (0..4).map(|_| memory("x")).collect();
        assert_eq!(Page::of(small.clone(), limit(4), ORDER), Page { memories: small.clone(), next: None });
        let page = Page::of(small.clone(), limit(3), ORDER);
        assert_eq!((page.memories.len(), page.next), (3, Some(Position::after(&small[2], ORDER))));

        let large: Vec<Memory> = (0..100).map(|_| memory(&"x".repeat(Content::MAX))).collect();
        let page = Page::of(large.clone(), limit(100), ORDER);
        let bytes: usize = page.memories.iter().map(bytes_of).sum();
        assert!((AnswerSize::MAX..AnswerSize::MAX + AnswerSize::MAX_MEMORY).contains(&bytes), "{bytes}");
        assert_eq!(page.next, page.memories.last().map(|memory| Position::after(memory, ORDER)));
    }
}
