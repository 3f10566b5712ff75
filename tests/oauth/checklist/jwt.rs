//! Access tokens as JSON Web Tokens, and their keys.

use std::io::ErrorKind;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::prelude::{Claims, HS256Key, MACLike as _};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use serde_json::{Value, json};

use super::{Answer, me};

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// The header and the claims of a token.
fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.');
    (decode(parts.next().unwrap()), decode(parts.next().unwrap()))
}

async fn published_keys(gate: &TestGate) -> Vec<Value> {
    let answer = gate.http.get(gate.url("/.well-known/jwks.json")).send().await.unwrap();
    Answer::read(answer).await.json()["keys"].as_array().unwrap().clone()
}

pub(crate) async fn line_24_the_access_token_is_an_at_jwt_with_all_its_claims(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let (header, claims) = parts(&gate.access_token(&application).await);
    assert_eq!(header["typ"], "at+jwt");
    assert_eq!(header["alg"], "EdDSA");
    let keys = published_keys(&gate).await;
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert!(keys.iter().all(|key| key.get("d").is_none()), "a private key is published");
    assert_eq!(claims["iss"], gate.gate().public_url());
    assert_eq!(claims["aud"], gate.gate().public_url());
    assert_eq!(claims["sub"], application.client_id);
    assert_eq!(claims["client_id"], application.client_id);
    assert_eq!(claims["scope"], "memory:read memory:write memory:delete");
    assert_eq!(claims["iat"], gate.now());
    assert_eq!(claims["exp"], gate.now() + 3600);
    let (_, second) = parts(&gate.access_token(&application).await);
    assert!(claims["jti"].is_string() && claims["jti"] != second["jti"]);
}

pub(crate) async fn line_25_a_forged_token_is_refused_and_nothing_is_fetched(database: TestDatabase) {
    let gate = TestGate::on(database).await;
    let application = gate.application().await;
    let genuine = gate.access_token(&application).await;
    let (header, claims) = parts(&genuine);
    let signature = genuine.rsplit('.').next().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let elsewhere = format!("http://{}/keys", listener.local_addr().unwrap());

    let changed = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    let key = published_keys(&gate).await.into_iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let symmetric = HS256Key::from_bytes(&public).with_key_id(header["kid"].as_str().unwrap());
    let custom: serde_json::Map<String, Value> = claims.as_object().unwrap().clone();
    let hs256 =
        symmetric.authenticate(Claims::with_custom_claims(custom, jwt_simple::prelude::Duration::from_hours(1)));

    let mut forged = vec![
        format!("{}.{}.", encode(&json!({"alg": "none", "typ": "at+jwt"})), encode(&claims)),
        format!("{}.{}.{signature}", encode(&changed("alg", json!("none"))), encode(&claims)),
        hs256.unwrap(),
    ];
    for (name, value) in [
        ("alg", json!("HS256")),
        ("kid", json!("unknown")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!(7)),
        ("typ", json!("JWT")),
        ("typ", json!("rt+jwt")),
        ("jku", json!(elsewhere)),
        ("x5u", json!(elsewhere)),
        ("jwk", key.clone()),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
    ] {
        forged.push(format!("{}.{}.{signature}", encode(&changed(name, value)), encode(&claims)));
    }
    let mut wider = claims.clone();
    wider["exp"] = json!(gate.now() + 1_000_000);
    forged.push(format!("{}.{}.{signature}", encode(&header), encode(&wider)));
    for token in forged {
        let answer = me(&gate, &token).await;
        assert_eq!(answer.status, 401, "{token}");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    assert_eq!(me(&gate, &genuine).await.status, 200);
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody fetched a key");
}

pub(crate) async fn line_35_after_a_rotation_of_keys_old_tokens_are_good_until_they_expire(database: TestDatabase) {
    let publish_before = Duration::from_mins(15);
    let gate = TestGate::configured(database, &[("MEMGATE_KEY_PUBLISH_BEFORE", "15m")]).await;
    let application = gate.application().await;
    let kid = |token: &str| parts(token).0["kid"].clone();
    let old = gate.access_token(&application).await;

    gate.gate().backend().keys().await.unwrap().rotate(false).await.unwrap();
    gate.gate().run_background_work().await;
    let published = published_keys(&gate).await;
    assert_eq!(published.len(), 2, "a key is published before it signs");
    assert_eq!(kid(&gate.access_token(&application).await), kid(&old));

    gate.advance(publish_before);
    let new = gate.access_token(&application).await;
    assert_ne!(kid(&new), kid(&old));
    assert!(published.iter().any(|key| key["kid"] == kid(&new)));
    for token in [&old, &new] {
        assert_eq!(me(&gate, token).await.status, 200);
    }

    gate.advance(Duration::from_mins(45));
    assert_eq!(me(&gate, &old).await.status, 401);
    assert_eq!(me(&gate, &new).await.status, 200);
}
