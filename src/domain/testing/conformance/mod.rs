//! One suite per port: its documented contract, as cases that run against every adapter.
//!
//! ```ignore
//! use memgate_domain::testing::conformance::Fixture;
//!
//! async fn sqlite() -> Fixture<dyn GrantStore> {
//!     let (directory, database) = temporary_database().await;
//!     Fixture::new(Arc::new(SeaOrmGrantStore::new(database))).holding(directory)
//! }
//!
//! mod grant_store_on_sqlite {
//!     memgate_domain::conformance!(grant_store, super::sqlite().await);
//! }
//! ```
//!
//! generates a test per case, named after it. Each gets a new fixture, so that an adapter starts empty; an
//! adapter that has a clock gets a [`FixedClock`](crate::testing::FixedClock), which shows the current time of the
//! cases. A factory may return an `Option`: with `None`, for which it has reported the reason itself, the case ends.
#![expect(missing_docs, reason = "the name of a case is what it says of the port")]
#![expect(clippy::missing_panics_doc, reason = "to panic is how a case says that the port does not hold its promise")]

pub mod application_repository;
pub mod audit_log;
pub mod authorization_store;
pub mod embedder;
mod fixture;
pub mod grant_store;
pub mod memory_bank;
pub mod passkey_repository;
pub mod password_hasher;
pub mod password_link_store;
pub mod person_repository;
pub mod secret_hasher;
pub mod session_store;
pub mod signing_key_store;
pub mod tenant_registry;
pub mod token_issuer;
pub mod write_queue;

pub use fixture::{Fixture, Spawn, Task};

/// Generates a `#[tokio::test]` for every case of a suite: `conformance!(grant_store, factory().await)`.
///
/// The calling crate needs tokio with `macros` and `rt-multi-thread`. Each use wants a module of its own.
#[macro_export]
macro_rules! conformance {
    (application_repository, $fixture:expr) => {
        $crate::application_repository_cases!($fixture);
    };
    (audit_log, $fixture:expr) => {
        $crate::audit_log_cases!($fixture);
    };
    (authorization_store, $fixture:expr) => {
        $crate::authorization_store_cases!($fixture);
    };
    (embedder, $fixture:expr) => {
        $crate::embedder_cases!($fixture);
    };
    (grant_store, $fixture:expr) => {
        $crate::grant_store_cases!($fixture);
    };
    (memory_bank, $fixture:expr) => {
        $crate::memory_bank_cases!($fixture);
    };
    (passkey_repository, $fixture:expr) => {
        $crate::passkey_repository_cases!($fixture);
    };
    (password_hasher, $fixture:expr) => {
        $crate::password_hasher_cases!($fixture);
    };
    (password_link_store, $fixture:expr) => {
        $crate::password_link_store_cases!($fixture);
    };
    (person_repository, $fixture:expr) => {
        $crate::person_repository_cases!($fixture);
    };
    (secret_hasher, $fixture:expr) => {
        $crate::secret_hasher_cases!($fixture);
    };
    (session_store, $fixture:expr) => {
        $crate::session_store_cases!($fixture);
    };
    (signing_key_store, $fixture:expr) => {
        $crate::signing_key_store_cases!($fixture);
    };
    (tenant_registry, $fixture:expr) => {
        $crate::tenant_registry_cases!($fixture);
    };
    (token_issuer, $fixture:expr) => {
        $crate::token_issuer_cases!($fixture);
    };
    (write_queue, $fixture:expr) => {
        $crate::write_queue_cases!($fixture);
    };
}

/// Generates a test for each of the named cases; see [`conformance!`].
#[doc(hidden)]
#[macro_export]
macro_rules! conformance_cases {
    ($suite:ident, $port:ty, $fixture:expr, [$($case:ident),+ $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                fn spawn(task: $crate::testing::conformance::Task) -> $crate::testing::conformance::Task {
                    let running = tokio::spawn(task);
                    Box::pin(async move {
                        if let Err(error) = running.await {
                            std::panic::resume_unwind(error.into_panic());
                        }
                    })
                }
                let fixture: Option<$crate::testing::conformance::Fixture<$port>> = $fixture.into();
                if let Some(fixture) = fixture {
                    $crate::testing::conformance::$suite::$case(fixture.spawning(spawn)).await;
                }
            }
        )+
    };
}

#[cfg(test)]
mod tests {
    /// A case that is not listed would never run.
    #[test]
    fn every_case_of_every_suite_is_listed() {
        for (suite, sources) in [
            (
                "application_repository",
                &[include_str!("application_repository/mod.rs"), include_str!("application_repository/secrets.rs")][..],
            ),
            ("audit_log", &[include_str!("audit_log.rs")]),
            ("authorization_store", &[include_str!("authorization_store.rs")]),
            ("embedder", &[include_str!("embedder.rs")]),
            ("grant_store", &[include_str!("grant_store.rs")]),
            ("passkey_repository", &[include_str!("passkey_repository.rs")]),
            ("password_hasher", &[include_str!("password_hasher.rs")]),
            ("password_link_store", &[include_str!("password_link_store.rs")]),
            ("person_repository", &[include_str!("person_repository.rs")]),
            ("secret_hasher", &[include_str!("secret_hasher.rs")]),
            ("session_store", &[include_str!("session_store.rs")]),
            ("tenant_registry", &[include_str!("tenant_registry.rs")]),
            ("token_issuer", &[include_str!("token_issuer.rs")]),
            ("signing_key_store", &[include_str!("signing_key_store.rs")]),
            ("write_queue", &[include_str!("write_queue/mod.rs"), include_str!("write_queue/delivering.rs")]),
            (
                "memory_bank",
                &[
                    include_str!("memory_bank/mod.rs"),
                    include_str!("memory_bank/creating.rs"),
                    include_str!("memory_bank/changing.rs"),
                    include_str!("memory_bank/filtering.rs"),
                    include_str!("memory_bank/isolation.rs"),
                    include_str!("memory_bank/listing.rs"),
                    include_str!("memory_bank/searching.rs"),
                ],
            ),
        ] {
            let listed = sources[0].split_once("macro_rules!").expect("a list of cases").1;
            let cases: Vec<&str> = sources
                .iter()
                .flat_map(|source| source.lines())
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next())
                .collect();
            assert!(!cases.is_empty(), "{suite} has no cases");
            for case in cases {
                assert!(listed.contains(&format!(" {case},")), "{suite} does not list {case}");
            }
        }
    }
}
