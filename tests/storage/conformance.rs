//! The conformance suite of every port that stores something, against every adapter of it: on SQLite and on PostgreSQL,
//! with two instances that share the database, and behind the caches. (The in-memory adapters run the same suites in the
//! crate of the domain.)

use std::sync::Arc;
use std::time::Duration;

use memgate::adapters::cache::{
    CachedApplicationRepository, CachedGrantStore, CachedPersonRepository, CachedTenantRegistry, CachedWriteQueue,
};
use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::adapters::database::{
    Database, DatabaseOptions, SeaOrmApplicationRepository, SeaOrmAuditLog, SeaOrmAuthorizationStore, SeaOrmGrantStore,
    SeaOrmPasskeyRepository, SeaOrmPasswordLinkStore, SeaOrmPersonRepository, SeaOrmSessionStore,
    SeaOrmSigningKeyStore, SeaOrmTenantRegistry, SeaOrmWriteQueue,
};
use memgate::adapters::embedding::LocalEmbedder;
use memgate::domain::applications::ApplicationRepository;
use memgate::domain::audit::AuditLog;
use memgate::domain::memories::{Embedder, MemoryBank, WriteQueue};
use memgate::domain::oauth::{GrantStore, SigningKeyStore};
use memgate::domain::people::PersonRepository;
use memgate::domain::system::{Clock, Timestamp};
use memgate_domain::conformance;
use memgate_domain::testing::FixedClock;
use memgate_domain::testing::conformance::Fixture;
use memgate_domain::testing::conformance::authorization_store::Consents;
use memgate_domain::testing::conformance::passkey_repository::Passkeys;
use memgate_domain::testing::conformance::password_link_store::Links;
use memgate_domain::testing::conformance::session_store::Accounts;
use memgate_domain::testing::conformance::tenant_registry::Owners;
use memgate_test_kit::postgres::PostgresDatabase;

/// Two instances of an adapter, made of two connections to one database at `url`.
async fn two<P: ?Sized + 'static>(url: &str, adapter: impl Fn(Database) -> Arc<P>) -> Fixture<P> {
    let first = Database::connect(url, DatabaseOptions::default()).await.unwrap();
    first.migrate_up().await.unwrap();
    let second = Database::connect(url, DatabaseOptions::default()).await.unwrap();
    Fixture::new(adapter(first)).with_instance(adapter(second))
}

async fn on_sqlite<P: ?Sized + 'static>(adapter: impl Fn(Database) -> Arc<P>) -> Fixture<P> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("memgate.db").display());
    two(&url, adapter).await.holding(folder)
}

async fn on_postgres<P: ?Sized + 'static>(adapter: impl Fn(Database) -> Arc<P>) -> Option<Fixture<P>> {
    let database = PostgresDatabase::create().await?;
    Some(two(database.url(), adapter).await.holding(database))
}

fn applications(database: Database) -> Arc<dyn ApplicationRepository> {
    Arc::new(SeaOrmApplicationRepository::new(database))
}

fn cached_applications(database: Database) -> Arc<dyn ApplicationRepository> {
    Arc::new(CachedApplicationRepository::new(applications(database), Arc::new(FixedClock::default())))
}

fn grants(database: Database) -> Arc<dyn GrantStore> {
    Arc::new(SeaOrmGrantStore::new(database))
}

fn cached_grants(database: Database) -> Arc<dyn GrantStore> {
    Arc::new(CachedGrantStore::new(grants(database), Arc::new(FixedClock::default())))
}

fn keys(database: Database) -> Arc<dyn SigningKeyStore> {
    Arc::new(SeaOrmSigningKeyStore::new(database))
}

fn people(database: Database) -> Arc<dyn PersonRepository> {
    Arc::new(SeaOrmPersonRepository::new(database))
}

fn accounts(database: Database) -> Arc<Accounts> {
    let sessions = Arc::new(SeaOrmSessionStore::new(database.clone()));
    Arc::new(Accounts { people: people(database), sessions })
}

fn links(database: Database) -> Arc<Links> {
    let links = Arc::new(SeaOrmPasswordLinkStore::new(database.clone()));
    Arc::new(Links { people: people(database), links })
}

fn passkeys(database: Database) -> Arc<Passkeys> {
    let passkeys = Arc::new(SeaOrmPasskeyRepository::new(database.clone()));
    Arc::new(Passkeys { people: people(database), passkeys })
}

fn cached_people(database: Database) -> Arc<dyn PersonRepository> {
    Arc::new(CachedPersonRepository::new(people(database), Arc::new(FixedClock::default())))
}

fn consents(database: Database) -> Arc<Consents> {
    let authorizations = Arc::new(SeaOrmAuthorizationStore::new(database.clone()));
    Arc::new(Consents { people: people(database.clone()), applications: applications(database), authorizations })
}

fn owners(database: Database) -> Arc<Owners> {
    // A clock that moves by more than the cache is old, each time it is asked.
    let tenants = CachedTenantRegistry::new(
        Arc::new(SeaOrmTenantRegistry::new(database.clone())),
        Arc::new(Hasty(FixedClock::default())),
    );
    Arc::new(Owners {
        people: people(database.clone()),
        applications: applications(database),
        tenants: Arc::new(tenants),
    })
}

