//! A complete token service on in-memory ports, for tests.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::{
    AccessGuard, AuthorizationPorts, AuthorizationService, ClientAuthenticator, OAuthError, Parameters, Resources,
    TokenInquiry, TokenIssuer, TokenPolicy, TokenPorts, TokenRequest, TokenResponse, TokenService,
};
use crate::applications::{Application, ApplicationChanges, ApplicationRepository, ClientSecret};
use crate::limits::{FailurePolicy, FailureThrottle, RateLimits};
use crate::people::Person;
use crate::system::Clock;
use crate::testing::{
    FakeSecretHasher, FakeTokenIssuer, FixedClock, InMemoryApplicationRepository, InMemoryAuditLog,
    InMemoryAuthorizationStore, InMemoryGrantStore, InMemoryPersonRepository, SeededEntropy, application_with_secret,
    person,
};

pub(in crate::oauth) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A token service, one application that may use it, and everything behind the service.
pub(in crate::oauth) struct Harness {
    pub(in crate::oauth) clock: FixedClock,
    pub(in crate::oauth) applications: Arc<InMemoryApplicationRepository>,
    pub(in crate::oauth) grants: Arc<InMemoryGrantStore>,
    pub(in crate::oauth) authorizations: Arc<InMemoryAuthorizationStore>,
    pub(in crate::oauth) authorizing: AuthorizationService,
    pub(in crate::oauth) people: Arc<InMemoryPersonRepository>,
    pub(in crate::oauth) limits: RateLimits,
    pub(in crate::oauth) audit: Arc<InMemoryAuditLog>,
    pub(in crate::oauth) hasher: Arc<FakeSecretHasher>,
    pub(in crate::oauth) issuer: Arc<FakeTokenIssuer>,
    pub(in crate::oauth) clients: ClientAuthenticator,
    pub(in crate::oauth) ports: TokenPorts,
    pub(in crate::oauth) service: TokenService,
    pub(in crate::oauth) guard: AccessGuard,
    pub(in crate::oauth) policy: Arc<TokenPolicy>,
    pub(in crate::oauth) person: Person,
    pub(in crate::oauth) application: Application,
    pub(in crate::oauth) secret: ClientSecret,
}

pub(in crate::oauth) fn policy() -> TokenPolicy {
    TokenPolicy {
        resources: Resources {
            issuer: "https://memory.example".to_owned(),
            api: "https://memory.example/api".to_owned(),
        },
        access_token_ttl: Duration::from_hours(1),
        refresh_token_ttl: Duration::from_hours(30 * 24),
        grant_ttl: Duration::from_hours(90 * 24),
        retry_window: Duration::from_secs(30),
        public_retry_window: Duration::from_mins(10),
        leeway: Duration::from_mins(1),
    }
}

impl Harness {
    pub(in crate::oauth) fn new() -> Self {
        Self::with(|_| {}, policy())
    }

    /// With a modified application.
    pub(in crate::oauth) fn with_application(change: impl FnOnce(&mut Application)) -> Self {
        Self::with(change, policy())
    }

    pub(in crate::oauth) fn with_policy(policy: TokenPolicy) -> Self {
        Self::with(|_| {}, policy)
    }

    /// With this rate limit.
    pub(in crate::oauth) fn limited_to(requests: u32, change: impl FnOnce(&mut Application)) -> Self {
        Self::limited(change, policy(), requests)
    }

    fn with(change: impl FnOnce(&mut Application), policy: TokenPolicy) -> Self {
        Self::limited(change, policy, 1_000_000)
    }

