//! The HTTP client: sends one request and returns one response, without interpreting it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use url::Url;

use super::config::{AuthScheme, RemoteBankConfig};
use super::exchange::{Method, RawResponse, Request, ResponseRoom};
use super::failure::{BankFailure, Cause};
use crate::domain::validation::InvalidValue;

/// Sends a request and reads the complete response. Tests replace it, so that they need no sockets.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Returns the response, whatever its status.
    ///
    /// # Errors
    /// [`Cause::NotConnected`], [`Cause::ConnectionLost`] and [`Cause::TooLarge`].
    async fn send(&self, request: &Request) -> Result<RawResponse, BankFailure>;
}

/// Why the client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum RemoteBankError {
    /// The configuration is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// The HTTP client could not be built, for example because the system's certificates are missing.
    #[error("the HTTP client for the memory bank could not be created")]
    Client(#[source] reqwest::Error),
}

/// A transport over HTTP.
pub struct HttpTransport {
    client: ClientWithMiddleware,
    base: Url,
    answer_limit: usize,
    /// The memory reserved for responses, in units of [`UNIT`].
    room: Arc<Semaphore>,
}

/// Unit of the reserved memory, in bytes.
const UNIT: usize = 1024;

impl HttpTransport {
    /// A client for the configured bank. It follows no redirects, does not retry, and ignores proxies in the environment.
    ///
    /// # Errors
    /// [`RemoteBankError`].
    pub fn new(config: &RemoteBankConfig) -> Result<Self, RemoteBankError> {
        // reqwest uses the process-wide crypto provider. An error means that another component installed one first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Without the URL that the error may name: a proxy's URL may contain a password.
        let client = |error: reqwest::Error| RemoteBankError::Client(error.without_url());
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("memgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .no_proxy();
        let is_plain = |url: &Url| url.scheme() == "http";
        if is_plain(&config.url) && config.proxy.as_ref().is_none_or(|proxy| is_plain(proxy.expose())) {
            // Nothing will be encrypted, so the system's certificates are not needed and not loaded.
            builder = builder.tls_certs_only([]);
        }
        if let Some(proxy) = &config.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.expose().clone()).map_err(client)?);
        }
        let client = builder.build().map_err(client)?;
        let mut client = ClientBuilder::new(client);
        if let Some(key) = &config.api_key {
            let scheme = config.auth_scheme.unwrap_or_else(|| config.kind.usual_auth_scheme());
            client = client.with(Credentials::new(scheme, key)?);
        }
        let room = Arc::new(Semaphore::new(config.answers_limit.max(config.answer_limit).div_ceil(UNIT)));
        Ok(Self { client: client.build(), base: config.url.clone(), answer_limit: config.answer_limit, room })
    }

    fn url(&self, request: &Request) -> Result<Url, BankFailure> {
        let mut url = self.base.clone();
        let not_a_base = |()| BankFailure::new(Cause::Misconfigured).detail("the URL cannot be a base URL");
        url.path_segments_mut().map_err(not_a_base)?.pop_if_empty().extend(&request.path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    /// Reads the body once there is memory for all of it, so that no request waits while holding part of a body.
    async fn read(&self, mut response: reqwest::Response) -> Result<(Bytes, ResponseRoom), BankFailure> {
        let too_large = || BankFailure::new(Cause::TooLarge);
        let length =
            response.content_length().map_or(self.answer_limit, |length| length.try_into().unwrap_or(usize::MAX));
        if length > self.answer_limit {
            return Err(too_large());
        }
        let units = |bytes: usize| u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(units(length)).await;
        let mut room = room.map_err(|_closed| BankFailure::new(Cause::ConnectionLost))?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| BankFailure::new(Cause::ConnectionLost))? {
            if body.len() + chunk.len() > self.answer_limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        let surplus = room.num_permits().saturating_sub(body.len().div_ceil(UNIT));
        drop(room.split(surplus));
        Ok((body.freeze(), room.into()))
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: &Request) -> Result<RawResponse, BankFailure> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.client.request(method, self.url(request)?);
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = builder.send().await.map_err(|error| cause_of(&error))?;
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let mut raw = RawResponse {
            status: response.status().as_u16(),
            retry_after: header("retry-after"),
            rate_limit_reset: header("x-ratelimit-reset"),
            request_id: header("x-request-id"),
            body: Bytes::new(),
            room: ResponseRoom::default(),
        };
        (raw.body, raw.room) = self.read(response).await.map_err(|failure| BankFailure {
            status: Some(raw.status),
            request_id: raw.request_id.clone(),
            ..failure
        })?;
        Ok(raw)
    }
}

/// Drops the error's text: reqwest includes the URL, and therefore the scope.
fn cause_of(error: &reqwest_middleware::Error) -> BankFailure {
    if error.is_connect() {
        return BankFailure::new(Cause::NotConnected);
    }
    if error.is_builder() {
        return BankFailure::new(Cause::Misconfigured).detail("the configured URL is not valid for a request");
    }
    BankFailure::new(Cause::ConnectionLost)
}

/// Adds the API key to each request.
struct Credentials {
    name: HeaderName,
    value: HeaderValue,
}

impl Credentials {
    fn new(scheme: AuthScheme, key: &SecretString) -> Result<Self, InvalidValue> {
        let key = key.expose_secret();
        let (name, text) = match scheme {
            AuthScheme::Token => (AUTHORIZATION, format!("Token {key}")),
            AuthScheme::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
            AuthScheme::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        };
        let mut value = HeaderValue::from_str(&text)
            .ok()
            .filter(|_| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| InvalidValue::new("memory_bank_api_key", "must be visible ASCII characters"))?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }

    fn add_to(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
    }
}

#[async_trait]
impl Middleware for Credentials {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        self.add_to(request.headers_mut());
        next.run(request, extensions).await
    }
}
