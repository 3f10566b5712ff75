//! Requests of OAuth clients: a form or JSON, with the client's credentials in it or in the `Authorization` header.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use poem::http::header;
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSecurityScheme, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::error::RefusedGrant;
use super::exchange::Exchange;
use super::payload;
use crate::adapters::http::server::services::Services;
use crate::domain::oauth::{OAuthError, Parameters};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
/// The name of the security scheme in the document.
const SCHEME: &str = "ClientBasic";

/// A request in the form that the domain reads, documented as a `T`. It is not parsed into a `T`: the domain has to see
/// duplicate parameters.
pub(crate) struct ClientRequest<T> {
    pub(crate) services: Arc<Services>,
    pub(crate) parameters: Parameters,
    pub(crate) authorization: Option<Vec<u8>>,
    pub(crate) address: IpAddr,
    documented: PhantomData<fn() -> T>,
}

impl<'a, T: Type> ApiExtractor<'a> for ClientRequest<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject, ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
        registry.create_security_scheme(
            SCHEME,
            MetaSecurityScheme {
                ty: "http",
                description: Some("The client_id and the client_secret of an application."),
                name: None,
                key_in: None,
                scheme: Some("basic"),
                bearer_format: None,
                flows: None,
                openid_connect_url: None,
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    /// The credentials may be in the body instead.
    fn has_security_fallback() -> bool {
        true
    }

    /// Documents only the form, which is the standard's: a second media type makes client generators fail or guess.
    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: FORM, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> Result<Self> {
        let services = Arc::clone(&Exchange::of(request)?.services);
        let address = services.trusted_proxies.address_of(request);
        let authorization = authorization(request).map_err(RefusedGrant)?;
        let parse = match payload::essence(request).as_deref() {
            Some(FORM) => Parameters::from_form,
            Some(JSON) => Parameters::from_json,
            _ => return Err(RefusedGrant(wrong_media_type()).into()),
        };
        let body = payload::read(request, body).await?;
        let parameters = parse(&body).map_err(RefusedGrant)?;
        Ok(Self { services, parameters, authorization, address, documented: PhantomData })
    }
}

fn authorization(request: &Request) -> Result<Option<Vec<u8>>, OAuthError> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION).iter();
    let first = headers.next().map(|value| value.as_bytes().to_vec());
    match headers.next() {
        None => Ok(first),
        Some(_) => Err(OAuthError::InvalidRequest("there are two Authorization headers; send one".to_owned())),
    }
}

fn wrong_media_type() -> OAuthError {
    OAuthError::InvalidRequest(format!("the body must be {FORM} or {JSON}, and the header Content-Type must say so"))
}
