//! A provider that does what a real one does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::prelude::{Ed25519KeyPair, EdDSAKeyPairLike as _, HS256Key, JWTClaims, MACLike as _};
use memgate::adapters::identity_provider::{OpenIdConfig, OpenIdProvider};
use memgate::domain::people::{IdentityError, IdentityProvider as _, ProvenIdentity, SignInAttempt};
use memgate::domain::system::Clock as _;
use memgate_domain::testing::{FixedClock, SeededEntropy};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

pub const CLIENT_ID: &str = "memgate";
pub const CLIENT_SECRET: &str = "the secret of the client";
pub const CODE: &str = "the-code-of-the-provider";
pub const ACCESS_TOKEN: &str = "the-access-token-of-the-provider";

pub const METADATA: &str = "/.well-known/openid-configuration";
pub const KEYS: &str = "/jwks";
pub const TOKEN: &str = "/token";
pub const USER_INFO: &str = "/userinfo";

/// A provider with one Ed25519 key, and memgate as its client in the middle of an attempt to sign in.
pub struct Double {
    pub server: MockServer,
    pub clock: FixedClock,
    pub attempt: SignInAttempt,
    pub key: Ed25519KeyPair,
    pub config: OpenIdConfig,
    answers: AtomicU8,
}

impl Double {
    /// A provider that does nothing wrong, except that nobody has come with a code yet.
    pub async fn start() -> Self {
        let server = MockServer::start().await;
        let mut config = OpenIdConfig::new(server.uri().parse().unwrap(), CLIENT_ID);
        config.client_secret = Some(CLIENT_SECRET.into());
        let double = Self {
            server,
            clock: FixedClock::default(),
            attempt: SignInAttempt::begin(&SeededEntropy::default()),
            key: Ed25519KeyPair::generate().with_key_id("first"),
            config,
            answers: AtomicU8::new(0),
        };
        double.serves_well().await;
        double
    }

    /// Forgets what it was told to answer, and serves its metadata and its key.
    pub async fn serves_well(&self) {
        self.server.reset().await;
        self.answers.store(0, Ordering::Relaxed);
        self.answers(METADATA, ok(&self.metadata())).await;
        self.answers(KEYS, ok(&key_set(&[&self.key]))).await;
    }

    /// Answers every request for a path so; what is said last counts.
    pub async fn answers(&self, at: &str, answer: ResponseTemplate) {
        let priority = u8::MAX - self.answers.fetch_add(1, Ordering::Relaxed);
        Mock::given(path(at)).respond_with(answer).with_priority(priority).mount(&self.server).await;
    }

    /// Gives this ID token to whoever has a code.
    pub async fn gives(&self, id_token: &str) {
        self.answers(TOKEN, ok(&token_answer(id_token))).await;
    }

    pub fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.server.uri());
        json!({
            "issuer": self.server.uri(),
            "authorization_endpoint": at("/authorize?tenant=1"),
            "token_endpoint": at(TOKEN),
            "userinfo_endpoint": at(USER_INFO),
            "jwks_uri": at(KEYS),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA", "RS256", "HS256", "none", "an-unknown-one"],
        })
    }

    /// What a good ID token says.
    pub fn claims(&self) -> Value {
        let now = self.clock.now().unix_seconds();
        json!({
            "iss": self.server.uri(),
            "aud": CLIENT_ID,
            "sub": "248289761001",
            "iat": now,
            "exp": now + 300,
            "nonce": self.attempt.nonce().expose_secret(),
            "email": "marta@example.com",
            "email_verified": true,
        })
    }

    pub fn client(&self) -> OpenIdProvider {
        OpenIdProvider::new(self.config.clone(), "https://memory.example", Arc::new(self.clock.clone())).unwrap()
    }

    /// What becomes of this ID token.
    pub async fn identify_with(&self, id_token: &str) -> Result<ProvenIdentity, IdentityError> {
        self.serves_well().await;
        self.gives(id_token).await;
        self.client().identify(&self.attempt, CODE).await
    }

    /// The requests for a path.
    pub async fn requests(&self, at: &str) -> Vec<Request> {
        let requests = self.server.received_requests().await.unwrap();
        requests.into_iter().filter(|request| request.url.path() == at).collect()
    }

    /// An error says nothing that is secret, in whatever way it is printed.
    pub fn assert_silent(&self, error: &IdentityError) {
        let mut said = format!("{error:?} {error}");
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            said = format!("{said} {error:?} {error}");
            source = error.source();
        }
        let (nonce, verifier) = (self.attempt.nonce(), self.attempt.code_verifier());
        for secret in [CODE, CLIENT_SECRET, ACCESS_TOKEN, nonce.expose_secret(), verifier.expose_secret(), "marta@"] {
            assert!(!said.contains(secret), "{secret} is in: {said}");
        }
    }
}

pub fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

pub fn token_answer(id_token: &str) -> Value {
    json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 60, "id_token": id_token})
}

pub fn key_set(keys: &[&Ed25519KeyPair]) -> Value {
    let key = |key: &&Ed25519KeyPair| {
        let x = URL_SAFE_NO_PAD.encode(key.public_key().to_bytes());
        json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.key_id(), "x": x})
    };
    // Keys of a kind that is not known must not keep the others from being read.
    let unknown = json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "of-the-future", "pub": "AA"});
    let keys: Vec<_> = keys.iter().map(key).chain([unknown]).collect();
    json!({"keys": keys})
}

pub fn signed(key: &Ed25519KeyPair, claims: &Value) -> String {
    key.sign(jwt_claims(claims)).unwrap()
}

pub fn authenticated(key: &[u8], key_id: &str, claims: &Value) -> String {
    HS256Key::from_bytes(key).with_key_id(key_id).authenticate(jwt_claims(claims)).unwrap()
}

/// An ID token with this header and a signature that is none, or empty.
pub fn assembled(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// Exactly these claims.
fn jwt_claims(claims: &Value) -> JWTClaims<serde_json::Map<String, Value>> {
    let claims = claims.as_object().unwrap().clone();
    let mut all = jwt_simple::prelude::Claims::with_custom_claims(claims, jwt_simple::prelude::Duration::from_secs(1));
    (all.issued_at, all.expires_at, all.invalid_before) = (None, None, None);
    all
}
