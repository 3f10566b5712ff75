//! Redirect URIs (RFC 9700 §2.1).

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use crate::validation::InvalidValue;

/// A registered redirect URI: an exact URI, or one of the callbacks that an assistant's vendor assigns to its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectUri(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// An exact URI.
    Exact(String),
    /// `https://chatgpt.com/aip/{g-ID}/oauth/callback`, or the same on `chat.openai.com`, with any id.
    GptCallback,
    /// `https://chatgpt.com/connector/oauth/{id}` with any id, or `https://chatgpt.com/connector_platform_oauth_redirect`.
    ChatGptConnector,
    /// `https://claude.ai/api/mcp/auth_callback`, or the same on `claude.com`.
    Claude,
}

/// The hosts of ChatGPT's callbacks for GPTs.
const GPT_HOSTS: [&str; 2] = ["chatgpt.com", "chat.openai.com"];
/// ChatGPT's callbacks for connectors: one address, and one with an ID appended.
const CHATGPT_CONNECTOR: &str = "https://chatgpt.com/connector_platform_oauth_redirect";
const CHATGPT_CONNECTOR_WITH_ID: &str = "https://chatgpt.com/connector/oauth/";
/// Claude's callbacks.
const CLAUDE: [&str; 2] = ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"];
/// Private-use URI schemes of widely used programs that are not domain names, as RFC 8252 §7.1 requires.
const KNOWN_PRIVATE: [&str; 1] = ["cursor://anysphere.cursor-mcp/oauth/callback"];

impl RedirectUri {
    const MAX: usize = 2048;
    /// The keyword for the callback of any GPT. The ID in it changes whenever the OAuth settings of a GPT are edited, so an
    /// exact URI does not work.
    pub const GPT_CALLBACK: &'static str = "gpt-callback";
    /// The keyword for the callbacks of ChatGPT's connectors and plugins.
    pub const CHATGPT_CONNECTOR: &'static str = "chatgpt-connector";
    /// The keyword for Claude's callbacks.
    pub const CLAUDE: &'static str = "claude";

    /// The callback of any GPT.
    #[must_use]
    pub fn gpt_callback() -> Self {
        Self(Kind::GptCallback)
    }

    /// The exact URI, or [`GPT_CALLBACK`](Self::GPT_CALLBACK).
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Exact(uri) => uri,
            Kind::GptCallback => Self::GPT_CALLBACK,
            Kind::ChatGptConnector => Self::CHATGPT_CONNECTOR,
            Kind::Claude => Self::CLAUDE,
        }
    }

    /// Whether this matches the callback of any GPT.
    #[must_use]
    pub fn is_gpt_callback(&self) -> bool {
        self.0 == Kind::GptCallback
    }

    /// Whether a request may use `presented`: it must be identical, except for the port of a loopback address, which a native
    /// program cannot know beforehand (RFC 8252 §7.3).
    #[must_use]
    pub fn accepts(&self, presented: &str) -> bool {
        match &self.0 {
            Kind::Exact(registered) => {
                registered == presented
                    || loopback_without_port(registered).is_some_and(|own| {
                        is_plain(presented) && loopback_without_port(presented).is_some_and(|other| own == other)
                    })
            }
            Kind::GptCallback => GPT_HOSTS.iter().any(|host| is_gpt_callback(presented, host)),
            Kind::ChatGptConnector => {
                presented == CHATGPT_CONNECTOR
                    || presented.strip_prefix(CHATGPT_CONNECTOR_WITH_ID).is_some_and(is_connector_id)
            }
            Kind::Claude => CLAUDE.contains(&presented),
        }
    }
}

fn is_plain(text: &str) -> bool {
    text.len() <= RedirectUri::MAX && text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains('#')
}

