//! Cuts a JSON document into its items, and holds no more than one.

use crate::memories::import_problem::ImportProblem;

/// An item of a document, or why it is none.
pub type Item = Result<Vec<u8>, ImportProblem>;

/// The items of a document that arrives in pieces: the elements of a list, or else the whole document. Objects one after the
/// other are items, too.
///
/// Brackets outside of strings are counted, and nothing else is judged: an item may still not be JSON.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says where in the text it is")]
pub struct Items {
    item: Vec<u8>,
    depth: u32,
    is_list: bool,
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
        let is_open = self.depth > u32::from(self.is_list) || !self.item.trim_ascii().is_empty() || self.is_too_large;
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
        let outside = u32::from(self.is_list);
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'[' if self.depth == 0 => {
                self.is_list = true;
                self.depth = 1;
                self.item.clear();
            }
            b'[' | b'{' => {
                self.depth += 1;
                self.keep(byte);
            }
            b']' if self.is_list && self.depth == 1 => {
                self.finish(items);
                self.depth = 0;
                self.is_list = false;
            }
            b']' | b'}' => {
                self.keep(byte);
                self.depth = self.depth.saturating_sub(1);
                if self.depth == outside {
                    self.finish(items);
                }
            }
            b',' if self.depth == outside => self.finish(items),
            _ => self.keep(byte),
        }
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
