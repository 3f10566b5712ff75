//! The whole service: HTTP, the backend, and the work in the background.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::backend::Backend;
use super::background::Background;
use super::bank::Bank;
use super::embedder;
use super::error::{OpenError, StartError};
use super::services::{ServiceParts, Throttles, services};
use crate::adapters::cache::{CachedGrantStore, CachedWriteQueue, StaleSearchMemoryBank};
use crate::adapters::client_documents::HttpDocumentSource;
use crate::adapters::database::{Database, SeaOrmGrantStore, ServiceLock};
use crate::adapters::delivery_worker::TokioDeliveryWorker;
use crate::adapters::http::{self, AdminServices, Listener, PageServices, Shutdown, Tls};
use crate::adapters::jwt::JwtTokenIssuer;
use crate::adapters::system::{OsEntropy, SystemClock};
use crate::config::Config;
use crate::domain::memories::{MemoryBank, WriteQueue};
use crate::domain::oauth::{AuthorizationService, ClientDocumentSource, GrantStore, SigningClock};
use crate::domain::people::ChallengeKey;
use crate::domain::system::{Clock, Entropy};

/// Options that tests override.
pub struct GateOptions {
    /// Whether to migrate the schema.
    pub migrate: bool,
    /// Whether to refuse an SQLite file that another service uses.
    pub alone: bool,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Replaces the configured memory bank, in everything.
    pub bank: Option<Arc<dyn MemoryBank>>,
    /// Fetches the documents of clients.
    pub client_documents: Arc<dyn ClientDocumentSource>,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            migrate: true,
            alone: true,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            bank: None,
            client_documents: Arc::new(HttpDocumentSource::default()),
        }
    }
}

