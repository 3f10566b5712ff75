//! Dynamic client registration (RFC 7591): a client registers itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::metadata::{ClientMetadata, DroppedRedirectUri, InvalidMetadata};
use crate::applications::{
    Application, ApplicationError, ApplicationRepository, ApplicationService, ClientKind, NewApplication, Permissions,
    RegisteredBy, SpaceName,
};
use crate::limits::{AddressLimit, RateLimit, RateLimited};
use crate::oauth::error::OAuthError;
use crate::oauth::scope::RequestedScope;
use crate::system::Clock;

/// Registrations of one address. Vendors register all their users from a few.
const PER_ADDRESS: RateLimit = RateLimit { burst: 100, interval: Duration::from_secs(10) };
/// Maximum number of counted addresses, at about 50 bytes each.
const ADDRESSES: usize = 10_000;

/// A client that registered itself.
#[derive(Clone, Debug)]
pub struct RegisteredClient {
    /// What became of it.
    pub application: Application,
    /// Those of its redirect URIs that cannot be used; at most [`Application::MAX_REDIRECT_URIS`].
    pub dropped: Vec<DroppedRedirectUri>,
}

/// Registers clients at their own request.
#[derive(Clone)]
pub struct DynamicRegistration {
    applications: ApplicationService,
    repository: Arc<dyn ApplicationRepository>,
    limit: Arc<AddressLimit>,
    clock: Arc<dyn Clock>,
    space: SpaceName,
}

impl DynamicRegistration {
    /// Maximum number of applications that registered themselves. The check is not atomic: concurrent callers may exceed it by as
    /// many as they are. Those that nobody authorizes are deleted after an hour.
    pub const MAX_APPLICATIONS: u64 = 5_000;
    /// Maximum size of a request.
    pub const MAX_BYTES: usize = 10 * 1024;

    /// Assembles the service. The memories of all these clients live in `space`.
    pub fn new(
        applications: ApplicationService,
        repository: Arc<dyn ApplicationRepository>,
        clock: Arc<dyn Clock>,
        space: SpaceName,
    ) -> Self {
        let limit = Arc::new(AddressLimit::new(PER_ADDRESS, ADDRESSES));
        Self { applications, repository, limit, clock, space }
    }

    /// Registers the client with the metadata in `body`, at the request of `address`. It is public, whatever method of
    /// authentication it prefers, and must use PKCE.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRedirectUri`], [`OAuthError::InvalidClientMetadata`], [`OAuthError::RateLimited`],
    /// [`OAuthError::TooManyRegistrations`], [`OAuthError::TemporarilyUnavailable`], [`OAuthError::Internal`].
    pub async fn register(&self, body: &[u8], address: IpAddr) -> Result<RegisteredClient, OAuthError> {
        self.limit.take(address, self.clock.now()).map_err(|retry_after| RateLimited { retry_after })?;
        if body.len() > Self::MAX_BYTES {
            return Err(invalid(&format!("the metadata are larger than {} bytes", Self::MAX_BYTES)));
        }
        let members: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| invalid("the body must be a JSON object"))?;
        let ClientMetadata { name, redirect_uris, dropped, grants } = ClientMetadata::parse(&members)?;
        let permissions = permissions(&members)?;
        let name = match name {
            Some(name) => name,
            None => destination(redirect_uris.first().map_or("", |uri| uri.as_str()))
                .parse()
                .map_err(|_| invalid("client_name is missing"))?,
        };
        if self.repository.count_registered_by(RegisteredBy::Itself).await? >= Self::MAX_APPLICATIONS {
            return Err(OAuthError::TooManyRegistrations);
        }
        let new = NewApplication {
            registered_by: RegisteredBy::Itself,
            redirect_uris,
            permissions,
            space: Some(self.space.clone()),
            ..NewApplication::new(name, ClientKind::Public, grants)
        };
        match self.applications.register(new).await {
            Ok(registration) => Ok(RegisteredClient { application: registration.application, dropped }),
            Err(ApplicationError::Invalid(error)) => Err(invalid(&error.to_string())),
            Err(ApplicationError::Storage(error)) => Err(error.into()),
            Err(error) => Err(OAuthError::Internal(error.into())),
        }
    }
}

fn permissions(members: &Map<String, Value>) -> Result<Permissions, OAuthError> {
    let scope = match members.get("scope") {
        None | Some(Value::Null) => None,
        Some(Value::String(scope)) => Some(scope.as_str()),
        Some(_) => return Err(invalid("scope must be a string")),
    };
    RequestedScope::parse(scope).within(Permissions::all()).ok_or_else(|| invalid("scope contains an unknown scope"))
}

/// Where a redirect URI leads, as the name of a client that has none.
fn destination(redirect_uri: &str) -> String {
    let url = Url::parse(redirect_uri).ok();
    let host = url.as_ref().and_then(Url::host_str).map(str::to_owned);
    host.or_else(|| url.map(|url| url.scheme().to_owned())).unwrap_or_default()
}

