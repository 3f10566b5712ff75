//! What everybody may read.

use std::collections::BTreeMap;

use memgate::domain::oauth::TokenIssuer as _;
use memgate_domain::testing::FakeTokenIssuer;
use poem::http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::face::{FORM, Face, PUBLIC_URL, request};

/// The texts of the scripts of a page.
fn scripts(html: &str) -> Vec<&str> {
    let texts = html.split("<script").skip(1);
    texts.map(|tag| tag.split_once('>').unwrap().1.split("</script").next().unwrap()).collect()
}

#[tokio::test]
async fn the_examples_of_the_document_work() {
    let face = Face::new();
    let document = face.get("/openapi.json").await.json();
    let example = |name: &str| {
        let example = &document["components"]["schemas"][name]["example"];
        assert!(example.is_object(), "{name} has no example");
        example.clone()
    };
    let created = face.post("/api/v1/memories", example("NewMemory")).await.json();
    let memory_id = created["memory"]["memory_id"].as_str().unwrap();
    let mut tried = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let Some(content) = operation["requestBody"]["content"].as_object() else { continue };
            let media: Vec<&str> = content.keys().map(String::as_str).collect();
            if media == ["application/octet-stream"] {
                // A file, of which docs/api.md shows a line.
                continue;
            }
            let reference = content[media[0]]["schema"]["$ref"].as_str().unwrap();
            let body = example(reference.rsplit('/').next().unwrap());
            let path = path.replace("{memory_id}", memory_id);
            let answer = match media[..] {
                ["application/json"] => {
                    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                    let answer = face.call(method, &path, Some(body)).await;
                    assert!(answer.status.is_success(), "{path}: {}", answer.json());
                    answer
                }
                [FORM] => {
                    let members = body.as_object().unwrap().iter();
                    let members = members.map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
                    let answer = face.form(&path, &members.collect::<Vec<_>>()).await;
                    // All but the credentials is right.
                    assert_eq!(answer.oauth_error(401), "invalid_client", "{path}");
                    answer
                }
                _ => panic!("{path} takes {media:?}"),
            };
            let status = answer.status.as_str();
            assert!(operation["responses"][status].is_object(), "{path} does not document {status}");
            tried.insert(operation["operationId"].as_str().unwrap().to_owned(), answer.json());
        }
    }
    assert!(tried.contains_key("createMemory") && tried.contains_key("issueToken"), "{tried:?}");
    assert_eq!((&tried["createMemories"]["stored"], &tried["createMemories"]["refused"]), (&json!(2), &json!(0)));
    assert!(tried["deleteMemories"]["matching"].as_u64().unwrap() > 0, "{}", tried["deleteMemories"]);
}

#[tokio::test]
async fn a_person_can_agree_on_the_page_of_the_document_and_come_back_to_it() {
    let face = Face::new();
    let page = String::from_utf8(face.get("/docs").await.body).unwrap();
    let start = *scripts(&page).last().unwrap();
    assert!(start.contains("usePkceWithAuthorizationCodeGrant: true"));
    assert!(start.contains("credentials: 'omit'"), "a browser must not ask for a password by itself");
    let path = start.split_once("location.origin + '").unwrap().1.split('\'').next().unwrap();
    let receiver = face.get(path).await;
    assert_eq!(receiver.status, 200);
    let html = String::from_utf8(receiver.body.clone()).unwrap();
    let policy = receiver.header("content-security-policy").unwrap();
    for script in scripts(&html) {
        let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, Sha256::digest(script));
        assert!(policy.contains(&hash), "{policy}");
    }
    assert!(html.contains("swaggerUIRedirectOauth2") && !policy.contains("script-src 'unsafe-inline'"));
}

#[tokio::test]
async fn the_openapi_document_is_served() {
    let answer = Face::new().get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.body, memgate::adapters::http::openapi_document(PUBLIC_URL).into_bytes());
}

