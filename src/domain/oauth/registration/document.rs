//! A client whose ID is the URL of a document about it (draft-ietf-oauth-client-id-metadata-document).

use serde_json::{Map, Value};

use super::document_url::DocumentUrl;
use super::metadata::{ClientMetadata, DroppedRedirectUri, InvalidMetadata, texts};
use super::source::DocumentProblem;
use crate::applications::{ApplicationName, GrantTypes, RedirectUri};

/// What a document says about its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientDocument {
    pub(super) name: ApplicationName,
    pub(super) redirect_uris: Vec<RedirectUri>,
    /// Those that cannot be used.
    pub(super) dropped: Vec<DroppedRedirectUri>,
    pub(super) grants: GrantTypes,
}

impl ClientDocument {
    /// Parses the document that was fetched from `url`.
    pub(super) fn parse(url: &DocumentUrl, body: &[u8]) -> Result<Self, DocumentProblem> {
        let members: Map<String, Value> = serde_json::from_slice(body).map_err(|_| DocumentProblem::Malformed)?;
        if members.get("client_id").and_then(Value::as_str) != Some(url.client_id().as_str()) {
            return Err(DocumentProblem::OtherClient);
        }
        if members.keys().any(|name| name.starts_with("client_secret")) {
            return Err(DocumentProblem::Secret);
        }
        check_authentication(&members)?;
        let ClientMetadata { name, redirect_uris, dropped, grants } = ClientMetadata::parse(&members)?;
        let name = name.ok_or_else(|| DocumentProblem::Invalid("client_name is missing".to_owned()))?;
        Ok(Self { name, redirect_uris, dropped, grants })
    }
}

/// A client may prefer a method that is not supported here, as long as it says that it can do without.
fn check_authentication(members: &Map<String, Value>) -> Result<(), DocumentProblem> {
    let preferred = match members.get("token_endpoint_auth_method") {
        None | Some(Value::Null) => None,
        Some(Value::String(method)) => Some(method.as_str()),
        Some(_) => return Err(DocumentProblem::Authentication),
    };
    let listed = texts(members, "token_endpoint_auth_methods_supported")?.unwrap_or_default();
    let mut methods = preferred.into_iter().chain(listed).peekable();
    let says_nothing = methods.peek().is_none();
    let (mut none, mut symmetric) = (says_nothing, false);
    for method in methods {
        none |= method == "none";
        symmetric |= method.starts_with("client_secret");
    }
    if none && !symmetric { Ok(()) } else { Err(DocumentProblem::Authentication) }
}

impl From<InvalidMetadata> for DocumentProblem {
    fn from(invalid: InvalidMetadata) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const URL: &str = "https://client.example/oauth/metadata.json";

    fn url(text: &str) -> Option<DocumentUrl> {
        DocumentUrl::of(&text.parse().unwrap())
    }

    #[test]
    fn a_document_has_one_url() {
        for text in [URL, "https://client.example:8443/a", "https://client.example/a?b=c", "https://x--y.example/a/"] {
            assert_eq!(url(text).map(|url| url.to_string()).as_deref(), Some(text));
        }
        assert_eq!(url(URL).unwrap().host(), "client.example");
        for text in [
            "http://client.example/a",
            "https://client.example",
            "https://client.example/",
            "https://CLIENT.example/a",
            "HTTPS://client.example/a",
            "https://client.example:443/a",
            "https://client.example./a",
            "https://user@client.example/a",
            "https://:x@client.example/a",
            "https://client.example/a#b",
            "https://client.example/a/../b",
            "https://client.example/./b",
            "https://client.example/a/%2e%2e/b",
            "https://client.example\\a",
            "https:client.example/a",
            "https://127.0.0.1/a",
            "https://2130706433/a",
            "https://0x7f.1/a",
            "https://[::1]/a",
            "https://[::ffff:10.0.0.1]/a",
            "https:///a",
            "file:///etc/passwd",
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
        ] {
            assert_eq!(url(text), None, "{text}");
        }
    }

    fn parse(change: impl FnOnce(&mut Value)) -> Result<ClientDocument, DocumentProblem> {
        let mut document =
            json!({"client_id": URL, "client_name": "Editor", "redirect_uris": ["http://localhost/callback"]});
        change(&mut document);
        ClientDocument::parse(&url(URL).unwrap(), document.to_string().as_bytes())
    }

    #[test]
    fn the_documents_of_known_clients_are_accepted() {
        let document = parse(|_| {}).unwrap();
        assert_eq!((document.name.as_str(), document.redirect_uris.len()), ("Editor", 1));
        // ChatGPT prefers keys, VS Code and Claude name grant types of their own.
        parse(|document| {
            document["token_endpoint_auth_method"] = json!("private_key_jwt");
            document["token_endpoint_auth_methods_supported"] = json!(["none", "private_key_jwt"]);
            document["jwks_uri"] = json!("https://client.example/jwks.json");
        })
        .unwrap();
        parse(|document| {
            document["token_endpoint_auth_method"] = json!("none");
            document["grant_types"] = json!(["authorization_code", "refresh_token", "urn:x:jwt-bearer"]);
        })
        .unwrap();
    }

    #[test]
    fn a_document_that_is_no_description_of_its_own_client_is_refused() {
        for (member, value, problem) in [
            ("client_id", json!("https://client.example/oauth/other.json"), DocumentProblem::OtherClient),
            ("client_id", json!(format!("{URL}/")), DocumentProblem::OtherClient),
            ("client_id", json!([URL]), DocumentProblem::OtherClient),
            ("client_secret", json!("s"), DocumentProblem::Secret),
            ("client_secret_expires_at", json!(0), DocumentProblem::Secret),
            ("token_endpoint_auth_method", json!("client_secret_basic"), DocumentProblem::Authentication),
            ("token_endpoint_auth_method", json!("client_secret_jwt"), DocumentProblem::Authentication),
            ("token_endpoint_auth_method", json!("private_key_jwt"), DocumentProblem::Authentication),
            ("token_endpoint_auth_method", json!(["none"]), DocumentProblem::Authentication),
            (
                "token_endpoint_auth_methods_supported",
                json!(["none", "client_secret_post"]),
                DocumentProblem::Authentication,
            ),
            ("client_name", json!(null), DocumentProblem::Invalid("client_name is missing".to_owned())),
        ] {
            let refused = parse(|document| document[member] = value.clone());
            assert_eq!(refused.unwrap_err(), problem, "{member}: {value}");
        }
        assert!(matches!(parse(|document| document["redirect_uris"] = json!([])), Err(DocumentProblem::Invalid(_))));
        for body in ["", "[]", "null", "<html>", "{", "{\"client_id\":\"x\"} x"] {
            let refused = ClientDocument::parse(&url(URL).unwrap(), body.as_bytes());
            assert!(matches!(refused, Err(DocumentProblem::Malformed)), "{body}: {refused:?}");
        }
    }
}
