//! The published `oauth2` crate as a client that knows nothing of memgate.

use std::collections::HashMap;
use std::time::Duration;

use memgate::domain::applications::{GrantType, NewApplication};
use memgate::domain::people::Password;
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestApplication, TestGate, new_application};
use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    IntrospectionUrl, PkceCodeChallenge, RedirectUrl, RefreshToken, RequestTokenError, RevocationUrl, Scope,
    StandardRevocableToken, TokenIntrospectionResponse as _, TokenResponse as _, TokenUrl,
};

/// Sends the client's requests with the gate's own HTTP client.
async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let (parts, body) = request.into_parts();
    let answer = http.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body).send().await?;
    let mut response = HttpResponse::new(Vec::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    *response.body_mut() = answer.bytes().await?.to_vec();
    Ok(response)
}

macro_rules! client {
    ($gate:expr, $application:expr, $auth:expr) => {
        BasicClient::new(ClientId::new($application.client_id.clone()))
            .set_client_secret(ClientSecret::new($application.secret.clone()))
            .set_token_uri(TokenUrl::new($gate.url("/auth/token")).unwrap())
            .set_introspection_url(IntrospectionUrl::new($gate.url("/auth/introspect")).unwrap())
            .set_revocation_url(RevocationUrl::new("https://revocation.invalid/".to_owned()).unwrap())
            .set_auth_type($auth)
    };
}

async fn gate() -> (TestGate, TestApplication) {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let application = gate.application().await;
    (gate, application)
}

#[tokio::test]
async fn it_gets_a_token_with_client_credentials_in_the_body_and_by_basic() {
    let (gate, application) = gate().await;
    let http = |request| send(gate.http.clone(), request);
    for auth in [AuthType::RequestBody, AuthType::BasicAuth] {
        let client = client!(gate, application, auth);
        let request = client.exchange_client_credentials().add_scope(Scope::new("memory:read".to_owned()));
        let token = request.request_async(&http).await.unwrap();
        assert_eq!(token.expires_in(), Some(Duration::from_hours(1)));
        assert_eq!(token.scopes().unwrap(), &[Scope::new("memory:read".to_owned())]);
        let answer = gate.http.get(gate.url("/api/v1/me")).bearer_auth(token.access_token().secret());
        assert_eq!(answer.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn it_refreshes_again_and_again_and_a_used_token_is_an_invalid_grant() {
    let (gate, application) = gate().await;
    let http = |request| send(gate.http.clone(), request);
    let client = client!(gate, application, AuthType::BasicAuth);
    let first = client.exchange_client_credentials().request_async(&http).await.unwrap();
    let mut refresh: RefreshToken = first.refresh_token().unwrap().clone();
    let used = RefreshToken::new(refresh.secret().clone());
    for _ in 0..5 {
        let next = client.exchange_refresh_token(&refresh).request_async(&http).await.unwrap();
        assert_ne!(next.refresh_token().unwrap().secret(), refresh.secret());
        refresh = next.refresh_token().unwrap().clone();
    }
    match client.exchange_refresh_token(&used).request_async(&http).await {
        Err(RequestTokenError::ServerResponse(error)) => {
            assert_eq!(*error.error(), BasicErrorResponseType::InvalidGrant);
        }
        other => panic!("a used refresh token is refused, not {other:?}"),
    }
    assert!(client.exchange_refresh_token(&refresh).request_async(&http).await.is_err(), "the whole grant is dead");
}

#[tokio::test]
async fn it_understands_introspection_and_the_errors() {
    let (gate, application) = gate().await;
    let http = |request| send(gate.http.clone(), request);
    let client = client!(gate, application, AuthType::BasicAuth);
    let token = client.exchange_client_credentials().request_async(&http).await.unwrap();
    let live = client.introspect(token.access_token()).request_async(&http).await.unwrap();
    assert!(live.active() && live.client_id().unwrap().as_str() == application.client_id);
    gate.form(
        "/auth/revoke",
        &[
            ("token", token.access_token().secret()),
            ("client_id", &application.client_id),
            ("client_secret", &application.secret),
        ],
    )
    .send()
    .await
    .unwrap();
    assert!(!client.introspect(token.access_token()).request_async(&http).await.unwrap().active());
    let wrong = TestApplication { secret: "mgs_wrong".to_owned(), ..application.clone() };
    match client!(gate, wrong, AuthType::BasicAuth).exchange_client_credentials().request_async(&http).await {
        Err(RequestTokenError::ServerResponse(error)) => {
            assert_eq!(*error.error(), BasicErrorResponseType::InvalidClient);
        }
        other => panic!("a wrong secret is refused, not {other:?}"),
    }
}

#[tokio::test]
async fn it_exchanges_the_code_of_a_persons_consent_with_pkce() {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let application = NewApplication {
        grants: GrantType::ALL.into(),
        redirect_uris: vec!["https://app.example/callback".parse().unwrap()],
        ..new_application()
    };
    let application = gate.register(application).await;
    let password = Password::choose("correct horse").unwrap();
    let person = gate.gate().backend().people().create("marta".parse().unwrap(), &password).await.unwrap();
    let client = client!(gate, application, AuthType::BasicAuth)
        .set_auth_uri(AuthUrl::new(gate.url("/auth/authorize")).unwrap())
        .set_redirect_uri(RedirectUrl::new("https://app.example/callback".to_owned()).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("memory:read".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    // What a browser does is tried in `tests/people/pages`; here the person agrees in the domain.
    let authorizations = gate.gate().authorizations();
    let request =
        authorizations.validate(url.query().unwrap().as_bytes(), std::net::Ipv4Addr::LOCALHOST.into()).await.unwrap();
    let location = authorizations.approve(&request, &person).await.unwrap();
    let answer: HashMap<String, String> = location.query_pairs().into_owned().collect();
    assert_eq!(answer["state"], *state.secret());
    let http = |request| send(gate.http.clone(), request);
    let code = AuthorizationCode::new(answer["code"].clone());
    let token = client.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await.unwrap();
    assert_eq!(token.scopes().unwrap(), &[Scope::new("memory:read".to_owned())]);
    let next = client.exchange_refresh_token(token.refresh_token().unwrap()).request_async(&http).await.unwrap();
    let answer = gate.http.get(gate.url("/api/v1/me")).bearer_auth(next.access_token().secret());
    assert!(answer.send().await.unwrap().text().await.unwrap().contains(&person.id.to_string()));
}

#[tokio::test]
async fn it_makes_a_revocation_request_that_memgate_understands() {
    let (gate, application) = gate().await;
    let http = |request: HttpRequest| {
        // The crate insists on https for revocation; a proxy would end TLS here.
        let (mut parts, body) = request.into_parts();
        parts.uri = gate.url("/auth/revoke").parse().unwrap();
        send(gate.http.clone(), HttpRequest::from_parts(parts, body))
    };
    let client = client!(gate, application, AuthType::BasicAuth);
    let tokens = gate.tokens(&application).await;
    let access = tokens["access_token"].as_str().unwrap();
    let refresh = RefreshToken::new(tokens["refresh_token"].as_str().unwrap().to_owned());
    let revocation = client.revoke_token(StandardRevocableToken::RefreshToken(refresh)).unwrap();
    revocation.request_async(&http).await.unwrap();
    let answer = gate.http.get(gate.url("/api/v1/me")).bearer_auth(access).send().await.unwrap();
    assert_eq!(answer.status(), 401, "the grant's access token went with it");
}
