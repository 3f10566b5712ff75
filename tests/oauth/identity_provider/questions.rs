//! What memgate asks, and what becomes of it when the provider fails.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use memgate::domain::people::{IdentityError, IdentityProvider as _};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wiremock::ResponseTemplate;

use super::double::{ACCESS_TOKEN, CLIENT_SECRET, CODE, Double, METADATA, TOKEN, USER_INFO, ok, signed};

fn form(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn the_browser_is_sent_away_with_everything_that_ties_the_answer_to_it() {
    let double = Double::start().await;
    let url = double.client().authorization_url(&double.attempt).await.unwrap();
    assert!(url.as_str().starts_with(&format!("{}/authorize?tenant=1&", double.server.uri())), "{url}");
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let digest = Sha256::digest(double.attempt.code_verifier().expose_secret());
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", "memgate"),
        ("redirect_uri", "https://memory.example/auth/callback"),
        ("scope", "openid email"),
        ("state", double.attempt.state().as_str()),
        ("nonce", double.attempt.nonce().expose_secret()),
        ("code_challenge", &URL_SAFE_NO_PAD.encode(digest)),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(value(&pairs, name), Some(expected), "{name}");
    }
    assert!(!url.as_str().contains(double.attempt.code_verifier().expose_secret()));
}

#[tokio::test]
async fn a_code_is_sent_with_the_verifier_and_the_secret_in_the_way_that_the_provider_takes() {
    let mut double = Double::start().await;
    let token = signed(&double.key, &double.claims());
    let basic = format!("Basic {}", STANDARD.encode("memgate:the+secret+of+the+client"));
    for (secret, methods, header, in_form) in [
        (true, Value::Null, Some(&basic), None),
        (true, json!(["client_secret_post", "client_secret_basic"]), Some(&basic), None),
        (true, json!(["client_secret_post"]), None, Some(CLIENT_SECRET)),
        (false, json!(["none", "client_secret_basic"]), None, None),
    ] {
        double.config.client_secret = secret.then(|| CLIENT_SECRET.into());
        let mut metadata = double.metadata();
        metadata["token_endpoint_auth_methods_supported"] = methods;
        double.serves_well().await;
        double.answers(METADATA, ok(&metadata)).await;
        double.gives(&token).await;
        double.client().identify(&double.attempt, CODE).await.unwrap();

        let requests = double.requests(TOKEN).await;
        assert_eq!(requests.len(), 1);
        let sent = form(&requests[0].body);
        assert_eq!(value(&sent, "grant_type"), Some("authorization_code"));
        assert_eq!(value(&sent, "code"), Some(CODE));
        assert_eq!(value(&sent, "redirect_uri"), Some("https://memory.example/auth/callback"));
        assert_eq!(value(&sent, "code_verifier"), Some(double.attempt.code_verifier().expose_secret()));
        assert_eq!(value(&sent, "client_secret"), in_form);
        assert_eq!(value(&sent, "client_id").is_some(), header.is_none());
        let authorization = requests[0].headers.get("authorization").map(|value| value.to_str().unwrap());
        assert_eq!(authorization, header.map(String::as_str));
    }
}

#[tokio::test]
async fn an_address_that_the_id_token_lacks_is_asked_for() {
    let double = Double::start().await;
    let mut claims = double.claims();
    claims.as_object_mut().unwrap().remove("email");
    let token = signed(&double.key, &claims);
    for (answer, email) in [
        (json!({"sub": "248289761001", "email": "m@example.com", "email_verified": true}), Some("m@example.com")),
        (json!({"sub": "248289761001", "email": "m@example.com", "email_verified": "true"}), Some("m@example.com")),
        (json!({"sub": "248289761001", "email": "m@example.com", "email_verified": false}), None),
        (json!({"sub": "248289761001", "email": "m@example.com"}), None),
        (json!({"sub": "248289761001"}), None),
    ] {
        double.serves_well().await;
        double.gives(&token).await;
        double.answers(USER_INFO, ok(&answer)).await;
        let proven = double.client().identify(&double.attempt, CODE).await.unwrap();
        assert_eq!(proven.verified_email.as_deref(), email, "{answer}");
        let requests = double.requests(USER_INFO).await;
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].headers["authorization"], format!("Bearer {ACCESS_TOKEN}"));
    }
}

