//! The routes over in-memory adapters, called without a network.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memgate::adapters::http::{
    AnswerBudget, ClockCheck, Compressible, ConfirmWrites, CorsOrigins, DatabaseCheck, PageServices, Services,
    TrustedProxies, routes,
};
use memgate::domain::applications::{Application, ApplicationService, ClientSecret};
use memgate::domain::limits::{FailurePolicy, FailureThrottle, RateLimits};
use memgate::domain::memories::{
    Delivery, DeliveryPolicy, Erasure, MemoryBank, MemoryService, OwnerEraser, PersonalMemories, TenantRegistry,
};
use memgate::domain::oauth::{
    AccessGuard, AuthorizationPorts, AuthorizationService, ClientAuthenticator, Resources, TokenPolicy, TokenPorts,
    TokenService,
};
use memgate::domain::people::{
    Admission, ChallengeKey, ExternalSignIn, PasskeyPorts, PasskeyService, PeoplePorts, PeopleService, SignInPorts,
    SignInService,
};
use memgate::domain::system::{Clock, StorageError};
use memgate_domain::testing::{
    FakeIdentityProvider, FakePasswordHasher, FakeSecretHasher, FakeTokenIssuer, FixedClock,
    InMemoryApplicationRepository, InMemoryAuditLog, InMemoryAuthorizationStore, InMemoryGrantStore,
    InMemoryMemoryBank, InMemoryPasskeyRepository, InMemoryPasswordLinkStore, InMemoryPersonRepository,
    InMemorySessionStore, InMemoryTenantRegistry, InMemoryWriteQueue, InlineDeliveryWorker, Outage, SeededEntropy,
    application_with_secret, database_unavailable,
};
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderMap, Method, StatusCode};
use poem::{Endpoint, Request, RequestBuilder, Response};
use serde_json::{Value, json};

/// The public URL of the face.
pub const PUBLIC_URL: &str = "https://gate.example.org";
pub const FORM: &str = "application/x-www-form-urlencoded";
/// RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The routes, and the switches behind them.
pub struct Face {
    endpoint: BoxEndpoint<'static>,
    pub draining: tokio::sync::watch::Sender<bool>,
    pub application: Application,
    pub secret: ClientSecret,
    pub clock: FixedClock,
    pub applications_outage: Outage,
    pub database: Arc<Database>,
    pub hasher: Arc<FakeSecretHasher>,
    pub issuer: Arc<FakeTokenIssuer>,
    pub people: Arc<InMemoryPersonRepository>,
    pub sessions_outage: Outage,
    pub provider: Arc<FakeIdentityProvider>,
    pub authorizations: AuthorizationService,
}

/// What a face is made of, where a test wants it differently.
pub struct Parts {
    pub bank: Arc<dyn MemoryBank>,
    pub rate_limit: u32,
    pub application: Application,
    pub secret: ClientSecret,
    pub answers: AnswerBudget,
}

impl Default for Parts {
    fn default() -> Self {
        let (application, secret) = application_with_secret();
        Self {
            bank: Arc::new(InMemoryMemoryBank::default()),
            rate_limit: 1000,
            application,
            secret,
            answers: AnswerBudget::default(),
        }
    }
}

/// A database that is there or not.
#[derive(Default)]
pub struct Database(std::sync::atomic::AtomicBool);