/// The running service.
pub struct Gate {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    public_url: String,
    authorizations: AuthorizationService,
    backend: Backend,
    background: Arc<Background>,
    worker: TokioDeliveryWorker,
    _lock: Option<ServiceLock>,
    draining: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Gate {
    /// Starts the service. When it returns, requests are served.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: &Config, options: GateOptions) -> Result<Self, StartError> {
        // Before the database is opened: a model that cannot be used is no reason to migrate it.
        let embedder = match options.bank {
            Some(_) => None,
            None => embedder::load(config).await.map_err(OpenError::from)?,
        };
        let (database, lock) = open_database(config, &options).await?;
        let (clock, entropy) = (options.clock, options.entropy);
        let bank = match options.bank {
            Some(bank) => Bank::Given(bank),
            None => Bank::new(&config.memory_bank, &database, Arc::clone(&clock), Arc::clone(&entropy), embedder)?,
        };
        let backend = Backend::with(config, database, clock, entropy, bank);
        let (keys, vault) = backend.keys_and_vault().await?;
        let challenge_key = ChallengeKey::new(vault.derived_key("passkey challenges"));
        let issuer = Arc::new(JwtTokenIssuer::new(vault, keys.maintain().await?)?);

        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let (listener, admin_listener) = bind(config).await?;
        let listener = listener.with_tls(tls.clone());
        let address = listener.address();
        let admin_address = admin_listener.as_ref().map(Listener::address);
        let public_url = public_url(config, address);

        let clock = Arc::clone(&backend.clock);
        let grants = Arc::new(SeaOrmGrantStore::new(backend.database.clone()));
        let grants: Arc<dyn GrantStore> = Arc::new(CachedGrantStore::new(grants, Arc::clone(&clock)));
        let queue = cached_queue(config, &backend);
        let bank = match config.stale_search {
            Some(_) => Arc::new(StaleSearchMemoryBank::new(backend.bank())),
            None => backend.bank(),
        };
        let erasure = backend.erasure(Arc::clone(&bank), Arc::clone(&queue));
        if lock.as_ref().is_some_and(ServiceLock::is_exclusive) {
            // Nobody else can be delivering: what a kill interrupted is due at once, not when its lease expires.
            queue.release_leases().await.map_err(OpenError::from)?;
        }
        let (memories, worker) = backend.memories(bank, Arc::clone(&queue));
        let (uploads, privacy) = (Arc::default(), http::load_privacy_policy(config.privacy_file.as_deref())?);
        let pages = PageServices { privacy, uploads: Arc::clone(&uploads) };
        let background = Arc::new(Background {
            keys,
            issuer: Arc::clone(&issuer),
            grants: Arc::clone(&grants),
            authorizations: Arc::clone(&backend.authorizations),
            sessions: Arc::clone(&backend.sessions),
            links: Arc::clone(&backend.links),
            passkeys: Arc::clone(&backend.passkeys),
            queue: Arc::clone(&queue),
            erasure: erasure.clone(),
            audit: Arc::clone(&backend.audit),
            audit_retention: config.audit_retention,
            bank: backend.bank.clone(),
            tls: tls.clone(),
            uploads,
            clock: Arc::clone(&clock),
            signing_clock: SigningClock::new(Arc::clone(&clock)),
        });
        let memories = match config.stale_search {
            Some(max_age) => memories.with_stale_searches(max_age),
            None => memories,
        };
        let throttles = Throttles::default();
        let (draining, drained) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let shutdown = Shutdown { draining: drained.clone(), stopped: stopped.clone() };
        let client_documents = options.client_documents;
        let parts =
            ServiceParts { issuer, grants, memories, erasure, client_documents, challenge_key, draining: drained };
        let services = services(config, &backend, &public_url, parts, &throttles)?;
        warn_of_one_throttle_for_all(config, &public_url);

        let authorizations = services.authorizations.clone();
        let metrics = Arc::clone(&services.metrics);
        let mut metrics: Vec<Box<dyn Fn() -> String + Send + Sync>> =
            vec![Box::new(move || metrics.render()), Box::new(move || throttles.render())];
        metrics.extend(backend.bank.metrics());
        let admin =
            AdminServices { metrics, queue, clock, breaker: backend.bank.breaker(), token: config.admin_token.clone() };

        // When nothing can fail any more: what a running service makes vectors with must not change for a start that ends.
        backend.adopt_embedding_model().await?;
        let mut tasks = vec![
            listener.serve(http::routes(services, pages), shutdown.clone()),
            tokio::spawn(worker.clone().run(stopped.clone())),
            tokio::spawn(Arc::clone(&background).run(stopped.clone())),
            tokio::spawn(Arc::clone(&background).reindex(stopped.clone())),
            tokio::spawn(Arc::clone(&background).embed(stopped)),
        ];
        if let Some(listener) = admin_listener {
            tasks.push(listener.serve(http::admin_routes(admin), shutdown));
        }
        Ok(Self {
            address,
            admin_address,
            public_url,
            authorizations,
            backend,
            background,
            worker,
            _lock: lock,
            draining,
            stop,
            tasks,
        })
    }

    /// The address of the listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the operator's listener.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The public URL, without a trailing slash.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Manages authorizations.
    #[must_use]
    pub fn authorizations(&self) -> &AuthorizationService {
        &self.authorizations
    }

    /// The backend, as the operator's commands use it.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Runs the periodic background work once.
    pub async fn run_background_work(&self) {
        self.background.watch_keys().await;
        self.background.watch_certificate();
        self.worker.deliver_due().await;
        self.background.sweep().await;
        self.background.check_erasures().await;
        self.background.embed_once().await;
    }

    /// Drains: readiness returns 503 and responses close their connections, while requests are still served, so that a load
    /// balancer sends requests elsewhere before the port closes.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Shuts down: requests in flight finish, new ones are not accepted.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(error = %error, "background task failed");
            }
        }
        self.backend.database.close().await;
    }
}

