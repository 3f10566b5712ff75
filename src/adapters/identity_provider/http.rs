//! The HTTP client: one request, one response of bounded size, only to addresses that are as secure as the issuer.

use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use url::Url;

use super::config::Issuer;
use super::failure::ProviderProblem;

/// Maximum size of a response in bytes. A key set has a few thousand.
const ANSWER_LIMIT: usize = 512 * 1024;
/// Connect timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A client of one provider. It follows no redirects, does not retry, and ignores proxies in the environment.
pub(super) struct HttpClient {
    client: reqwest::Client,
    issuer: Issuer,
}

impl HttpClient {
    pub(super) fn new(issuer: Issuer) -> Result<Self, reqwest::Error> {
        // reqwest uses the process-wide crypto provider. An error means that another component installed one first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("memgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy();
        if issuer.is_plain() {
            // Nothing will be encrypted, so the system's certificates are not needed and not loaded.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build()?, issuer })
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ProviderProblem> {
        let request = reqwest::Request::try_from(request).map_err(|_| ProviderProblem::NotUnderstood)?;
        self.check(request.url())?;
        let cause = |error: reqwest::Error| {
            if error.is_connect() { ProviderProblem::NotConnected } else { ProviderProblem::ConnectionLost }
        };
        let mut response = self.client.execute(request).await.map_err(cause)?;
        let status = response.status();
        if status.is_server_error() || status.is_redirection() || status == http::StatusCode::TOO_MANY_REQUESTS {
            return Err(ProviderProblem::Status(status.as_u16()));
        }
        let mut answer = http::Response::new(Vec::new());
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        while let Some(chunk) = response.chunk().await.map_err(|_| ProviderProblem::ConnectionLost)? {
            if answer.body().len() + chunk.len() > ANSWER_LIMIT {
                return Err(ProviderProblem::TooLarge);
            }
            answer.body_mut().extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// Rejects a URL that the provider named and that is less secure than the issuer.
    pub(super) fn check(&self, url: &Url) -> Result<(), ProviderProblem> {
        if self.issuer.allows(url) { Ok(()) } else { Err(ProviderProblem::Insecure) }
    }
}

impl<'c> AsyncHttpClient<'c> for HttpClient {
    type Error = ProviderProblem;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ProviderProblem>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