/// The URI without its port, if it is plain http to loopback. RFC 8252 §8.3 advises against the name `localhost`, but widely
/// used native clients use it.
fn loopback_without_port(uri: &str) -> Option<Url> {
    let mut url = Url::parse(uri).ok().filter(|url| url.scheme() == "http")?;
    (is_loopback(&url) && url.set_port(None).is_ok()).then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn is_connector_id(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_gpt_callback(presented: &str, host: &str) -> bool {
    let id = presented
        .strip_prefix("https://")
        .and_then(|rest| rest.strip_prefix(host))
        .and_then(|rest| rest.strip_prefix("/aip/"))
        .and_then(|rest| rest.strip_suffix("/oauth/callback"));
    id.and_then(|id| id.strip_prefix("g-")).is_some_and(is_connector_id)
}

impl FromStr for RedirectUri {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            Self::GPT_CALLBACK => Ok(Self(Kind::GptCallback)),
            Self::CHATGPT_CONNECTOR => Ok(Self(Kind::ChatGptConnector)),
            Self::CLAUDE => Ok(Self(Kind::Claude)),
            _ => Self::exact(text),
        }
    }
}

impl RedirectUri {
    /// Accepts an exact URI, and no keyword for the callbacks of an assistant, which only an operator may allow.
    ///
    /// # Errors
    /// [`InvalidValue`].
    pub fn exact(text: &str) -> Result<Self, InvalidValue> {
        let refuse = |problem: &str| Err(InvalidValue::new("redirect_uri", problem));
        if text.len() > Self::MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return refuse("must be at most 2048 visible ASCII characters");
        }
        let Ok(url) = Url::parse(text) else {
            return refuse(
                "must be an absolute URI such as https://example.com/callback, or gpt-callback, chatgpt-connector or claude for the \
                 callbacks of these",
            );
        };
        if text.contains('#') {
            return refuse("must not have a fragment (the part after #)");
        }
        match url.scheme() {
            "https" => Ok(Self(Kind::Exact(text.to_owned()))),
            "http" if is_loopback(&url) => Ok(Self(Kind::Exact(text.to_owned()))),
            "http" => refuse("must use https; http is for loopback addresses only"),
            scheme if scheme.contains('.') || KNOWN_PRIVATE.contains(&text) => Ok(Self(Kind::Exact(text.to_owned()))),
            _ => refuse("must use https, http on a loopback address, or an app's own scheme such as com.example.app:/"),
        }
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(uri: &str) -> RedirectUri {
        uri.parse().unwrap()
    }

    #[test]
    fn plain_http_is_refused_with_what_it_is_for() {
        let refused = "http://app.example/callback".parse::<RedirectUri>().unwrap_err();
        assert!(refused.problem().to_string().contains("loopback addresses only"), "{refused}");
    }

    #[test]
    fn a_keyword_is_no_exact_uri() {
        for keyword in [RedirectUri::GPT_CALLBACK, RedirectUri::CHATGPT_CONNECTOR, RedirectUri::CLAUDE] {
            assert!(RedirectUri::exact(keyword).is_err(), "{keyword}");
        }
        assert!(RedirectUri::exact("https://claude.ai/api/mcp/auth_callback").is_ok());
    }

    #[test]
    fn a_uri_is_compared_to_the_letter() {
        let uri = registered("https://app.example/callback?x=1");
        assert!(uri.accepts("https://app.example/callback?x=1"));
        for other in [
            "https://app.example/callback",
            "https://app.example/callback?x=1&y=2",
            "https://app.example/callback?x=1#",
            "https://APP.example/callback?x=1",
            "https://app.example:443/callback?x=1",
            "https://app.example/a/../callback?x=1",
            "https://app.example.evil/callback?x=1",
            "https://app.example@evil.example/callback?x=1",
            "http://app.example/callback?x=1",
            "gpt-callback",
            "",
        ] {
            assert!(!uri.accepts(other), "{other}");
        }
    }

