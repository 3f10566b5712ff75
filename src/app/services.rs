//! The domain's services, as the HTTP adapter uses them.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::backend::{Backend, token_policy};
use super::error::StartError;
use crate::adapters::cache::{CachedApplicationRepository, CachedPersonRepository};
use crate::adapters::database::Database;
use crate::adapters::http::{
    self, AnswerBudget, ClockCheck, ConfirmWrites, CorsOrigins, DatabaseCheck, HttpMetrics, Services, TrustedProxies,
};
use crate::adapters::identity_provider::{OpenIdError, OpenIdProvider};
use crate::adapters::jwt::JwtTokenIssuer;
use crate::adapters::webauthn::WebauthnVerifier;
use crate::config::{Config, IdentityProviderConfig};
use crate::domain::applications::ApplicationRepository;
use crate::domain::limits::{FailurePolicy, FailureThrottle, RateLimits};
use crate::domain::memories::{Erasure, MemoryService, OwnerEraser, PersonalMemories};
use crate::domain::oauth::{
    AccessGuard, ClientAuthenticator, ClientDocumentSource, DocumentClients, DynamicRegistration, GrantStore,
    SigningClock, TokenIssuer, TokenPorts, TokenService,
};
use crate::domain::people::{
    ChallengeKey, ExternalSignIn, PasskeyPorts, PasskeyService, PasskeyVerifier, PersonRepository, SignInPorts,
    SignInService,
};
use crate::domain::system::StorageError;

/// Connects the readiness check to the database, and to the keys last read from it.
struct Ping {
    database: Database,
    issuer: Arc<JwtTokenIssuer>,
}

#[async_trait]
impl DatabaseCheck for Ping {
    async fn check(&self) -> Result<(), StorageError> {
        self.database.ping().await?;
        if self.issuer.is_up_to_date() {
            return Ok(());
        }
        // The keys that were opened before continue to sign, but the next start would fail.
        Err(StorageError::InconsistentRow {
            table: "signing_keys",
            key: "any".to_owned(),
            detail: "the keys cannot be opened with the master key of this instance".to_owned(),
        })
    }
}

/// Connects the readiness check to the clock, and to the keys last read.
struct KeyClock {
    issuer: Arc<JwtTokenIssuer>,
    clock: SigningClock,
}

impl ClockCheck for KeyClock {
    fn warning(&self) -> Option<String> {
        let from = self.clock.behind(self.issuer.keys_active_from())?;
        Some(format!(
            "the clock is behind the signing keys, which are active from {from}; it was ahead when they were made, or is \
             wrong now"
        ))
    }
}

/// The throttles. Clients and people are counted separately, so that neither can lock out the other.
pub(super) struct Throttles {
    clients: Arc<FailureThrottle>,
    sign_in: Arc<FailureThrottle>,
}

impl Default for Throttles {
    fn default() -> Self {
        let throttle = || Arc::new(FailureThrottle::new(FailurePolicy::default()));
        Self { clients: throttle(), sign_in: throttle() }
    }
}

impl Throttles {
    pub(super) fn render(&self) -> String {
        http::render_attempts(&[("client", self.clients.as_ref()), ("sign_in", self.sign_in.as_ref())])
    }
}

/// How people sign in.
fn sign_in(
    config: &Config,
    backend: &Backend,
    public_url: &str,
    throttle: Arc<FailureThrottle>,
) -> Result<SignInService, OpenIdError> {
    let ports = SignInPorts {
        people: Arc::clone(&backend.people),
        sessions: Arc::clone(&backend.sessions),
        hasher: Arc::clone(&backend.passwords),
        audit: Arc::clone(&backend.audit),
        clock: Arc::clone(&backend.clock),
        entropy: Arc::clone(&backend.entropy),
    };
    let external = match &config.identity_provider {
        Some(IdentityProviderConfig { provider, admission }) => {
            let provider = OpenIdProvider::new(provider.clone(), public_url, Arc::clone(&backend.clock))?;
            Some(ExternalSignIn { provider: Arc::new(provider), admission: admission.clone() })
        }
        None => None,
    };
    Ok(SignInService::new(ports, throttle, external, config.session_ttl))
}

/// Passkeys, where browsers have them at `public_url`.
fn passkeys(backend: &Backend, public_url: &str, challenge_key: ChallengeKey) -> PasskeyService {
    let verifier = WebauthnVerifier::at(public_url).map(|verifier| Arc::new(verifier) as Arc<dyn PasskeyVerifier>);
    let ports = PasskeyPorts {
        passkeys: Arc::clone(&backend.passkeys),
        verifier,
        people: Arc::clone(&backend.people),
        audit: Arc::clone(&backend.audit),
        clock: Arc::clone(&backend.clock),
        entropy: Arc::clone(&backend.entropy),
    };
    PasskeyService::new(ports, challenge_key)
}

