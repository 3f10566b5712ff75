//! Rows that cannot be.

use memgate::adapters::database::{
    Database, SeaOrmApplicationRepository, SeaOrmAuditLog, SeaOrmAuthorizationStore, SeaOrmGrantStore,
    SeaOrmPasskeyRepository, SeaOrmPasswordLinkStore, SeaOrmPersonRepository, SeaOrmSessionStore,
    SeaOrmSigningKeyStore, SeaOrmWriteQueue,
};
use memgate::domain::applications::{Application, ApplicationRepository};
use memgate::domain::audit::{AuditEvent, AuditKind, AuditLog};
use memgate::domain::ids::RequestId;
use memgate::domain::memories::{DeliveryOrder, IdempotencyKey, Lease, QueuedWrite, WriteQueue};
use memgate::domain::oauth::{
    Authorization, AuthorizationStore, Consent, GrantStore, KeyPurpose, Revocation, Revoked, SigningKeyStore,
};
use memgate::domain::people::{
    Account, ExternalUser, PasskeyRepository, PasswordLinkStore, PersonRepository, SessionStore,
};
use memgate::domain::system::StorageError;
use memgate_domain::testing::{
    application, application_with_secret, authorization, consumption, external_person, now, passkey, password_link,
    person, queued_write, session, signing_key, unique,
};
use sea_orm::{ConnectionTrait, DbBackend};

use super::{Place, on_both_databases};

on_both_databases!(
    an_invalid_application_is_an_error,
    an_invalid_secret_is_an_error,
    an_invalid_revocation_is_an_error,
    an_invalid_use_is_an_error,
    an_invalid_signing_key_is_an_error,
    an_invalid_local_person_is_an_error,
    an_invalid_external_person_is_an_error,
    an_invalid_session_is_an_error,
    an_invalid_passkey_is_an_error,
    an_invalid_password_link_is_an_error,
    an_invalid_authorization_is_an_error,
    an_invalid_audit_event_is_an_error,
    an_invalid_queued_write_is_an_error,
    one_broken_row_does_not_hide_the_others,
);

/// Asserts that the row is refused, that the error names it, and that it does not repeat what is in it.
fn assert_refused<T: std::fmt::Debug>(result: Result<T, StorageError>, table: &str, key: &str, change: &str) {
    let error = result.expect_err(change);
    let StorageError::InconsistentRow { table: named, key: of, detail } = &error else { panic!("{change}: {error:?}") };
    assert_eq!((*named, of.as_str()), (table, key), "{change}: {detail}");
    assert!(!error.to_string().contains("s3cret"), "{change}: {error}");
}

/// Makes one change to the only row of `table`, asks, and puts the row back.
async fn with_each_change<F, R>(database: &Database, table: &str, changes: &[&str], ask: impl Fn(String) -> F)
where
    F: Future<Output = R>,
{
    let writer = database.writer();
    let run = |sql: String| async move { writer.execute_unprepared(&sql).await.map(drop).unwrap() };
    run(format!("CREATE TABLE sound AS SELECT * FROM {table}")).await;
    for change in changes {
        run(format!("UPDATE {table} SET {change}")).await;
        ask((*change).to_owned()).await;
        run(format!("DELETE FROM {table}")).await;
        run(format!("INSERT INTO {table} SELECT * FROM sound")).await;
    }
    run("DROP TABLE sound".to_owned()).await;
}

async fn an_invalid_application_is_an_error(place: Place) {
    let database = place.migrated().await;
    let repository = SeaOrmApplicationRepository::new(database.clone());
    let application = Application { secrets: Vec::new(), ..application_with_secret().0 };
    repository.create(&application).await.unwrap();
    let key = application.id.to_string();
    let changes = [
        "client_id = ''",
        "name = 's3cret' || chr_10",
        "kind = 's3cret'",
        "permissions = 's3cret'",
        "permissions = '[\"s3cret\"]'",
        "permissions = '{}'",
        "grants = '[\"password\"]'",
        "redirect_uris = '[\"http://s3cret.example\"]'",
        "space = 's3cret space'",
        "categories = '[\"\"]'",
        "categories = '[\"S3cret\"]'",
        "rate_limit = 0",
        "rate_limit = 4294967297",
        "access_token_ttl = -1",
        "access_token_ttl = 0",
        "refresh_token_ttl = 9223372036854775807",
        "created_at = 9223372036854775807",
        "updated_at = -9223372036854775807",
    ];
    let line_feed = if database.backend() == DbBackend::Sqlite { "char(10)" } else { "chr(10)" };
    let changes = changes.map(|change| change.replace("chr_10", line_feed));
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    with_each_change(&database, "applications", &changes, |change| {
        let (repository, key, id) = (repository.clone(), key.clone(), application.id);
        async move {
            assert_refused(repository.find(id).await, "applications", &key, &change);
            assert_refused(repository.list(None, 10).await, "applications", &key, &change);
        }
    })
    .await;
    assert_eq!(*repository.find(application.id).await.unwrap().unwrap(), application);
}

