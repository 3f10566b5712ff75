//! The backend: the database and everything built on it. The service and the operator's commands share it.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::bank::Bank;
use super::embedder;
use super::error::OpenError;
use crate::adapters::bcrypt::{BcryptPasswordHasher, BcryptSecretHasher, BcryptThreads};
use crate::adapters::cache::CachedTenantRegistry;
use crate::adapters::database::memories::{EmbeddedMemoryBank, VectorCounts};
use crate::adapters::database::{
    Database, DatabaseError, DatabaseOptions, SeaOrmApplicationRepository, SeaOrmAuditLog, SeaOrmAuthorizationStore,
    SeaOrmGrantStore, SeaOrmPasskeyRepository, SeaOrmPasswordLinkStore, SeaOrmPersonRepository, SeaOrmSessionStore,
    SeaOrmSigningKeyStore, SeaOrmTenantRegistry, SeaOrmWriteQueue, ServiceLock,
};
use crate::adapters::delivery_worker::{DeliveryWorkerOptions, TokioDeliveryWorker};
use crate::adapters::jwt::SealingKeyVault;
use crate::adapters::key_file;
use crate::adapters::system::{OsEntropy, SystemClock};
use crate::config::Config;
use crate::domain::applications::{ApplicationRepository, ApplicationService, SecretHasher};
use crate::domain::audit::AuditLog;
use crate::domain::memories::{
    Delivery, DeliveryPolicy, Embedder, EmbeddingModel, Erasure, MemoryBank, MemoryBankError, MemoryService,
    MemoryTransfers, OwnerEraser, QueueOperations, TenantRegistry, WriteQueue,
};
use crate::domain::oauth::{
    AuthorizationPorts, AuthorizationService, AuthorizationStore, DocumentClients, GrantStore, KeyPolicy, KeyService,
    PublicUrl, Resources, SigningKeyStore, TokenPolicy,
};
use crate::domain::people::{
    PasskeyRepository, PasswordHasher, PasswordLinkStore, PeoplePorts, PeopleService, PersonRepository, SessionStore,
};
use crate::domain::system::{Clock, Entropy, Timestamp};

/// Maximum clock skew between instances.
const LEEWAY: Duration = Duration::from_secs(5);

/// The adapters that need no HTTP.
#[derive(Clone)]
pub struct Backend {
    pub(super) config: Config,
    pub(super) database: Database,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) applications: Arc<dyn ApplicationRepository>,
    pub(super) secret_hasher: Arc<dyn SecretHasher>,
    pub(super) people: Arc<dyn PersonRepository>,
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) links: Arc<dyn PasswordLinkStore>,
    pub(super) passkeys: Arc<dyn PasskeyRepository>,
    pub(super) authorizations: Arc<dyn AuthorizationStore>,
    pub(super) passwords: Arc<dyn PasswordHasher>,
    pub(super) audit: Arc<dyn AuditLog>,
    pub(super) tenants: Arc<dyn TenantRegistry>,
    pub(super) bank: Bank,
}

