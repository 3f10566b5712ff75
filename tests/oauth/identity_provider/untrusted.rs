//! What an ID token, or an answer about a person, must not be.

use jwt_simple::prelude::Ed25519KeyPair;
use memgate::domain::people::{IdentityError, IdentityProvider as _};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::double::{
    ACCESS_TOKEN, CLIENT_SECRET, CODE, Double, TOKEN, USER_INFO, assembled, authenticated, ok, signed, token_answer,
};

/// The reason of a refusal, which says nothing secret.
fn rejection(double: &Double, error: &IdentityError) -> String {
    double.assert_silent(error);
    match error {
        IdentityError::Rejected(why) => why.to_string(),
        IdentityError::Unavailable(_) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_good_id_token_says_who_it_is() {
    let double = Double::start().await;
    let proven = double.identify_with(&signed(&double.key, &double.claims())).await.unwrap();
    assert_eq!(proven.identity.issuer(), double.server.uri());
    assert_eq!(proven.identity.subject(), "248289761001");
    assert_eq!(proven.verified_email.as_deref(), Some("marta@example.com"));
    assert!(double.requests(USER_INFO).await.is_empty(), "nothing was left to be asked");
}

#[tokio::test]
async fn claims_that_are_not_ours_are_refused() {
    let double = Double::start().await;
    let now = double.claims()["iat"].as_i64().unwrap();
    for (claim, value, reason) in [
        ("nonce", json!("of-another-attempt"), "nonce does not match"),
        ("nonce", Value::Null, "nonce does not match"),
        ("aud", json!("another-client"), "another client"),
        ("aud", json!([]), "another client"),
        ("aud", json!(["memgate", "another-client"]), "another client"),
        ("aud", json!("MEMGATE"), "another client"),
        ("iss", json!("https://another.example"), "issuer is another one"),
        ("iss", json!(format!("{}/", double.server.uri())), "issuer is another one"),
        ("exp", json!(now), "has expired"),
        ("exp", json!(now - 3600), "has expired"),
        ("exp", Value::Null, "could not be parsed"),
        ("iat", Value::Null, "could not be parsed"),
        ("iss", Value::Null, "could not be parsed"),
        ("aud", Value::Null, "another client"),
        ("sub", Value::Null, "could not be parsed"),
        ("sub", json!(""), "subject"),
        ("sub", json!("x".repeat(256)), "subject"),
        ("sub", json!("a\nb"), "subject"),
    ] {
        let mut claims = double.claims();
        claims[claim] = value;
        if claims[claim].is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        }
        let error = double.identify_with(&signed(&double.key, &claims)).await.unwrap_err();
        let said = rejection(&double, &error);
        assert!(said.contains(reason), "{claim} {}: {said}", claims[claim]);
    }
}

#[tokio::test]
async fn time_is_what_the_clock_says() {
    let double = Double::start().await;
    let token = signed(&double.key, &double.claims());
    double.clock.advance(std::time::Duration::from_secs(299));
    assert!(double.identify_with(&token).await.is_ok());
    double.clock.advance(std::time::Duration::from_secs(1));
    assert!(rejection(&double, &double.identify_with(&token).await.unwrap_err()).contains("has expired"));
}

#[tokio::test]
async fn signatures_that_are_not_the_providers_are_refused() {
    let double = Double::start().await;
    let claims = double.claims();
    let genuine = signed(&double.key, &claims);
    let signature = genuine.rsplit('.').next().unwrap();
    let mut wider = claims.clone();
    wider["sub"] = json!("1");
    let public = double.key.public_key();
    let foreign = Ed25519KeyPair::generate();
    for (what, token, reason) in [
        ("no signature", assembled(&json!({"alg": "none"}), &claims, ""), "not signed"),
        ("none with a signature", assembled(&json!({"alg": "none", "kid": "first"}), &claims, signature), "not signed"),
        ("the public key as a secret", authenticated(&public.to_bytes(), "first", &claims), "not accepted"),
        (
            "the public key's PEM as a secret",
            authenticated(public.to_pem().as_bytes(), "first", &claims),
            "not accepted",
        ),
        ("the client's secret", authenticated(CLIENT_SECRET.as_bytes(), "first", &claims), "not accepted"),
        ("an unknown key", signed(&foreign.clone().with_key_id("second"), &claims), "not one of the provider's"),
        ("another key under its name", signed(&foreign.clone().with_key_id("first"), &claims), "signature is invalid"),
        ("another key without a name", signed(&foreign, &claims), "signature is invalid"),
        (
            "other claims",
            assembled(&json!({"alg": "EdDSA", "kid": "first"}), &wider, signature),
            "signature is invalid",
        ),
        (
            "an algorithm of other keys",
            assembled(&json!({"alg": "RS256", "kid": "first"}), &claims, signature),
            "not one of the",
        ),
        ("an algorithm that is not announced", assembled(&json!({"alg": "ES256"}), &claims, signature), "not accepted"),
        ("a kind of token", assembled(&json!({"alg": "EdDSA", "typ": "at+jwt"}), &claims, signature), "format"),
        ("a critical header", assembled(&json!({"alg": "EdDSA", "crit": ["b64"]}), &claims, signature), "format"),
        ("no token at all", "not-a-token".to_owned(), "could not be parsed"),
        ("an encrypted token", "a.b.c.d.e".to_owned(), "could not be parsed"),
    ] {
        let error = double.identify_with(&token).await.unwrap_err();
        let said = rejection(&double, &error);
        assert!(said.contains(reason), "{what}: {said}");
    }
    assert!(double.identify_with(&genuine).await.is_ok());
}

#[tokio::test]
async fn an_answer_without_an_id_token_is_refused() {
    let double = Double::start().await;
    let plain = json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer"});
    for body in [plain, json!({}), json!([]), json!("text")] {
        double.serves_well().await;
        double.answers(TOKEN, ok(&body)).await;
        let error = double.client().identify(&double.attempt, CODE).await.unwrap_err();
        assert!(rejection(&double, &error).contains("could not be parsed"));
    }
}

#[tokio::test]
async fn an_address_counts_only_if_the_provider_says_that_it_is_verified() {
    let double = Double::start().await;
    for (verified, counts) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (Value::Null, false),
    ] {
        let mut claims = double.claims();
        claims["email_verified"] = verified;
        let proven = double.identify_with(&signed(&double.key, &claims)).await.unwrap();
        assert_eq!(proven.verified_email.is_some(), counts, "{}", claims["email_verified"]);
        assert!(double.requests(USER_INFO).await.is_empty(), "what the ID token says is not asked for again");
    }
}