async fn an_invalid_secret_is_an_error(place: Place) {
    let database = place.migrated().await;
    let repository = SeaOrmApplicationRepository::new(database.clone());
    let (application, _) = application_with_secret();
    repository.create(&application).await.unwrap();
    let changes =
        ["created_at = 9223372036854775807", "expires_at = 9223372036854775807", "last_used_at = -9223372036854775807"];
    let key = application.secrets[0].id.to_string();
    with_each_change(&database, "application_secrets", &changes, |change| {
        let (repository, key, id) = (repository.clone(), key.clone(), application.id);
        async move { assert_refused(repository.find(id).await, "application_secrets", &key, &change) }
    })
    .await;
}

async fn an_invalid_revocation_is_an_error(place: Place) {
    let database = place.migrated().await;
    let store = SeaOrmGrantStore::new(database.clone());
    let id = unique();
    let what = Revoked::Grant(memgate::domain::ids::GrantId::from_uuid(id));
    store.revoke(&Revocation { what, at: now(), keep_until: now() }).await.unwrap();
    let changes = [
        ("kind = 's3cret'", "s3cret"),
        ("revoked_at = 9223372036854775807", "grant"),
        ("keep_until = 9223372036854775807", "grant"),
    ];
    for (change, kind) in changes {
        // The kind is a part of the key by which an operator finds the row.
        let key = format!("{kind} {id}");
        with_each_change(&database, "revocations", &[change], |change| {
            let (store, key) = (store.clone(), key.clone());
            async move {
                let error = store.revocations_since(now(), now()).await.expect_err(&change);
                assert!(
                    matches!(&error, StorageError::InconsistentRow { table: "revocations", key: of, .. } if *of == key),
                    "{error:?}"
                );
            }
        })
        .await;
    }
}

async fn an_invalid_use_is_an_error(place: Place) {
    let database = place.migrated().await;
    let store = SeaOrmGrantStore::new(database.clone());
    let first = consumption();
    store.consume(&first).await.unwrap();
    with_each_change(&database, "consumed_refresh_tokens", &["consumed_at = 9223372036854775807"], |change| {
        let (store, first) = (store.clone(), first.clone());
        async move {
            let key = first.token_id.to_string();
            assert_refused(store.consume(&first).await, "consumed_refresh_tokens", &key, &change);
        }
    })
    .await;
}

async fn an_invalid_signing_key_is_an_error(place: Place) {
    let database = place.migrated().await;
    let store = SeaOrmSigningKeyStore::new(database.clone());
    let key = signing_key(KeyPurpose::AccessToken, 1);
    store.add(&key).await.unwrap();
    let changes = [
        "purpose = 's3cret'",
        "algorithm = 'none'",
        "generation = -1",
        "created_at = 9223372036854775807",
        "activates_at = 9223372036854775807",
        "retired_at = 9223372036854775807",
    ];
    with_each_change(&database, "signing_keys", &changes, |change| {
        let (store, id) = (store.clone(), key.id.to_string());
        async move { assert_refused(store.list().await, "signing_keys", &id, &change) }
    })
    .await;
}

async fn an_invalid_local_person_is_an_error(place: Place) {
    let database = place.migrated().await;
    let people = SeaOrmPersonRepository::new(database.clone());
    let somebody = person();
    people.create(&somebody).await.unwrap();
    let changes = [
        "kind = 's3cret'",
        "kind = 'external'",
        "login = 'S3CRET'",
        "login = 's3cret with space'",
        "login = NULL",
        "password_hash = NULL",
        "issuer = 's3cret'",
        "label = 's3cret'",
        "sign_in_version = -1",
        "created_at = 9223372036854775807",
        "updated_at = -9223372036854775807",
    ];
    with_each_change(&database, "people", &changes, |change| {
        let (people, id) = (people.clone(), somebody.id);
        async move {
            assert_refused(people.find(id).await, "people", &id.to_string(), &change);
            assert_refused(people.list(None, 10).await, "people", &id.to_string(), &change);
        }
    })
    .await;
    assert_eq!(people.find(somebody.id).await.unwrap(), Some(somebody));
}

