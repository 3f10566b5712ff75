//! `/account/memories`: what is stored of a person, over all connected applications.

mod deletion;
mod in_words;
mod list;
mod one;
mod undo;

pub(super) use self::deletion::{ask_delete_all, delete, delete_all};
pub(super) use self::list::list_or_search;
pub(super) use self::one::{forget_history, save, show};
pub(super) use self::undo::restore;