#[tokio::test]
async fn an_answer_about_the_person_must_be_about_that_person() {
    let double = Double::start().await;
    let mut claims = double.claims();
    claims.as_object_mut().unwrap().remove("email");
    let token = signed(&double.key, &claims);
    let person = json!({"sub": "248289761001", "email": "marta@example.com", "email_verified": true});
    for (answer, reason) in [
        (ok(&json!({"sub": "1", "email": "marta@example.com", "email_verified": true})), "subject does not match"),
        (ok(&json!({"email": "marta@example.com", "email_verified": true})), "could not be parsed"),
        (ResponseTemplate::new(200).set_body_string(person.to_string()), "could not be parsed"),
        (ResponseTemplate::new(403).set_body_json(&person), "access to it was denied"),
    ] {
        double.serves_well().await;
        double.gives(&token).await;
        double.answers(USER_INFO, answer).await;
        let error = double.client().identify(&double.attempt, CODE).await.unwrap_err();
        let said = rejection(&double, &error);
        assert!(said.contains(reason), "{said}");
    }
}

#[tokio::test]
async fn an_access_token_that_cannot_stand_in_a_header_is_refused() {
    let double = Double::start().await;
    let mut claims = double.claims();
    claims.as_object_mut().unwrap().remove("email");
    for odd in ["two\nlines", "a NUL\0", "ümlaut", ""] {
        let mut answer = token_answer(&signed(&double.key, &claims));
        answer["access_token"] = json!(odd);
        double.serves_well().await;
        double.answers(TOKEN, ok(&answer)).await;
        let error = double.client().identify(&double.attempt, CODE).await.unwrap_err();
        assert!(rejection(&double, &error).contains("not a valid header value"), "{odd:?}");
        assert!(double.requests(USER_INFO).await.is_empty());
    }
}