fn invalid(problem: &str) -> OAuthError {
    OAuthError::InvalidClientMetadata(problem.to_owned())
}

impl From<InvalidMetadata> for OAuthError {
    fn from(invalid: InvalidMetadata) -> Self {
        match invalid {
            InvalidMetadata::RedirectUri(problem) => Self::InvalidRedirectUri(problem),
            InvalidMetadata::Other(problem) => Self::InvalidClientMetadata(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;
    use crate::applications::{Permission, PkceRule};
    use crate::testing::{
        FakeSecretHasher, FixedClock, InMemoryApplicationRepository, InMemoryAuditLog, SeededEntropy, application,
        space,
    };

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    struct Harness {
        clock: FixedClock,
        repository: Arc<InMemoryApplicationRepository>,
        registration: DynamicRegistration,
    }

    impl Harness {
        fn new() -> Self {
            let (clock, repository) = (FixedClock::default(), Arc::new(InMemoryApplicationRepository::default()));
            let shared_clock: Arc<dyn Clock> = Arc::new(clock.clone());
            let applications = ApplicationService::new(
                repository.clone(),
                Arc::new(FakeSecretHasher::default()),
                Arc::new(InMemoryAuditLog::default()),
                Arc::clone(&shared_clock),
                Arc::new(SeededEntropy::new(9)),
            );
            let registration =
                DynamicRegistration::new(applications, repository.clone(), shared_clock, space("people"));
            Self { clock, repository, registration }
        }

        async fn register(&self, metadata: &Value) -> Result<Application, OAuthError> {
            let registered = self.registration.register(metadata.to_string().as_bytes(), HOME).await;
            registered.map(|registered| registered.application)
        }
    }

    #[tokio::test]
    async fn a_client_becomes_a_public_application_that_may_do_what_it_asked_for() {
        let harness = Harness::new();
        let asked = json!({
            "client_name": "Editor", "redirect_uris": ["http://127.0.0.1/callback"], "scope": "memory:read offline_access",
            "token_endpoint_auth_method": "client_secret_post", "software_statement": "ignored",
        });
        let one = harness.register(&asked).await.unwrap();
        assert_eq!(
            (one.kind, one.pkce, one.registered_by),
            (ClientKind::Public, PkceRule::Required, RegisteredBy::Itself)
        );
        assert_eq!(one.permissions, [Permission::MemoryRead].into_iter().collect());
        assert!(one.secrets.is_empty() && one.space == space("people"));
        let other = harness.register(&json!({"redirect_uris": ["com.example.app:/cb"]})).await.unwrap();
        assert_ne!(one.client_id, other.client_id);
        assert_eq!((other.name.as_str(), other.permissions), ("com.example.app", Permissions::all()));
    }

    #[tokio::test]
    async fn unusable_metadata_are_refused_by_their_code() {
        let harness = Harness::new();
        let good = json!(["http://localhost/"]);
        for metadata in
            [json!({}), json!({"redirect_uris": ["http://evil.example/"]}), json!({"redirect_uris": ["gpt-callback"]})]
        {
            let refused = harness.register(&metadata).await;
            assert!(matches!(refused, Err(OAuthError::InvalidRedirectUri(_))), "{metadata}: {refused:?}");
        }
        for metadata in [
            json!([]),
            json!({"redirect_uris": good, "scope": "memory:everything"}),
            json!({"redirect_uris": good, "scope": 7}),
            json!({"redirect_uris": good, "client_name": "\u{202e}"}),
            json!({"redirect_uris": good, "grant_types": ["client_credentials"]}),
            json!({"redirect_uris": good, "x": "y".repeat(DynamicRegistration::MAX_BYTES)}),
        ] {
            let refused = harness.register(&metadata).await;
            assert!(matches!(refused, Err(OAuthError::InvalidClientMetadata(_))), "{refused:?}");
        }
        assert_eq!(harness.repository.count_registered_by(RegisteredBy::Itself).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn one_address_cannot_register_for_all() {
        let harness = Harness::new();
        let metadata = json!({"redirect_uris": ["http://localhost/"]});
        for _ in 0..PER_ADDRESS.burst {
            harness.register(&metadata).await.unwrap();
        }
        assert!(matches!(harness.register(&metadata).await, Err(OAuthError::RateLimited(_))));
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        harness.registration.register(metadata.to_string().as_bytes(), elsewhere).await.unwrap();
        harness.clock.advance(PER_ADDRESS.interval);
        harness.register(&metadata).await.unwrap();
    }

    #[tokio::test]
    async fn there_is_an_end_to_registrations() {
        let harness = Harness::new();
        for _ in 0..DynamicRegistration::MAX_APPLICATIONS {
            let one = Application { registered_by: RegisteredBy::Itself, ..application() };
            harness.repository.create(&one).await.unwrap();
        }
        let refused = harness.register(&json!({"redirect_uris": ["http://localhost/"]})).await;
        assert!(matches!(refused, Err(OAuthError::TooManyRegistrations)), "{refused:?}");
    }
}
