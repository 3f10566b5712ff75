//! The metadata of a client (RFC 7591 §2), in a document or in a registration request.

use serde_json::{Map, Value};

use crate::applications::{Application, ApplicationName, GrantType, GrantTypes, RedirectUri};

/// What memgate uses of a client's metadata. Everything else is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientMetadata {
    /// `client_name`, if there is one.
    pub(super) name: Option<ApplicationName>,
    /// Those of `redirect_uris` that can be used; at least one.
    pub(super) redirect_uris: Vec<RedirectUri>,
    /// Those that cannot.
    pub(super) dropped: Vec<DroppedRedirectUri>,
    /// Those of `grant_types` that can be used; `authorization_code` is among them.
    pub(super) grants: GrantTypes,
}

/// One of several `redirect_uris` that cannot be used. The others can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedRedirectUri {
    /// Its place in the list, from 0.
    pub index: usize,
    /// What is wrong with it; repeats nothing of it.
    pub problem: String,
}

/// Why metadata are unusable (RFC 7591 §3.2.2). The texts repeat nothing of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidMetadata {
    #[error("{0}")]
    RedirectUri(String),
    #[error("{0}")]
    Other(String),
}

impl ClientMetadata {
    pub(super) fn parse(members: &Map<String, Value>) -> Result<Self, InvalidMetadata> {
        let (name, grants) = (name(members)?, grants(members)?);
        check_response_types(members)?;
        let (redirect_uris, dropped) = redirect_uris(members)?;
        Ok(Self { name, redirect_uris, dropped, grants })
    }
}

fn name(members: &Map<String, Value>) -> Result<Option<ApplicationName>, InvalidMetadata> {
    match members.get("client_name") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => name
            .parse()
            .map(Some)
            .map_err(|error: crate::validation::InvalidValue| other("client_name", &error.problem().to_string())),
        Some(_) => Err(other("client_name", "must be a string")),
    }
}

/// One unusable URI excludes that URI alone; if none is left, the problem of the first one is reported.
fn redirect_uris(members: &Map<String, Value>) -> Result<(Vec<RedirectUri>, Vec<DroppedRedirectUri>), InvalidMetadata> {
    let refuse = |problem: &str| InvalidMetadata::RedirectUri(format!("redirect_uris {problem}"));
    let listed = texts(members, "redirect_uris").map_err(|_| refuse("must be an array of strings"))?;
    let listed = listed.filter(|listed| !listed.is_empty()).ok_or_else(|| refuse("must hold at least one"))?;
    if listed.len() > Application::MAX_REDIRECT_URIS {
        return Err(refuse(&format!("must be at most {}", Application::MAX_REDIRECT_URIS)));
    }
    let (mut usable, mut dropped) = (Vec::new(), Vec::new());
    for (index, uri) in listed.into_iter().enumerate() {
        match RedirectUri::exact(uri) {
            Ok(uri) if usable.contains(&uri) => {}
            Ok(uri) => usable.push(uri),
            Err(error) => dropped.push(DroppedRedirectUri { index, problem: error.problem().to_string() }),
        }
    }
    match dropped.first() {
        Some(first) if usable.is_empty() => Err(refuse(&first.problem)),
        _ => Ok((usable, dropped)),
    }
}

/// Unknown grant types are ignored. Without a list, a client may do what a client for people usually does.
fn grants(members: &Map<String, Value>) -> Result<GrantTypes, InvalidMetadata> {
    let Some(listed) = texts(members, "grant_types")? else {
        return Ok([GrantType::AuthorizationCode, GrantType::RefreshToken].into());
    };
    // Without a secret there is no client_credentials.
    let supported = [GrantType::AuthorizationCode, GrantType::RefreshToken];
    let grants: GrantTypes = supported.into_iter().filter(|grant| listed.contains(&grant.as_str())).collect();
    if grants.contains(&GrantType::AuthorizationCode) {
        Ok(grants)
    } else {
        Err(other("grant_types", "must contain authorization_code"))
    }
}

