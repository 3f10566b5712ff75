//! A database that is unavailable, full or locked is `Unavailable`, never a "no" and never a panic.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use memgate::adapters::cache::{CachedApplicationRepository, CachedGrantStore};
use memgate::adapters::database::{
    Database, DatabaseOptions, SeaOrmApplicationRepository, SeaOrmAuditLog, SeaOrmAuthorizationStore, SeaOrmGrantStore,
    SeaOrmPasskeyRepository, SeaOrmPasswordLinkStore, SeaOrmPersonRepository, SeaOrmSessionStore,
    SeaOrmSigningKeyStore, SeaOrmWriteQueue,
};
use memgate::domain::applications::{
    ApplicationChanges, ApplicationRepository, ChangeApplicationError, CreateApplicationError,
};
use memgate::domain::audit::{AuditEvent, AuditKind, AuditLog};
use memgate::domain::memories::{Acceptance, DeliveryOrder, Dispatch, Lease, Undelivered, WriteQueue};
use memgate::domain::oauth::{
    AuthorizationStore, Consumed, GrantStore, KeyPurpose, Redemption, Revocation, Revoked, SigningKeyStore,
};
use memgate::domain::people::{
    Account, AddPasskeyError, CreatePersonError, ExternalUser, PasskeyRepository, PasswordLinkStore, PersonRepository,
    SessionStore, SpentChallenge,
};
use memgate::domain::system::StorageError;
use memgate_domain::testing::{
    FixedClock, application, application_with_secret, authorization, consumption, external_person, new_memory, now,
    passkey, password_link, person, queued_write, session, signing_key, unique,
};
use memgate_test_kit::log::Log;
use memgate_test_kit::postgres::PostgresServer;
use sea_orm::ConnectionTrait;

use super::{Place, on_both_databases};

on_both_databases!(a_closed_database_is_unavailable_to_every_port);

const IMPATIENT: DatabaseOptions =
    DatabaseOptions { connections: 2, search_connections: 2, timeout: Duration::from_millis(200) };

#[expect(clippy::needless_pass_by_value, reason = "what a call returned, at the place of the call")]
fn assert_unavailable<T: Debug>(result: Result<T, StorageError>) {
    assert!(matches!(result, Err(StorageError::Unavailable(_))), "{result:?}");
}

async fn assert_every_port_is_unavailable(database: &Database) {
    let (application, _) = application_with_secret();
    let (id, secret) = (application.id, &application.secrets[0]);
    let applications = SeaOrmApplicationRepository::new(database.clone());
    let created = applications.create(&application).await;
    assert!(matches!(created, Err(CreateApplicationError::Storage(StorageError::Unavailable(_)))), "{created:?}");
    assert_unavailable(applications.find(id).await);
    assert_unavailable(applications.find_by_client_id(&application.client_id).await);
    assert_unavailable(applications.list(None, 1).await);
    let changes = ApplicationChanges { enabled: Some(false), ..ApplicationChanges::default() };
    for changed in
        [applications.update(id, &changes, now()).await.map(drop), applications.add_secret(id, secret, now()).await]
    {
        assert!(matches!(changed, Err(ChangeApplicationError::Storage(StorageError::Unavailable(_)))), "{changed:?}");
    }
    assert_unavailable(applications.delete(id).await);
    assert_unavailable(applications.remove_secret(id, secret.id, now()).await);

    let grants = SeaOrmGrantStore::new(database.clone());
    let mine = consumption();
    assert_unavailable(grants.consume(&mine).await);
    assert_unavailable(grants.is_consumed(mine.token_id).await);
    assert_unavailable(grants.is_revoked(mine.grant_id, mine.token_id).await);
    let revocation = Revocation { what: Revoked::Grant(mine.grant_id), at: now(), keep_until: now() };
    assert_unavailable(grants.revoke(&revocation).await);
    assert_unavailable(grants.revocations_since(now(), now()).await);
    assert_unavailable(grants.sweep(now(), 1).await);

    let keys = SeaOrmSigningKeyStore::new(database.clone());
    let key = signing_key(KeyPurpose::AccessToken, 1);
    assert_unavailable(keys.list().await);
    assert_unavailable(keys.add(&key).await);
    assert_unavailable(keys.retire(&key.id, now()).await);
    assert_unavailable(keys.rewrap(&[(key.clone(), key.sealed.clone())]).await);
    assert_unavailable(keys.delete(&key.id).await);

    assert_the_ports_of_people_are_unavailable(database).await;

    let log = SeaOrmAuditLog::new(database.clone());
    log.record(&AuditEvent::new(AuditKind::SecretAdded, now())).await;
    assert_unavailable(log.recent(1).await);
    assert_unavailable(log.sweep(now(), 1).await);

    let queue = SeaOrmWriteQueue::new(database.clone());
    let write = queued_write();
    let (id, lease) = (write.request_id, Lease { id: unique(), until: now() });
    for order in [DeliveryOrder::Unordered, DeliveryOrder::Fifo { capacity: 1 }] {
        assert_unavailable(queue.accept(&write, order, lease).await);
    }
    assert_unavailable(queue.claim(now(), lease, 1).await);
    assert_unavailable(queue.mark_stored(id, &new_memory("x").into_memory(), now(), now()).await);
    assert_unavailable(queue.mark_failed(id, "x", now()).await);
    assert_unavailable(queue.reschedule(id, lease.id, now(), "x", false).await);
    assert_unavailable(queue.find(write.application_id, id).await);
    assert_unavailable(queue.pending(&write.scope, 1).await);
    assert_unavailable(queue.list(Undelivered::Failed, 1).await);
    assert_unavailable(queue.retry(id, now()).await);
    assert_unavailable(queue.drop_failed(id).await);
    assert_unavailable(queue.note_failure(id, lease.id, now()).await);
    assert_unavailable(queue.find_undelivered(id).await);
    assert_unavailable(queue.find_by_memory(&write.scope, &write.memory.id).await);
    assert_unavailable(queue.find_by_request(&write.scope, write.request_id).await);
    assert_unavailable(queue.replace_memory(&write.scope, &new_memory("x").into_memory()).await);
    assert_unavailable(queue.forget_scope(&write.scope).await);
    assert_unavailable(queue.statistics().await);
    assert_unavailable(queue.sweep(now(), 1).await);

    assert_unavailable(database.ping().await);
    database.migrations().await.unwrap_err();
}

