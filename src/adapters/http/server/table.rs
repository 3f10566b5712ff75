//! The routes of an API, with the methods of each path.

use std::collections::{BTreeMap, HashMap};

use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderValue, Method};
use poem::{Endpoint, Request, Response, Result, Route};
use poem_openapi::OpenApi;

use super::error::ApiError;

/// Adds every operation of `api` to `route`.
pub(crate) fn add_to(route: Route, api: impl OpenApi) -> Route {
    let mut paths = HashMap::new();
    api.add_routes(&mut paths);
    // The order of the paths must not depend on a random hash.
    let paths: BTreeMap<_, _> = paths.into_iter().collect();
    paths.into_iter().fold(route, |route, (path, methods)| route.at(path, Methods::new(methods)))
}

/// The methods of one path.
pub(crate) struct Methods {
    endpoints: Vec<(Method, BoxEndpoint<'static>)>,
    allow: HeaderValue,
}

impl Methods {
    pub(crate) fn new(methods: impl IntoIterator<Item = (Method, BoxEndpoint<'static>)>) -> Self {
        let mut endpoints: Vec<_> = methods.into_iter().collect();
        endpoints.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        Self { allow: allow(endpoints.iter().map(|(method, _)| method)), endpoints }
    }

    fn find(&self, wanted: &Method) -> Option<&BoxEndpoint<'static>> {
        self.endpoints.iter().find(|(method, _)| method == wanted).map(|(_, endpoint)| endpoint)
    }
}

/// The header `Allow` (RFC 9110 §10.2.1); GET implies HEAD.
fn allow<'a>(methods: impl Iterator<Item = &'a Method>) -> HeaderValue {
    let mut names = Vec::new();
    for method in methods {
        names.push(method.as_str());
        if method == Method::GET {
            names.push("HEAD");
        }
    }
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

impl Endpoint for Methods {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if let Some(endpoint) = self.find(request.method()) {
            return endpoint.call(request).await;
        }
        // The server drops the body of a response to HEAD by itself.
        match self.find(&Method::GET) {
            Some(endpoint) if request.method() == Method::HEAD => endpoint.call(request).await,
            _ => Err(ApiError::MethodNotAllowed { allow: self.allow.clone() }.into()),
        }
    }
}

/// A document at its own path: GET only.
pub(crate) struct DocumentEndpoint<F>(pub(crate) F);

impl<F: Fn(&Request) -> Response + Send + Sync> Endpoint for DocumentEndpoint<F> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(self.0(&request));
        }
        Err(ApiError::MethodNotAllowed { allow: allow([&Method::GET].into_iter()) }.into())
    }
}