    #[test]
    fn the_port_of_a_loopback_address_is_free_and_nothing_else_is() {
        for (own, presented, accepted) in [
            ("http://127.0.0.1/callback", "http://127.0.0.1:49152/callback", true),
            ("http://127.0.0.1:3000/callback", "http://127.0.0.1:49152/callback", true),
            ("http://[::1]/callback", "http://[::1]:49152/callback", true),
            ("http://127.0.0.1/callback", "http://127.0.0.2:49152/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:49152/other", false),
            ("http://127.0.0.1/callback", "https://127.0.0.1:49152/callback", false),
            ("http://127.0.0.1/callback", "http://user@127.0.0.1:49152/callback", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:49152/callback#part", false),
            ("http://127.0.0.1/callback", "http://127.0.0.1:49152/call\nback", false),
            ("http://127.0.0.1/callback", "http://localhost:49152/callback", false),
            ("http://localhost/callback", "http://localhost:49152/callback", true),
            ("http://localhost/callback", "http://127.0.0.1:49152/callback", false),
            ("http://localhost/callback", "http://localhost.evil.example:49152/callback", false),
            ("https://127.0.0.1/callback", "https://127.0.0.1:49152/callback", false),
        ] {
            assert_eq!(registered(own).accepts(presented), accepted, "{own} {presented}");
        }
    }

    #[test]
    fn the_callback_of_any_gpt_is_a_kind_of_its_own() {
        let uri = registered("gpt-callback");
        assert!(uri.is_gpt_callback());
        assert_eq!(uri.to_string(), "gpt-callback");
        for (presented, accepted) in [
            ("https://chatgpt.com/aip/g-1a2b3c/oauth/callback", true),
            ("https://chat.openai.com/aip/g-1a2b3c/oauth/callback", true),
            ("https://chatgpt.com/aip/g-1a-2b/oauth/callback", true),
            ("https://chatgpt.com/aip/g-1a_2b/oauth/callback", true),
            ("https://chatgpt.com/aip/g-/oauth/callback", false),
            ("https://chatgpt.com/aip/1a2b3c/oauth/callback", false),
            ("https://chatgpt.com/aip/g-1/../x/oauth/callback", false),
            ("https://chatgpt.com/aip/g-1%2f/oauth/callback", false),
            ("https://chatgpt.com/aip/g-1/oauth/callback?x=1", false),
            ("https://chatgpt.com/aip/g-1/oauth/callback#x", false),
            ("https://chatgpt.com.evil.example/aip/g-1/oauth/callback", false),
            ("https://evil.example/https://chatgpt.com/aip/g-1/oauth/callback", false),
            ("https://chatgpt.com:8443/aip/g-1/oauth/callback", false),
            ("https://user@chatgpt.com/aip/g-1/oauth/callback", false),
            ("http://chatgpt.com/aip/g-1/oauth/callback", false),
            (&format!("https://chatgpt.com/aip/g-{}/oauth/callback", "a".repeat(101)), false),
        ] {
            assert_eq!(uri.accepts(presented), accepted, "{presented}");
        }
    }

    #[test]
    fn the_callbacks_of_assistants_are_known_by_name() {
        for (kind, presented, accepted) in [
            ("chatgpt-connector", "https://chatgpt.com/connector/oauth/abc_DEF-123", true),
            ("chatgpt-connector", "https://chatgpt.com/connector_platform_oauth_redirect", true),
            ("chatgpt-connector", "https://chatgpt.com/connector/oauth/", false),
            ("chatgpt-connector", "https://chatgpt.com/connector/oauth/a/b", false),
            ("chatgpt-connector", "https://chatgpt.com/connector/oauth/a?x=1", false),
            ("chatgpt-connector", "https://chatgpt.com/connector_platform_oauth_redirect/", false),
            ("chatgpt-connector", "https://chatgpt.com.evil.example/connector/oauth/a", false),
            ("chatgpt-connector", "https://chatgpt.com/aip/g-1/oauth/callback", false),
            ("claude", "https://claude.ai/api/mcp/auth_callback", true),
            ("claude", "https://claude.com/api/mcp/auth_callback", true),
            ("claude", "https://claude.ai/api/mcp/auth_callback/", false),
            ("claude", "http://claude.ai/api/mcp/auth_callback", false),
            ("claude", "https://claude.evil.example/api/mcp/auth_callback", false),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback", true),
            ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp/oauth/callback2", false),
        ] {
            assert_eq!(registered(kind).as_str(), kind);
            assert_eq!(registered(kind).accepts(presented), accepted, "{kind} {presented}");
        }
        assert!("cursor://evil/oauth/callback".parse::<RedirectUri>().is_err());
    }
}