#[tokio::test]
async fn a_provider_that_nobody_can_ask_for_addresses_tells_who_it_is_all_the_same() {
    let double = Double::start().await;
    let mut claims = double.claims();
    claims.as_object_mut().unwrap().remove("email");
    let mut metadata = double.metadata();
    metadata.as_object_mut().unwrap().remove("userinfo_endpoint");
    double.answers(METADATA, ok(&metadata)).await;
    double.gives(&signed(&double.key, &claims)).await;
    let proven = double.client().identify(&double.attempt, CODE).await.unwrap();
    assert_eq!((proven.identity.subject(), proven.verified_email), ("248289761001", None));
}

#[tokio::test]
async fn a_refusal_is_one_and_a_failure_may_pass() {
    let double = Double::start().await;
    let refusal = |error: &str| json!({"error": error, "error_description": format!("the code {CODE} is bad")});
    let elsewhere = format!("{}/elsewhere", double.server.uri());
    for (answer, rejected, reason) in [
        (ResponseTemplate::new(400).set_body_json(refusal("invalid_grant")), true, "invalid_grant"),
        (ResponseTemplate::new(401).set_body_json(refusal("invalid_client")), true, "invalid_client"),
        (ResponseTemplate::new(400).set_body_json(refusal(CODE)), true, "not defined"),
        (ResponseTemplate::new(400).set_body_string("<html>"), true, "could not be parsed"),
        (ResponseTemplate::new(400), true, "could not be parsed"),
        (
            ResponseTemplate::new(200).set_body_string(format!("{{\"access_token\": \"{ACCESS_TOKEN}")),
            true,
            "could not be",
        ),
        (ResponseTemplate::new(200), true, "could not be parsed"),
        (ResponseTemplate::new(500).set_body_json(refusal("server_error")), false, "status 500"),
        (ResponseTemplate::new(503), false, "status 503"),
        (ResponseTemplate::new(429), false, "status 429"),
        (ResponseTemplate::new(307).insert_header("location", &*elsewhere), false, "status 307"),
        (ResponseTemplate::new(200).set_body_string("x".repeat(1 << 20)), false, "too large"),
    ] {
        double.serves_well().await;
        double.answers(TOKEN, answer).await;
        let error = double.client().identify(&double.attempt, CODE).await.unwrap_err();
        double.assert_silent(&error);
        assert_eq!(matches!(error, IdentityError::Rejected(_)), rejected, "{error:?}");
        let (IdentityError::Rejected(why) | IdentityError::Unavailable(why)) = error;
        assert!(why.to_string().contains(reason), "{why}");
        assert_eq!(double.requests(TOKEN).await.len(), 1, "a code is never sent twice");
    }
    assert!(double.requests("/elsewhere").await.is_empty(), "a redirect is not followed");
}

#[tokio::test]
async fn a_failure_of_the_address_may_pass() {
    let double = Double::start().await;
    let mut claims = double.claims();
    claims.as_object_mut().unwrap().remove("email");
    double.gives(&signed(&double.key, &claims)).await;
    double.answers(USER_INFO, ResponseTemplate::new(502)).await;
    let error = double.client().identify(&double.attempt, CODE).await.unwrap_err();
    double.assert_silent(&error);
    assert!(matches!(error, IdentityError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure() {
    let double = Double::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut metadata = double.metadata();
    metadata["token_endpoint"] = json!(format!("http://{}/token", listener.local_addr().unwrap()));
    double.answers(METADATA, ok(&metadata)).await;
    let broken = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        assert!(socket.read(&mut request).await.unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
        socket.write_all(format!("{head}{{\"access_token\": \"{ACCESS_TOKEN}").as_bytes()).await.unwrap();
    });
    let error = double.client().identify(&double.attempt, CODE).await.unwrap_err();
    broken.await.unwrap();
    double.assert_silent(&error);
    let IdentityError::Unavailable(why) = error else { panic!("{error:?}") };
    assert!(why.to_string().contains("connection was lost"), "{why}");
}

#[tokio::test]
async fn a_slow_answer_is_not_waited_for() {
    let mut double = Double::start().await;
    double.config.timeout = Duration::from_secs(2);
    double.answers(TOKEN, ok(&json!({})).set_delay(Duration::from_mins(10))).await;
    let error = double.client().identify(&double.attempt, CODE).await.unwrap_err();
    let IdentityError::Unavailable(why) = error else { panic!("{error:?}") };
    assert!(why.to_string().contains("timed out"), "{why}");
}
