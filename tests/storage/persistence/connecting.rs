//! URLs, files and settings.

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use memgate::adapters::database::{Database, DatabaseError, DatabaseOptions};
use sea_orm::{ConnectionTrait, Statement};
use tokio::task::JoinSet;

use super::{Place, on_both_databases, url_of};

on_both_databases!(
    a_write_waits_for_the_transaction_of_another_process,
    readers_see_what_was_committed_and_nothing_else
);

/// A call that is to fail must not take long.
const IMPATIENT: DatabaseOptions =
    DatabaseOptions { connections: 2, search_connections: 2, timeout: Duration::from_millis(200) };

async fn refusal(url: &str) -> DatabaseError {
    refusal_with(url, IMPATIENT).await
}

async fn refusal_with(url: &str, options: DatabaseOptions) -> DatabaseError {
    let error = Database::connect(url, options).await.expect_err("the database cannot be used");
    let mut said = vec![format!("{error:?} {error}")];
    let mut source = error.source();
    while let Some(reason) = source {
        said.push(format!("{reason:?} {reason}"));
        source = reason.source();
    }
    let said = said.join(" ");
    assert!(!said.contains("pa55word"), "the error repeats the password: {said}");
    error
}

async fn pragma(connection: &impl ConnectionTrait, name: &str) -> String {
    let statement = Statement::from_string(connection.get_database_backend(), format!("PRAGMA {name}"));
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index::<String>(0)
        .or_else(|_| row.try_get_by_index::<i64>(0).map(|number| number.to_string()))
        .unwrap()
}

#[tokio::test]
async fn a_url_that_is_not_one_of_ours_is_refused_with_an_example() {
    for url in ["", "memgate.db", "mysql://user:pa55word@localhost/x", "mongodb://user:pa55word@h/x", "/var/lib/x.db"] {
        let error = refusal(url).await;
        assert!(matches!(error, DatabaseError::UnknownScheme), "{url}: {error:?}");
        assert!(error.to_string().contains("sqlite://memgate.db?mode=rwc"));
    }
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite://x.db?mode=memory"] {
        assert!(matches!(refusal(url).await, DatabaseError::InMemory), "{url}");
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_understood_is_refused_with_the_reason() {
    for (url, reason) in [
        ("sqlite:", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite://x.db?mode=ro", "`mode` must be rwc"),
        ("sqlite://x.db?mode=pa55word", "`mode` must be rwc"),
        ("sqlite://x.db?cache=shared", "unknown parameter `cache`"),
        ("postgres://user:pa55word@host:99999/x", "port"),
        ("postgres://user:pa55word@/x y?sslmode=pa55wor", "host"),
        ("postgres://user@host/x?passwort=pa55word", "unknown parameter `passwort`"),
        ("postgres://user:pa55word@host/x?sslmode=perhaps", "perhaps"),
    ] {
        let error = refusal(url).await;
        assert!(matches!(error, DatabaseError::InvalidUrl(_)), "{url}: {error:?}");
        assert!(error.to_string().contains(reason), "{url}: {error}");
    }
}

#[tokio::test]
async fn a_missing_directory_and_a_missing_file_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let error = refusal(&url_of(&nowhere.join("memgate.db"))).await;
    assert!(matches!(&error, DatabaseError::MissingDirectory(path) if *path == nowhere), "{error:?}");

    let file = folder.path().join("memgate.db");
    for url in [format!("sqlite://{}", file.display()), format!("sqlite://{}?mode=rw", file.display())] {
        let error = refusal(&url).await;
        assert!(matches!(&error, DatabaseError::MissingFile(path) if *path == file), "{error:?}");
        assert!(error.to_string().contains("?mode=rwc"));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[tokio::test]
async fn what_is_not_a_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let error = refusal(&url_of(folder.path())).await;
    assert!(matches!(error, DatabaseError::CannotOpen { .. }), "{error:?}");

    let letter = folder.path().join("letter.txt");
    let text = "Dear reader, this is a letter, and not a database. ".repeat(50);
    fs::write(&letter, &text).unwrap();
    let error = refusal(&url_of(&letter)).await;
    assert!(matches!(&error, DatabaseError::NotADatabase(path) if *path == letter), "{error:?}");
    assert_eq!(fs::read_to_string(&letter).unwrap(), text);
}

#[tokio::test]
async fn a_path_may_hold_what_a_url_escapes() {
    let folder = tempfile::tempdir().unwrap();
    let database =
        Database::connect(&format!("sqlite://{}/a%20b%3Fc.db?mode=rwc", folder.path().display()), IMPATIENT).await;
    database.unwrap().migrate_up().await.unwrap();
    assert!(folder.path().join("a b?c.db").is_file());
}

#[tokio::test]
async fn a_new_file_and_its_log_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::connect(&url_of(&folder.path().join("memgate.db")), IMPATIENT).await.unwrap();
    database.migrate_up().await.unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["memgate.db", "memgate.db-shm", "memgate.db-wal"]);
    database.close().await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the log is folded into the file");
}

