use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::prelude::{Claims, HS256Key, MACLike as _, RSAPublicKeyLike as _, UnixTimeStamp, VerificationOptions};
use memgate_domain::testing::SeededEntropy;
use memgate_domain::testing::conformance::Fixture;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::domain::applications::Permissions;
use crate::domain::ids::{GrantId, TokenId, UserId};
use crate::domain::oauth::{KeyAlgorithm, KeyVault as _, MasterKey, NewSigningKey, Subject};
use crate::domain::system::{Entropy, Timestamp};

const START: i64 = 1_800_000_000;

fn vault() -> Arc<SealingKeyVault> {
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::default());
    Arc::new(SealingKeyVault::new(MasterKey::generate(&*entropy), entropy))
}

fn key(vault: &SealingKeyVault, purpose: KeyPurpose, algorithm: KeyAlgorithm, generation: u32) -> SigningKey {
    let at = Timestamp::from_unix_seconds(START).plus(Duration::from_hours(u64::from(generation - 1)));
    made(vault, NewSigningKey { purpose, algorithm, generation, created_at: at, activates_at: at })
}

fn made(vault: &SealingKeyVault, new: NewSigningKey) -> SigningKey {
    // A thread of its own, since some tests have a runtime and a runtime does not block.
    let generate = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(vault.generate(&new)).unwrap()
    };
    std::thread::scope(|scope| scope.spawn(generate).join().unwrap())
}

fn keys(vault: &SealingKeyVault, algorithm: KeyAlgorithm) -> Vec<SigningKey> {
    vec![
        key(vault, KeyPurpose::AccessToken, algorithm, 1),
        key(vault, KeyPurpose::RefreshToken, KeyAlgorithm::Hs256, 1),
    ]
}

fn issuer(algorithm: KeyAlgorithm) -> JwtTokenIssuer {
    let vault = vault();
    let keys = keys(&vault, algorithm);
    JwtTokenIssuer::new(vault, keys).unwrap()
}

fn access_claims() -> AccessTokenClaims {
    let issued_at = Timestamp::from_unix_seconds(START + 10);
    AccessTokenClaims {
        issuer: "https://memory.example.com".to_owned(),
        audience: vec!["https://memory.example.com".to_owned()],
        subject: Subject::Application,
        client_id: "client".parse().unwrap(),
        grant_id: GrantId::from_uuid(Uuid::from_u128(1)),
        token_id: TokenId::from_uuid(Uuid::from_u128(2)),
        scope: Permissions::all(),
        issued_at,
        expires_at: issued_at.plus(Duration::from_hours(1)),
    }
}

fn refresh_claims() -> RefreshTokenClaims {
    let access = access_claims();
    RefreshTokenClaims {
        issuer: access.issuer,
        audience: access.audience,
        subject: Subject::Person(UserId::from_uuid(Uuid::from_u128(3))),
        client_id: access.client_id,
        grant_id: access.grant_id,
        token_id: access.token_id,
        scope: access.scope,
        issued_at: access.issued_at,
        expires_at: access.expires_at,
        grant_expires_at: access.issued_at.plus(Duration::from_hours(48)),
    }
}

/// The token with another header, its signature as it was.
fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

