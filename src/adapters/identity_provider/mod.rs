//! Sign-in through an `OpenID` Connect provider: the authorization code flow with PKCE, `state` and `nonce`.

mod config;
mod directory;
mod failure;
mod http;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdTokenVerifier, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, EndUserEmail,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, JwsSigningAlgorithm as _, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, SignatureVerificationError, SubjectIdentifier,
    TokenResponse as _,
};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;
use url::Url;

pub use self::config::{Issuer, OpenIdConfig};
use self::directory::Directory;
use self::failure::{ProviderFailure, ProviderProblem, ProviderRequest};
use self::http::HttpClient;
use crate::domain::limits::RateLimit;
use crate::domain::people::{ExternalIdentity, IdentityError, IdentityProvider, ProvenIdentity, SignInAttempt};
use crate::domain::system::Clock;

/// Maximum number of concurrent callbacks from the provider. Each costs one to three requests.
const MAX_CONCURRENT: usize = 16;
/// How many failed sign-ins are logged in a burst, and the interval after which one more is: anybody can cause them.
const LOGGED_FAILURES: RateLimit = RateLimit { burst: 10, interval: Duration::from_secs(30) };

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// An `OpenID` Connect provider, behind the port. It is first contacted when somebody signs in, so an unavailable provider
/// does not prevent the service from starting.
pub struct OpenIdProvider {
    config: OpenIdConfig,
    redirect_uri: RedirectUrl,
    http: Arc<HttpClient>,
    directory: Directory,
    concurrency: Semaphore,
    logged: Mutex<i64>,
    clock: Arc<dyn Clock>,
}

/// Why the client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// The service's own URL is invalid.
    #[error("the public URL cannot be sent to the identity provider")]
    PublicUrl(#[source] url::ParseError),
    /// The HTTP client could not be built, for example because the system's certificates are missing.
    #[error("the HTTP client for the identity provider could not be created")]
    Client(#[source] reqwest::Error),
}

impl OpenIdProvider {
    /// A client of the configured provider, which redirects browsers back to `/auth/callback` of `public_url`.
    ///
    /// # Errors
    /// [`OpenIdError`].
    pub fn new(config: OpenIdConfig, public_url: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenIdError> {
        let redirect_uri = format!("{}/auth/callback", public_url.trim_end_matches('/'));
        let redirect_uri = RedirectUrl::new(redirect_uri).map_err(OpenIdError::PublicUrl)?;
        let issuer = config.issuer.clone();
        let http = Arc::new(HttpClient::new(issuer.clone()).map_err(OpenIdError::Client)?);
        // Half of the time is left for the request that needs the metadata.
        let directory = Directory::new(issuer, config.timeout / 2, Arc::clone(&http), Arc::clone(&clock));
        let (concurrency, logged) = (Semaphore::new(MAX_CONCURRENT), Mutex::new(0));
        Ok(Self { config, redirect_uri, http, directory, concurrency, logged, clock })
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Client {
        let secret = self.config.client_secret.as_ref();
        let secret = secret.map(|secret| ClientSecret::new(secret.expose_secret().to_owned()));
        let methods = metadata.token_endpoint_auth_methods_supported();
        // Basic is the default where the provider states nothing (OpenID Connect Discovery §3).
        let takes_basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let auth_type = if takes_basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        CoreClient::from_provider_metadata(metadata.clone(), self.client_id(), secret)
            .set_auth_type(auth_type)
            .set_redirect_uri(self.redirect_uri.clone())
    }

    fn client_id(&self) -> ClientId {
        ClientId::new(self.config.client_id.clone())
    }

    /// Accepts signatures of the provider's own keys only. An HMAC with the client secret proves less, since two parties
    /// know the secret; so it is not accepted, though the client has one.
    fn verifier(&self, metadata: &CoreProviderMetadata) -> CoreIdTokenVerifier<'_> {
        let algorithms = metadata
            .id_token_signing_alg_values_supported()
            .iter()
            .filter(|algorithm| !algorithm.uses_shared_secret() && **algorithm != CoreJwsSigningAlgorithm::None);
        let (issuer, keys) = (metadata.issuer().clone(), metadata.jwks().clone());
        CoreIdTokenVerifier::new_public_client(self.client_id(), issuer, keys)
            .set_allowed_algs(algorithms.cloned().collect::<Vec<_>>())
            .set_time_fn(|| {
                let millis = u64::try_from(self.clock.now().unix_millis()).unwrap_or(0);
                (SystemTime::UNIX_EPOCH + Duration::from_millis(millis)).into()
            })
    }

    fn log(&self, failure: ProviderFailure) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if LOGGED_FAILURES.take(&mut logged, self.clock.now()).is_ok() {
            warn!(error = %failure, "sign-in with the identity provider failed");
        }
    }

    async fn redeem(&self, attempt: &SignInAttempt, code: &str) -> Result<ProvenIdentity, ProviderFailure> {
        let failure = |problem| ProviderFailure::new(ProviderRequest::Token, problem);
        let metadata = self.directory.current().await?;
        let client = self.client(&metadata);
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| failure(ProviderProblem::NoEndpoint))?
            .set_pkce_verifier(code_verifier(attempt));
        let answer = request.request_async(&*self.http).await.map_err(|error| failure(error.into()))?;
        let id_token = answer.id_token().ok_or(failure(ProviderProblem::NotUnderstood))?;

        let nonce = nonce(attempt);
        let claims = match id_token.claims(&self.verifier(&metadata), &nonce) {
            Err(error) if may_be_a_new_key(&error) => {
                let metadata = self.directory.newer_than(&metadata).await?;
                id_token.claims(&self.verifier(&metadata), &nonce)
            }
            claims => claims,
        };
        let claims = claims.map_err(|error| failure(error.into()))?;
        let identity = ExternalIdentity::new(claims.issuer(), claims.subject()).map_err(|_| {
            failure(ProviderProblem::Untrusted("its subject is not a single line of 1 to 255 characters"))
        })?;
        let verified_email = match claims.email() {
            Some(email) => verified(email, claims.email_verified()),
            None => self.ask_for_email(&client, answer.access_token(), claims.subject()).await?,
        };
        Ok(ProvenIdentity { identity, verified_email })
    }

    /// A provider may return the address only from the userinfo endpoint (`OpenID` Connect Core §5.4).
    async fn ask_for_email(
        &self,
        client: &Client,
        token: &AccessToken,
        subject: &SubjectIdentifier,
    ) -> Result<Option<String>, ProviderFailure> {
        let failure = |problem| ProviderFailure::new(ProviderRequest::UserInfo, problem);
        if token.secret().is_empty() || !token.secret().bytes().all(|b| b.is_ascii_graphic()) {
            return Err(failure(ProviderProblem::Untrusted("its access token is not a valid header value")));
        }
        let Ok(request) = client.user_info(token.clone(), Some(subject.clone())) else { return Ok(None) };
        let claims: CoreUserInfoClaims =
            request.request_async(&*self.http).await.map_err(|error| failure(ProviderProblem::from(error)))?;
        Ok(claims.email().and_then(|email| verified(email, claims.email_verified())))
    }
}

