//! Cuts a JSON document into its items, and holds no more than one.

use serde_json::Value;

use crate::memories::import_problem::ImportProblem;

/// The member of an answer of mem0 that holds its memories.
const LISTS: [&str; 2] = ["results", "memories"];

/// An item of a document, or why it is none.
pub type Item = Result<Vec<u8>, ImportProblem>;

/// The items of a document that arrives in pieces: the elements of a list, those of the list in an answer such as
/// `{"results": […]}`, or else the whole document. Objects one after the other are items, too.
///
/// Brackets outside of strings are counted, and nothing else is judged: an item may still not be JSON.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says where in the text it is")]
pub struct Items {
    item: Vec<u8>,
    depth: u32,
    /// The depth between two items: of the list that they are in, or 0.
    outside: u32,
    /// Whether it is in an answer of whose list the items were taken; what else such an answer holds is of no item.
    is_answer: bool,
    in_string: bool,
    is_escaped: bool,
    is_too_large: bool,
}

impl Items {
    /// Maximum size of an item in bytes: a conversation of a year.
    pub const MAX: usize = 32 << 20;

    /// The items that `bytes` complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        for byte in bytes {
            self.take(*byte, &mut items);
        }
        items
    }

    /// What is left at the end, which was not completed.
    #[must_use]
    pub fn end(self) -> Option<Item> {
        let is_open = self.depth > 0 || !self.item.trim_ascii().is_empty() || self.is_too_large;
        is_open.then_some(Err(ImportProblem::Incomplete))
    }

    fn take(&mut self, byte: u8, items: &mut Vec<Item>) {
        if self.in_string {
            self.keep(byte);
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'[' if self.depth == 0 => self.begin_list(),
            b'[' if self.depth == 1 && self.outside == 0 && self.names_a_list() => {
                self.is_answer = true;
                self.begin_list();
            }
            b'[' | b'{' => {
                self.depth += 1;
                self.keep(byte);
            }
            b']' if self.outside > 0 && self.depth == self.outside => {
                self.finish(items);
                self.depth -= 1;
                self.outside = 0;
            }
            b']' | b'}' => {
                self.keep(byte);
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 && std::mem::take(&mut self.is_answer) {
                    self.forget();
                } else if self.depth == self.outside {
                    self.finish(items);
                }
            }
            b',' if self.depth == self.outside => self.finish(items),
            _ => self.keep(byte),
        }
    }

    fn begin_list(&mut self) {
        self.depth += 1;
        self.outside = self.depth;
        self.forget();
    }

    /// Whether what follows is the member of an answer that holds its items.
    fn names_a_list(&self) -> bool {
        let Some(before) = self.item.trim_ascii_end().strip_suffix(b":") else { return false };
        LISTS.iter().any(|name| {
            let before = before.trim_ascii_end().strip_suffix(format!("\"{name}\"").as_bytes());
            before.is_some_and(|before| matches!(before.trim_ascii_end().last(), Some(b'{' | b',')))
        })
    }

    fn forget(&mut self) {
        self.item = Vec::new();
        self.is_too_large = false;
    }

    fn keep(&mut self, byte: u8) {
        if self.item.len() >= Self::MAX {
            self.is_too_large = true;
            self.item = Vec::new();
        }
        if !self.is_too_large {
            self.item.push(byte);
        }
    }

    fn finish(&mut self, items: &mut Vec<Item>) {
        if std::mem::take(&mut self.is_too_large) {
            items.push(Err(ImportProblem::TooLarge(Self::MAX as u64)));
            self.item.clear();
            return;
        }
        let item = std::mem::take(&mut self.item);
        let item = item.trim_ascii();
        let item = item.strip_prefix("\u{feff}".as_bytes()).unwrap_or(item);
        if !item.is_empty() {
            items.push(Ok(item.to_vec()));
        }
    }
}

/// The items of an answer that was read as a whole.
pub(super) fn listed(value: &Value) -> Option<&Vec<Value>> {
    LISTS.iter().find_map(|name| value.get(name)?.as_array())
}