fn check_response_types(members: &Map<String, Value>) -> Result<(), InvalidMetadata> {
    match texts(members, "response_types")? {
        Some(types) if !types.contains(&"code") => Err(other("response_types", "must contain code")),
        _ => Ok(()),
    }
}

/// The strings of an array; `None` if there is no such member.
pub(super) fn texts<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<Vec<&'a str>>, InvalidMetadata> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(values)) => {
            let texts = values.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
            texts.map(Some).ok_or_else(|| other(name, "must be an array of strings"))
        }
        Some(_) => Err(other(name, "must be an array of strings")),
    }
}

fn other(name: &str, problem: &str) -> InvalidMetadata {
    InvalidMetadata::Other(format!("{name} {problem}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(metadata: &Value) -> Result<ClientMetadata, InvalidMetadata> {
        ClientMetadata::parse(metadata.as_object().unwrap())
    }

    #[test]
    fn what_is_not_listed_is_what_a_client_for_people_needs() {
        let metadata = parse(&json!({"redirect_uris": ["http://localhost/callback"]})).unwrap();
        assert_eq!(metadata.name, None);
        assert_eq!(metadata.grants, [GrantType::AuthorizationCode, GrantType::RefreshToken].into());
        assert_eq!(metadata.redirect_uris, [RedirectUri::exact("http://localhost/callback").unwrap()]);
    }

    #[test]
    fn what_is_unknown_is_ignored_and_a_refresh_token_is_only_for_who_wants_one() {
        let metadata = parse(&json!({
            "redirect_uris": ["https://a.example/b"], "client_name": "  Editor ", "response_types": ["code", "token"],
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code", "client_credentials"],
            "logo_uri": "http://169.254.169.254/", "contacts": 7,
        }));
        let metadata = metadata.unwrap();
        assert_eq!(metadata.name.unwrap().as_str(), "Editor");
        assert_eq!(metadata.grants, [GrantType::AuthorizationCode].into());
    }

    #[test]
    fn an_unusable_redirect_uri_excludes_itself_alone() {
        let uris = json!({"redirect_uris": [
            "http://evil.example/", "gpt-callback", "claude", "http://localhost/", "http://localhost/", "x:y",
        ]});
        let metadata = parse(&uris).unwrap();
        assert_eq!(metadata.redirect_uris, [RedirectUri::exact("http://localhost/").unwrap()]);
        let dropped: Vec<_> = metadata.dropped.iter().map(|dropped| dropped.index).collect();
        assert_eq!(dropped, [0, 1, 2, 5], "a repeated one is not unusable");
        for (uris, problem) in [
            (json!(["http://evil.example/"]), "loopback addresses only"),
            (json!(["javascript:alert(1)"]), "own scheme"),
            (json!(["gpt-callback"]), "absolute URI"),
            (json!([]), "at least one"),
            (json!(null), "at least one"),
            (json!("https://a.example/"), "array of strings"),
            (json!([7]), "array of strings"),
            (json!(vec!["https://a.example/"; 21]), "at most 20"),
        ] {
            match parse(&json!({"redirect_uris": uris})) {
                Err(InvalidMetadata::RedirectUri(text)) => assert!(text.contains(problem), "{text}"),
                other => panic!("{uris}: {other:?}"),
            }
        }
    }

    #[test]
    fn unusable_members_are_named() {
        for (member, value) in [
            ("client_name", json!("")),
            ("client_name", json!(7)),
            ("client_name", json!("a\u{202e}b")),
            ("grant_types", json!(["refresh_token"])),
            ("grant_types", json!("authorization_code")),
            ("response_types", json!(["token"])),
            ("response_types", json!([["code"]])),
        ] {
            let mut metadata = json!({"redirect_uris": ["https://a.example/b"]});
            metadata[member] = value;
            match parse(&metadata) {
                Err(InvalidMetadata::Other(text)) => assert!(text.starts_with(member), "{text}"),
                other => panic!("{metadata}: {other:?}"),
            }
        }
    }
}
