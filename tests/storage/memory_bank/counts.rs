//! Counts and sets of categories stay right.

use std::time::Duration;

use memgate::domain::memories::{Limit, ListQuery, MemoryBank, MemoryChanges, NewMemory};
use memgate_domain::testing::{categories, content, new_memory, now, scope, update};

use super::{Store, assert_counts_are_right};

#[tokio::test]
async fn what_is_superseded_is_in_no_index_and_no_count_and_is_swept_when_it_expires() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let expires_at = Some(now().plus(Duration::from_mins(1)));
        let mut last = bank.create(&scope, &NewMemory { expires_at, ..new_memory("spare key") }).await.unwrap();
        for text in ["spare key under the fern", "spare key in the shed"] {
            let new =
                NewMemory { supersedes: Some(last.id.clone()), categories: categories(&["home"]), ..new_memory(text) };
            last = bank.create(&scope, &new).await.unwrap();
        }
        assert_eq!(store.number("SELECT count(*) FROM memories").await, 1);
        assert_counts_are_right(&store).await;
        assert_eq!(store.number("SELECT count(*) FROM memory_history").await, 2);
        assert_eq!(bank.sweep(now().plus(Duration::from_secs(59)), 10).await.unwrap(), 0);
        assert_eq!(bank.sweep(now().plus(Duration::from_mins(1)), 10).await.unwrap(), 1);
        assert_eq!(store.number("SELECT count(*) FROM memory_history").await, 1);
        assert!(bank.delete(&scope, &last.id).await.unwrap());
        assert_eq!(store.number("SELECT count(*) FROM memory_history").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_stay_right_while_many_change_the_same_memories() {
    for store in Store::each().await {
        let banks = [std::sync::Arc::new(store.bank()), std::sync::Arc::new(store.bank())];
        let scopes = [scope(), scope()];
        let tasks: Vec<_> = (0..120_usize)
            .map(|number| {
                let (bank, scope) = (banks[number % 2].clone(), scopes[number / 2 % 2].clone());
                tokio::spawn(async move {
                    let id: memgate::domain::ids::MemoryId = format!("m{}", number % 20).parse().unwrap();
                    let labels = [&["garden"][..], &["garden", "shed"], &[]];
                    let new = NewMemory {
                        id: id.clone(),
                        categories: categories(labels[number % 3]),
                        ..new_memory("Tova planted beans and beans and peas.")
                    };
                    let changes = MemoryChanges {
                        content: Some(content(&format!("Nils sold canoe number {number}."))),
                        categories: (number % 2 == 0).then(|| categories(labels[number / 2 % 3])),
                        ..MemoryChanges::default()
                    };
                    bank.create(&scope, &new).await.unwrap();
                    bank.update(&scope, &id, &update(&changes, now())).await.unwrap();
                    if number % 3 == 0 {
                        bank.delete(&scope, &id).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_counts_are_right(&store).await;
        for scope in &scopes {
            let list = ListQuery::new(Limit::try_from(1000).unwrap(), now());
            for memory in banks[0].list(scope, &list).await.unwrap().memories {
                assert!(banks[0].delete(scope, &memory.id).await.unwrap());
            }
        }
        assert_counts_are_right(&store).await;
        for table in ["memory_term_counts", "memory_category_sets", "memory_set_term_counts", "memory_listings"] {
            let left = store.number(&format!("SELECT count(*) FROM {table}")).await;
            assert_eq!(left, 0, "nothing is left behind in {table}");
        }
    }
}

#[tokio::test]
async fn categories_that_come_and_go_at_once_leave_nothing_behind() {
    for store in Store::each().await {
        let (bank, scope) = (store.bank(), scope());
        let older = NewMemory { categories: categories(&["garden"]), ..new_memory("Tova planted beans.") };
        let newer = NewMemory { supersedes: Some(older.id.clone()), ..new_memory("Tova planted peas.") };
        let stored = bank.create_all(&scope, vec![older, newer]).await.unwrap();
        assert!(stored.into_iter().all(Result::unwrap));
        assert_eq!(store.number("SELECT count(*) FROM memory_history").await, 1);
        assert_counts_are_right(&store).await;
        assert_eq!(store.number("SELECT count(*) FROM memory_category_sets").await, 0);
    }
}