/// What the services need beside the backend.
pub(super) struct ServiceParts {
    pub(super) issuer: Arc<JwtTokenIssuer>,
    pub(super) grants: Arc<dyn GrantStore>,
    pub(super) memories: MemoryService,
    pub(super) erasure: Erasure,
    pub(super) client_documents: Arc<dyn ClientDocumentSource>,
    pub(super) challenge_key: ChallengeKey,
    pub(super) draining: watch::Receiver<bool>,
}

/// Assembles the domain's services.
pub(super) fn services(
    config: &Config,
    backend: &Backend,
    public_url: &str,
    parts: ServiceParts,
    throttles: &Throttles,
) -> Result<Services, StartError> {
    let ServiceParts { issuer, grants, memories, erasure, client_documents, challenge_key, draining } = parts;
    let passkeys = passkeys(backend, public_url, challenge_key);
    let (clock, entropy) = (Arc::clone(&backend.clock), Arc::clone(&backend.entropy));
    let ping = Ping { database: backend.database.clone(), issuer: Arc::clone(&issuer) };
    let signing_clock =
        Arc::new(KeyClock { issuer: Arc::clone(&issuer), clock: SigningClock::new(Arc::clone(&clock)) });
    let issuer: Arc<dyn TokenIssuer> = issuer;
    let applications: Arc<dyn ApplicationRepository> =
        Arc::new(CachedApplicationRepository::new(Arc::clone(&backend.applications), Arc::clone(&clock)));
    let people: Arc<dyn PersonRepository> =
        Arc::new(CachedPersonRepository::new(Arc::clone(&backend.people), Arc::clone(&clock)));
    let policy = Arc::new(token_policy(config, public_url));
    let clients = ClientAuthenticator::new(
        Arc::clone(&applications),
        Arc::clone(&backend.secret_hasher),
        Arc::clone(&throttles.clients),
        Arc::clone(&backend.audit),
        Arc::clone(&clock),
    );
    let guard = AccessGuard::new(
        Arc::clone(&issuer),
        Arc::clone(&grants),
        Arc::clone(&applications),
        Arc::clone(&people),
        RateLimits::new(config.rate_limit),
        Arc::clone(&clock),
        Arc::clone(&policy),
    );
    let documents = config.client_id_documents.then(|| {
        DocumentClients::new(
            client_documents,
            Arc::clone(&applications),
            Arc::clone(&backend.audit),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            config.self_registered_space.clone(),
        )
    });
    let authorizations =
        backend.authorizing(Arc::clone(&applications), documents, Arc::clone(&grants), Arc::clone(&policy));
    let accounts = backend.accounts(Arc::clone(&people), authorizations.clone());
    let registration = config.dynamic_registration.then(|| {
        // Through the cache, which must not answer that it does not know a client that has just registered.
        DynamicRegistration::new(
            backend.applications_in(Arc::clone(&applications)),
            Arc::clone(&applications),
            Arc::clone(&clock),
            config.self_registered_space.clone(),
        )
    });
    let of_tokens = TokenPorts {
        issuer,
        grants,
        authorizations: authorizations.clone(),
        applications,
        people,
        audit: Arc::clone(&backend.audit),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        limits: RateLimits::new(config.rate_limit),
    };
    let tokens = TokenService::new(clients, of_tokens, Arc::clone(&policy));
    Ok(Services {
        tokens,
        sign_in: sign_in(config, backend, public_url, Arc::clone(&throttles.sign_in))?.with_passkeys(passkeys.clone()),
        passkeys,
        authorizations,
        guard,
        own_memories: PersonalMemories::new(
            memories.clone(),
            Arc::clone(&backend.tenants),
            Arc::clone(&backend.applications),
            erasure.clone(),
        ),
        eraser: OwnerEraser::new(accounts.clone(), backend.applications(), erasure),
        people: accounts,
        memories,
        policy,
        database: Arc::new(ping),
        signing_clock,
        clock,
        entropy,
        trusted_proxies: TrustedProxies::new(config.trusted_proxies.clone()),
        cors_origins: CorsOrigins::new(config.cors_origins.iter().cloned()),
        answers: Arc::new(AnswerBudget::default()),
        draining,
        imports: Arc::default(),
        metrics: Arc::new(HttpMetrics::default()),
        registration,
        client_id_documents: config.client_id_documents,
        confirm_writes: if config.gpt_confirm_writes { ConfirmWrites::Always } else { ConfirmWrites::Optional },
    })
}
