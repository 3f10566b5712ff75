//! Where a token is to be used (RFC 8707): the REST API, MCP, or both.

use url::Url;

use crate::applications::{Application, Resource};

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

/// The resources of this service, by what tokens say of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resources {
    /// `iss` of every token: the public URL, under which MCP is.
    pub issuer: String,
    /// `aud` of every access token for the REST API.
    pub api: String,
}

/// A resource was asked for that this service does not have, or that was not granted.
/// The text says what there is, or what was granted, and repeats nothing of the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTarget(String);

/// Where the REST API is, under the issuer. Its metadata (RFC 9728) name it by this URL.
const API_PATH: &str = "/api";
const MCP_PATH: &str = "/mcp";

impl Resources {
    /// The audience that the parameters `resource` ask for; `None` if there are none. Each is compared as a URL: the case of
    /// its host, its default port and a slash at its end make no difference. The REST API is known by its audience, by the
    /// issuer, and by the URL in its metadata.
    ///
    /// # Errors
    /// [`InvalidTarget`] if one of them is not a resource of this service.
    pub fn requested<T: AsRef<str>>(&self, resources: &[T]) -> Result<Option<Audience>, InvalidTarget> {
        let unknown = || {
            let [api, mcp] = [Resource::Api, Resource::Mcp].map(|resource| self.uri(resource));
            InvalidTarget(format!("the resource is not one of this service, which are {api} and {mcp}"))
        };
        let mut audience: Option<Audience> = None;
        for resource in resources {
            let resource = canonical(resource.as_ref()).ok_or_else(unknown)?;
            let is = |uri: &str| canonical(uri).is_some_and(|uri| uri == resource);
            let one = if is(&self.uri(Resource::Mcp)) {
                Audience::Mcp
            } else if is(&self.api) || is(&self.issuer) || is(&under(&self.issuer, API_PATH)) {
                Audience::Api
            } else {
                return Err(unknown());
            };
            audience = Some(audience.map_or(one, |before| before.and(one)));
        }
        Ok(audience)
    }

    /// What a token of a grant for `granted` is for if `requested` is asked for; all of it if nothing is.
    ///
    /// # Errors
    /// [`InvalidTarget`] if more is asked for than was granted.
    pub fn narrow(&self, granted: Audience, requested: Option<Audience>) -> Result<Audience, InvalidTarget> {
        match requested {
            None => Ok(granted),
            Some(requested) if granted == Audience::Both || granted == requested => Ok(requested),
            Some(requested) => {
                let [granted, asked] = [granted, requested].map(|audience| self.uris(audience).join(" "));
                Err(InvalidTarget(format!("the grant is for {granted} and not for {asked}")))
            }
        }
    }

    /// The values of `aud` of a token for `audience`.
    #[must_use]
    pub fn uris(&self, audience: Audience) -> Vec<String> {
        [Resource::Api, Resource::Mcp].into_iter().filter(|one| audience.opens(*one)).map(|one| self.uri(one)).collect()
    }

    /// The audience of a token with these values of `aud`; `None` if it is not for this service.
    #[must_use]
    pub fn audience_of(&self, uris: &[String]) -> Option<Audience> {
        // Every request comes through here, so nothing is allocated.
        let is_api = |uri: &str| uri == self.api;
        let is_mcp =
            |uri: &str| uri.strip_suffix(MCP_PATH).is_some_and(|base| base == self.issuer.trim_end_matches('/'));
        match uris {
            [one] if is_api(one) => Some(Audience::Api),
            [one] if is_mcp(one) => Some(Audience::Mcp),
            [one, other] if is_api(one) && is_mcp(other) => Some(Audience::Both),
            _ => None,
        }
    }

    /// The URI of a resource.
    #[must_use]
    pub fn uri(&self, resource: Resource) -> String {
        match resource {
            Resource::Api => self.api.clone(),
            Resource::Mcp => under(&self.issuer, MCP_PATH),
        }
    }
}

impl Audience {
    /// What the tokens of an application are for if a request does not say. One that came by itself came for MCP.
    #[must_use]
    pub fn by_default(application: &Application) -> Self {
        match application.default_resource {
            Resource::Api if !application.registered_by.is_unverified() => Self::Api,
            Resource::Api | Resource::Mcp => Self::Mcp,
        }
    }

    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
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

fn under(issuer: &str, path: &str) -> String {
    format!("{}{path}", issuer.trim_end_matches('/'))
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

    fn ours() -> Resources {
        Resources { issuer: ISSUER.to_owned(), api: ISSUER.to_owned() }
    }

    fn requested(resources: &[&str]) -> Result<Option<Audience>, InvalidTarget> {
        ours().requested(resources)
    }

    #[test]
    fn a_resource_is_compared_as_a_url() {
        let of_metadata = "https://memory.example/api";
        for api in [ISSUER, "https://memory.example/", "HTTPS://MEMORY.example:443", of_metadata] {
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
            let InvalidTarget(said) = requested(&[foreign]).unwrap_err();
            let ours = "https://memory.example and https://memory.example/mcp";
            assert_eq!(said, format!("the resource is not one of this service, which are {ours}"), "{foreign}");
        }
    }

    #[test]
    fn several_resources_are_all_asked_for_and_each_has_to_be_ours() {
        assert_eq!(requested(&[]), Ok(None));
        assert_eq!(requested(&[ISSUER, ISSUER]), Ok(Some(Audience::Api)));
        assert_eq!(requested(&["https://memory.example/mcp", ISSUER]), Ok(Some(Audience::Both)));
        assert!(requested(&["https://memory.example/mcp", "https://evil.example"]).is_err());
    }

    #[test]
    fn a_grant_is_narrowed_and_never_widened() {
        use Audience::{Api, Both, Mcp};
        for (granted, asked, expected) in [
            (Api, None, Some(Api)),
            (Both, None, Some(Both)),
            (Both, Some(Mcp), Some(Mcp)),
            (Both, Some(Both), Some(Both)),
            (Api, Some(Api), Some(Api)),
            (Api, Some(Mcp), None),
            (Mcp, Some(Both), None),
        ] {
            assert_eq!(ours().narrow(granted, asked).ok(), expected, "{granted:?} {asked:?}");
        }
    }

    #[test]
    fn an_audience_comes_back_from_its_uris_and_its_name() {
        for audience in [Audience::Api, Audience::Mcp, Audience::Both] {
            let uris = ours().uris(audience);
            assert_eq!(ours().audience_of(&uris), Some(audience));
            assert_eq!(Audience::from_name(audience.as_str()), Some(audience));
            for resource in [Resource::Api, Resource::Mcp] {
                assert_eq!(audience.opens(resource), uris.contains(&ours().uri(resource)));
            }
        }
        for foreign in [vec![], vec!["https://evil.example".to_owned()], vec![ISSUER.to_owned(), "x".to_owned()]] {
            assert_eq!(ours().audience_of(&foreign), None);
        }
        assert_eq!(Audience::from_name("mcp api"), None);
    }
}