struct Hasty(FixedClock);

impl Clock for Hasty {
    fn now(&self) -> Timestamp {
        self.0.advance(Duration::from_secs(2));
        self.0.now()
    }
}

/// Two instances that load the same folder.
fn model(write: fn(&std::path::Path)) -> Fixture<dyn Embedder> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let load = || Arc::new(LocalEmbedder::load(folder.path()).unwrap());
    Fixture::<dyn Embedder>::new(load()).with_instance(load()).holding(folder)
}

fn audit_log(database: Database) -> Arc<dyn AuditLog> {
    Arc::new(SeaOrmAuditLog::new(database))
}

fn write_queue(database: Database) -> Arc<dyn WriteQueue> {
    Arc::new(SeaOrmWriteQueue::new(database))
}

fn cached_write_queue(database: Database) -> Arc<dyn WriteQueue> {
    Arc::new(CachedWriteQueue::new(write_queue(database), Arc::new(FixedClock::default())))
}

fn memory_bank(database: &Database) -> Arc<dyn MemoryBank> {
    Arc::new(EmbeddedMemoryBank::new(database.reader().clone(), database.searcher().clone(), database.writer()))
}

mod on_sqlite {
    use super::*;

    mod application_repository {
        super::conformance!(application_repository, super::on_sqlite(super::applications).await);
    }

    mod cached_application_repository {
        super::conformance!(application_repository, super::on_sqlite(super::cached_applications).await);
    }

    mod grant_store {
        super::conformance!(grant_store, super::on_sqlite(super::grants).await);
    }

    mod cached_grant_store {
        super::conformance!(grant_store, super::on_sqlite(super::cached_grants).await);
    }

    mod signing_key_store {
        super::conformance!(signing_key_store, super::on_sqlite(super::keys).await);
    }

    mod person_repository {
        super::conformance!(person_repository, super::on_sqlite(super::people).await);
    }

    mod cached_person_repository {
        super::conformance!(person_repository, super::on_sqlite(super::cached_people).await);
    }

    mod session_store {
        super::conformance!(session_store, super::on_sqlite(super::accounts).await);
    }

    mod password_link_store {
        super::conformance!(password_link_store, super::on_sqlite(super::links).await);
    }

    mod passkey_repository {
        super::conformance!(passkey_repository, super::on_sqlite(super::passkeys).await);
    }

    mod authorization_store {
        super::conformance!(authorization_store, super::on_sqlite(super::consents).await);
    }

    mod audit_log {
        super::conformance!(audit_log, super::on_sqlite(super::audit_log).await);
    }

    mod tenant_registry {
        super::conformance!(tenant_registry, super::on_sqlite(super::owners).await);
    }

    mod write_queue {
        super::conformance!(write_queue, super::on_sqlite(super::write_queue).await);
    }

    mod cached_write_queue {
        super::conformance!(write_queue, super::on_sqlite(super::cached_write_queue).await);
    }

    mod memory_bank {
        super::conformance!(memory_bank, super::on_sqlite(|database| super::memory_bank(&database)).await);
    }
}

mod on_postgres {
    use super::*;

    mod application_repository {
        super::conformance!(application_repository, super::on_postgres(super::applications).await);
    }

    mod cached_application_repository {
        super::conformance!(application_repository, super::on_postgres(super::cached_applications).await);
    }

    mod grant_store {
        super::conformance!(grant_store, super::on_postgres(super::grants).await);
    }

    mod cached_grant_store {
        super::conformance!(grant_store, super::on_postgres(super::cached_grants).await);
    }

    mod signing_key_store {
        super::conformance!(signing_key_store, super::on_postgres(super::keys).await);
    }

    mod person_repository {
        super::conformance!(person_repository, super::on_postgres(super::people).await);
    }

    mod cached_person_repository {
        super::conformance!(person_repository, super::on_postgres(super::cached_people).await);
    }

    mod session_store {
        super::conformance!(session_store, super::on_postgres(super::accounts).await);
    }

    mod password_link_store {
        super::conformance!(password_link_store, super::on_postgres(super::links).await);
    }

    mod passkey_repository {
        super::conformance!(passkey_repository, super::on_postgres(super::passkeys).await);
    }

    mod authorization_store {
        super::conformance!(authorization_store, super::on_postgres(super::consents).await);
    }

    mod audit_log {
        super::conformance!(audit_log, super::on_postgres(super::audit_log).await);
    }

    mod tenant_registry {
        super::conformance!(tenant_registry, super::on_postgres(super::owners).await);
    }

    mod write_queue {
        super::conformance!(write_queue, super::on_postgres(super::write_queue).await);
    }

    mod memory_bank {
        super::conformance!(memory_bank, super::on_postgres(|database| super::memory_bank(&database)).await);
    }
}

mod embedding_models {
    use super::*;

    mod static_table {
        super::conformance!(embedder, super::model(memgate_test_kit::embedding_model::write_static));
    }

    mod transformer {
        super::conformance!(embedder, super::model(memgate_test_kit::embedding_model::write_transformer));
    }
}
