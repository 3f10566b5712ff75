//! What scripts of other sites may do.

use poem::http::{HeaderMap, Method};

use super::face::{Answer, Face, request};

/// The one that the gate of these tests is configured with.
const CONFIGURED: &str = "https://app.example";
const FOREIGN: &str = "https://elsewhere.example";

async fn preflight(face: &Face, path: &str, origin: &str, method: &str, headers: &str) -> Answer {
    let request = request(Method::OPTIONS, path).header("Origin", origin);
    let request = request.header("Access-Control-Request-Method", method);
    face.send(request.header("Access-Control-Request-Headers", headers).finish()).await
}

async fn get(face: &Face, path: &str, origin: &str) -> Answer {
    face.send(request(Method::GET, path).header("Origin", origin).finish()).await
}

/// The members of a header that is a list, in small letters.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().flat_map(|value| value.to_str().unwrap().split(','));
    values.map(|member| member.trim().to_lowercase()).collect()
}

#[tokio::test]
async fn every_origin_reads_the_documents_and_gets_and_revokes_tokens() {
    let face = Face::new();
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/api",
        "/.well-known/jwks.json",
        "/.well-known/nowhere",
        "/openapi.json",
        "/openapi/gpt-actions.json",
        "/auth/token",
        "/auth/revoke",
        "/auth/register",
    ] {
        for origin in [FOREIGN, CONFIGURED, "null"] {
            let answer = get(&face, path, origin).await;
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
            let answer = preflight(&face, path, origin, "POST", "content-type").await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        }
        // A cache may hand the answer to one origin on to another.
        assert_eq!(face.get(path).await.header("access-control-allow-origin"), Some("*"), "{path}");
    }
}

#[tokio::test]
async fn a_script_learns_why_it_was_refused() {
    let face = Face::new();
    for (path, origin) in
        [("/auth/token", FOREIGN), ("/api/v1/me", CONFIGURED), ("/api/v1/nowhere", CONFIGURED), ("/mcp", CONFIGURED)]
    {
        let answer = get(&face, path, origin).await;
        assert!(answer.status.is_client_error());
        assert!(answer.header("access-control-allow-origin").is_some(), "{path}");
        let exposed = list(&answer.headers, "access-control-expose-headers");
        for name in ["www-authenticate", "retry-after", "x-request-id", "mcp-protocol-version"] {
            assert!(exposed.contains(&name.to_owned()), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn the_memory_api_is_open_to_the_configured_origins_alone() {
    let face = Face::new();
    let wanted = "authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id";
    for path in ["/api/v1/memories", "/api/v1/search", "/api/v1/memories/a", "/mcp"] {
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            let answer = preflight(&face, path, CONFIGURED, method, wanted).await;
            assert_eq!(answer.status, 204, "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), Some(CONFIGURED), "{path}");
            assert_eq!(answer.header("vary"), Some("Origin"), "{path}");
            assert!(list(&answer.headers, "access-control-allow-methods").contains(&method.to_lowercase()));
            let allowed = list(&answer.headers, "access-control-allow-headers");
            wanted.split(", ").for_each(|name| assert!(allowed.contains(&name.to_owned()), "{name}"));
        }
        for origin in
            [FOREIGN, "null", "https://app.example.evil.example", "http://app.example", "https://app.example:8443"]
        {
            for answer in [preflight(&face, path, origin, "POST", wanted).await, get(&face, path, origin).await] {
                assert_eq!(answer.header("access-control-allow-origin"), None, "{path} {origin}");
                assert!(answer.status.is_client_error());
                assert_eq!(answer.header("vary"), Some("Origin"), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn pages_and_what_is_not_for_browsers_are_open_to_no_origin() {
    let face = Face::new();
    for path in [
        "/",
        "/docs",
        "/privacy",
        "/account",
        "/account/connections",
        "/auth/authorize",
        "/auth/sign-in",
        "/auth/introspect",
        "/auth/token/",
        "/health/live",
        "/api",
        "/apifoo",
    ] {
        for answer in [
            preflight(&face, path, CONFIGURED, "GET", "authorization").await,
            get(&face, path, CONFIGURED).await,
            face.get(path).await,
        ] {
            let named = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(named.count(), 0, "{path}");
        }
    }
}

#[tokio::test]
async fn cookies_are_never_allowed() {
    let face = Face::new();
    for path in ["/auth/token", "/api/v1/me", "/.well-known/jwks.json", "/auth/authorize"] {
        for answer in [get(&face, path, CONFIGURED).await, preflight(&face, path, CONFIGURED, "GET", "a").await] {
            assert_eq!(answer.header("access-control-allow-credentials"), None, "{path}");
        }
    }
}

#[tokio::test]
async fn options_that_are_no_preflight_are_answered_as_before() {
    let face = Face::new();
    let options = || request(Method::OPTIONS, "/api/v1/me");
    for request in [
        options().finish(),
        options().header("Origin", CONFIGURED).finish(),
        options().header("Access-Control-Request-Method", "GET").finish(),
    ] {
        face.send(request).await.problem(405, "method-not-allowed");
    }
}
