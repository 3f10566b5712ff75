//! Memory banks around another one.

use async_trait::async_trait;

use super::bank::{Capabilities, Histories, IsNew, MemoryBank, MemoryBankError};
use super::model::{Memory, MemoryScope, MemoryUpdate};
use super::new_memory::NewMemory;
use super::query::{Limit, ListQuery, MemoryQuery, Page, SearchAnswer, SearchResults, StaleAllowed};
use super::statistics::MemoryStatistics;
use super::tenants::Admitted;
use crate::ids::MemoryId;
use crate::system::Timestamp;

/// Declares the decorator, and makes a bank of it. A test compares its list with the port.
macro_rules! decorator {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        /// A memory bank around another one. What it does not override, defaults of the port included, the one inside does.
        #[async_trait]
        pub trait MemoryBankDecorator: Send + Sync {
            /// The bank inside.
            fn inner(&self) -> &dyn MemoryBank;

            /// See [`MemoryBank::capabilities`].
            fn capabilities(&self) -> Capabilities {
                self.inner().capabilities()
            }

            $(
                #[doc = concat!("See [`MemoryBank::", stringify!($name), "`].\n\n# Errors\n[`MemoryBankError`].")]
                async fn $name(&self, $($argument: $type),*) -> Result<$answer, MemoryBankError> {
                    self.inner().$name($($argument),*).await
                }
            )*
        }

        #[async_trait]
        impl<T: MemoryBankDecorator> MemoryBank for T {
            fn capabilities(&self) -> Capabilities {
                MemoryBankDecorator::capabilities(self)
            }

            $(
                async fn $name(&self, $($argument: $type),*) -> Result<$answer, MemoryBankError> {
                    MemoryBankDecorator::$name(self, $($argument),*).await
                }
            )*
        }
    };
}

decorator! {
    create(scope: &Admitted, memory: &NewMemory) -> Memory;
    create_first(scope: &Admitted, memory: &NewMemory) -> Memory;
    create_all(scope: &Admitted, memories: Vec<NewMemory>) -> Vec<IsNew>;
    search(scope: &MemoryScope, query: &MemoryQuery) -> SearchResults;
    search_allowing_stale(scope: &MemoryScope, query: &MemoryQuery, allowed: StaleAllowed) -> SearchAnswer;
    list(scope: &MemoryScope, query: &ListQuery) -> Page;
    get(scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> Option<Memory>;
    update(scope: &MemoryScope, id: &MemoryId, update: &MemoryUpdate) -> Option<Memory>;
    histories(scope: &MemoryScope, ids: &[MemoryId], now: Timestamp) -> Histories;
    forget_history(scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> bool;
    delete(scope: &MemoryScope, id: &MemoryId) -> bool;
    delete_unchanged(scope: &MemoryScope, id: &MemoryId, updated_at: Timestamp) -> bool;
    sample(scope: &MemoryScope, limit: Limit) -> Vec<MemoryId>;
    statistics(scope: &MemoryScope, now: Timestamp) -> MemoryStatistics;
    find_written(scope: &MemoryScope, write: &NewMemory) -> Option<Memory>;
    write_of(scope: &MemoryScope, id: &MemoryId) -> Option<MemoryId>;
    check_health() -> ();
}

#[cfg(test)]
mod tests {
    /// What the lines of `text` that begin with `start` declare.
    fn names(text: &str, start: &str) -> Vec<String> {
        let method = |line: &str| Some(line.strip_prefix(start)?.split_once('(')?.0.to_owned());
        let mut names: Vec<String> = text.lines().filter_map(method).collect();
        names.sort();
        names
    }

    #[test]
    fn every_method_of_the_port_is_passed_on() {
        // One with a default would be missed by nobody, and would run before the bank inside instead of in it.
        let (_, port) = include_str!("bank.rs").split_once("pub trait MemoryBank:").unwrap();
        let (port, _) = port.split_once("\n}\n").unwrap();
        let (_, list) = include_str!("bank_decorator.rs").split_once("\ndecorator! {\n").unwrap();
        let (list, _) = list.split_once("\n}\n").unwrap();
        let declared = names(port, "    async fn ");
        assert!(declared.len() > 10, "{declared:?}");
        assert_eq!(names(list, "    "), declared);
        assert_eq!(names(port, "    fn "), ["capabilities"]);
    }
}
