//! Clients that a document describes: fetching and caching documents, and making applications of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};

use super::document::ClientDocument;
use super::document_url::DocumentUrl;
use super::source::{ClientDocumentSource, DocumentProblem};
use crate::applications::{
    Application, ApplicationChanges, ApplicationRepository, ChangeApplicationError, ClientKind, CreateApplicationError,
    NewApplication, RegisteredBy, SpaceName,
};
use crate::audit::{AuditEvent, AuditKind, AuditLog};
use crate::ids::{ApplicationId, ClientId};
use crate::limits::{AddressLimit, Coalescing, RateLimit, network_of};
use crate::system::{Clock, Entropy, StorageError, Timestamp};

/// How long a document is used without being fetched again: what its publisher says, within these bounds.
const FRESH_AT_LEAST: Duration = Duration::from_mins(5);
const FRESH_AT_MOST: Duration = Duration::from_hours(24);
/// The same for a publisher that says nothing.
const FRESH_BY_DEFAULT: Duration = Duration::from_hours(1);
/// How long after it was fetched a document is used while its publisher is unavailable.
const STALE_AT_MOST: Duration = Duration::from_hours(7 * 24);
/// How long a failure is used without another attempt.
const FAILED_FOR: Duration = Duration::from_mins(1);
/// Maximum number of cached documents and failures, at most some 10 kB each.
const CAPACITY: usize = 1_000;
/// Maximum number of documents that are fetched at the same time, from all hosts and from one.
const RUNNING_AT_MOST: usize = 16;
const RUNNING_PER_HOST: usize = 2;
/// How often documents of one host are fetched, and how many hosts are counted.
const PER_HOST: RateLimit = RateLimit { burst: 20, interval: Duration::from_secs(10) };
const HOSTS: usize = 1_000;
/// The same by who asks for them, of which so many are fetched at the same time.
const PER_ADDRESS: RateLimit = RateLimit { burst: 20, interval: Duration::from_secs(10) };
const RUNNING_PER_ADDRESS: usize = 4;
const ADDRESSES: usize = 10_000;
/// After how long the application of a document is written again although nothing changed, so that no sweep takes an
/// application that is being connected.
const WRITTEN_AGAIN_AFTER: Duration = Duration::from_mins(10);

/// Turns documents into applications.
///
/// A document becomes an application when the first person consents, so that nobody without an account can fill the database. That row
/// is also the copy that survives a restart.
#[derive(Clone)]
pub struct DocumentClients {
    source: Arc<dyn ClientDocumentSource>,
    applications: Arc<dyn ApplicationRepository>,
    audit: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    space: SpaceName,
    known: Arc<Mutex<HashMap<ClientId, Known>>>,
    running: Arc<Coalescing<Outcome>>,
    fetches: Arc<Mutex<Fetches>>,
    by_address: Arc<AddressLimit>,
}

type Outcome = Result<Confirmed, DocumentProblem>;

/// A document, and when it was fetched.
#[derive(Clone, Debug)]
struct Confirmed {
    document: Arc<ClientDocument>,
    at: Timestamp,
    fresh_until: Timestamp,
}

#[derive(Clone, Debug, Default)]
struct Known {
    confirmed: Option<Confirmed>,
    failed: Option<(DocumentProblem, Timestamp)>,
}

impl Known {
    /// When something of it was learned last.
    fn learned_at(&self) -> Option<Timestamp> {
        self.confirmed.as_ref().map(|confirmed| confirmed.at).max(self.failed.as_ref().map(|(_, at)| *at))
    }
}

