//! Access tokens in the `Authorization` header (RFC 6750).

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use poem::http::header;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::ApiError;
use super::exchange::Exchange;
use super::payload;
use super::services::Services;
use crate::adapters::http::openapi::security;
use crate::domain::applications::Resource;
use crate::domain::oauth::{AccessGuard, Authorized, Caller, Need, Parameters, bearer_token};

/// The caller, who has the permission that the operation needs.
pub(crate) struct Bearer<N>(Authorized<N>);

impl<N> Deref for Bearer<N> {
    type Target = Authorized<N>;

    fn deref(&self) -> &Authorized<N> {
        &self.0
    }
}

/// The token of a request that was admitted, for a long operation to ask again as it goes on.
pub(crate) struct Admission<N> {
    services: Arc<Services>,
    token: Arc<SecretString>,
    need: PhantomData<fn() -> N>,
}

impl<N> Clone for Admission<N> {
    fn clone(&self) -> Self {
        Self { services: Arc::clone(&self.services), token: Arc::clone(&self.token), need: PhantomData }
    }
}

impl<N: Need> Admission<N> {
    /// Of a request that a [`Bearer`] was extracted from.
    ///
    /// # Errors
    /// None that can be: the request has a token.
    pub(crate) fn of(request: &Request) -> Result<Self, ApiError> {
        let token = Arc::new(SecretString::from(token(request)?));
        Ok(Self { services: Arc::clone(&Exchange::of(request)?.services), token, need: PhantomData })
    }

    /// The operation ends with the token, its application, its person and the permission.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn check(&self) -> Result<(), ApiError> {
        Ok(self.services.guard.still_admits::<N>(self.token.expose_secret()).await?)
    }
}

impl<'a, N: Need> ApiExtractor<'a> for Bearer<N> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        security::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![security::requirement(N::PERMISSIONS)]
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let token = token(request)?;
        refuse_second_token(request, body).await?;
        let guard = &Exchange::of(request)?.services.guard;
        Ok(Self(guard.admit(token).await.map_err(ApiError::from)?))
    }
}

/// The caller that the token in the `Authorization` header identifies.
pub(crate) async fn authenticate(
    request: &Request,
    guard: &AccessGuard,
    resource: Resource,
) -> Result<Caller, ApiError> {
    Ok(guard.authenticate(token(request)?, resource).await?)
}

/// The token as sent.
fn token(request: &Request) -> Result<&str, ApiError> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    let header = headers.next().ok_or(ApiError::Unauthenticated)?;
    if headers.next().is_some() {
        return Err(ApiError::BearerRequest("there are two Authorization headers; send one"));
    }
    bearer_token(header.as_bytes()).ok_or(ApiError::Unauthenticated)
}

/// RFC 6750 §2: one token, sent in one way. No operation that needs a token reads a form, so the body is inspected only for
/// this check.
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