impl Backend {
    /// Connects to the configured database, and creates its file if the URL says so.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub async fn connect(config: &Config) -> Result<Database, DatabaseError> {
        Database::connect(config.database_url.expose_secret(), database_options(config)).await
    }

    /// Connects to the configured database, which must exist.
    ///
    /// # Errors
    /// [`DatabaseError::NoDatabase`], [`DatabaseError`].
    pub async fn connect_existing(config: &Config) -> Result<Database, DatabaseError> {
        Database::connect_existing(config.database_url.expose_secret(), database_options(config)).await
    }

    /// Connects to the database, which must exist with its schema up to date, and assembles the adapters.
    ///
    /// # Errors
    /// [`OpenError::PendingMigrations`], [`OpenError`].
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        Self::open_with(config, None).await
    }

    /// As [`open`](Self::open), with the embedding model if one is configured: for those who search or make vectors.
    ///
    /// # Errors
    /// [`OpenError::EmbeddingModel`], and as [`open`](Self::open).
    pub async fn open_with_model(config: &Config) -> Result<Self, OpenError> {
        Self::open_with(config, embedder::load(config).await?).await
    }

    async fn open_with(config: &Config, embedder: Option<Arc<dyn Embedder>>) -> Result<Self, OpenError> {
        let database = Self::connect_existing(config).await?;
        let count = database.migrations().await?.iter().filter(|migration| !migration.applied).count();
        if count > 0 {
            return Err(OpenError::PendingMigrations { location: database.location().to_owned(), count });
        }
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let bank = Bank::new(&config.memory_bank, &database, clock.clone(), entropy.clone(), embedder)?;
        Ok(Self::with(config, database, clock, entropy, bank))
    }

    /// Assembles the adapters on a database whose schema is up to date, before `bank`.
    pub(super) fn with(
        config: &Config,
        database: Database,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        bank: Bank,
    ) -> Self {
        let threads = BcryptThreads::new(config.bcrypt_cost, config.bcrypt_threads);
        let passwords = BcryptPasswordHasher::new(threads.clone(), &*entropy);
        let secret_hasher = BcryptSecretHasher::new(threads, Arc::clone(&clock), &*entropy);
        Self {
            config: config.clone(),
            applications: Arc::new(SeaOrmApplicationRepository::new(database.clone())),
            audit: Arc::new(SeaOrmAuditLog::new(database.clone())),
            people: Arc::new(SeaOrmPersonRepository::new(database.clone())),
            sessions: Arc::new(SeaOrmSessionStore::new(database.clone())),
            links: Arc::new(SeaOrmPasswordLinkStore::new(database.clone())),
            passkeys: Arc::new(SeaOrmPasskeyRepository::new(database.clone())),
            authorizations: Arc::new(SeaOrmAuthorizationStore::new(database.clone())),
            passwords: Arc::new(passwords),
            secret_hasher: Arc::new(secret_hasher),
            tenants: Arc::new(CachedTenantRegistry::new(
                Arc::new(SeaOrmTenantRegistry::new(database.clone())),
                Arc::clone(&clock),
            )),
            bank,
            database,
            clock,
            entropy,
        }
    }

    /// Manages applications.
    #[must_use]
    pub fn applications(&self) -> ApplicationService {
        self.applications_in(Arc::clone(&self.applications))
    }

    /// Manages applications in this repository, which may have a cache in front.
    pub(super) fn applications_in(&self, repository: Arc<dyn ApplicationRepository>) -> ApplicationService {
        ApplicationService::new(
            repository,
            Arc::clone(&self.secret_hasher),
            Arc::clone(&self.audit),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
        )
    }

    /// Manages people.
    #[must_use]
    pub fn people(&self) -> PeopleService {
        let public_url = self.config.public_url.as_ref().map_or("", PublicUrl::base);
        let grants = Arc::new(SeaOrmGrantStore::new(self.database.clone()));
        let policy = Arc::new(token_policy(&self.config, public_url));
        let authorizations = self.authorizing(Arc::clone(&self.applications), None, grants, policy);
        self.accounts(Arc::clone(&self.people), authorizations)
    }

    /// Manages people through these ports, which may have caches in front.
    pub(super) fn accounts(
        &self,
        people: Arc<dyn PersonRepository>,
        authorizations: AuthorizationService,
    ) -> PeopleService {
        PeopleService::new(PeoplePorts {
            people,
            sessions: Arc::clone(&self.sessions),
            links: Arc::clone(&self.links),
            hasher: Arc::clone(&self.passwords),
            authorizations: Arc::new(authorizations),
            audit: Arc::clone(&self.audit),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        })
    }

    /// Manages authorizations.
    pub(super) fn authorizing(
        &self,
        applications: Arc<dyn ApplicationRepository>,
        documents: Option<DocumentClients>,
        grants: Arc<dyn GrantStore>,
        policy: Arc<TokenPolicy>,
    ) -> AuthorizationService {
        let ports = AuthorizationPorts {
            applications,
            documents,
            authorizations: Arc::clone(&self.authorizations),
            grants,
            audit: Arc::clone(&self.audit),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        };
        AuthorizationService::new(ports, policy)
    }

    /// Deletes people and applications, with everything stored for them.
    #[must_use]
    pub fn eraser(&self) -> OwnerEraser {
        OwnerEraser::new(self.people(), self.applications(), self.erasure(self.bank(), self.queue()))
    }

    /// Deletes memories in `bank` and in `queue`.
    pub(super) fn erasure(&self, bank: Arc<dyn MemoryBank>, queue: Arc<dyn WriteQueue>) -> Erasure {
        Erasure::new(bank, queue, Arc::clone(&self.tenants), Arc::clone(&self.clock))
    }

    /// Exports and imports memories for an operator.
    #[must_use]
    pub fn transfers(&self) -> MemoryTransfers {
        MemoryTransfers::new(self.bank(), self.tenants(), self.audit(), self.clock())
    }

    /// The audit log.
    #[must_use]
    pub fn audit(&self) -> Arc<dyn AuditLog> {
        Arc::clone(&self.audit)
    }

    /// Who has memories where.
    #[must_use]
    pub fn tenants(&self) -> Arc<dyn TenantRegistry> {
        Arc::clone(&self.tenants)
    }

    /// The memory bank.
    #[must_use]
    pub fn bank(&self) -> Arc<dyn MemoryBank> {
        self.bank.port()
    }

    /// The model with which vectors of memories are made, if one was opened and the bank is the embedded one.
    #[must_use]
    pub fn embedding_model(&self) -> Option<&EmbeddingModel> {
        self.embedded()?.model()
    }

    /// Makes the opened embedding model, if there is one, that with which all instances make vectors.
    ///
    /// # Errors
    /// [`OpenError::Memories`].
    pub async fn adopt_embedding_model(&self) -> Result<(), OpenError> {
        match self.embedded() {
            Some(bank) => Ok(bank.adopt_model().await?),
            None => Ok(()),
        }
    }

    /// How many memories have vectors; `None` if the bank is not the embedded one.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub async fn vector_counts(&self) -> Result<Option<VectorCounts>, MemoryBankError> {
        match self.embedded() {
            Some(bank) => bank.vector_counts().await.map(Some),
            None => Ok(None),
        }
    }

    /// Deletes all vectors.
    ///
    /// # Errors
    /// [`MemoryBankError`].
    pub async fn delete_vectors(&self) -> Result<(), MemoryBankError> {
        match self.embedded() {
            Some(bank) => bank.delete_vectors().await,
            None => Ok(()),
        }
    }

    /// Makes the vectors of all memories that have none, and returns of how many.
    ///
    /// # Errors
    /// [`MemoryBankError`]; completed work is kept.
    pub async fn embed(&self) -> Result<u64, MemoryBankError> {
        match self.embedded() {
            Some(bank) => bank.embed().await,
            None => Ok(0),
        }
    }

    fn embedded(&self) -> Option<&EmbeddedMemoryBank> {
        self.bank.embedded()
    }

    /// The write queue.
    #[must_use]
    pub fn queue(&self) -> Arc<dyn WriteQueue> {
        Arc::new(SeaOrmWriteQueue::new(self.database.clone()))
    }

    /// Memories in `bank`, and the worker that delivers to it what is in `queue`.
    pub(super) fn memories(
        &self,
        bank: Arc<dyn MemoryBank>,
        queue: Arc<dyn WriteQueue>,
    ) -> (MemoryService, TokioDeliveryWorker) {
        let policy = DeliveryPolicy {
            capacity: self.config.queue_capacity,
            retention: self.config.queue_retention,
            dead_letter_retention: self.config.queue_dead_letter_retention,
            lease: self.config.queue_lease,
            ..DeliveryPolicy::default()
        };
        let options =
            DeliveryWorkerOptions { wait: self.config.queue_wait, concurrency: self.config.queue_concurrency };
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        let tenants = Arc::clone(&self.tenants);
        let delivery = Arc::new(Delivery::new(bank, tenants, queue, Arc::clone(&clock), entropy, policy));
        let worker = TokioDeliveryWorker::new(Arc::clone(&delivery), options);
        (MemoryService::new(delivery, Arc::new(worker.clone()), Arc::clone(&self.audit), clock), worker)
    }

    /// The database's location, without user and password.
    #[must_use]
    pub fn location(&self) -> &str {
        self.database.location()
    }

    /// Prevents services from starting until the lock is dropped.
    ///
    /// # Errors
    /// [`DatabaseError::InUse`] if one is running, and as [`Database::lock_out_services`].
    pub async fn lock_out_services(&self) -> Result<ServiceLock, DatabaseError> {
        self.database.lock_out_services().await
    }

    /// Manages undelivered writes.
    #[must_use]
    pub fn queue_operations(&self) -> QueueOperations {
        QueueOperations::new(self.queue(), self.audit(), Arc::clone(&self.clock))
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Manages signing keys. Needs the master key.
    ///
    /// # Errors
    /// [`OpenError::MasterKey`], [`OpenError::Storage`].
    pub async fn keys(&self) -> Result<KeyService, OpenError> {
        Ok(self.keys_and_vault().await?.0)
    }

    pub(super) async fn keys_and_vault(&self) -> Result<(KeyService, Arc<SealingKeyVault>), OpenError> {
        let store = Arc::new(SeaOrmSigningKeyStore::new(self.database.clone()));
        let keys_exist = !store.list().await?.is_empty();
        let (configured, url) = (self.config.master_key.as_ref(), self.config.database_url.expose_secret());
        let master = key_file::resolve(configured, url, &*self.entropy, keys_exist)?;
        let vault = Arc::new(SealingKeyVault::new(master, Arc::clone(&self.entropy)));
        let policy = KeyPolicy {
            access_token_algorithm: self.config.token_algorithm,
            rotate_after: self.config.key_rotation,
            publish_before: self.config.key_publish_before,
        };
        let (audit, clock) = (Arc::clone(&self.audit), Arc::clone(&self.clock));
        let service = KeyService::new(store, Arc::clone(&vault) as Arc<_>, audit, clock, policy);
        Ok((service, vault))
    }
}

fn database_options(config: &Config) -> DatabaseOptions {
    DatabaseOptions { connections: config.database_connections, ..DatabaseOptions::default() }
}

/// The token policy of a service at `public_url`.
pub(super) fn token_policy(config: &Config, public_url: &str) -> TokenPolicy {
    TokenPolicy {
        resources: Resources { issuer: public_url.to_owned(), api: public_url.to_owned() },
        access_token_ttl: config.access_token_ttl,
        refresh_token_ttl: config.refresh_token_ttl,
        grant_ttl: config.grant_ttl,
        retry_window: config.refresh_retry_window,
        public_retry_window: config.public_refresh_retry_window.max(config.refresh_retry_window),
        leeway: LEEWAY,
    }
}
