//! Access tokens in the `Authorization` header (RFC 6750).

use std::marker::PhantomData;

use poem::http::header;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaOAuthFlow, MetaOAuthFlows, MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions, OAuthScopes};

use super::error::ApiError;
use super::exchange::Exchange;
use super::payload;
use crate::adapters::http::openapi::placeholders::{AUTHORIZATION_URL, TOKEN_URL};
use crate::domain::applications::Permission;
use crate::domain::oauth::{AccessGuard, Caller, Parameters, bearer_token};

/// The name of the security scheme in the document.
const SCHEME: &str = "OAuth2";

/// What an operation needs.
pub(crate) trait Needs: Send {
    /// The permission; `None` if any valid token will do.
    const PERMISSION: Option<Permission>;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident = $permission:expr;)+) => {
        $($(#[$doc])*
        pub(crate) struct $name;

        impl Needs for $name {
            const PERMISSION: Option<Permission> = $permission;
        })+
    };
}

needs! {
    /// Any valid token.
    AnyToken = None;
    /// `memory:read`.
    Read = Some(Permission::MemoryRead);
    /// `memory:write`.
    Write = Some(Permission::MemoryWrite);
    /// `memory:delete`.
    Delete = Some(Permission::MemoryDelete);
}

/// The permissions as the document lists them.
#[derive(OAuthScopes)]
pub(crate) enum Scope {
    /// Search, list and read memories.
    #[oai(rename = "memory:read")]
    Read,
    /// Create and change memories.
    #[oai(rename = "memory:write")]
    Write,
    /// Delete memories.
    #[oai(rename = "memory:delete")]
    Delete,
}

/// Somebody who may do what the operation does.
pub(crate) struct Authorized<N> {
    pub(crate) caller: Caller,
    needed: PhantomData<fn() -> N>,
}

impl<'a, N: Needs> ApiExtractor<'a> for Authorized<N> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let flow = |authorization_url| MetaOAuthFlow {
            authorization_url,
            token_url: Some(TOKEN_URL),
            refresh_url: None,
            scopes: Scope::meta(),
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
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        token(request)?;
        refuse_second_token(request, body).await?;
        let caller = authenticate(request, &Exchange::of(request)?.services.guard).await?;
        if let Some(permission) = N::PERMISSION {
            caller.require(permission).map_err(ApiError::from)?;
        }
        Ok(Self { caller, needed: PhantomData })
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
