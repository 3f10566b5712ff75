//! What a connection is worth after something went wrong on it: nothing that was answered with success may be lost.

use std::pin::pin;
use std::process::Command;
use std::task::{Context, Waker};
use std::time::Duration;

use memgate::adapters::database::{Database, DatabaseOptions};
use memgate_test_kit::skip::mount_small;
use sea_orm::{ConnectionTrait, DbErr, Statement};

use super::{Place, on_both_databases, url_of};

on_both_databases!(
    who_goes_away_at_any_moment_leaves_a_connection_that_is_as_good_as_new,
    a_transaction_of_which_a_statement_failed_is_not_said_to_be_committed,
    a_transaction_that_somebody_left_open_does_not_take_in_what_is_written_next,
);

/// A table whose rows are counted.
async fn counted(place: &Place) -> Database {
    let database = place.migrated().await;
    database.writer().execute_unprepared("CREATE TABLE counted (number BIGINT PRIMARY KEY)").await.unwrap();
    database
}

fn statement(database: &Database, sql: &str) -> Statement {
    Statement::from_string(database.backend(), sql)
}

async fn insert(database: &Database, number: i64) -> Result<(), DbErr> {
    let sql = format!("INSERT INTO counted VALUES ({number})");
    database.writer().execute_raw(statement(database, &sql)).await.map(drop)
}

async fn insert_in_transaction(database: &Database, number: i64) -> Result<(), DbErr> {
    let transaction = database.begin().await?;
    transaction.execute_raw(statement(database, &format!("INSERT INTO counted VALUES ({number})"))).await?;
    transaction.commit().await
}