async fn assert_the_ports_of_people_are_unavailable(database: &Database) {
    let people = SeaOrmPersonRepository::new(database.clone());
    let (local, external) = (person(), external_person());
    let (Account::Local { login, password }, Account::External { identity, label }) =
        (local.account.clone(), external.account)
    else {
        panic!("one is local, and the other one is not")
    };
    let created = people.create(&local).await;
    assert!(matches!(created, Err(CreatePersonError::Storage(StorageError::Unavailable(_)))), "{created:?}");
    assert_unavailable(people.find_or_create(&ExternalUser { id: external.id, identity, label, at: now() }).await);
    assert_unavailable(people.find(local.id).await);
    assert_unavailable(people.is_enabled(local.id).await);
    assert_unavailable(people.find_by_login(&login).await);
    assert_unavailable(people.list(None, 1).await);
    assert_unavailable(people.set_enabled(local.id, false, now()).await);
    assert_unavailable(people.set_password(local.id, &password, now()).await);
    assert_unavailable(people.delete(local.id).await);

    let sessions = SeaOrmSessionStore::new(database.clone());
    let (session, _) = session(&local);
    assert_unavailable(sessions.create(&session, local.sign_in_version).await);
    assert_unavailable(sessions.find(&session.id, now()).await);
    assert_unavailable(sessions.delete(&session.id).await);
    assert_unavailable(sessions.delete_by_person(local.id).await);
    assert_unavailable(sessions.sweep(now(), 1).await);

    let links = SeaOrmPasswordLinkStore::new(database.clone());
    let (link, _) = password_link(&local);
    assert_unavailable(links.put(&link).await);
    assert_unavailable(links.find(local.id, now()).await);
    assert_unavailable(links.delete(&link).await);
    assert_unavailable(links.sweep(now(), 1).await);

    let passkeys = SeaOrmPasskeyRepository::new(database.clone());
    let passkey = passkey(&local);
    let added = passkeys.add(&passkey).await;
    assert!(matches!(added, Err(AddPasskeyError::Storage(StorageError::Unavailable(_)))), "{added:?}");
    assert_unavailable(passkeys.find(&passkey.credential_id).await);
    assert_unavailable(passkeys.list_by_person(local.id).await);
    assert_unavailable(passkeys.record_use(&passkey, &passkey.credential, now()).await);
    assert_unavailable(passkeys.remove(local.id, passkey.id).await);
    assert_unavailable(passkeys.spend(&SpentChallenge { digest: [7; 32], expires_at: now() }).await);
    assert_unavailable(passkeys.sweep(now(), 1).await);

    let authorizations = SeaOrmAuthorizationStore::new(database.clone());
    let (authorization, _) = authorization(&application(), local.id);
    let grant_id = authorization.grant_id;
    assert_unavailable(authorizations.create(&authorization, local.sign_in_version).await);
    assert_unavailable(authorizations.find_by_code(&authorization.code).await);
    assert_unavailable(authorizations.redeem(&Redemption { grant_id, at: now(), keep_until: now() }).await);
    assert_unavailable(authorizations.list_by_person(local.id).await);
    assert_unavailable(authorizations.delete(grant_id).await);
    assert_unavailable(authorizations.sweep(now(), 1).await);
}

