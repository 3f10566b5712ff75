//! Clients that register themselves (RFC 7591), and what an unverified client may try with what it got.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};

use super::browser::Browser;
use super::consent::{fields, parameter};
use super::{PASSWORD, Place};

const LOOPBACK: &str = "http://127.0.0.1:33418/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn place() -> Place {
    Place::configured(&[("MEMGATE_DYNAMIC_REGISTRATION", "true")]).await
}

async fn register(place: &Place, body: &Value) -> Response {
    place.gate.http.post(place.gate.url("/auth/register")).json(body).send().await.unwrap()
}

/// A client that has registered itself.
struct Client<'a> {
    place: &'a Place,
    id: String,
}

impl<'a> Client<'a> {
    async fn of(place: &'a Place) -> Self {
        let metadata = json!({"client_name": "Editor", "redirect_uris": ["http://127.0.0.1/callback"]});
        let answer = register(place, &metadata).await;
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let answer: Value = answer.json().await.unwrap();
        assert!(answer.get("client_secret").is_none() && answer["token_endpoint_auth_method"] == "none", "{answer}");
        assert_eq!(answer["redirect_uris"], json!(["http://127.0.0.1/callback"]));
        assert_eq!(answer["scope"], "memory:read memory:write memory:delete");
        Self { place, id: answer["client_id"].as_str().unwrap().to_owned() }
    }

    fn request(&self, scope: &str) -> String {
        self.place.request(&[
            ("client_id", &self.id),
            ("redirect_uri", LOOPBACK),
            ("scope", scope),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
    }

    /// The code after Marta has allowed everything but `unticked`.
    async fn code(&self, scope: &str, unticked: &[&str]) -> String {
        let mut browser = Browser::of(&self.place.gate);
        let at_consent = browser.sign_in(&self.request(scope), "marta", PASSWORD).await.location();
        let page = browser.get(&at_consent).await.page;
        let mut fields = fields(&page, "allow");
        fields.retain(|(name, value)| *name != "permission" || !unticked.contains(value));
        let location = browser.submit("/auth/consent", &fields).await.location();
        parameter(&location, "code").unwrap_or_else(|| panic!("{location}"))
    }

    async fn token(&self, parameters: &[(&str, &str)]) -> (u16, Value) {
        let request = self.place.gate.form("/auth/token", &[&[("client_id", &*self.id)], parameters].concat());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn exchange(&self, code: &str, more: &[(&str, &str)]) -> (u16, Value) {
        let own = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", LOOPBACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(&[&own, more].concat()).await
    }

    async fn tokens(&self, scope: &str, unticked: &[&str]) -> Value {
        let (status, answer) = self.exchange(&self.code(scope, unticked).await, &[]).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn refresh(&self, token: &Value, more: &[(&str, &str)]) -> (u16, Value) {
        let own = [("grant_type", "refresh_token"), ("refresh_token", token.as_str().unwrap())];
        self.token(&[&own, more].concat()).await
    }

    /// The status and the challenge of a call of a tool.
    async fn call(&self, token: &Value, tool: &str, arguments: Value) -> (u16, String) {
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments},
        });
        let request = self.place.gate.http.post(self.place.gate.url("/mcp")).bearer_auth(token.as_str().unwrap());
        let answer = request.json(&call).send().await.unwrap();
        let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), challenge.unwrap_or_default())
    }
}

#[tokio::test]
async fn a_client_registers_itself_only_where_the_operator_allows_it() {
    for (variables, status, advertised) in
        [(&[][..], 404, false), (&[("MEMGATE_DYNAMIC_REGISTRATION", "true")][..], 201, true)]
    {
        let place = Place::configured(variables).await;
        let answer = register(&place, &json!({"redirect_uris": [LOOPBACK]})).await;
        assert_eq!(answer.status().as_u16(), status);
        let metadata = place.gate.http.get(place.gate.url("/.well-known/oauth-authorization-server")).send().await;
        let metadata: Value = metadata.unwrap().json().await.unwrap();
        assert_eq!(metadata.get("registration_endpoint").is_some(), advertised, "{metadata}");
    }
}