fn part(token: &str, index: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn tokens_of_every_algorithm_come_back_as_they_were_issued() {
    for algorithm in [KeyAlgorithm::EdDsa, KeyAlgorithm::Es256, KeyAlgorithm::Rs256] {
        let issuer = issuer(algorithm);
        let token = issuer.issue_access_token(&access_claims()).unwrap();
        assert_eq!(*issuer.verify_access_token(token.expose()).unwrap(), access_claims());
        let token = issuer.issue_refresh_token(&refresh_claims()).unwrap();
        assert_eq!(issuer.verify_refresh_token(token.expose()).unwrap(), refresh_claims());
    }
}

#[test]
fn an_access_token_looks_as_rfc_9068_says() {
    let issuer = issuer(KeyAlgorithm::EdDsa);
    let token = issuer.issue_access_token(&access_claims()).unwrap();
    let published = issuer.published_keys();
    assert_eq!(part(token.expose(), 0), json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": published["keys"][0]["kid"] }));
    assert_eq!(
        part(token.expose(), 1),
        json!({
            "iss": "https://memory.example.com", "aud": "https://memory.example.com", "sub": "client",
            "client_id": "client", "iat": START + 10, "exp": START + 3610,
            "jti": "00000000-0000-0000-0000-000000000002", "gid": "00000000-0000-0000-0000-000000000001",
            "scope": "memory:read memory:write memory:delete",
        })
    );
}

#[test]
fn the_key_set_holds_public_keys_only() {
    let keys = issuer(KeyAlgorithm::EdDsa).published_keys();
    let key = keys["keys"][0].as_object().unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "the key of refresh tokens is not published");
    let mut members: Vec<&str> = key.keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
}

#[test]
fn an_rsa_key_is_published_for_verifiers_that_know_no_other() {
    let issuer = issuer(KeyAlgorithm::Rs256);
    let keys = issuer.published_keys();
    let key = keys["keys"][0].as_object().unwrap();
    let mut members: Vec<&str> = key.keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"], "no private member");
    assert_eq!(
        (&key["alg"], &key["kty"], &key["use"], &key["e"]),
        (&json!("RS256"), &json!("RSA"), &json!("sig"), &json!("AQAB"))
    );
    assert_eq!(URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap().len(), 256);
    let token = issuer.issue_access_token(&access_claims()).unwrap();
    assert_eq!(part(token.expose(), 0), json!({ "alg": "RS256", "typ": "at+jwt", "kid": key["kid"] }));
    // A verifier that has nothing but the key set.
    let public =
        jwt_simple::prelude::RS256PublicKey::from_jwk(&serde_json::Value::from(key.clone()).to_string()).unwrap();
    let options = VerificationOptions {
        artificial_time: Some(UnixTimeStamp::from_secs(u64::try_from(START).unwrap() + 10)),
        ..VerificationOptions::default()
    };
    assert!(public.verify_token::<serde_json::Value>(token.expose(), Some(options)).is_ok());
    for header in [
        json!({ "alg": "HS256", "typ": "at+jwt", "kid": key["kid"] }),
        json!({ "alg": "PS256", "typ": "at+jwt", "kid": key["kid"] }),
    ] {
        assert_eq!(issuer.verify_access_token(&with_header(token.expose(), &header)), Err(TokenRejected), "{header}");
    }
}

#[test]
fn neither_kind_of_token_is_taken_for_the_other() {
    let issuer = issuer(KeyAlgorithm::EdDsa);
    let access = issuer.issue_access_token(&access_claims()).unwrap();
    let refresh = issuer.issue_refresh_token(&refresh_claims()).unwrap();
    assert_eq!(issuer.verify_refresh_token(access.expose()), Err(TokenRejected));
    assert_eq!(issuer.verify_access_token(refresh.expose()), Err(TokenRejected));
}

#[test]
fn the_same_claims_yield_the_same_refresh_token_to_the_byte() {
    let issuer = issuer(KeyAlgorithm::EdDsa);
    let [first, second] = [(); 2].map(|()| issuer.issue_refresh_token(&refresh_claims()).unwrap());
    assert_eq!(first.expose(), second.expose());
}

#[test]
fn forged_headers_are_refused() {
    let issuer = issuer(KeyAlgorithm::EdDsa);
    let token = issuer.issue_access_token(&access_claims()).unwrap();
    let kid = part(token.expose(), 0)["kid"].clone();
    for header in [
        json!({ "alg": "none", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "EdDSA", "typ": "JWT", "kid": kid }),
        json!({ "alg": "EdDSA", "typ": "rt+jwt", "kid": kid }),
        json!({ "alg": "EdDSA", "kid": kid }),
        json!({ "alg": "EdDSA", "typ": "at+jwt" }),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "another" }),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "../../../../dev/null" }),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "' OR 1=1 --" }),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid, "crit": ["exp"] }),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid, "jku": "http://127.0.0.1:1/keys" }),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid, "x5u": "http://127.0.0.1:1/cert" }),
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid, "jwk": "{}" }),
    ] {
        assert_eq!(issuer.verify_access_token(&with_header(token.expose(), &header)), Err(TokenRejected), "{header}");
    }
}