async fn a_closed_database_is_unavailable_to_every_port(place: Place) {
    let database = place.migrated().await;
    database.ping().await.unwrap();
    database.close().await;
    assert_every_port_is_unavailable(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_unavailable_to_every_port_and_to_the_caches_after_a_second() {
    let Some(server) = PostgresServer::start() else { return };
    let place = server.database().await;
    let patient = DatabaseOptions { timeout: Duration::from_secs(2), ..IMPATIENT };
    let database = Database::connect(place.url(), patient).await.unwrap();
    database.migrate_up().await.unwrap();
    let clock = FixedClock::default();
    let stored = Arc::new(SeaOrmApplicationRepository::new(database.clone()));
    let applications = CachedApplicationRepository::new(stored, Arc::new(clock.clone()));
    let grants = CachedGrantStore::new(Arc::new(SeaOrmGrantStore::new(database.clone())), Arc::new(clock.clone()));
    let (application, _) = application_with_secret();
    let mine = consumption();
    applications.create(&application).await.unwrap();
    assert!(applications.find_by_client_id(&application.client_id).await.unwrap().is_some());
    assert!(!grants.is_revoked(mine.grant_id, mine.token_id).await.unwrap());

    drop((place, server));
    assert_every_port_is_unavailable(&database).await;
    assert!(applications.find_by_client_id(&application.client_id).await.unwrap().is_some(), "it is young enough");
    assert!(!grants.is_revoked(mine.grant_id, mine.token_id).await.unwrap());
    clock.advance(Duration::from_millis(1001));
    assert_unavailable(applications.find_by_client_id(&application.client_id).await);
    assert_unavailable(grants.is_revoked(mine.grant_id, mine.token_id).await);
}

#[tokio::test]
async fn a_use_of_a_secret_that_cannot_be_noted_is_a_warning_in_the_log() {
    let place = Place::sqlite();
    let database = place.migrated().await;
    let (application, _) = application_with_secret();
    let applications = SeaOrmApplicationRepository::new(database.clone());
    applications.create(&application).await.unwrap();
    let log = Log::start();
    let lines = || log.of_target("memgate::adapters::database::applications");
    applications.record_secret_use(application.id, application.secrets[0].id, now()).await;
    assert_eq!(lines(), [] as [serde_json::Value; 0]);
    database.close().await;
    applications.record_secret_use(application.id, application.secrets[0].id, now()).await;
    let lines = lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(lines[0]["application.id"], application.id.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_unavailable_and_nothing_is_changed() {
    let place = Place::sqlite();
    let database = place.migrated().await;
    let applications = SeaOrmApplicationRepository::new(database.clone());
    let grants = SeaOrmGrantStore::new(database.clone());
    let queue = SeaOrmWriteQueue::new(database.clone());
    // As many pages as there are: SQLite says "database or disk is full" when it needs another. This is a limit of the
    // connection, which is closed after that.
    let fill = || database.writer().execute_unprepared("PRAGMA max_page_count = 1");
    fill().await.unwrap();
    let mut refused = None;
    let mut used = Vec::new();
    for _ in 0..1000 {
        let next = consumption();
        match grants.consume(&next).await {
            Ok(consumed) => assert_eq!(consumed, Consumed::First),
            Err(error) => {
                refused = Some(error);
                assert!(!grants.is_consumed(next.token_id).await.unwrap());
                break;
            }
        }
        used.push(next.token_id);
    }
    let refused = refused.expect("a thousand rows do not fit into the free space of a few pages");
    assert!(
        matches!(&refused, StorageError::Unavailable(reason) if reason.to_string().contains("full")),
        "{refused:?}"
    );
    fill().await.unwrap();
    let write = queued_write();
    let lease = Lease { id: unique(), until: now() };
    let order = DeliveryOrder::Fifo { capacity: 10_000 };
    let mut accepted = queue.accept(&write, order, lease).await;
    for _ in 0..100 {
        if accepted.is_err() {
            break;
        }
        accepted = queue.accept(&queued_write(), order, lease).await;
    }
    assert_unavailable(accepted);
    for token in used {
        assert!(grants.is_consumed(token).await.unwrap(), "what was answered is kept");
    }

    assert_eq!(grants.consume(&consumption()).await.unwrap(), Consumed::First);
    assert_eq!(queue.accept(&queued_write(), order, lease).await.unwrap(), Acceptance::Accepted(Dispatch::Claimed));
    applications.create(&application_with_secret().0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_process_keeps_locked_is_unavailable_for_writes_alone() {
    let place = Place::sqlite();
    let (other, database) = (place.migrated().await, Database::connect(&place.url, IMPATIENT).await.unwrap());
    let grants = SeaOrmGrantStore::new(database.clone());
    let applications = SeaOrmApplicationRepository::new(database.clone());
    let (application, _) = application_with_secret();
    let lock = other.begin().await.unwrap();
    assert_unavailable(grants.consume(&consumption()).await);
    let created = applications.create(&application).await;
    assert!(matches!(created, Err(CreateApplicationError::Storage(StorageError::Unavailable(_)))), "{created:?}");
    assert!(applications.find(application.id).await.unwrap().is_none());
    lock.rollback().await.unwrap();
    assert_eq!(grants.consume(&consumption()).await.unwrap(), Consumed::First);
    applications.create(&application).await.unwrap();
}