async fn an_invalid_external_person_is_an_error(place: Place) {
    let database = place.migrated().await;
    let people = SeaOrmPersonRepository::new(database.clone());
    let somebody = external_person();
    people.create(&somebody).await.unwrap();
    let changes = [
        "kind = 'local'",
        "issuer = 's3cret é'",
        "subject = ''",
        "subject = NULL",
        "label = ''",
        "label = NULL",
        "login = 's3cret'",
        "password_hash = 's3cret'",
        "created_at = 9223372036854775807",
    ];
    with_each_change(&database, "people", &changes, |change| {
        let (people, id) = (people.clone(), somebody.id);
        async move { assert_refused(people.find(id).await, "people", &id.to_string(), &change) }
    })
    .await;
    let Account::External { identity, label } = somebody.account else { panic!("somebody is external") };
    with_each_change(&database, "people", &["created_at = 9223372036854775807"], |change| {
        let external_user =
            ExternalUser { id: somebody.id, identity: identity.clone(), label: label.clone(), at: now() };
        let (people, id) = (people.clone(), somebody.id.to_string());
        async move { assert_refused(people.find_or_create(&external_user).await, "people", &id, &change) }
    })
    .await;
}

async fn an_invalid_session_is_an_error(place: Place) {
    let database = place.migrated().await;
    let somebody = person();
    SeaOrmPersonRepository::new(database.clone()).create(&somebody).await.unwrap();
    let sessions = SeaOrmSessionStore::new(database.clone());
    let (session, _) = session(&somebody);
    assert!(sessions.create(&session, somebody.sign_in_version).await.unwrap());
    let key = session.id.as_bytes().map(|byte| format!("{byte:02x}")).concat();
    let changes = ["signed_in_at = 9223372036854775807", "expires_at = 9223372036854775807"];
    with_each_change(&database, "sessions", &changes, |change| {
        let (sessions, key, id) = (sessions.clone(), key.clone(), session.id);
        async move { assert_refused(sessions.find(&id, now()).await, "sessions", &key, &change) }
    })
    .await;
}

async fn an_invalid_passkey_is_an_error(place: Place) {
    let database = place.migrated().await;
    let somebody = person();
    SeaOrmPersonRepository::new(database.clone()).create(&somebody).await.unwrap();
    let passkeys = SeaOrmPasskeyRepository::new(database.clone());
    let passkey = passkey(&somebody);
    passkeys.add(&passkey).await.unwrap();
    let changes = [
        if database.backend() == DbBackend::Sqlite { "credential_id = x''" } else { "credential_id = ''" },
        "name = ''",
        "name = ' s3cret'",
        "created_at = 9223372036854775807",
        "last_used_at = 9223372036854775807",
    ];
    with_each_change(&database, "passkeys", &changes, |change| {
        let (passkeys, key) = (passkeys.clone(), passkey.id.to_string());
        async move { assert_refused(passkeys.list_by_person(somebody.id).await, "passkeys", &key, &change) }
    })
    .await;
}

async fn an_invalid_password_link_is_an_error(place: Place) {
    let database = place.migrated().await;
    let somebody = person();
    SeaOrmPersonRepository::new(database.clone()).create(&somebody).await.unwrap();
    let links = SeaOrmPasswordLinkStore::new(database.clone());
    assert!(links.put(&password_link(&somebody).0).await.unwrap());
    let changes = [
        if database.backend() == DbBackend::Sqlite { "digest = x'00'" } else { "digest = '\\x00'" },
        "purpose = 's3cret'",
        "sign_in_version = -1",
        "sign_in_version = 4294967296",
        "created_at = 9223372036854775807",
        "expires_at = 9223372036854775807",
    ];
    with_each_change(&database, "password_links", &changes, |change| {
        let (links, key) = (links.clone(), somebody.id.to_string());
        async move { assert_refused(links.find(somebody.id, now()).await, "password_links", &key, &change) }
    })
    .await;
}