    fn limited(change: impl FnOnce(&mut Application), policy: TokenPolicy, requests_per_minute: u32) -> Self {
        let limits = RateLimits::new(requests_per_minute.try_into().unwrap());
        let (mut application, secret) = application_with_secret();
        change(&mut application);
        let clock = FixedClock::default();
        let applications = Arc::new(InMemoryApplicationRepository::holding([application.clone()]));
        let grants = Arc::new(InMemoryGrantStore::default());
        let person = person();
        let people = Arc::new(InMemoryPersonRepository::holding([person.clone()]));
        let authorizations = Arc::new(InMemoryAuthorizationStore::of(Arc::clone(&people), Arc::clone(&applications)));
        let audit = Arc::new(InMemoryAuditLog::default());
        let hasher = Arc::new(FakeSecretHasher::default());
        let issuer = Arc::new(FakeTokenIssuer::default());
        let policy = Arc::new(policy);
        let throttle = Arc::new(FailureThrottle::new(FailurePolicy::default()));
        let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
        let clients = ClientAuthenticator::new(
            applications.clone(),
            hasher.clone(),
            throttle,
            audit.clone(),
            Arc::clone(&shared_clock),
        );
        let entropy = Arc::new(SeededEntropy::new(1));
        let authorization_ports = AuthorizationPorts {
            applications: applications.clone(),
            documents: None,
            authorizations: authorizations.clone(),
            grants: grants.clone(),
            audit: audit.clone(),
            clock: Arc::clone(&shared_clock),
            entropy: entropy.clone(),
        };
        let authorizing = AuthorizationService::new(authorization_ports, Arc::clone(&policy));
        let ports = TokenPorts {
            issuer: issuer.clone(),
            grants: grants.clone(),
            authorizations: authorizing.clone(),
            applications: applications.clone(),
            people: people.clone(),
            audit: audit.clone(),
            clock: Arc::clone(&shared_clock),
            entropy,
            limits: limits.clone(),
        };
        let service = TokenService::new(clients.clone(), ports.clone(), Arc::clone(&policy));
        let guard = AccessGuard::new(
            issuer.clone(),
            grants.clone(),
            applications.clone(),
            people.clone(),
            limits.clone(),
            shared_clock,
            Arc::clone(&policy),
        );
        Self {
            clock,
            applications,
            grants,
            authorizations,
            authorizing,
            people,
            limits,
            audit,
            hasher,
            issuer,
            clients,
            ports,
            service,
            guard,
            policy,
            person,
            application,
            secret,
        }
    }

    /// Registers another application.
    pub(in crate::oauth) async fn register(&self) -> (Application, ClientSecret) {
        let (application, secret) = application_with_secret();
        self.applications.create(&application).await.unwrap();
        (application, secret)
    }

    /// The token service with another issuer.
    pub(in crate::oauth) fn service_with(&self, issuer: impl TokenIssuer + 'static) -> TokenService {
        let ports = TokenPorts { issuer: Arc::new(issuer), ..self.ports.clone() };
        TokenService::new(self.clients.clone(), ports, Arc::clone(&self.policy))
    }

    /// How many requests of the application, as it was at first, count towards its limit.
    pub(in crate::oauth) fn counted(&self) -> u32 {
        self.limits.counted(&self.application, None, self.clock.now()).0
    }

    /// Changes the application.
    pub(in crate::oauth) async fn change(&self, changes: ApplicationChanges) {
        self.applications.update(self.application.id, &changes, self.clock.now()).await.unwrap();
    }

    /// The parameters of a request with the application's credentials.
    pub(in crate::oauth) fn parameters(&self, members: &[(&str, &str)]) -> Parameters {
        parameters_of(&self.application, &self.secret, members)
    }

    /// Requests tokens for the application itself.
    pub(in crate::oauth) async fn token(&self, members: &[(&str, &str)]) -> Result<TokenResponse, OAuthError> {
        token(&self.service, &self.parameters(members)).await
    }

    pub(in crate::oauth) async fn client_credentials(&self) -> TokenResponse {
        self.token(&[("grant_type", "client_credentials")]).await.unwrap()
    }

    /// A first refresh token.
    pub(in crate::oauth) async fn refresh_token(&self) -> String {
        refresh_token_of(&self.client_credentials().await)
    }

    pub(in crate::oauth) async fn refresh(&self, token: &str) -> Result<TokenResponse, OAuthError> {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    pub(in crate::oauth) fn inquiry(&self, token: &str) -> TokenInquiry {
        TokenInquiry::parse(None, &self.parameters(&[("token", token)])).unwrap()
    }
}

pub(in crate::oauth) fn parameters_of(
    application: &Application,
    secret: &ClientSecret,
    members: &[(&str, &str)],
) -> Parameters {
    let credentials = [("client_id", application.client_id.as_str()), ("client_secret", secret.expose())];
    parameters(&[&credentials, members].concat())
}

/// Parameters as a client would send them.
pub(in crate::oauth) fn parameters(members: &[(&str, &str)]) -> Parameters {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(members).finish();
    Parameters::from_form(form.as_bytes()).unwrap()
}

pub(in crate::oauth) async fn token(
    service: &TokenService,
    parameters: &Parameters,
) -> Result<TokenResponse, OAuthError> {
    service.token(&TokenRequest::parse(None, parameters)?, HOME).await
}

pub(in crate::oauth) fn refresh_token_of(response: &TokenResponse) -> String {
    response.refresh_token.as_ref().expect("a refresh token").expose().to_owned()
}
