//! What says that a service uses a database.

use std::time::{Duration, Instant};

use memgate::adapters::database::{Database, DatabaseError, ServiceLock};
use sea_orm::DbBackend;

use super::{Place, on_both_databases};

on_both_databases!(
    an_sqlite_file_is_for_one_service_and_a_server_for_many,
    what_must_not_be_done_while_a_service_runs_is_refused_until_it_ends,
    no_service_starts_while_it_is_locked_out,
);

#[track_caller]
fn assert_in_use(answer: Result<ServiceLock, DatabaseError>, database: &Database) {
    let error = answer.err().expect("it is refused");
    assert!(matches!(error, DatabaseError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains(database.location()) && error.to_string().contains("stop it first"), "{error}");
}

/// Takes the lock as soon as the server has noticed that the other one is gone.
async fn lock_out(database: &Database) -> ServiceLock {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match database.lock_out_services().await {
            Ok(lock) => return lock,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn an_sqlite_file_is_for_one_service_and_a_server_for_many(place: Place) {
    let (first, second) = (place.migrated().await, place.connect().await);
    let lock = first.lock_for_service().await.unwrap();
    let other = second.lock_for_service().await;
    if first.backend() == DbBackend::Postgres {
        assert!(other.is_ok());
        return;
    }
    assert_in_use(other, &second);
    assert!(second.migrations().await.is_ok(), "commands go on beside it");
    drop(lock);
    assert!(second.lock_for_service().await.is_ok());
}

async fn what_must_not_be_done_while_a_service_runs_is_refused_until_it_ends(place: Place) {
    let (service, command) = (place.migrated().await, place.connect().await);
    let lock = service.lock_for_service().await.unwrap();
    assert_in_use(command.lock_out_services().await, &command);
    drop(lock);
    drop(lock_out(&command).await);
}

async fn no_service_starts_while_it_is_locked_out(place: Place) {
    let (service, command) = (place.migrated().await, place.connect().await);
    let _lock = lock_out(&command).await;
    assert_in_use(service.lock_for_service().await, &service);
    assert_in_use(service.lock_out_services().await, &service);
}
