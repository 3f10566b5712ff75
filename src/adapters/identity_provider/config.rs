//! Configuration of the identity provider, and of memgate as its client.

use std::str::FromStr;
use std::time::Duration;

use openidconnect::IssuerUrl;
use secrecy::SecretString;
use url::{Host, Url};

use crate::domain::validation::InvalidValue;

/// The issuer identifier, compared exactly: an https URL, or an http URL on a loopback address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(IssuerUrl);

impl Issuer {
    /// The default name of the provider: its host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.url().host_str().unwrap_or_default()
    }

    /// Whether requests may go to `url`, which the provider named: it must be as secure as the issuer's.
    pub(super) fn allows(&self, url: &Url) -> bool {
        url.scheme() == "https" || (self.0.url().scheme() == "http" && is_plain_loopback(url))
    }

    pub(super) fn is_plain(&self) -> bool {
        self.0.url().scheme() == "http"
    }

    pub(super) fn url(&self) -> &IssuerUrl {
        &self.0
    }
}

impl FromStr for Issuer {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refuse = |problem: &str| InvalidValue::new("oidc_issuer", problem);
        let example = "must be the issuer of an OpenID Connect provider, such as https://accounts.google.com";
        let issuer = IssuerUrl::new(text.to_owned()).map_err(|_| refuse(example))?;
        let url = issuer.url();
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("must be a URL without credentials, query and fragment"));
        }
        match url.scheme() {
            "https" => Ok(Self(issuer)),
            "http" if is_plain_loopback(url) => Ok(Self(issuer)),
            "http" => Err(refuse("must be an https URL; http is for loopback addresses only")),
            _ => Err(refuse(example)),
        }
    }
}

fn is_plain_loopback(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "http" && loopback
}

/// A provider, and memgate as its client.
#[derive(Clone, Debug)]
pub struct OpenIdConfig {
    /// The issuer. Its endpoints and keys are discovered (OpenID Connect Discovery).
    pub issuer: Issuer,
    /// The client ID that the provider issued to memgate.
    pub client_id: String,
    /// The client secret; `None` for a public client.
    pub client_secret: Option<SecretString>,
    /// The provider's name on the sign-in button.
    pub name: String,
    /// Total time allowed for one exchange with the provider, whatever requests it takes. 10 s.
    pub timeout: Duration,
}

impl OpenIdConfig {
    /// The public client `client_id` of `issuer`, which is named by its host.
    #[must_use]
    pub fn new(issuer: Issuer, client_id: &str) -> Self {
        let (client_id, name) = (client_id.to_owned(), issuer.host().to_owned());
        Self { issuer, client_id, client_secret: None, name, timeout: Duration::from_secs(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_uses_https_or_a_loopback_address() {
        for (text, host) in [
            ("https://accounts.google.com", Some("accounts.google.com")),
            ("https://example.eu.auth0.com/", Some("example.eu.auth0.com")),
            ("https://login.example/tenant/v2.0", Some("login.example")),
            ("http://127.0.0.1:3000", Some("127.0.0.1")),
            ("http://[::1]:3000", Some("[::1]")),
            ("http://localhost:3000/realms/x", Some("localhost")),
            ("http://accounts.google.com", None),
            ("http://127.0.0.1.example", None),
            ("http://192.168.1.7", None),
            ("accounts.google.com", None),
            ("ftp://accounts.google.com", None),
            ("https://me:secret@accounts.google.com", None),
            ("https://accounts.google.com?tenant=1", None),
            ("https://accounts.google.com#x", None),
            ("https://", None),
        ] {
            let issuer = text.parse::<Issuer>();
            assert_eq!(issuer.as_ref().ok().map(Issuer::host), host, "{text}");
            assert!(issuer.is_ok_and(|issuer| issuer.url().as_str() == text) || host.is_none(), "to the letter");
        }
    }

    #[test]
    fn an_issuer_on_https_cannot_send_requests_elsewhere_than_to_https() {
        let issuer = |text: &str| text.parse::<Issuer>().unwrap();
        let (secure, local) = (issuer("https://id.example"), issuer("http://127.0.0.1:3000"));
        for (url, allowed, allowed_locally) in [
            ("https://keys.example/jwks", true, true),
            ("http://id.example/token", false, false),
            ("http://127.0.0.1:9090/admin", false, true),
            ("file:///etc/passwd", false, false),
            ("javascript:alert(1)", false, false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!((secure.allows(&url), local.allows(&url)), (allowed, allowed_locally), "{url}");
        }
    }
}