#[test]
fn a_token_that_was_signed_with_the_public_key_as_a_secret_is_refused() {
    let issuer = issuer(KeyAlgorithm::EdDsa);
    let published = issuer.published_keys();
    let public = URL_SAFE_NO_PAD.decode(published["keys"][0]["x"].as_str().unwrap()).unwrap();
    let key = HS256Key::from_bytes(&public).with_key_id(published["keys"][0]["kid"].as_str().unwrap());
    let claims = Claims::create(jwt_simple::prelude::Duration::from_hours(1));
    let token = key.authenticate(claims).unwrap();
    assert_eq!(issuer.verify_access_token(&token), Err(TokenRejected));
}

#[test]
fn a_token_with_one_changed_character_is_refused() {
    let issuer = issuer(KeyAlgorithm::EdDsa);
    let token = issuer.issue_access_token(&access_claims()).unwrap();
    for index in 0..token.expose().len() {
        let mut bytes = token.expose().as_bytes().to_vec();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(issuer.verify_access_token(&changed), Err(TokenRejected), "at {index}");
    }
}

#[test]
fn garbage_of_every_size_is_refused() {
    let issuer = issuer(KeyAlgorithm::EdDsa);
    let long = "a".repeat(1 << 20);
    let dots = ".".repeat(10_000);
    for token in ["", ".", "..", "...", "a.b.c", "e30.e30.e30", "\0", "ü.ü.ü", &long, &dots] {
        assert_eq!(issuer.verify_access_token(token), Err(TokenRejected));
        assert_eq!(issuer.verify_refresh_token(token), Err(TokenRejected));
    }
}

#[test]
fn a_new_key_signs_from_its_moment_on_and_the_old_one_still_verifies() {
    let vault = vault();
    let mut all = keys(&vault, KeyAlgorithm::EdDsa);
    all.push(key(&vault, KeyPurpose::AccessToken, KeyAlgorithm::Es256, 2));
    all.push(key(&vault, KeyPurpose::AccessToken, KeyAlgorithm::Rs256, 3));
    let issuer = JwtTokenIssuer::new(Arc::clone(&vault), all.clone()).unwrap();
    assert_eq!(issuer.published_keys()["keys"].as_array().unwrap().len(), 3, "the next keys are published already");
    let before = issuer.issue_access_token(&access_claims()).unwrap();
    let issued_at = Timestamp::from_unix_seconds(START + 3600);
    let after = issuer.issue_access_token(&AccessTokenClaims { issued_at, ..access_claims() }).unwrap();
    assert_eq!(part(before.expose(), 0)["alg"], "EdDSA");
    assert_eq!(part(after.expose(), 0)["alg"], "ES256");
    let issued_at = Timestamp::from_unix_seconds(START + 2 * 3600);
    let last = issuer.issue_access_token(&AccessTokenClaims { issued_at, ..access_claims() }).unwrap();
    assert_eq!(part(last.expose(), 0)["alg"], "RS256");
    for token in [before, after, last] {
        assert!(issuer.verify_access_token(token.expose()).is_ok());
    }
}

#[test]
fn keys_that_were_made_while_the_clock_was_ahead_sign_until_it_catches_up() {
    let vault = vault();
    let ahead = |purpose, generation| {
        let algorithm = if purpose == KeyPurpose::AccessToken { KeyAlgorithm::EdDsa } else { KeyAlgorithm::Hs256 };
        let at = Timestamp::from_unix_seconds(START).plus(Duration::from_hours(1_000 + u64::from(generation)));
        made(&vault, NewSigningKey { purpose, algorithm, generation, created_at: at, activates_at: at })
    };
    let all: Vec<_> = KeyPurpose::ALL.into_iter().flat_map(|purpose| [ahead(purpose, 1), ahead(purpose, 2)]).collect();
    let issuer = JwtTokenIssuer::new(Arc::clone(&vault), all.clone()).unwrap();
    let access = issuer.issue_access_token(&access_claims()).unwrap();
    assert!(issuer.verify_access_token(access.expose()).is_ok());
    assert_eq!(part(access.expose(), 0)["kid"], all[0].id.as_str(), "the oldest");
    let refresh = issuer.issue_refresh_token(&refresh_claims()).unwrap();
    assert!(issuer.verify_refresh_token(refresh.expose()).is_ok());
    assert_eq!(issuer.keys_active_from(), Some(all[0].activates_at));
}

