//! The floor that the benchmark compares memgate with: poem, jwt-simple and reqwest alone, doing the least that an answer
//! needs.
//!
//! - `POST /auth/token` parses the form, signs one Ed25519 JWT with the claims of RFC 9068, and answers it.
//!   No client is looked up, no secret is verified, nothing is logged.
//! - `GET /fixed` answers a search result that was written down beforehand.
//! - `POST /bank/search` is the search of a memory bank that remembers nothing; see `floor/bank.rs`.
//! - `POST /search` passes everything on to the bank whose URL is the second argument, and its answer back.
//!
//! `cargo run --release --example floor -- 127.0.0.1:0` prints the address that it listens on.

#[path = "floor/bank.rs"]
mod bank;

use std::env;
use std::io;
use std::sync::Arc;

use jwt_simple::algorithms::{Ed25519KeyPair, EdDSAKeyPairLike as _};
use jwt_simple::claims::Claims;
use jwt_simple::common::HeaderOptions;
use jwt_simple::prelude::Duration;
use poem::error::{BadGateway, InternalServerError};
use poem::listener::{Acceptor as _, Listener as _, TcpListener};
use poem::web::{Data, Form, Json};
use poem::{Body, EndpointExt as _, IntoResponse, Response, Route, Server, get, handler, post};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const LIFETIME_SECONDS: u64 = 3600;

const FIXED: &str = r#"{"status":"success","request_id":"019b0a53-5f0c-7c1e-9a6e-1f0f4f1f7b11","results":[{"memory_id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c01","content":"Marta is allergic to hazelnuts and all other tree nuts; peanuts are fine. She wants every recipe suggestion checked for nut flour and praline.","relevance_score":0.92,"categories":["health","diet"],"metadata":{"source":"chat","pinned":true},"created_at":"2026-01-05T14:20:14.000Z"},{"memory_id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c02","content":"Tomas has been vegetarian since 2019 and is lactose intolerant. Oat milk works for him, soy milk gives him a headache.","relevance_score":0.58,"categories":["diet","health"],"metadata":{"source":"chat"},"created_at":"2026-01-06T10:05:05.000Z"},{"memory_id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c03","content":"The lunch place by the office closes at 14:00 on Fridays and needs two days of notice for a table of more than six.","relevance_score":0.31,"categories":["places"],"metadata":{},"created_at":"2026-02-11T09:41:30.000Z"}],"total_found":3,"processing_time_ms":2}"#;

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: String,
    client_id: String,
    scope: Option<String>,
}

#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
}

#[derive(Serialize, Deserialize)]
struct OwnClaims {
    client_id: String,
    scope: String,
}

#[handler]
fn token(Data(key): Data<&Arc<Ed25519KeyPair>>, Form(request): Form<TokenRequest>) -> poem::Result<Json<TokenAnswer>> {
    if request.grant_type != "client_credentials" {
        return Err(poem::error::BadRequest(io::Error::other("only client_credentials is known here")));
    }
    let scope = request.scope.unwrap_or_else(|| "memory:read memory:write".to_owned());
    let own = OwnClaims { client_id: request.client_id, scope: scope.clone() };
    let claims = Claims::with_custom_claims(own, Duration::from_secs(LIFETIME_SECONDS))
        .with_issuer("http://127.0.0.1")
        .with_audience("http://127.0.0.1/api/v1")
        .with_subject("floor")
        .with_jwt_id(random_id()?);
    let header = HeaderOptions { signature_type: Some("at+jwt".to_owned()), ..HeaderOptions::default() };
    let access_token = key
        .sign_with_options(claims, &header)
        .map_err(|error| InternalServerError(io::Error::other(error.to_string())))?;
    Ok(Json(TokenAnswer { access_token, token_type: "Bearer", expires_in: LIFETIME_SECONDS, scope }))
}

#[expect(clippy::disallowed_methods, reason = "the floor has no ports")]
fn random_id() -> poem::Result<Uuid> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(InternalServerError)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

#[handler]
fn fixed() -> Response {
    FIXED.with_content_type("application/json; charset=utf-8").into_response()
}

/// The bank that searches are passed on to.
#[derive(Clone)]
struct Upstream {
    http: reqwest::Client,
    search: String,
}

#[handler]
async fn pass_on(Data(upstream): Data<&Upstream>, body: Body) -> poem::Result<Response> {
    let body = body.into_bytes().await?;
    let request = upstream.http.post(&upstream.search).header("content-type", "application/json").body(body);
    let answer = request.send().await.map_err(BadGateway)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(BadGateway)?;
    Ok(Response::builder().status(status).content_type("application/json").body(body))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let key = Arc::new(Ed25519KeyPair::generate().with_key_id("floor"));
    let mut routes = Route::new().at("/auth/token", post(token)).at("/fixed", get(fixed)).nest("/bank", bank::routes());
    if let Some(bank) = env::args().nth(2) {
        // reqwest asks for one though nothing is encrypted; that there is one already does no harm.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().map_err(io::Error::other)?;
        let upstream = Upstream { http, search: format!("{bank}/search") };
        routes = routes.at("/search", post(pass_on).data(upstream));
    }
    let routes = routes.data(key);

    let acceptor = TcpListener::bind(address).into_acceptor().await?;
    for local in acceptor.local_addr() {
        println!("listening on {local}");
    }
    Server::new_with_acceptor(acceptor).run(routes).await
}
