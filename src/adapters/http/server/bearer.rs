//! Access tokens in the `Authorization` header (RFC 6750).

use std::ops::Deref;

use poem::http::header;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaOAuthFlow, MetaOAuthFlows, MetaOAuthScope, MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::{Value, json};

use super::error::ApiError;
use super::exchange::Exchange;
use super::payload;
use crate::adapters::http::openapi::placeholders::{AUTHORIZATION_URL, TOKEN_URL};
use crate::domain::applications::Permission;
use crate::domain::oauth::{AccessGuard, Authorized, Caller, Need, Parameters, bearer_token};

/// The name of the security scheme in the document.
const SCHEME: &str = "OAuth2";

/// The caller, who may do what the operation does.
pub(crate) struct Bearer<N>(Authorized<N>);

impl<N> Deref for Bearer<N> {
    type Target = Authorized<N>;

    fn deref(&self) -> &Authorized<N> {
        &self.0
    }
}

impl<'a, N: Need> ApiExtractor<'a> for Bearer<N> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
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

    fn security_schemes() -> Vec<&'static str> {
        vec![requirement(N::PERMISSION)]
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        token(request)?;
        refuse_second_token(request, body).await?;
        let guard = &Exchange::of(request)?.services.guard;
        Ok(Self(guard.admit(token(request)?).await.map_err(ApiError::from)?))
    }
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

/// The security scheme with the scope of a permission. poem-openapi knows the scheme of an extractor and not its scopes, so
/// they travel in the name until [`name_scopes`] takes them out of it.
fn requirement(permission: Option<Permission>) -> &'static str {
    match permission {
        None => SCHEME,
        Some(Permission::MemoryRead) => "OAuth2 memory:read",
        Some(Permission::MemoryWrite) => "OAuth2 memory:write",
        Some(Permission::MemoryDelete) => "OAuth2 memory:delete",
    }
}

/// Writes the security requirements of an operation as OpenAPI has them.
pub(crate) fn name_scopes(security: &mut Value) {
    for requirement in security.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        *requirement = std::mem::take(requirement)
            .into_iter()
            .map(|(name, scopes)| match name.split_once(' ') {
                Some((scheme, scope)) => (scheme.to_owned(), json!([scope])),
                None => (name, scopes),
            })
            .collect();
    }
}

/// Who presents the token in the `Authorization` header.
pub(crate) async fn authenticate(request: &Request, guard: &AccessGuard) -> Result<Caller, ApiError> {
    Ok(guard.authenticate(token(request)?).await?)
}

/// The token as it was sent.
fn token(request: &Request) -> Result<&str, ApiError> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    let header = headers.next().ok_or(ApiError::Unauthenticated)?;
    if headers.next().is_some() {
        return Err(ApiError::BearerRequest("there are two Authorization headers; send one"));
    }
    bearer_token(header.as_bytes()).ok_or(ApiError::Unauthenticated)
}

/// RFC 6750 §2: one token, one way of sending it. A form is read by no operation that needs a token, so it is looked at
/// for this alone.
async fn refuse_second_token(request: &Request, body: &mut RequestBody) -> Result<(), ApiError> {
    if payload::essence(request).as_deref() != Some("application/x-www-form-urlencoded") {
        return Ok(());
    }
    let form = payload::read(request, body).await?;
    if Parameters::from_form(&form).is_ok_and(|form| form.get("access_token").is_none()) {
        return Err(ApiError::MediaType);
    }
    Err(ApiError::BearerRequest("the token is sent in the Authorization header and in the body; send it once"))
}