#[tokio::test]
async fn a_commit_to_a_file_is_on_disk_when_it_returns() {
    let database = Place::sqlite().connect().await;
    assert_eq!(pragma(database.writer(), "journal_mode").await, "wal");
    assert_eq!(pragma(database.writer(), "synchronous").await, "2", "FULL");
    assert_eq!(pragma(database.writer(), "foreign_keys").await, "1");
}

#[tokio::test]
async fn a_connection_to_read_a_file_does_not_write() {
    let place = Place::sqlite();
    let database = place.migrated().await;
    let refused = database.reader().execute_unprepared("DELETE FROM applications").await;
    assert!(refused.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refusal(&format!("postgres://someone:pa55word@127.0.0.1:{port}/memories")).await;
    let DatabaseError::Unreachable { location, reason } = &error else { panic!("{error:?}") };
    assert_eq!(*location, format!("127.0.0.1:{port}/memories"));
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for_long() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let error = refusal(&format!("postgres://someone:pa55word@127.0.0.1:{port}/memories")).await;
    assert!(error.to_string().contains("no response within 200 ms"), "{error}");
}

#[tokio::test]
async fn a_server_that_has_no_such_database_says_so() {
    let Some(place) = Place::postgres().await else { return };
    let mut url = url::Url::parse(&place.url).unwrap();
    url.set_path("no_such_database");
    url.set_password(Some("pa55word")).unwrap();
    let error = refusal_with(url.as_str(), DatabaseOptions::default()).await;
    assert!(error.to_string().contains("\"no_such_database\" does not exist"), "{error}");
}

#[tokio::test]
async fn a_statement_on_postgres_that_takes_too_long_is_ended() {
    let Some(place) = Place::postgres().await else { return };
    let options = DatabaseOptions { timeout: Duration::from_secs(1), ..IMPATIENT };
    let database = Database::connect(&place.url, options).await.unwrap();
    let error = database.reader().execute_unprepared("SELECT pg_sleep(60)").await.unwrap_err();
    assert!(error.to_string().contains("statement timeout"), "{error}");
    database.ping().await.unwrap();
}

#[tokio::test]
async fn commits_to_postgres_are_on_disk_also_where_the_server_would_not_wait_for_it() {
    let Some(place) = Place::postgres().await else { return };
    let setting = |database: Database| async move {
        let statement = Statement::from_string(database.backend(), "SHOW synchronous_commit");
        let row = database.writer().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index::<String>(0).unwrap()
    };
    for (ordered, expected) in [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")] {
        let url = format!("{}&options[synchronous_commit]={ordered}", place.url);
        assert_eq!(setting(Database::connect(&url, DatabaseOptions::default()).await.unwrap()).await, expected);
    }
}

/// A role of the database's own with so many connections, and a URL for it.
async fn with_connection_limit(place: &Place, limit: u32) -> (String, String) {
    let database_url = url::Url::parse(&place.url).unwrap();
    // Roles are the server's, and databases have unique names.
    let role = format!("of_{}", database_url.path().trim_start_matches('/'));
    let database = place.connect().await;
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'pa55word' CONNECTION LIMIT {limit}");
    database.writer().execute_unprepared(&sql).await.unwrap();
    database.close().await;
    let mut url = database_url;
    url.set_username(&role).unwrap();
    url.set_password(Some("pa55word")).unwrap();
    (role, url.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_role_has_fewer_connections_than_are_wanted_searches_and_the_rest_each_get_one() {
    let Some(place) = Place::postgres().await else { return };
    let (role, url) = with_connection_limit(&place, 3).await;
    let options = DatabaseOptions { connections: 8, search_connections: 4, timeout: Duration::from_secs(20) };
    let database = Database::connect(&url, options).await.unwrap();
    // All that the role may have is taken, and returned.
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(database.begin().await.unwrap());
    }
    for transaction in held.drain(..) {
        transaction.commit().await.unwrap();
    }
    let search = || database.searcher().execute_unprepared("SELECT 1");
    search().await.unwrap();
    // All is in use: the first that is returned goes to the search.
    let (one, two) = (database.begin().await.unwrap(), database.begin().await.unwrap());
    tokio::join!(
        async {
            one.commit().await.unwrap();
            two.commit().await.unwrap();
        },
        async { search().await.unwrap() }
    );
    let mut both = JoinSet::new();
    for number in 0..200 {
        let database = database.clone();
        both.spawn(async move {
            let pool = if number % 2 == 0 { database.searcher() } else { database.reader() };
            pool.execute_unprepared("SELECT pg_sleep(0.001)").await.map(drop)
        });
    }
    while let Some(outcome) = both.join_next().await {
        outcome.unwrap().unwrap();
    }
    database.close().await;
    let admin = place.connect().await;
    admin.writer().execute_unprepared(&format!("DROP ROLE {role}")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_finds_every_connection_of_the_role_in_use_gets_the_next() {
    let Some(place) = Place::postgres().await else { return };
    let (role, url) = with_connection_limit(&place, 2).await;
    let options = DatabaseOptions { connections: 8, search_connections: 4, timeout: Duration::from_secs(20) };
    let database = Database::connect(&url, options).await.unwrap();
    let (one, two) = (database.begin().await.unwrap(), database.begin().await.unwrap());
    let searching = {
        let database = database.clone();
        tokio::spawn(async move { database.searcher().execute_unprepared("SELECT 1").await.map(drop) })
    };
    // It may already have asked for one, or not: it gets one in both cases.
    one.commit().await.unwrap();
    two.commit().await.unwrap();
    searching.await.unwrap().unwrap();
    database.reader().execute_unprepared("SELECT 1").await.unwrap();
    database.close().await;
    let admin = place.connect().await;
    admin.writer().execute_unprepared(&format!("DROP ROLE {role}")).await.unwrap();
}

async fn a_write_waits_for_the_transaction_of_another_process(place: Place) {
    let patient = DatabaseOptions { timeout: Duration::from_mins(1), ..DatabaseOptions::default() };
    let one = Database::connect(&place.url, patient).await.unwrap();
    let other = Database::connect(&place.url, patient).await.unwrap();
    one.writer().execute_unprepared("CREATE TABLE counter (number BIGINT)").await.unwrap();
    one.writer().execute_unprepared("INSERT INTO counter VALUES (0)").await.unwrap();
    let mut writers = JoinSet::new();
    for number in 0..100 {
        let database = if number % 2 == 0 { one.clone() } else { other.clone() };
        writers.spawn(async move {
            let transaction = database.begin().await.unwrap();
            let lock = if number % 2 == 0 { "SELECT 1" } else { "SELECT 2" };
            transaction.execute_unprepared(lock).await.unwrap();
            transaction.execute_unprepared("UPDATE counter SET number = number + 1").await.unwrap();
            transaction.commit().await.unwrap();
        });
    }
    writers.join_all().await;
    let statement = Statement::from_string(one.backend(), "SELECT number FROM counter");
    let row = one.reader().query_one_raw(statement).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 100);
}

async fn readers_see_what_was_committed_and_nothing_else(place: Place) {
    let (one, other) = (place.migrated().await, place.connect().await);
    let count = |database: Database| async move {
        let statement = Statement::from_string(database.backend(), "SELECT COUNT(*) FROM revocations");
        let row = database.reader().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap()
    };
    let insert = "INSERT INTO revocations (kind, subject_id, revoked_at, keep_until) \
                  VALUES ('grant', '00000000-0000-0000-0000-000000000001', 1, 1)";
    let transaction = one.begin().await.unwrap();
    transaction.execute_unprepared(insert).await.unwrap();
    assert_eq!(
        (count(one.clone()).await, count(other.clone()).await),
        (0, 0),
        "a writer does not keep readers waiting"
    );
    drop(transaction);
    assert_eq!((count(one.clone()).await, count(other.clone()).await), (0, 0), "a dropped transaction is rolled back");
    let transaction = one.begin().await.unwrap();
    transaction.execute_unprepared(insert).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!((count(one).await, count(other).await), (1, 1));
}