#[test]
fn a_retired_key_verifies_nothing_even_what_was_cached() {
    let vault = vault();
    let mut all = keys(&vault, KeyAlgorithm::EdDsa);
    let issuer = JwtTokenIssuer::new(Arc::clone(&vault), all.clone()).unwrap();
    let token = issuer.issue_access_token(&access_claims()).unwrap();
    assert!(issuer.verify_access_token(token.expose()).is_ok());
    all[0].retired_at = Some(Timestamp::from_unix_seconds(START + 20));
    issuer.load(all).unwrap();
    assert_eq!(issuer.verify_access_token(token.expose()), Err(TokenRejected));
    assert!(matches!(issuer.issue_access_token(&access_claims()), Err(IssueError::NoKey)));
}

#[test]
fn a_key_opens_with_its_own_master_key_in_its_own_row_only() {
    let vault = vault();
    let key = key(&vault, KeyPurpose::AccessToken, KeyAlgorithm::EdDsa, 1);
    assert!(vault.open(&key).is_ok());
    let stranger = SealingKeyVault::new(MasterKey::generate(&SeededEntropy::new(7)), Arc::new(SeededEntropy::new(8)));
    let renamed = SigningKey { id: "another".parse().unwrap(), ..key.clone() };
    let repurposed = SigningKey { purpose: KeyPurpose::RefreshToken, ..key.clone() };
    let swapped = SigningKey { algorithm: KeyAlgorithm::Es256, ..key.clone() };
    assert!(matches!(stranger.open(&key), Err(VaultError::WrongMasterKey(_))));
    for forged in [renamed, repurposed, swapped] {
        assert!(matches!(vault.open(&forged), Err(VaultError::WrongMasterKey(_))));
    }
    for length in 0..key.sealed.as_bytes().len() {
        let sealed = crate::domain::oauth::SealedKey::from_stored(key.sealed.as_bytes()[..length].to_vec());
        assert!(vault.open(&SigningKey { sealed, ..key.clone() }).is_err(), "cut at {length}");
    }
}

#[test]
fn a_resealed_key_opens_with_the_new_master_key_and_no_more_with_the_old() {
    let vault = vault();
    let key = key(&vault, KeyPurpose::AccessToken, KeyAlgorithm::EdDsa, 1);
    let master = MasterKey::generate(&SeededEntropy::new(9));
    let sealed = vault.reseal(&key, &master).unwrap();
    let resealed = SigningKey { sealed, ..key.clone() };
    let new = SealingKeyVault::new(master, Arc::new(SeededEntropy::default()));
    assert_eq!(new.open(&resealed).unwrap(), vault.open(&key).unwrap());
    assert!(vault.open(&resealed).is_err());
}

fn conforming(algorithm: KeyAlgorithm) -> Fixture<dyn TokenIssuer> {
    let vault = vault();
    let keys = keys(&vault, algorithm);
    let instance =
        || -> Arc<dyn TokenIssuer> { Arc::new(JwtTokenIssuer::new(Arc::clone(&vault), keys.clone()).unwrap()) };
    Fixture::new(instance()).with_instance(instance())
}

mod with_ed25519 {
    memgate_domain::conformance!(token_issuer, super::conforming(super::KeyAlgorithm::EdDsa));
}

mod with_es256 {
    memgate_domain::conformance!(token_issuer, super::conforming(super::KeyAlgorithm::Es256));
}

mod with_rs256 {
    memgate_domain::conformance!(token_issuer, super::conforming(super::KeyAlgorithm::Rs256));
}