impl Database {
    pub fn begin_outage(&self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

struct RightClock;

impl ClockCheck for RightClock {
    fn warning(&self) -> Option<String> {
        None
    }
}

#[async_trait]
impl DatabaseCheck for Database {
    async fn check(&self) -> Result<(), StorageError> {
        if self.0.load(std::sync::atomic::Ordering::SeqCst) { Err(database_unavailable()) } else { Ok(()) }
    }
}

fn policy() -> TokenPolicy {
    TokenPolicy {
        resources: Resources { issuer: PUBLIC_URL.to_owned(), api: PUBLIC_URL.to_owned() },
        access_token_ttl: Duration::from_hours(1),
        refresh_token_ttl: Duration::from_hours(720),
        grant_ttl: Duration::from_hours(2160),
        retry_window: Duration::from_secs(30),
        public_retry_window: Duration::from_mins(10),
        leeway: Duration::from_secs(5),
    }
}

impl Face {
    pub fn new() -> Self {
        Self::of(Parts::default())
    }

    pub fn on(bank: impl MemoryBank + 'static) -> Self {
        Self::of(Parts { bank: Arc::new(bank), ..Parts::default() })
    }

    #[expect(clippy::too_many_lines, reason = "it puts one service after the other together, and nothing else")]
    pub fn of(parts: Parts) -> Self {
        let Parts { bank, rate_limit, application, secret, answers } = parts;
        let clock = FixedClock::default();
        let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let applications = Arc::new(InMemoryApplicationRepository::holding([application.clone()]));
        let (hasher, issuer) = (Arc::new(FakeSecretHasher::default()), Arc::new(FakeTokenIssuer::default()));
        let (grants, audit) = (Arc::new(InMemoryGrantStore::default()), Arc::new(InMemoryAuditLog::default()));
        let entropy = Arc::new(SeededEntropy::default());
        let database = Arc::new(Database::default());
        let policy = Arc::new(policy());
        let throttle = Arc::new(FailureThrottle::new(FailurePolicy::default()));
        let clients = ClientAuthenticator::new(
            Arc::clone(&applications) as _,
            Arc::clone(&hasher) as _,
            throttle,
            Arc::clone(&audit) as _,
            Arc::clone(&shared_clock),
        );
        let queue = Arc::new(InMemoryWriteQueue::default());
        let people = Arc::new(InMemoryPersonRepository::default());
        let tenants: Arc<dyn TenantRegistry> =
            Arc::new(InMemoryTenantRegistry::of(Arc::clone(&people), Arc::clone(&applications)));
        let delivery = Arc::new(Delivery::new(
            Arc::clone(&bank),
            Arc::clone(&tenants),
            Arc::clone(&queue) as _,
            Arc::clone(&shared_clock),
            Arc::clone(&entropy) as _,
            DeliveryPolicy::default(),
        ));
        let authorization_ports = AuthorizationPorts {
            applications: Arc::clone(&applications) as _,
            documents: None,
            authorizations: Arc::new(InMemoryAuthorizationStore::of(Arc::clone(&people), Arc::clone(&applications))),
            grants: Arc::clone(&grants) as _,
            audit: Arc::clone(&audit) as _,
            clock: Arc::clone(&shared_clock),
            entropy: Arc::clone(&entropy) as _,
        };
        let authorizations = AuthorizationService::new(authorization_ports, Arc::clone(&policy));
        let consents = authorizations.clone();
        let token_ports = TokenPorts {
            issuer: Arc::clone(&issuer) as _,
            grants: Arc::clone(&grants) as _,
            authorizations: authorizations.clone(),
            applications: Arc::clone(&applications) as _,
            people: Arc::clone(&people) as _,
            audit: Arc::clone(&audit) as _,
            clock: Arc::clone(&shared_clock),
            entropy: Arc::clone(&entropy) as _,
            limits: RateLimits::new(1_000_000.try_into().unwrap()),
        };
        let sessions = InMemorySessionStore::of(&people);
        let sessions_outage = sessions.outage();
        let sign_in_ports = SignInPorts {
            sessions: Arc::new(sessions),
            people: Arc::clone(&people) as _,
            hasher: Arc::new(FakePasswordHasher::default()),
            audit: Arc::clone(&audit) as _,
            clock: Arc::clone(&shared_clock),
            entropy: Arc::clone(&entropy) as _,
        };
        let sign_in_throttle = Arc::new(FailureThrottle::new(FailurePolicy::default()));
        let provider = Arc::new(FakeIdentityProvider::default());
        let admission = Admission { domains: ["example.com".parse().unwrap()].into(), ..Admission::default() };
        let external = ExternalSignIn { provider: Arc::clone(&provider) as _, admission };
        let (drain, draining) = tokio::sync::watch::channel(false);
        let accounts = PeopleService::new(PeoplePorts {
            people: Arc::clone(&people) as _,
            sessions: Arc::clone(&sign_in_ports.sessions),
            links: Arc::new(InMemoryPasswordLinkStore::of(&people)),
            hasher: Arc::clone(&sign_in_ports.hasher),
            authorizations: Arc::new(authorizations.clone()),
            audit: Arc::clone(&audit) as _,
            clock: Arc::clone(&shared_clock),
            entropy: Arc::clone(&entropy) as _,
        });
        let passkeys = PasskeyService::new(
            PasskeyPorts {
                passkeys: Arc::new(InMemoryPasskeyRepository::of(&people)),
                verifier: None,
                people: Arc::clone(&people) as _,
                audit: Arc::clone(&audit) as _,
                clock: Arc::clone(&shared_clock),
                entropy: Arc::clone(&entropy) as _,
            },
            ChallengeKey::new([7; 32]),
        );
        let application_service = ApplicationService::new(
            Arc::clone(&applications) as _,
            Arc::clone(&hasher) as _,
            Arc::clone(&audit) as _,
            Arc::clone(&shared_clock),
            Arc::clone(&entropy) as _,
        );
        let erasure = Erasure::new(bank, queue, Arc::clone(&tenants), Arc::clone(&shared_clock));
        let memories = MemoryService::new(
            Arc::clone(&delivery),
            Arc::new(InlineDeliveryWorker::new(delivery)),
            audit,
            Arc::clone(&shared_clock),
        );
        let services = Services {
            own_memories: PersonalMemories::new(
                memories.clone(),
                tenants,
                Arc::clone(&applications) as _,
                erasure.clone(),
            ),
            eraser: OwnerEraser::new(accounts.clone(), application_service, erasure),
            people: accounts,
            tokens: TokenService::new(clients, token_ports, Arc::clone(&policy)),
            sign_in: SignInService::new(sign_in_ports, sign_in_throttle, Some(external), Duration::from_hours(12)),
            passkeys,
            authorizations,
            guard: AccessGuard::new(
                Arc::clone(&issuer) as _,
                grants,
                Arc::clone(&applications) as _,
                Arc::clone(&people) as _,
                RateLimits::new(rate_limit.try_into().unwrap()),
                Arc::clone(&shared_clock),
                Arc::clone(&policy),
            ),
            memories,
            policy,
            database: Arc::clone(&database) as _,
            signing_clock: Arc::new(RightClock),
            clock: shared_clock,
            entropy,
            trusted_proxies: TrustedProxies::default(),
            cors_origins: CorsOrigins::new(["https://app.example".to_owned()]),
            answers: Arc::new(answers),
            draining,
            imports: Arc::default(),
            metrics: Arc::default(),
            registration: None,
            client_id_documents: true,
            confirm_writes: ConfirmWrites::Always,
        };
        let applications_outage = applications.outage();
        Self {
            draining: drain,
            endpoint: routes(services, PageServices::default()),
            application,
            secret,
            clock,
            applications_outage,
            database,
            hasher,
            issuer,
            people,
            sessions_outage,
            provider,
            authorizations: consents,
        }
    }

    pub async fn send(&self, request: Request) -> Answer {
        let mut response = self.endpoint.get_response(request).await;
        let body = response.take_body().into_vec().await.unwrap();
        let compressible = response.data::<Compressible>().is_some();
        Answer { status: response.status(), headers: response.headers().clone(), body, compressible }
    }

    /// An answer that is not read.
    pub async fn unread(&self, request: Request) -> Response {
        self.endpoint.get_response(request).await
    }

    /// A GET without credentials.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).finish()).await
    }

    /// A request with the application's token, for the whole of its scope, and with a JSON body.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = request(method, path).header("Authorization", format!("Bearer {}", self.token().await));
        match body {
            Some(body) => self.send(request.content_type("application/json").body(body.to_string())).await,
            None => self.send(request.finish()).await,
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// A POST of a form, without credentials of its own.
    pub async fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.send(request(Method::POST, path).content_type(FORM).body(body)).await
    }

    /// A POST of a form with the application's credentials in it.
    pub async fn client_form(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let credentials = [("client_id", self.application.client_id.as_str()), ("client_secret", self.secret.expose())];
        self.form(path, &[&credentials, parameters].concat()).await
    }

    /// An access token for all that the application holds.
    pub async fn token(&self) -> String {
        self.scoped_token("").await
    }

    pub async fn scoped_token(&self, scope: &str) -> String {
        let answer = self.client_form("/auth/token", &[("grant_type", "client_credentials"), ("scope", scope)]).await;
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Creates a memory and returns it.
    pub async fn remember(&self, content: &str) -> Value {
        let answer = self.post("/api/v1/memories", json!({ "content": content })).await;
        assert_eq!(answer.status, 201);
        answer.json()["memory"].clone()
    }
}

/// The beginning of a request.
pub fn request(method: Method, path: &str) -> RequestBuilder {
    Request::builder().method(method).uri(path.parse().unwrap())
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Whether the server may compress it.
    pub compressible: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The problem document that this is, which must be of this status and kind.
    #[track_caller]
    pub fn problem(&self, status: u16, kind: &str) -> Value {
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:memgate:problem:{kind}"), "{problem}");
        assert_eq!(self.status, status, "{problem}");
        assert!(
            include_str!("../../docs/api.md").contains(&format!("`{kind}`")),
            "docs/api.md does not explain {kind}"
        );
        assert_eq!(problem["status"], status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"));
        assert!(!problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty());
        problem
    }

    /// The code of the OAuth error that this is, which must be of this status.
    #[track_caller]
    pub fn oauth_error(&self, status: u16) -> String {
        let error = self.json();
        assert_eq!(self.status, status, "{error}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("pragma"), Some("no-cache"));
        assert!(!error["error_description"].as_str().unwrap().is_empty());
        let error = error["error"].as_str().unwrap().to_owned();
        let row = format!("| {status} | `{error}` |");
        assert!(include_str!("../../docs/api.md").contains(&row), "docs/api.md does not explain {error} with {status}");
        error
    }
}
