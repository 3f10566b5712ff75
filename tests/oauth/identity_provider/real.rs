//! Before a real provider.

use std::sync::Arc;

use memgate::adapters::identity_provider::{OpenIdConfig, OpenIdProvider};
use memgate::adapters::system::SystemClock;
use memgate::domain::people::{IdentityError, IdentityProvider as _, SignInAttempt};
use memgate::domain::system::Entropy;
use memgate_domain::testing::SeededEntropy;
use memgate_test_kit::openid_provider::{Browser, OpenIdServer, SECRET};
use url::Url;

fn client(server: &OpenIdServer, client_id: &str) -> OpenIdProvider {
    let mut config = OpenIdConfig::new(server.issuer.parse().unwrap(), client_id);
    config.client_secret = (client_id != "memgate-public").then(|| SECRET.into());
    OpenIdProvider::new(config, "http://127.0.0.1:4711", Arc::new(SystemClock)).unwrap()
}

fn attempt(seed: u64) -> SignInAttempt {
    let entropy: &dyn Entropy = &SeededEntropy::new(seed);
    SignInAttempt::begin(entropy)
}

/// Goes to the provider, signs in, and brings the code back.
async fn code(provider: &OpenIdProvider, attempt: &SignInAttempt, login: &str) -> String {
    let url = provider.authorization_url(attempt).await.unwrap();
    let back = Browser::default().sign_in(url, login).await;
    assert!(back.as_str().starts_with("http://127.0.0.1:4711/auth/callback?"), "{back}");
    assert!(attempt.state().matches(&parameter(&back, "state")), "{back}");
    parameter(&back, "code")
}

fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(each, _)| each == name);
    found.unwrap_or_else(|| panic!("no {name}: {url}")).1.into_owned()
}

#[tokio::test]
async fn clients_with_and_without_a_secret_learn_who_signed_in() {
    let Some(server) = OpenIdServer::start(&[]) else { return };
    for client_id in ["memgate", "memgate-es256", "memgate-public"] {
        let (provider, attempt) = (client(&server, client_id), attempt(1));
        let code = code(&provider, &attempt, "marta").await;
        let proven = provider.identify(&attempt, &code).await.unwrap();
        assert_eq!(proven.identity.issuer(), server.issuer);
        assert_eq!(proven.identity.subject(), "marta");
        assert_eq!(proven.verified_email.as_deref(), Some("marta@example.com"), "from the userinfo endpoint");
    }
}

#[tokio::test]
async fn a_secret_is_sent_in_the_form_where_the_provider_takes_it_only_there() {
    let Some(server) = OpenIdServer::start(&["--post-only"]) else { return };
    let (provider, attempt) = (client(&server, "memgate"), attempt(2));
    let code = code(&provider, &attempt, "marta").await;
    assert_eq!(provider.identify(&attempt, &code).await.unwrap().identity.subject(), "marta");
}

#[tokio::test]
async fn an_address_counts_if_it_is_verified() {
    let Some(server) = OpenIdServer::start(&["--claims-in-id-token"]) else { return };
    let provider = client(&server, "memgate");
    for (login, email) in
        [("anna@example.org", Some("anna@example.org")), ("unverified@example.com", None), ("nameless", None)]
    {
        let attempt = attempt(3);
        let code = code(&provider, &attempt, login).await;
        let proven = provider.identify(&attempt, &code).await.unwrap();
        assert_eq!((proven.identity.subject(), proven.verified_email.as_deref()), (login, email));
    }
}

#[tokio::test]
async fn a_code_is_good_for_its_own_attempt_and_once() {
    let Some(server) = OpenIdServer::start(&[]) else { return };
    let provider = client(&server, "memgate");
    let (own, other) = (attempt(4), attempt(5));
    let stolen = code(&provider, &own, "marta").await;
    let error = provider.identify(&other, &stolen).await.unwrap_err();
    assert!(matches!(error, IdentityError::Rejected(_)), "the code verifier is another: {error:?}");
    let code = code(&provider, &own, "marta").await;
    provider.identify(&own, &code).await.unwrap();
    let error = provider.identify(&own, &code).await.unwrap_err();
    assert!(matches!(error, IdentityError::Rejected(_)), "the code was used: {error:?}");
}

#[tokio::test]
async fn a_wrong_secret_is_said_to_be_one() {
    let Some(server) = OpenIdServer::start(&[]) else { return };
    let mut config = OpenIdConfig::new(server.issuer.parse().unwrap(), "memgate");
    config.client_secret = Some("another-secret".into());
    let provider = OpenIdProvider::new(config, "http://127.0.0.1:4711", Arc::new(SystemClock)).unwrap();
    let attempt = attempt(6);
    let code = code(&provider, &attempt, "marta").await;
    match provider.identify(&attempt, &code).await.unwrap_err() {
        IdentityError::Rejected(why) => assert!(why.to_string().contains("invalid_client"), "{why}"),
        error @ IdentityError::Unavailable(_) => panic!("{error:?}"),
    }
}
