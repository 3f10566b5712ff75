//! Where a token is to be used (RFC 8707): the REST API, MCP, or both.

use url::Url;

/// A protected resource of this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The REST API.
    Api,
    /// The Model Context Protocol.
    Mcp,
}

/// The resources that a token opens: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The REST API alone.
    Api,
    /// MCP alone.
    Mcp,
    /// Both.
    Both,
}

/// A resource was asked for that this service does not have, or that was not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTarget;

impl Audience {
    /// Reads the parameters `resource`; `None` if there are none. Each is compared as a URL: the case of its host, its
    /// default port and a slash at its end make no difference.
    ///
    /// # Errors
    /// [`InvalidTarget`] if one of them is not a resource of the service with this issuer and API audience.
    pub fn requested<T: AsRef<str>>(resources: &[T], issuer: &str, api: &str) -> Result<Option<Self>, InvalidTarget> {
        let mut audience: Option<Self> = None;
        for resource in resources {
            let resource = canonical(resource.as_ref()).ok_or(InvalidTarget)?;
            let one = if canonical(&mcp_uri(issuer)).is_some_and(|mcp| mcp == resource) {
                Self::Mcp
            } else if [api, issuer].iter().any(|uri| canonical(uri).is_some_and(|uri| uri == resource)) {
                Self::Api
            } else {
                return Err(InvalidTarget);
            };
            audience = Some(audience.map_or(one, |before| before.and(one)));
        }
        Ok(audience)
    }

    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }

    /// What is left of a grant for this audience if `requested` is asked for; all of it if nothing is.
    ///
    /// # Errors
    /// [`InvalidTarget`] if more is asked for than was granted.
    pub fn narrowed_to(self, requested: Option<Self>) -> Result<Self, InvalidTarget> {
        match requested {
            None => Ok(self),
            Some(requested) if self == Self::Both || self == requested => Ok(requested),
            Some(_) => Err(InvalidTarget),
        }
    }

    /// The values of `aud`.
    #[must_use]
    pub fn uris(self, issuer: &str, api: &str) -> Vec<String> {
        match self {
            Self::Api => vec![api.to_owned()],
            Self::Mcp => vec![mcp_uri(issuer)],
            Self::Both => vec![api.to_owned(), mcp_uri(issuer)],
        }
    }

    /// Reads the values of `aud`; `None` if they are not of this service.
    #[must_use]
    pub fn of_uris(uris: &[String], issuer: &str, api: &str) -> Option<Self> {
        // Every request comes through here, so nothing is allocated.
        let is_mcp = |uri: &str| uri.strip_suffix("/mcp").is_some_and(|base| base == issuer.trim_end_matches('/'));
        match uris {
            [one] if one == api => Some(Self::Api),
            [one] if is_mcp(one) => Some(Self::Mcp),
            [one, other] if one == api && is_mcp(other) => Some(Self::Both),
            _ => None,
        }
    }

    /// Whether a token for this audience opens `resource`.
    #[must_use]
    pub fn opens(self, resource: Resource) -> bool {
        match self {
            Self::Api => resource == Resource::Api,
            Self::Mcp => resource == Resource::Mcp,
            Self::Both => true,
        }
    }

    /// The name under which it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Mcp => "mcp",
            Self::Both => "api mcp",
        }
    }

    /// The audience of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Api, Self::Mcp, Self::Both].into_iter().find(|audience| audience.as_str() == name)
    }
}

impl Resource {
    /// Its URI.
    #[must_use]
    pub fn uri(self, issuer: &str, api: &str) -> String {
        match self {
            Self::Api => api.to_owned(),
            Self::Mcp => mcp_uri(issuer),
        }
    }
}

fn mcp_uri(issuer: &str) -> String {
    format!("{}/mcp", issuer.trim_end_matches('/'))
}

/// The URL without what makes no difference; `None` if it cannot name a resource (RFC 8707 §2).
fn canonical(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok().filter(|url| url.fragment().is_none())?;
    Some(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://memory.example";

    fn requested(resources: &[&str]) -> Result<Option<Audience>, InvalidTarget> {
        Audience::requested(resources, ISSUER, ISSUER)
    }

    #[test]
    fn a_resource_is_compared_as_a_url() {
        for api in [ISSUER, "https://memory.example/", "HTTPS://MEMORY.example:443"] {
            assert_eq!(requested(&[api]), Ok(Some(Audience::Api)), "{api}");
        }
        for mcp in ["https://memory.example/mcp", "https://memory.example/mcp/", "https://Memory.Example:443/mcp"] {
            assert_eq!(requested(&[mcp]), Ok(Some(Audience::Mcp)), "{mcp}");
        }
        for foreign in [
            "https://memory.example/other",
            "http://memory.example/mcp",
            "https://memory.example:8443/mcp",
            "https://memory.example/MCP",
            "https://memory.example/mcp?x=1",
            "https://memory.example/mcp#x",
            "https://evil.example/mcp",
            "memory.example/mcp",
            "",
        ] {
            assert_eq!(requested(&[foreign]), Err(InvalidTarget), "{foreign}");
        }
    }

    #[test]
    fn several_resources_are_all_asked_for_and_each_has_to_be_ours() {
        assert_eq!(requested(&[]), Ok(None));
        assert_eq!(requested(&[ISSUER, ISSUER]), Ok(Some(Audience::Api)));
        assert_eq!(requested(&["https://memory.example/mcp", ISSUER]), Ok(Some(Audience::Both)));
        assert_eq!(requested(&["https://memory.example/mcp", "https://evil.example"]), Err(InvalidTarget));
    }

    #[test]
    fn a_grant_is_narrowed_and_never_widened() {
        use Audience::{Api, Both, Mcp};
        for (granted, asked, expected) in [
            (Api, None, Ok(Api)),
            (Both, None, Ok(Both)),
            (Both, Some(Mcp), Ok(Mcp)),
            (Both, Some(Both), Ok(Both)),
            (Api, Some(Api), Ok(Api)),
            (Api, Some(Mcp), Err(InvalidTarget)),
            (Mcp, Some(Both), Err(InvalidTarget)),
        ] {
            assert_eq!(granted.narrowed_to(asked), expected, "{granted:?} {asked:?}");
        }
    }

    #[test]
    fn an_audience_comes_back_from_its_uris_and_its_name() {
        for audience in [Audience::Api, Audience::Mcp, Audience::Both] {
            let uris = audience.uris(ISSUER, ISSUER);
            assert_eq!(Audience::of_uris(&uris, ISSUER, ISSUER), Some(audience));
            assert_eq!(Audience::from_name(audience.as_str()), Some(audience));
            for resource in [Resource::Api, Resource::Mcp] {
                assert_eq!(audience.opens(resource), uris.contains(&resource.uri(ISSUER, ISSUER)));
            }
        }
        for foreign in [vec![], vec!["https://evil.example".to_owned()], vec![ISSUER.to_owned(), "x".to_owned()]] {
            assert_eq!(Audience::of_uris(&foreign, ISSUER, ISSUER), None);
        }
        assert_eq!(Audience::from_name("mcp api"), None);
    }
}
