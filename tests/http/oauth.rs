//! The OAuth endpoints, as far as HTTP goes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memgate::domain::applications::{Application, ClientKind};
use memgate::domain::people::PersonRepository as _;
use memgate_domain::testing::{application, application_with_secret, person};
use poem::http::Method;
use serde_json::json;

use super::face::{Answer, CHALLENGE, FORM, Face, PUBLIC_URL, Parts, VERIFIER, request};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn basic(face: &Face) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", face.application.client_id, face.secret.expose())))
}

#[tokio::test]
async fn a_token_is_issued_for_a_form_for_json_and_for_basic_credentials() {
    let face = Face::new();
    let (id, secret) = (face.application.client_id.as_str(), face.secret.expose());
    let json = json!({"grant_type": "client_credentials", "client_id": id, "client_secret": secret, "x": [1]});
    let token = || request(Method::POST, "/auth/token");
    let answers = [
        face.client_form("/auth/token", &[GRANT]).await,
        face.send(token().content_type("application/json; charset=utf-8").body(json.to_string())).await,
        face.send(token().content_type("APPLICATION/JSON").body(json.to_string())).await,
        face.send(
            token().header("Authorization", basic(&face)).content_type(FORM).body("grant_type=client_credentials"),
        )
        .await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("pragma"), Some("no-cache"));
        let body = answer.json();
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 3600);
        assert_eq!(body["scope"], "memory:read memory:write memory:delete");
        assert!(body["access_token"].is_string() && body["refresh_token"].is_string());
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_invalid_requests() {
    let face = Face::new();
    let many = (0..10_000).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    for (content_type, body) in [
        (None, "grant_type=client_credentials"),
        (Some("text/plain"), "grant_type=client_credentials"),
        (Some("multipart/form-data; boundary=x"), "--x--"),
        (Some("application/json"), "{"),
        (Some("application/json"), "[]"),
        (Some("application/json"), r#"{"grant_type":"a","grant_type":"a"}"#),
        (Some(FORM), "grant_type=%zz"),
        (Some(FORM), "grant_type=a&grant_type=b"),
        (Some(FORM), "grant_type=client_credentials%00"),
        (Some(FORM), ""),
        (Some(FORM), &many),
    ] {
        for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
            let mut request = request(Method::POST, path);
            if let Some(content_type) = content_type {
                request = request.content_type(content_type);
            }
            let answer = face.send(request.body(body.to_owned())).await;
            if path == "/auth/token" || !body.is_empty() {
                assert_eq!(answer.oauth_error(400), "invalid_request", "{path} {content_type:?} {body:.40}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let face = Face::new();
    let body = format!("grant_type={}", "a".repeat(512 * 1024));
    let token = || request(Method::POST, "/auth/token").content_type(FORM);
    assert_eq!(face.send(token().body(body)).await.oauth_error(413), "invalid_request");
    let declared = token().header("Content-Length", "600000");
    assert_eq!(face.send(declared.body("grant_type=a")).await.oauth_error(413), "invalid_request");
}

#[tokio::test]
async fn failed_authentication_by_the_header_alone_is_answered_with_a_basic_challenge() {
    let face = Face::new();
    let token = || request(Method::POST, "/auth/token").content_type(FORM);
    for header in ["Basic", "Basic !!", "Bearer a", "Basic YQ==", ""] {
        let answer = face.send(token().header("Authorization", header).body("grant_type=client_credentials")).await;
        assert_eq!(answer.oauth_error(401), "invalid_client", "{header}");
        assert_eq!(answer.header("www-authenticate"), Some(r#"Basic realm="memgate""#));
        let text = answer.json()["error_description"].as_str().unwrap().to_owned();
        assert!(text.contains("Authorization header"), "{header}: {text}");
    }
    for path in ["/auth/revoke", "/auth/introspect"] {
        assert_eq!(face.form(path, &[("token", "a")]).await.oauth_error(401), "invalid_client");
    }
    // In the body they are a script's own business, and a browser must not ask the person behind it for a password.
    let wrong = [("client_id", face.application.client_id.as_str()), ("client_secret", "wrong")];
    for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
        let parameters = [&[GRANT, ("token", "a")][..], &wrong].concat();
        let answer = face.form(path, &parameters).await;
        assert_eq!(answer.oauth_error(401), "invalid_client");
        assert_eq!(answer.header("www-authenticate"), None, "{path}");
    }
}

#[tokio::test]
async fn a_revocation_is_answered_with_an_empty_object_for_clients_that_parse() {
    let face = Face::new();
    let revoke = request(Method::POST, "/auth/revoke").header("Authorization", basic(&face)).content_type(FORM);
    let answer = face.send(revoke.body("token=x")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), serde_json::json!({}));
}

#[tokio::test]
async fn a_public_client_may_send_its_id_with_an_empty_secret_in_the_header() {
    const REDIRECT_URI: (&str, &str) = ("redirect_uri", "https://client.example/callback");
    let face = Face::of(Parts { application: public_application(), ..Parts::default() });
    let person = person();
    face.people.create(&person).await.unwrap();
    let id = face.application.client_id.as_str();
    let parameters = [("response_type", "code"), ("client_id", id), REDIRECT_URI, ("code_challenge", CHALLENGE)];
    let query = urlencoded(&[&parameters[..], &[("code_challenge_method", "S256")]].concat());
    let request = face.authorizations.validate(query.as_bytes(), std::net::Ipv4Addr::LOCALHOST.into()).await.unwrap();
    let location = face.authorizations.approve(&request, &person).await.unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();

    let code = [("grant_type", "authorization_code"), ("code", &*code), REDIRECT_URI, ("code_verifier", VERIFIER)];
    let issued = post_without_secret(&face, "/auth/token", &code).await;
    assert_eq!(issued.status, 200, "{}", issued.json());
    let token = issued.json()["refresh_token"].as_str().unwrap().to_owned();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
    let renewed = post_without_secret(&face, "/auth/token", &refresh).await;
    assert_eq!(renewed.status, 200, "{}", renewed.json());
    let token = renewed.json()["refresh_token"].as_str().unwrap().to_owned();

    // Who asks about tokens has to authenticate (RFC 7662 §2.1), and nobody does with an ID alone.
    let inquiry = post_without_secret(&face, "/auth/introspect", &[("token", &token)]).await;
    assert_eq!(inquiry.oauth_error(401), "invalid_client");
    assert_eq!(inquiry.header("www-authenticate"), Some(r#"Basic realm="memgate""#));

    let revoked = post_without_secret(&face, "/auth/revoke", &[("token", &token)]).await;
    assert_eq!((revoked.status.as_u16(), revoked.json()), (200, json!({})));
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
    assert_eq!(post_without_secret(&face, "/auth/token", &refresh).await.oauth_error(400), "invalid_grant");

    let confidential = Face::new();
    for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
        let answer = post_without_secret(&confidential, path, &[GRANT, ("token", "a")]).await;
        assert_eq!(answer.oauth_error(401), "invalid_client", "{path}");
    }
}

fn public_application() -> Application {
    Application { kind: ClientKind::Public, ..application() }
}

fn urlencoded(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// A POST of a form, with the ID of the application and nothing behind it in the header.
async fn post_without_secret(face: &Face, path: &str, parameters: &[(&str, &str)]) -> Answer {
    let header = format!("Basic {}", STANDARD.encode(format!("{}:", face.application.client_id)));
    let request = request(Method::POST, path).header("Authorization", header).content_type(FORM);
    face.send(request.body(urlencoded(parameters))).await
}

#[tokio::test]
async fn a_resource_may_be_repeated_at_every_endpoint_of_clients() {
    let face = Face::new();
    for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
        let request = request(Method::POST, path).header("Authorization", basic(&face)).content_type(FORM);
        let ours = format!("resource={PUBLIC_URL}&resource={PUBLIC_URL}/mcp");
        let body = format!("grant_type=client_credentials&token=x&{ours}&audience=a&audience=b");
        assert_eq!(face.send(request.body(body)).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn two_authorization_headers_are_an_invalid_request() {
    let face = Face::new();
    let twice = request(Method::POST, "/auth/token").header("Authorization", basic(&face));
    let twice = twice.header("Authorization", basic(&face)).content_type(FORM);
    assert_eq!(face.send(twice.body("grant_type=client_credentials")).await.oauth_error(400), "invalid_request");
}

#[tokio::test]
async fn each_refusal_has_the_code_of_the_rfc() {
    let face = Face::new();
    for (parameters, code) in [
        (&[][..], "invalid_request"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[GRANT, ("scope", "admin")], "invalid_scope"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&[("grant_type", "refresh_token"), ("refresh_token", "a")], "invalid_grant"),
    ] {
        assert_eq!(face.client_form("/auth/token", parameters).await.oauth_error(400), code, "{parameters:?}");
    }
}

#[tokio::test]
async fn somebody_who_guesses_is_told_to_wait() {
    let face = Face::new();
    let id = face.application.client_id.as_str();
    // A secret that one could be: what none can be is refused without being counted.
    let (_, other) = application_with_secret();
    let guess = [GRANT, ("client_id", id), ("client_secret", other.expose())];
    let mut answer = face.form("/auth/token", &guess).await;
    for _ in 0..10 {
        answer = face.form("/auth/token", &guess).await;
    }
    assert_eq!(answer.oauth_error(429), "slow_down");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn what_does_not_answer_now_is_temporarily_unavailable() {
    let face = Face::new();
    face.hasher.set_overloaded(true);
    let overloaded = face.client_form("/auth/token", &[GRANT]).await;
    face.hasher.set_overloaded(false);
    face.applications_outage.begin();
    let unavailable = face.client_form("/auth/token", &[GRANT]).await;
    for answer in [overloaded, unavailable] {
        assert_eq!(answer.oauth_error(503), "temporarily_unavailable");
        assert!(answer.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn a_missing_signing_key_is_a_server_error_without_details() {
    let face = Face::new();
    face.issuer.set_without_key(true);
    let answer = face.client_form("/auth/token", &[GRANT]).await;
    assert_eq!(answer.oauth_error(500), "server_error");
    assert!(!answer.json().to_string().contains("key"));
}

#[tokio::test]
async fn a_revoked_token_is_inactive_and_opens_nothing() {
    let face = Face::new();
    let token = face.token().await;
    let active = face.client_form("/auth/introspect", &[("token", &token)]).await.json();
    assert_eq!(active["active"], true);
    assert_eq!(active["client_id"], face.application.client_id.as_str());
    assert_eq!(active["sub"], face.application.client_id.as_str());
    assert_eq!(active["token_type"], "Bearer");
    assert!(active["exp"].is_i64() && active["iat"].is_i64() && active["jti"].is_string());

    let revoked = face.client_form("/auth/revoke", &[("token", &token)]).await;
    assert_eq!((revoked.status.as_u16(), revoked.json()), (200, serde_json::json!({})));
    let inactive = face.client_form("/auth/introspect", &[("token", &token)]).await;
    assert_eq!(inactive.body, br#"{"active":false}"#);
    let me = request(Method::GET, "/api/v1/me").header("Authorization", format!("Bearer {token}"));
    face.send(me.finish()).await.problem(401, "invalid-token");
}
