//! The security scheme and the security requirements of operations.

use poem_openapi::registry::{MetaOAuthFlow, MetaOAuthFlows, MetaOAuthScope, MetaSecurityScheme, Registry};
use serde_json::Value;

use super::placeholders::{AUTHORIZATION_URL, TOKEN_URL};
use crate::domain::applications::Permission;

/// The name of the security scheme in the document.
const SCHEME: &str = "OAuth2";

/// Adds the scheme to the document.
pub(crate) fn register(registry: &mut Registry) {
    let flow = |authorization_url| MetaOAuthFlow {
        authorization_url,
        token_url: Some(TOKEN_URL),
        refresh_url: None,
        scopes: Permission::ALL.map(scope).into(),
    };
    registry.create_security_scheme(
        SCHEME,
        MetaSecurityScheme {
            ty: "oauth2",
            description: Some("Access tokens of an application; `memgate app create` registers one."),
            name: None,
            key_in: None,
            scheme: None,
            bearer_format: None,
            flows: Some(MetaOAuthFlows {
                implicit: None,
                password: None,
                client_credentials: Some(flow(None)),
                authorization_code: Some(flow(Some(AUTHORIZATION_URL))),
            }),
            openid_connect_url: None,
        },
    );
}

/// A permission as the document lists it.
fn scope(permission: Permission) -> MetaOAuthScope {
    let description = match permission {
        Permission::MemoryRead => "Search, list and read memories.",
        Permission::MemoryWrite => "Create and change memories.",
        Permission::MemoryDelete => "Delete memories.",
    };
    MetaOAuthScope { name: permission.as_str(), description: Some(description) }
}

/// The security scheme with the scopes of permissions. poem-openapi takes the scheme from an extractor, but not its scopes, so
/// they travel in the name until [`name_scopes`] extracts them.
pub(crate) fn requirement(permissions: &[Permission]) -> &'static str {
    match permissions {
        [] => SCHEME,
        [Permission::MemoryRead] => "OAuth2 memory:read",
        [Permission::MemoryWrite] => "OAuth2 memory:write",
        [Permission::MemoryDelete] => "OAuth2 memory:delete",
        _ => "OAuth2 memory:read memory:delete",
    }
}

/// Rewrites the security requirements of an operation as OpenAPI defines them.
pub(crate) fn name_scopes(security: &mut Value) {
    for requirement in security.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        *requirement = std::mem::take(requirement)
            .into_iter()
            .map(|(name, scopes)| match name.split_once(' ') {
                Some((scheme, scopes)) => (scheme.to_owned(), scopes.split(' ').collect()),
                None => (name, scopes),
            })
            .collect();
    }
}
