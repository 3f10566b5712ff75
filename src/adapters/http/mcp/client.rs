//! The program behind a call, as it describes itself: for the log alone.

use poem::http::request::Parts;
use rmcp::RoleServer;
use rmcp::model::Implementation;
use rmcp::service::RequestContext;

/// Maximum length of a description, in characters.
const MAX: usize = 100;
/// What a client that names no version speaks.
const OLDEST: &str = "2025-03-26";

/// A client, according to itself.
pub(super) struct ClientProgram {
    /// Its name and version, or its `User-Agent`, where a request names neither.
    pub(super) name: String,
    /// The protocol version that it speaks.
    pub(super) protocol: String,
}

impl ClientProgram {
    pub(super) fn of(context: &RequestContext<RoleServer>) -> Self {
        let parts = context.extensions.get::<Parts>();
        let header = |name: &str| parts.and_then(|parts| parts.headers.get(name)).and_then(|value| value.to_str().ok());
        // Over standard input and output, the client has introduced itself at the beginning. Over HTTP each request stands for
        // itself, and rmcp describes itself there.
        let peer = context.peer.peer_info().filter(|_| parts.is_none());
        let info = context.meta.client_info().or_else(|| peer.as_ref().map(|peer| peer.client_info.clone()));
        let protocol = header("mcp-protocol-version")
            .map(str::to_owned)
            .or_else(|| context.meta.protocol_version().map(|version| version.to_string()))
            .or_else(|| peer.as_ref().map(|peer| peer.protocol_version.to_string()))
            .map_or_else(|| OLDEST.to_owned(), |version| printable(&version));
        Self { name: name(info.as_ref(), header("user-agent")), protocol }
    }
}

fn name(info: Option<&Implementation>, user_agent: Option<&str>) -> String {
    match info {
        Some(info) => printable(&format!("{} {}", info.name, info.version)),
        None => printable(user_agent.unwrap_or("unknown")),
    }
}

/// The beginning of a text, without what could be taken for another line of the log.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_named_by_what_it_says_and_can_forge_no_line() {
        let editor = Implementation::new("editor", "1.2");
        assert_eq!(name(Some(&editor), Some("node")), "editor 1.2");
        assert_eq!(name(None, Some("claude-code/2.1 (cli)")), "claude-code/2.1 (cli)");
        assert_eq!(name(None, None), "unknown");
        let forged = Implementation::new("a\nINFO b\u{1b}[31m", "x".repeat(200));
        let named = name(Some(&forged), None);
        assert!(named.starts_with("aINFO b[31m xxx") && named.chars().count() == MAX, "{named}");
    }
}