/// Why an application was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// There are [`DocumentClients::MAX_APPLICATIONS`].
    #[error("too many applications are connected by documents")]
    TooMany,
    /// An operator changed the stored application so that it and its document exclude each other.
    #[error("the application and its document exclude each other")]
    Inconsistent(#[source] ChangeApplicationError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl DocumentClients {
    /// Maximum number of applications of documents. The check is not atomic: concurrent callers may exceed it by as many as they
    /// are.
    pub const MAX_APPLICATIONS: u64 = 5_000;

    /// Assembles the service. The memories of all these clients live in `space`, so that a person finds the same ones in each.
    pub fn new(
        source: Arc<dyn ClientDocumentSource>,
        applications: Arc<dyn ApplicationRepository>,
        audit: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        space: SpaceName,
    ) -> Self {
        Self {
            source,
            applications,
            audit,
            clock,
            entropy,
            space,
            known: Arc::default(),
            running: Arc::default(),
            fetches: Arc::default(),
            by_address: Arc::new(AddressLimit::new(PER_ADDRESS, ADDRESSES)),
        }
    }

    /// The application that the document at `url` describes now. `stored` is what is stored of it. Nothing is written. Anybody at
    /// `address` can ask for any document, so what has to be fetched is counted there.
    ///
    /// # Errors
    /// [`DocumentProblem`] if the document cannot be used, and cannot be replaced by an earlier copy either.
    pub async fn application(
        &self,
        url: &DocumentUrl,
        stored: Option<Arc<Application>>,
        address: IpAddr,
    ) -> Result<Arc<Application>, DocumentProblem> {
        let confirmed = match self.document(url, address).await {
            Ok(confirmed) => confirmed,
            Err(problem) => {
                let now = self.clock.now();
                let confirmed_at = |application: &Application| match application.registered_by {
                    RegisteredBy::Document { confirmed_at } => Some(confirmed_at),
                    RegisteredBy::Operator | RegisteredBy::Itself => None,
                };
                let is_recent = |application: &Arc<Application>| {
                    confirmed_at(application).is_some_and(|at| now.since(at) <= STALE_AT_MOST)
                };
                return stored.filter(is_recent).filter(|_| problem.is_outage()).ok_or(problem);
            }
        };
        let ClientDocument { name, redirect_uris, grants, .. } = ClientDocument::clone(&confirmed.document);
        let registered_by = RegisteredBy::Document { confirmed_at: confirmed.at };
        if let Some(stored) = stored {
            let stored = Application::clone(&stored);
            return Ok(Arc::new(Application { name, registered_by, grants, redirect_uris, ..stored }));
        }
        let new = NewApplication {
            client_id: Some(url.client_id().clone()),
            registered_by,
            redirect_uris,
            space: Some(self.space.clone()),
            ..NewApplication::new(name, ClientKind::Public, grants)
        };
        Ok(Arc::new(Application::new(new, ApplicationId::generate(&*self.entropy), self.clock.now())))
    }

    /// Stores an application as its document describes it. Returns it as it is stored.
    ///
    /// # Errors
    /// [`SaveError`].
    pub async fn save(&self, application: &Application) -> Result<Arc<Application>, SaveError> {
        loop {
            match self.applications.find_by_client_id(&application.client_id).await? {
                Some(stored) => match self.renew(stored, application).await {
                    Err(ChangeApplicationError::NotFound) => {}
                    Err(ChangeApplicationError::Storage(error)) => return Err(error.into()),
                    Err(error @ (ChangeApplicationError::Inconsistent(_) | ChangeApplicationError::TooManySecrets)) => {
                        return Err(SaveError::Inconsistent(error));
                    }
                    Ok(renewed) => return Ok(renewed),
                },
                None => match self.create(application).await {
                    Err(CreateApplicationError::Exists) => {}
                    Err(CreateApplicationError::Storage(error)) => return Err(error.into()),
                    Ok(None) => return Err(SaveError::TooMany),
                    Ok(Some(created)) => return Ok(created),
                },
            }
        }
    }

    async fn create(&self, application: &Application) -> Result<Option<Arc<Application>>, CreateApplicationError> {
        if self.applications.count_registered_by(application.registered_by).await? >= Self::MAX_APPLICATIONS {
            return Ok(None);
        }
        self.applications.create(application).await?;
        self.record(AuditKind::ApplicationCreated, application.id).await;
        Ok(Some(Arc::new(application.clone())))
    }

    async fn renew(
        &self,
        stored: Arc<Application>,
        current: &Application,
    ) -> Result<Arc<Application>, ChangeApplicationError> {
        let now = self.clock.now();
        let changed = stored.name != current.name
            || stored.redirect_uris != current.redirect_uris
            || stored.grants != current.grants;
        if !changed && now.since(stored.updated_at) < WRITTEN_AGAIN_AFTER {
            return Ok(stored);
        }
        let update = ApplicationChanges {
            registered_by: Some(current.registered_by),
            name: Some(current.name.clone()),
            redirect_uris: Some(current.redirect_uris.clone()),
            grants: Some(current.grants.clone()),
            ..ApplicationChanges::default()
        };
        let renewed = self.applications.update(stored.id, &update, now).await?;
        if changed {
            self.record(AuditKind::ApplicationUpdated, stored.id).await;
        }
        Ok(renewed)
    }

    async fn record(&self, kind: AuditKind, application: ApplicationId) {
        self.audit.record(&AuditEvent::new(kind, self.clock.now()).application(application)).await;
    }

    /// The document at `url`: cached, fetched, or stale if it cannot be fetched.
    async fn document(&self, url: &DocumentUrl, address: IpAddr) -> Outcome {
        let now = self.clock.now();
        let known = lock(&self.known).get(url.client_id()).cloned().unwrap_or_default();
        if let Some(confirmed) = &known.confirmed
            && confirmed.at <= now
            && now < confirmed.fresh_until
        {
            return Ok(confirmed.clone());
        }
        let failed = known.failed.filter(|(_, at)| *at <= now && now.since(*at) < FAILED_FOR);
        let problem = match failed {
            Some((problem, _)) => problem,
            None => match self.fetch(url, address, now).await {
                Ok(confirmed) => return Ok(confirmed),
                Err(problem) => problem,
            },
        };
        let is_recent = |confirmed: &Confirmed| now.since(confirmed.at) <= STALE_AT_MOST;
        known.confirmed.filter(is_recent).filter(|_| problem.is_outage()).ok_or(problem)
    }

    /// Fetches the document once for all who wait for it, and caches the outcome.
    async fn fetch(&self, url: &DocumentUrl, address: IpAddr, now: Timestamp) -> Outcome {
        let digest = Sha256::digest(url.client_id().as_str()).into();
        let fetching = self.running.join_or_begin(digest, || {
            let counted = self.by_address.take(address, now);
            counted.map_err(|retry_after| DocumentProblem::AskedTooOften { retry_after })?;
            let running = Fetches::begin(&self.fetches, url.host(), network_of(address), now)?;
            let (source, url) = (Arc::clone(&self.source), url.clone());
            Ok::<_, DocumentProblem>(
                async move {
                    let _running = running;
                    let fetched = source.fetch(&url).await?;
                    let document = Arc::new(ClientDocument::parse(&url, &fetched.body)?);
                    if !document.dropped.is_empty() {
                        source.note_dropped(&url, &document.dropped);
                    }
                    let fresh = fetched.max_age.unwrap_or(FRESH_BY_DEFAULT).clamp(FRESH_AT_LEAST, FRESH_AT_MOST);
                    Ok(Confirmed { document, at: now, fresh_until: now.plus(fresh) })
                }
                .boxed(),
            )
        });
        let outcome = match fetching {
            Ok(fetching) => fetching.await,
            // Nothing was learned of the document.
            Err(busy) => return Err(busy),
        };
        self.cache(url.client_id(), &outcome, now);
        outcome
    }

    fn cache(&self, client_id: &ClientId, outcome: &Outcome, now: Timestamp) {
        let mut known = lock(&self.known);
        if known.len() >= CAPACITY && !known.contains_key(client_id) {
            // A failure can be learned again at any time, a document only while its publisher is available.
            let oldest = known.iter().min_by_key(|(_, known)| (known.confirmed.is_some(), known.learned_at()));
            if let Some(oldest) = oldest.map(|(client_id, _)| client_id.clone()) {
                known.remove(&oldest);
            }
        }
        let entry = known.entry(client_id.clone()).or_default();
        match outcome {
            Ok(confirmed) => *entry = Known { confirmed: Some(confirmed.clone()), failed: None },
            Err(problem) => {
                entry.failed = Some((problem.clone(), now));
                if !problem.is_outage() {
                    // Its publisher has withdrawn it.
                    entry.confirmed = None;
                }
            }
        }
    }
}

