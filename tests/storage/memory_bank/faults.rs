//! Rows that cannot be read, a database that is unavailable, and callers that go away.

use std::time::Duration;

use memgate::domain::memories::{Limit, ListQuery, MemoryBank, MemoryBankError, MemoryChanges, NewMemory};
use memgate_domain::testing::{new_memory, now, scope, scope_of_person, update};
use sea_orm::DbBackend;

use super::{Store, assert_counts_are_right, found, query};

#[tokio::test]
async fn an_older_memory_that_cannot_be_read_does_not_keep_a_new_one_from_being_stored() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let older = bank.create(&scope, &new_memory("older")).await.unwrap();
        store.execute("UPDATE memories SET metadata = '['").await;
        let new = NewMemory { supersedes: Some(older.id), ..new_memory("newer") };
        let stored = bank.create_all(&scope, vec![new_memory("beside it"), new]).await.unwrap();
        assert!(stored.into_iter().all(Result::unwrap));
        assert_eq!(store.number("SELECT count(*) FROM memories").await, 3);
    }
}

#[tokio::test]
async fn sweeping_deletes_what_has_expired_and_nothing_else() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let person = scope_of_person(&scope);
        let in_an_hour = now().plus(Duration::from_hours(1));
        for number in 0..10 {
            let short = NewMemory { expires_at: Some(in_an_hour), ..new_memory(&format!("parcel {number}")) };
            bank.create(if number < 5 { &scope } else { &person }, &short).await.unwrap();
        }
        let later = NewMemory { expires_at: Some(in_an_hour.plus(Duration::from_millis(1))), ..new_memory("parcel") };
        bank.create(&scope, &later).await.unwrap();
        bank.create(&scope, &new_memory("parcel for ever")).await.unwrap();

        assert_eq!(bank.sweep(now(), 100).await.unwrap(), 0, "nothing has expired yet");
        assert_eq!(bank.sweep(in_an_hour, 7).await.unwrap(), 7, "as many as were asked for");
        assert_eq!(bank.sweep(in_an_hour, 100).await.unwrap(), 3);
        assert_eq!(bank.sweep(in_an_hour, 100).await.unwrap(), 0);
        assert_eq!(found(&bank, &scope, "parcel").await.len(), 2);
        assert_counts_are_right(&store).await;
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_is_reported_as_such() {
    for store in Store::each().await {
        for damage in [
            "priority = 'urgent'",
            "categories = '{}'",
            "metadata = '[]'",
            "metadata = 'nonsense'",
            "content = ''",
            "created_at = 9223372036854775807",
        ] {
            let (bank, scope) = (store.bank(), scope());
            let memory = bank.create(&scope, &new_memory("The spare key is under the fern.")).await.unwrap();
            let intact = bank.create(&scope, &new_memory("The shed is never locked.")).await.unwrap();
            store.execute(&format!("UPDATE memories SET {damage} WHERE id = '{}'", memory.id)).await;
            let list = ListQuery::new(Limit::default(), now());
            let inconsistent =
                |answer: Result<_, MemoryBankError>| matches!(answer, Err(MemoryBankError::Inconsistent(_)));
            assert!(inconsistent(bank.get(&scope, &memory.id, now()).await.map(drop)), "get, {damage}");
            assert!(inconsistent(bank.search(&scope, &query("spare key")).await.map(drop)), "search, {damage}");
            assert!(inconsistent(bank.list(&scope, &list).await.map(drop)), "list, {damage}");
            let changes = MemoryChanges { expires_at: Some(None), ..MemoryChanges::default() };
            assert!(
                inconsistent(bank.update(&scope, &memory.id, &update(&changes, now())).await.map(drop)),
                "update, {damage}"
            );
            let error = bank.get(&scope, &memory.id, now()).await.unwrap_err();
            let source = std::error::Error::source(&error).expect("a reason").to_string();
            assert!(source.contains(damage.split(' ').next().unwrap()), "the reason names the column: {source}");
            assert!(
                bank.update(&scope, &intact.id, &update(&changes, now())).await.unwrap().is_some(),
                "others are not concerned"
            );
        }
    }
}

#[tokio::test]
async fn a_retry_may_help_when_the_database_is_unavailable() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        bank.create(&scope, &new_memory("x")).await.unwrap();
        store.database.close().await;
        let retryable = |answer: Result<(), MemoryBankError>| answer.is_err_and(|error| error.is_retryable());
        assert!(retryable(bank.check_health().await));
        assert!(retryable(bank.create(&scope, &new_memory("y")).await.map(drop)));
        assert!(retryable(bank.search(&scope, &query("x")).await.map(drop)));
        assert!(retryable(bank.sweep(now(), 1).await.map(drop)));
    }
}

#[tokio::test]
async fn a_database_that_was_not_migrated_is_not_healthy() {
    for store in Store::each().await {
        let count = u32::try_from(store.database.migrations().await.unwrap().len()).unwrap();
        store.database.migrate_down(count).await.unwrap();
        assert!(store.bank().check_health().await.is_err(), "{:?}", store.backend());
    }
}

#[tokio::test]
async fn the_migration_of_memories_can_be_undone_and_done_again() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        bank.create(&scope, &new_memory("The spare key is under the fern.")).await.unwrap();
        let count = u32::try_from(store.database.migrations().await.unwrap().len()).unwrap();
        let undone = store.database.migrate_down(count).await.unwrap();
        assert!(undone.iter().any(|name| name.ends_with("create_memories")));
        let tables = match store.backend() {
            DbBackend::Sqlite => "SELECT count(*) FROM sqlite_master WHERE name LIKE 'memor%'",
            _ => "SELECT count(*) FROM pg_class WHERE relname LIKE 'memor%'",
        };
        assert_eq!(store.number(tables).await, 0, "nothing is left of it on {:?}", store.backend());
        store.database.migrate_up().await.unwrap();
        assert!(found(&bank, &scope, "spare key").await.is_empty());
        bank.create(&scope, &new_memory("The spare key is in the shed.")).await.unwrap();
        assert_eq!(found(&bank, &scope, "spare key").await, ["The spare key is in the shed."]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_go_away_do_no_harm_to_others() {
    for store in Store::each().await {
        let (bank, scope) = (std::sync::Arc::new(store.bank()), scope());
        let tasks: Vec<_> = (0..60)
            .map(|number| {
                let (bank, scope) = (bank.clone(), scope.clone());
                let task =
                    tokio::spawn(async move { bank.create(&scope, &new_memory(&format!("guest {number}"))).await });
                if number % 2 == 0 {
                    task.abort();
                }
                task
            })
            .collect();
        for (number, task) in tasks.into_iter().enumerate() {
            let ended = task.await;
            assert!(number % 2 == 0 || ended.unwrap().is_ok());
        }
        assert!(found(&bank, &scope, "guest").await.len() >= 30);
        assert_counts_are_right(&store).await;
    }
}