#[tokio::test]
async fn a_registration_is_answered_by_the_errors_of_its_rfc() {
    let place = place().await;
    for (metadata, error) in [
        (json!({"redirect_uris": ["http://evil.example/"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["gpt-callback"]}), "invalid_redirect_uri"),
        (json!({}), "invalid_redirect_uri"),
        (json!([]), "invalid_client_metadata"),
        (json!({"redirect_uris": [LOOPBACK], "grant_types": ["password"]}), "invalid_client_metadata"),
        (json!({"redirect_uris": [LOOPBACK], "scope": "admin"}), "invalid_client_metadata"),
        (json!({"redirect_uris": [LOOPBACK], "x": "y".repeat(11 * 1024)}), "invalid_client_metadata"),
    ] {
        let answer = register(&place, &metadata).await;
        assert_eq!(answer.status(), 400);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"], error, "{answer}");
        assert!(answer["error_description"].is_string(), "{answer}");
    }
    let form = place.gate.form("/auth/register", &[("redirect_uris", LOOPBACK)]).send().await.unwrap();
    assert_eq!(form.json::<Value>().await.unwrap()["error"], "invalid_client_metadata");
    let get = place.gate.http.get(place.gate.url("/auth/register")).send().await.unwrap();
    assert_eq!((get.status().as_u16(), &get.headers()["allow"]), (405, &"POST".parse().unwrap()));
}

#[tokio::test]
async fn a_registered_client_is_unverified_and_public_and_goes_when_nobody_uses_it() {
    let place = place().await;
    let client = Client::of(&place).await;
    let mut browser = Browser::of(&place.gate);
    let at_consent = browser.sign_in(&client.request(""), "marta", PASSWORD).await.location();
    let page = browser.get(&at_consent).await.page;
    page.assert_sound();
    for text in
        ["It calls itself Editor. This name is not verified", "Any program on this device can pose as this one."]
    {
        assert!(page.says(text), "{text}: {}", page.text());
    }
    let without_pkce = client.request("").replace("code_challenge=", "unknown=");
    assert!(Browser::of(&place.gate).get(&without_pkce).await.location().contains("error=invalid_request"));
    let (status, answer) = client.token(&[("grant_type", "client_credentials")]).await;
    assert_eq!((status, &answer["error"]), (400, &json!("unauthorized_client")));

    let used = Client::of(&place).await;
    let tokens = used.tokens("", &[]).await;
    place.gate.advance(Duration::from_mins(61));
    place.gate.gate().run_background_work().await;
    Browser::of(&place.gate).get(&client.request("")).await.assert_page(400);
    let (status, refreshed) = used.refresh(&tokens["refresh_token"], &[]).await;
    assert_eq!(status, 200, "{refreshed}");
}

#[tokio::test]
async fn a_flood_of_registrations_from_one_address_ends() {
    let place = place().await;
    let metadata = json!({"redirect_uris": [LOOPBACK]});
    for _ in 0..100 {
        assert_eq!(register(&place, &metadata).await.status(), 201);
    }
    let refused = register(&place, &metadata).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "10");
}

#[tokio::test]
async fn a_foreign_resource_costs_neither_the_code_nor_the_refresh_token() {
    let place = place().await;
    let client = Client::of(&place).await;
    let code = client.code("", &[]).await;
    let (mcp, rest) = (format!("{}/mcp", place.gate.gate().public_url()), place.gate.gate().public_url().to_owned());
    for foreign in ["https://evil.example/mcp", &rest] {
        let (status, answer) = client.exchange(&code, &[("resource", foreign)]).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_target")), "{foreign}");
    }
    let (status, tokens) = client.exchange(&code, &[("resource", &mcp)]).await;
    assert_eq!(status, 200, "{tokens}");
    for foreign in ["https://evil.example/mcp", &rest] {
        let (status, answer) = client.refresh(&tokens["refresh_token"], &[("resource", foreign)]).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_target")), "{foreign}");
    }
    // Nothing was rotated: later than any retry window, the same token is used for the first time.
    place.gate.advance(Duration::from_hours(2));
    let (status, refreshed) = client.refresh(&tokens["refresh_token"], &[("resource", &mcp)]).await;
    assert_eq!(status, 200, "{refreshed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_processes_of_one_client_refresh_at_once_and_one_late() {
    let place = place().await;
    let client = Client::of(&place).await;
    let tokens = client.tokens("", &[]).await;
    let token = &tokens["refresh_token"];
    let none = [];
    let at_once = (0..5).map(|_| client.refresh(token, &none));
    let answers = futures_util::future::join_all(at_once).await;
    let successor = &answers[0].1["refresh_token"];
    for (status, answer) in &answers {
        assert_eq!((*status, &answer["refresh_token"]), (200, successor), "{answer}");
        assert_eq!(client.call(&answer["access_token"], "search", json!({"query": "x"})).await.0, 200);
    }
    // One that was asleep, while nobody has used the successor.
    place.gate.advance(Duration::from_mins(9));
    let (status, answer) = client.refresh(token, &[]).await;
    assert_eq!((status, &answer["refresh_token"]), (200, successor), "{answer}");
    // One that missed a whole generation: that may as well be a thief, or the victim of one (ADR 19).
    place.gate.advance(Duration::from_hours(1));
    let (status, newer) = client.refresh(successor, &[]).await;
    assert_eq!(status, 200);
    let (status, answer) = client.refresh(token, &[]).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert_eq!(client.refresh(&newer["refresh_token"], &[]).await.0, 400, "the grant is over");
    assert_eq!(client.call(&newer["access_token"], "search", json!({"query": "x"})).await.0, 401);
}

#[tokio::test]
async fn a_permission_that_was_unticked_is_not_granted_and_can_be_asked_for_again() {
    let place = place().await;
    let client = Client::of(&place).await;
    let first = client.tokens("", &["memory:delete", "memory:write"]).await;
    assert_eq!(first["scope"], "memory:read");
    let add = json!({"content": "Marta likes tea."});
    let (status, challenge) = client.call(&first["access_token"], "add_memory", add.clone()).await;
    assert_eq!(status, 403);
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    let (_, wanted) = challenge.split_once(r#"scope=""#).unwrap();
    let wanted = wanted.split('"').next().unwrap();
    let (status, refused) = client.refresh(&first["refresh_token"], &[("scope", wanted)]).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_scope")), "a refresh widens nothing");

    let second = client.tokens(wanted, &["memory:delete"]).await;
    assert_eq!(second["scope"], "memory:read memory:write");
    assert_eq!(client.call(&second["access_token"], "add_memory", add).await.0, 200);
    let (status, _) = client.call(&second["access_token"], "delete_memory", json!({"id": "x"})).await;
    assert_eq!(status, 403);
    // Both connections of the client live on, each with what it was granted.
    assert_eq!(client.call(&first["access_token"], "search", json!({"query": "tea"})).await.0, 200);
}