#[async_trait]
impl IdentityProvider for OpenIdProvider {
    fn name(&self) -> &str {
        &self.config.name
    }

    async fn authorization_url(&self, attempt: &SignInAttempt) -> Result<Url, IdentityError> {
        let metadata = self.directory.current().await?;
        let client = self.client(&metadata);
        let state = CsrfToken::new(attempt.state().as_str().to_owned());
        let nonce = nonce(attempt);
        let request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&code_verifier(attempt)));
        let (url, ..) = request.url();
        Ok(url)
    }

    async fn identify(&self, attempt: &SignInAttempt, code: &str) -> Result<ProvenIdentity, IdentityError> {
        let failed = |problem| Err(ProviderFailure::new(ProviderRequest::Token, problem));
        let identified = match self.concurrency.try_acquire() {
            Ok(_permit) => timeout(self.config.timeout, self.redeem(attempt, code)).await,
            Err(_) => Ok(failed(ProviderProblem::Busy)),
        };
        let identified = identified.unwrap_or_else(|_| failed(ProviderProblem::Slow));
        if let Err(failure) = &identified {
            self.log(*failure);
        }
        Ok(identified?)
    }
}

fn code_verifier(attempt: &SignInAttempt) -> PkceCodeVerifier {
    PkceCodeVerifier::new(attempt.code_verifier().expose_secret().to_owned())
}

fn nonce(attempt: &SignInAttempt) -> Nonce {
    Nonce::new(attempt.nonce().expose_secret().to_owned())
}

/// Whether the token may be signed with a key newer than the cached ones. A key without an ID cannot be missing; its
/// successor's signatures look invalid.
fn may_be_a_new_key(error: &ClaimsVerificationError) -> bool {
    use SignatureVerificationError::{CryptoError, NoMatchingKey};
    matches!(error, ClaimsVerificationError::SignatureVerification(NoMatchingKey | CryptoError(_)))
}

fn verified(email: &EndUserEmail, is_verified: Option<bool>) -> Option<String> {
    (is_verified == Some(true)).then(|| email.as_str().to_owned())
}