#[tokio::test]
async fn documents_can_be_kept_validated_and_compressed() {
    let face = Face::new();
    for path in [
        "/openapi.json",
        "/openapi/gpt-actions.json",
        "/docs",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-protected-resource/mcp",
    ] {
        let whole = face.get(path).await;
        assert!(whole.header("cache-control").unwrap().starts_with("public, max-age="), "{path}");
        let tag = whole.header("etag").unwrap();
        for (known, status) in [(tag, 304), (tag.trim_start_matches("W/"), 304), ("*", 304), ("\"other\"", 200)] {
            for method in [Method::GET, Method::HEAD] {
                let conditional = request(method, path).header("If-None-Match", known).finish();
                let answer = face.send(conditional).await;
                assert_eq!(answer.status, status, "{path} {known}");
                assert_eq!(answer.header("etag"), Some(tag), "{path}");
                assert_eq!(answer.body.is_empty(), status == 304, "{path} {known}");
            }
        }
        let compressed = face.send(request(Method::GET, path).header("Accept-Encoding", "gzip").finish()).await;
        assert_eq!(compressed.header("etag"), Some(tag), "{path}");
        if path.starts_with("/.well-known") {
            assert!(compressed.compressible, "by the server, if it is long enough");
            continue;
        }
        assert_eq!(compressed.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(compressed.header("vary"), Some("accept-encoding"), "{path}");
        assert!(compressed.body.len() * 3 < whole.body.len(), "{path}: {}", compressed.body.len());
    }
}

#[tokio::test]
async fn only_answers_without_credentials_may_be_compressed() {
    let face = Face::new();
    let token = face.client_form("/auth/token", &[("grant_type", "client_credentials")]).await;
    let pages = [face.get("/auth/sign-in").await, face.get("/privacy").await, face.get("/account/connections").await];
    for answer in pages.iter().chain([&token, &face.get("/auth/nowhere").await]) {
        assert!(!answer.compressible);
    }
    for path in ["/api/v1/memories", "/api/v1/me"] {
        assert!(face.call(Method::GET, path, None).await.compressible, "{path}");
    }
}

#[tokio::test]
async fn while_the_service_drains_it_is_not_ready_and_still_serves() {
    let face = Face::new();
    assert_eq!(face.get("/health/ready").await.status, 200);
    face.draining.send_replace(true);
    let answer = face.get("/health/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.json()["checks"][0]["name"], "shutdown");
    assert_eq!(face.get("/health/live").await.status, 200);
    face.remember("kept while the service drains").await;
}

#[tokio::test]
async fn the_page_of_the_document_runs_its_own_scripts_alone() {
    let answer = Face::new().get("/docs").await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    let scripts = policy.split("; ").find(|part| part.starts_with("script-src")).unwrap();
    assert!(!scripts.contains("unsafe-inline") && !scripts.contains("http"), "{scripts}");
    assert_eq!(scripts.matches("'sha256-").count(), 2);
    let html = String::from_utf8(answer.body.clone()).unwrap();
    let start = html.rfind("<script>").unwrap() + "<script>".len();
    let script = &html[start..start + html[start..].find("</script>").unwrap()];
    let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, Sha256::digest(script));
    assert!(scripts.contains(&hash));
    assert!(script.contains(&format!("{PUBLIC_URL}/auth/token")));
}

#[tokio::test]
async fn the_metadata_names_the_issuer_and_only_endpoints_that_are_there() {
    let face = Face::new();
    let answer = face.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    let metadata = answer.json();
    assert_eq!(metadata["issuer"], PUBLIC_URL);
    for (member, value) in metadata.as_object().unwrap() {
        let Some(path) = value.as_str().and_then(|url| url.strip_prefix(PUBLIC_URL)) else { continue };
        if !path.is_empty() {
            assert_ne!(face.get(path).await.status, 404, "{member}");
        }
    }
    let methods: Vec<&str> =
        metadata["grant_types_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(methods, ["client_credentials", "authorization_code", "refresh_token"]);

    assert!(metadata["scopes_supported"].as_array().unwrap().contains(&"offline_access".into()));
    for alias in ["/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration"] {
        assert_eq!(face.get(alias).await.json(), metadata, "{alias}");
    }

    for (path, resource) in [
        ("/.well-known/oauth-protected-resource", "/mcp"),
        ("/.well-known/oauth-protected-resource/mcp", "/mcp"),
        ("/.well-known/oauth-protected-resource/api", "/api"),
    ] {
        let document = face.get(path).await.json();
        assert_eq!(document["resource"], format!("{PUBLIC_URL}{resource}"), "{path}");
        assert_eq!(document["authorization_servers"][0], metadata["issuer"]);
        assert!(!document["scopes_supported"].as_array().unwrap().contains(&"offline_access".into()), "{path}");
    }
    let keys = FakeTokenIssuer::default().published_keys();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(face.get("/.well-known/jwks.json").await.json(), keys);
}