/// What is being fetched from where.
#[derive(Default)]
struct Fetches {
    /// For whom each is running.
    running: Vec<IpAddr>,
    hosts: HashMap<String, Host>,
}

#[derive(Clone, Copy, Default)]
struct Host {
    running: usize,
    /// See [`RateLimit::take`].
    full_again: i64,
}

/// A fetch that is counted until this is dropped.
struct Running {
    fetches: Arc<Mutex<Fetches>>,
    host: String,
    network: IpAddr,
}

impl Fetches {
    fn begin(
        fetches: &Arc<Mutex<Self>>,
        host: &str,
        network: IpAddr,
        now: Timestamp,
    ) -> Result<Running, DocumentProblem> {
        let mut all = lock(fetches);
        let of_network = all.running.iter().filter(|other| **other == network).count();
        if all.running.len() >= RUNNING_AT_MOST || of_network >= RUNNING_PER_ADDRESS {
            return Err(DocumentProblem::Busy);
        }
        if all.hosts.len() >= HOSTS && !all.hosts.contains_key(host) {
            all.hosts.retain(|_, host| host.running > 0 || host.full_again > now.unix_millis());
            if all.hosts.len() >= HOSTS {
                return Err(DocumentProblem::Busy);
            }
        }
        let counted = all.hosts.entry(host.to_owned()).or_default();
        if counted.running >= RUNNING_PER_HOST || PER_HOST.take(&mut counted.full_again, now).is_err() {
            return Err(DocumentProblem::Busy);
        }
        counted.running += 1;
        all.running.push(network);
        Ok(Running { fetches: Arc::clone(fetches), host: host.to_owned(), network })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut all = lock(&self.fetches);
        if let Some(index) = all.running.iter().position(|network| *network == self.network) {
            all.running.swap_remove(index);
        }
        if let Some(host) = all.hosts.get_mut(&self.host) {
            host.running -= 1;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