/// The configured public URL, or one by which this machine reaches `address`, without a trailing slash. The unspecified
/// address (`0.0.0.0`, `[::]`) is replaced by loopback.
#[must_use]
pub fn public_url(config: &Config, address: SocketAddr) -> String {
    if let Some(url) = &config.public_url {
        return url.base().to_owned();
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    if !address.ip().is_unspecified() {
        return format!("{scheme}://{address}");
    }
    let loopback = match address {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let url = format!("{scheme}://{}", SocketAddr::new(loopback, address.port()));
    tracing::warn!(
        public_url = %url,
        "MEMGATE_LISTEN is every address of this machine and MEMGATE_PUBLIC_URL is not set: tokens are issued for a URL that \
         only this machine reaches; set MEMGATE_PUBLIC_URL to the URL that clients use"
    );
    url
}

/// Opens the database, with its schema up to date, and registers the service with other processes.
async fn open_database(config: &Config, options: &GateOptions) -> Result<(Database, Option<ServiceLock>), StartError> {
    let database =
        if options.migrate { Backend::connect(config).await? } else { Backend::connect_existing(config).await? };
    let lock = if options.alone { Some(database.lock_for_service().await?) } else { None };
    if options.migrate {
        database.migrate_up().await?;
        return Ok((database, lock));
    }
    let pending = database.migrations().await?.iter().filter(|migration| !migration.applied).count();
    if pending > 0 { Err(StartError::PendingMigrations(pending)) } else { Ok((database, lock)) }
}

/// Binds the ports, for clients and for the operator.
async fn bind(config: &Config) -> Result<(Listener, Option<Listener>), StartError> {
    let listen = |error| StartError::Listen(config.listen, error);
    let listener = Listener::bind(config.listen).await.map_err(listen)?;
    let Some(address) = config.admin_listen else { return Ok((listener, None)) };
    let admin = Listener::bind(address).await.map_err(|error| StartError::AdminListen(address, error))?;
    Ok((listener, Some(admin)))
}

fn warn_of_one_throttle_for_all(config: &Config, public_url: &str) {
    if all_share_one_throttle(config, public_url) {
        tracing::warn!(
            "the public URL is https, but neither a certificate nor a trusted proxy is configured: all clients seem to \
             come from one address and share its throttle of failed attempts; set MEMGATE_TRUSTED_PROXIES to the address \
             of the proxy"
        );
    }
}

/// Whether all clients seem to have one address: if the public URL is https and memgate does not terminate TLS itself, a
/// proxy must, and it is not configured.
fn all_share_one_throttle(config: &Config, public_url: &str) -> bool {
    public_url.starts_with("https://") && config.tls.is_none() && config.trusted_proxies.is_empty()
}

/// Instances that share PostgreSQL query it each time, so that one finds what another has just accepted.
fn cached_queue(config: &Config, backend: &Backend) -> Arc<dyn WriteQueue> {
    let queue = backend.queue();
    if config.uses_postgres() { queue } else { Arc::new(CachedWriteQueue::new(queue, Arc::clone(&backend.clock))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Values;
    use crate::domain::oauth::PublicUrl;

    #[test]
    fn one_throttle_for_all_is_noticed() {
        for (variables, shared) in [
            (vec![], false),
            (vec![("MEMGATE_PUBLIC_URL", "http://gate.example")], false),
            (vec![("MEMGATE_PUBLIC_URL", "https://gate.example")], true),
            (vec![("MEMGATE_PUBLIC_URL", "https://gate.example"), ("MEMGATE_TRUSTED_PROXIES", "10.0.0.1")], false),
            (
                vec![
                    ("MEMGATE_PUBLIC_URL", "https://gate.example"),
                    ("MEMGATE_TLS_CERT", "certificate.pem"),
                    ("MEMGATE_TLS_KEY", "key.pem"),
                ],
                false,
            ),
        ] {
            let values = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let config = Config::from_values(&Values::gather(None, values).unwrap()).unwrap();
            let public_url = config.public_url.as_ref().map_or("http://127.0.0.1:8080", PublicUrl::base);
            assert_eq!(all_share_one_throttle(&config, public_url), shared, "{variables:?}");
        }
    }
}