async fn an_invalid_authorization_is_an_error(place: Place) {
    let database = place.migrated().await;
    let store = SeaOrmAuthorizationStore::new(database.clone());
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".parse().unwrap();
    let (application, somebody) = (application(), person());
    SeaOrmApplicationRepository::new(database.clone()).create(&application).await.unwrap();
    SeaOrmPersonRepository::new(database.clone()).create(&somebody).await.unwrap();
    let (plain, _) = authorization(&application, somebody.id);
    let authorization = Authorization { challenge: Some(challenge), ..plain };
    assert_eq!(store.create(&authorization, somebody.sign_in_version).await.unwrap(), Consent::Stored);
    let changes = [
        "scope = 's3cret'",
        "scope = '[\"s3cret\"]'",
        "code_challenge = 's3cret'",
        if database.backend() == DbBackend::Sqlite { "code_digest = x'00'" } else { "code_digest = '\\x00'" },
        "created_at = 9223372036854775807",
        "code_expires_at = 9223372036854775807",
        "redeemed_at = 9223372036854775807",
        "keep_until = 9223372036854775807",
    ];
    with_each_change(&database, "authorizations", &changes, |change| {
        let (store, key, person) = (store.clone(), authorization.grant_id.to_string(), authorization.person);
        async move { assert_refused(store.list_by_person(person).await, "authorizations", &key, &change) }
    })
    .await;
    assert_eq!(store.find_by_code(&authorization.code).await.unwrap(), Some(authorization));
}

async fn an_invalid_audit_event_is_an_error(place: Place) {
    let database = place.migrated().await;
    let log = SeaOrmAuditLog::new(database.clone());
    log.record(&AuditEvent::new(AuditKind::SecretAdded, now())).await;
    with_each_change(&database, "audit_events", &["kind = 's3cret'", "happened_at = 9223372036854775807"], |change| {
        let log = log.clone();
        async move { assert_refused(log.recent(1).await, "audit_events", "1", &change) }
    })
    .await;
}

async fn an_invalid_queued_write_is_an_error(place: Place) {
    let database = place.migrated().await;
    let queue = SeaOrmWriteQueue::new(database.clone());
    let key = IdempotencyKey::try_from("key".to_owned()).unwrap();
    let write = QueuedWrite { idempotency_key: Some(key), ..queued_write() };
    let lease = Lease { id: unique(), until: now() };
    queue.accept(&write, DeliveryOrder::Unordered, lease).await.unwrap();
    let again = QueuedWrite { request_id: RequestId::from_uuid(unique()), ..write.clone() };
    let changes = [
        "space = 's3cret space'",
        if database.backend() == DbBackend::Sqlite { "fingerprint = x'00'" } else { "fingerprint = '\\x00'" },
        "memory = 's3cret'",
        "memory = '{\"content\": \"s3cret\"}'",
        "memory = replace(memory, '\"content\":\"', '\"content\":\"\\u0000s3cret')",
        "memory = replace(memory, '\"normal\"', '\"s3cret\"')",
        "memory = replace(memory, '\"id\":\"', '\"id\":\"s3cret key ')",
        "accepted_at = 9223372036854775807",
        "keep_until = 9223372036854775807",
        "state = 's3cret'",
        "state = 'stored'",
        "state = 'failed'",
        "stored_memory = '{}'",
        "failure = 's3cret'",
        "attempts = -1",
        "attempts = 4294967296",
        "next_attempt_at = 9223372036854775807",
    ];
    with_each_change(&database, "queued_writes", &changes, |change| {
        let (queue, again, id) = (queue.clone(), again.clone(), write.request_id.to_string());
        async move {
            assert_refused(queue.accept(&again, DeliveryOrder::Unordered, lease).await, "queued_writes", &id, &change);
        }
    })
    .await;
}

async fn one_broken_row_does_not_hide_the_others(place: Place) {
    let database = place.migrated().await;
    let repository = SeaOrmApplicationRepository::new(database.clone());
    let (sound, broken) = (application_with_secret().0, application_with_secret().0);
    repository.create(&sound).await.unwrap();
    repository.create(&broken).await.unwrap();
    let change = format!("UPDATE applications SET kind = 's3cret' WHERE client_id = '{}'", broken.client_id);
    database.writer().execute_unprepared(&change).await.unwrap();
    assert_refused(
        repository.find_by_client_id(&broken.client_id).await,
        "applications",
        &broken.id.to_string(),
        &change,
    );
    assert_eq!(*repository.find_by_client_id(&sound.client_id).await.unwrap().unwrap(), sound);
}

#[tokio::test]
async fn a_column_of_another_type_is_an_error() {
    // SQLite takes any type in any column.
    let place = Place::sqlite();
    let database = place.migrated().await;
    let repository = SeaOrmApplicationRepository::new(database.clone());
    let (application, _) = application_with_secret();
    repository.create(&application).await.unwrap();
    database.writer().execute_unprepared("UPDATE applications SET updated_at = 's3cret'").await.unwrap();
    assert_refused(repository.find(application.id).await, "applications", "unknown", "text in a column of numbers");
}