async fn numbers(database: &Database) -> Vec<i64> {
    let rows = database.reader().query_all_raw(statement(database, "SELECT number FROM counted ORDER BY number"));
    rows.await.unwrap().iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// Ends the transaction behind the back of whoever commits it, which is what SQLite does when the disk is full.
async fn fail_to_commit(database: &Database) {
    let transaction = database.begin().await.unwrap();
    transaction.execute_unprepared("INSERT INTO counted VALUES (-1)").await.unwrap();
    transaction.execute_unprepared("ROLLBACK").await.unwrap();
    transaction.commit().await.expect_err("there is no transaction to commit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_commits_failed_what_is_answered_after_them_is_kept() {
    for failures in 1..=4 {
        let place = Place::sqlite();
        let database = counted(&place).await;
        for _ in 0..failures {
            fail_to_commit(&database).await;
        }
        for number in 0..20 {
            if number % 2 == 0 {
                insert(&database, number).await.unwrap();
            } else {
                insert_in_transaction(&database, number).await.unwrap();
            }
        }
        let other = place.connect().await;
        assert_eq!(numbers(&other).await, (0..20).collect::<Vec<_>>(), "after {failures} failures");
        // Nobody holds the lock.
        insert(&other, 20).await.unwrap();
        assert_eq!(numbers(&database).await.len(), 21);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_fails_closes_the_connection_too() {
    let place = Place::sqlite();
    let database = counted(&place).await;
    for _ in 0..3 {
        let transaction = database.begin().await.unwrap();
        transaction.execute_unprepared("ROLLBACK").await.unwrap();
        transaction.rollback().await.expect_err("there is no transaction to roll back");
        insert_in_transaction(&database, i64::try_from(numbers(&database).await.len()).unwrap()).await.unwrap();
    }
    assert_eq!(numbers(&place.connect().await).await, [0, 1, 2]);
}

async fn a_transaction_that_somebody_left_open_does_not_take_in_what_is_written_next(place: Place) {
    let database = counted(&place).await;
    database.writer().execute_unprepared("BEGIN; INSERT INTO counted VALUES (-1)").await.unwrap();
    insert(&database, 1).await.unwrap();
    insert_in_transaction(&database, 2).await.unwrap();
    assert_eq!(numbers(&place.connect().await).await, [1, 2]);

    // A reader that is stuck in its snapshot would not see what follows.
    if database.backend() == sea_orm::DbBackend::Sqlite {
        for _ in 0..DatabaseOptions::default().connections {
            database.reader().execute_unprepared("BEGIN; SELECT * FROM counted").await.unwrap();
        }
    }
    insert(&database, 3).await.unwrap();
    for _ in 0..20 {
        assert_eq!(numbers(&database).await, [1, 2, 3]);
    }
}

async fn a_transaction_of_which_a_statement_failed_is_not_said_to_be_committed(place: Place) {
    let database = counted(&place).await;
    insert(&database, 1).await.unwrap();
    let transaction = database.begin().await.unwrap();
    transaction.execute_unprepared("INSERT INTO counted VALUES (2)").await.unwrap();
    transaction.execute_unprepared("INSERT INTO counted VALUES (1)").await.expect_err("there is one");
    // SQLite goes on after that; PostgreSQL answers COMMIT with ROLLBACK, which is no error to the driver.
    let committed = transaction.commit().await.is_ok();
    assert_eq!(numbers(&place.connect().await).await.contains(&2), committed);
    insert_in_transaction(&database, 3).await.unwrap();
    assert!(numbers(&place.connect().await).await.contains(&3));
}

/// Polls a future at most `polls` times, with a moment between, and drops it. Returns what it said if it ended.
async fn poll_at_most<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let mut context = Context::from_waker(Waker::noop());
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    None
}

async fn who_goes_away_at_any_moment_leaves_a_connection_that_is_as_good_as_new(place: Place) {
    let database = counted(&place).await;
    let mut promised = Vec::new();
    for round in 0..90 {
        let polls = usize::try_from(round % 15).unwrap();
        let done = if round % 2 == 0 {
            poll_at_most(polls, insert(&database, round)).await
        } else {
            poll_at_most(polls, insert_in_transaction(&database, round)).await
        };
        if let Some(done) = done {
            done.unwrap();
            promised.push(round);
        }
        if round % 10 == 9 {
            insert_in_transaction(&database, 1000 + round).await.unwrap();
            promised.push(1000 + round);
        }
    }
    let kept = numbers(&place.connect().await).await;
    let lost: Vec<_> = promised.iter().filter(|number| !kept.contains(number)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    database.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_file_system_that_was_full_and_is_not_any_more_everything_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_mounted) = SmallFileSystem::mount(folder.path()) else { return };
    let place = Place { url: url_of(&folder.path().join("memgate.db")), _guard: Box::new(()) };
    let database = place.migrated().await;
    database.writer().execute_unprepared("CREATE TABLE counted (number BIGINT, filler TEXT)").await.unwrap();
    let insert = async |number: i64| {
        let sql = format!("INSERT INTO counted VALUES ({number}, '{}')", "x".repeat(20_000));
        let transaction = database.begin().await?;
        transaction.execute_raw(statement(&database, &sql)).await?;
        transaction.commit().await
    };
    let ballast = folder.path().join("ballast");
    let mut promised = Vec::new();
    for round in 0..5 {
        let first = 1000 * i64::try_from(round).unwrap();
        // What fits beside it is less than its own size, so that folding the log into the file finds room afterwards. It
        // shrinks, because the file keeps the size that the first round gave it.
        std::fs::write(&ballast, vec![0; 10_000_000 - round * 1_000_000]).unwrap();
        let mut failures = 0;
        for number in 0..900 {
            match insert(first + number).await {
                Ok(()) => promised.push(first + number),
                Err(_) => failures += 1,
            }
            if failures > round {
                break;
            }
        }
        assert!(failures > round, "the file system is not endless");
        assert!(database.ping().await.is_err(), "readiness knows");
        std::fs::remove_file(&ballast).unwrap();
        database.ping().await.expect("there is room again");
        for number in first + 900..first + 910 {
            insert(number).await.unwrap();
            promised.push(number);
        }
        database.writer().execute_unprepared("DELETE FROM counted WHERE number % 1000 < 900").await.unwrap();
        promised.retain(|number| number % 1000 >= 900);
        database.writer().execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
    }
    assert_eq!(numbers(&place.connect().await).await, promised);
    database.close().await;
}

/// A file system of 16 MB. Only root may mount one.
struct SmallFileSystem(std::path::PathBuf);

impl SmallFileSystem {
    fn mount(folder: &std::path::Path) -> Option<Self> {
        mount_small(folder, 16).then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the file system is unmounted");
    }
}
