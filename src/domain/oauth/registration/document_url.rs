//! A client ID that is the URL of a document about the client.

use std::fmt;

use url::{Host, Url};

use crate::ids::ClientId;

/// A client ID that is the URL of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentUrl {
    url: Url,
    client_id: ClientId,
}

impl DocumentUrl {
    /// Reads a client ID. `None` if it is no https URL of a host name, with a path, in the one spelling that URLs have: without
    /// user, fragment, dot segments, and whatever else would make two client IDs of one document.
    #[must_use]
    pub fn of(client_id: &ClientId) -> Option<Self> {
        let url = Url::parse(client_id.as_str()).ok()?;
        let named = matches!(url.host(), Some(Host::Domain(name)) if !name.ends_with('.'));
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let sound =
            url.scheme() == "https" && named && plain && url.path() != "/" && url.as_str() == client_id.as_str();
        sound.then(|| Self { url, client_id: client_id.clone() })
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The client ID, which is the same text.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// The host that publishes the document.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl fmt::Display for DocumentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client_id.fmt(f)
    }
}
