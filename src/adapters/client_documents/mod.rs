//! Fetches the documents of clients over https, from public addresses only.
//!
//! The URL is anybody's, so a request must reach nothing that this machine reaches and the internet does not. The name is
//! resolved once, every address is checked, and the connection is made to one of exactly these: there is no second look-up that
//! could have another outcome.

mod address;

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};

use crate::domain::oauth::{ClientDocumentSource, DocumentProblem, DocumentUrl, DroppedRedirectUri, FetchedDocument};
use crate::domain::system::causes;

/// Connect timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Resolves the names of hosts.
#[async_trait]
pub trait HostResolver: Send + Sync {
    /// Every address of `host`.
    ///
    /// # Errors
    /// If it has none, or cannot be resolved.
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The resolver of the system.
struct SystemResolver;

#[async_trait]
impl HostResolver for SystemResolver {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The network that documents are fetched from. No configuration changes it: only code that has another network at hand does.
pub struct Network {
    /// Resolves hosts.
    pub resolver: Arc<dyn HostResolver>,
    /// Which addresses may be connected to.
    pub allows: fn(IpAddr) -> bool,
    /// The certification authorities; those of the system if there are none.
    pub authorities: Vec<reqwest::Certificate>,
}

impl Default for Network {
    /// The internet.
    fn default() -> Self {
        Self { resolver: Arc::new(SystemResolver), allows: address::is_public, authorities: Vec::new() }
    }
}

/// Fetches documents over https.
pub struct HttpDocumentSource {
    network: Arc<Network>,
    /// Built when it is needed, since that reads the certificates of the system.
    client: OnceLock<Option<reqwest::Client>>,
}

impl Default for HttpDocumentSource {
    fn default() -> Self {
        Self::of(Network::default())
    }
}

impl HttpDocumentSource {
    /// Fetches from this network.
    #[must_use]
    pub fn of(network: Network) -> Self {
        Self { network: Arc::new(network), client: OnceLock::new() }
    }

    fn client(&self) -> Option<&reqwest::Client> {
        let client = self.client.get_or_init(|| {
            let built = build(&self.network);
            built
                .inspect_err(|error| tracing::error!(error = %error, "failed to build the client for client documents"))
                .ok()
        });
        client.as_ref()
    }

    async fn get(&self, url: &DocumentUrl) -> Result<FetchedDocument, DocumentProblem> {
        let request = self.client().ok_or(DocumentProblem::Unreachable)?.get(url.url().clone());
        let mut response = request.header(ACCEPT, "application/json").send().await.map_err(|error| problem(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(DocumentProblem::Redirect);
        }
        if status.as_u16() != 200 {
            return Err(DocumentProblem::Status(status.as_u16()));
        }
        if !is_json(response.headers()) {
            return Err(DocumentProblem::NotJson);
        }
        let max_age = max_age(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| problem(&error))? {
            if body.len() + chunk.len() > FetchedDocument::MAX_BYTES {
                return Err(DocumentProblem::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(FetchedDocument { body, max_age })
    }
}

#[async_trait]
impl ClientDocumentSource for HttpDocumentSource {
    async fn fetch(&self, url: &DocumentUrl) -> Result<FetchedDocument, DocumentProblem> {
        let fetched = self.get(url).await;
        if let Err(problem) = &fetched {
            // Anybody can name a host, as often as they like.
            tracing::debug!(host = url.host(), problem = %problem, "a client's document was not fetched");
        }
        fetched
    }

    fn note_dropped(&self, url: &DocumentUrl, dropped: &[DroppedRedirectUri]) {
        let Some(first) = dropped.first() else { return };
        let (number, index, problem) = (dropped.len(), first.index, first.problem.as_str());
        // As above: anybody can ask for a document.
        tracing::debug!(
            client.id = %url,
            dropped = number,
            first.index = index,
            first.problem = problem,
            "a client's document has redirect URIs that cannot be used; they were dropped"
        );
    }
}

fn build(network: &Arc<Network>) -> Result<reqwest::Client, reqwest::Error> {
    // reqwest uses the process-wide crypto provider. An error means that another component installed one first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("memgate/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(FetchedDocument::TIMEOUT)
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(CheckingResolver(Arc::clone(network))));
    if !network.authorities.is_empty() {
        builder = builder.tls_certs_only(network.authorities.iter().cloned());
    }
    builder.build()
}

/// The resolver that the connections use: it yields the addresses of a host only if all of them are allowed.
struct CheckingResolver(Arc<Network>);

impl Resolve for CheckingResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let network = Arc::clone(&self.0);
        Box::pin(async move {
            let addresses = network.resolver.resolve(name.as_str()).await?;
            if !addresses.iter().all(|address| (network.allows)(*address)) {
                return Err(ForbiddenAddress.into());
            }
            // The port is that of the URL.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// An address of the host may not be connected to.
#[derive(Debug)]
struct ForbiddenAddress;

impl fmt::Display for ForbiddenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not public")
    }
}

impl Error for ForbiddenAddress {}

fn problem(error: &reqwest::Error) -> DocumentProblem {
    if causes(error).any(<dyn Error>::is::<ForbiddenAddress>) {
        return DocumentProblem::ForbiddenAddress;
    }
    if error.is_timeout() { DocumentProblem::Slow } else { DocumentProblem::Unreachable }
}

/// Whether the media type is `application/json`, or one of its kin such as `application/oauth-client+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// How long a cache may use the response (RFC 9111 §5.2.2).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut max_age = None;
    for value in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
        for directive in value.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
            if matches!(directive.as_str(), "no-store" | "no-cache") {
                return Some(Duration::ZERO);
            }
            if let Some(seconds) =
                directive.strip_prefix("max-age=").and_then(|text| text.trim_matches('"').parse().ok())
            {
                max_age = Some(Duration::from_secs(seconds));
            }
        }
    }
    max_age
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &reqwest::header::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_publisher_says_how_long_its_document_may_be_cached() {
        for (values, expected) in [
            (&["max-age=60"][..], Some(60)),
            (&["public, Max-Age=\"3600\", immutable"], Some(3600)),
            (&["max-age=60, no-cache"], Some(0)),
            (&["no-store", "max-age=60"], Some(0)),
            (&["max-age=soon"], None),
            (&[], None),
        ] {
            assert_eq!(max_age(&headers(&CACHE_CONTROL, values)), expected.map(Duration::from_secs), "{values:?}");
        }
    }

    #[test]
    fn a_document_is_json_by_its_media_type() {
        for (value, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/oauth-client+json", true),
            ("text/html", false),
            ("text/json", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            assert_eq!(is_json(&headers(&CONTENT_TYPE, &[value])), expected, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
