//! A real OpenID Connect provider, node's `oidc-provider`, and a browser that signs in there.
//!
//! `TEST_OIDC_PROVIDER` names its program, which `.ci/install-oidc-provider` installs; what it knows stands in
//! `tests/kit/oidc-provider/provider.js`. Where the variable is not set, the tests that need it say so and pass; with
//! `REQUIRE_OIDC_PROVIDER=1` they fail.

use std::collections::BTreeMap;
use std::env;
use std::process::{Child, ChildStdin, Command, Stdio};

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::Value;
use url::Url;

use crate::http::client_builder;
use crate::process::first_line;
use crate::skip::skip;

/// The secret of the clients that have one.
pub const SECRET: &str = "memgate-secret";

/// The provider. It ends with its standard input, however this process ends.
pub struct OpenIdServer {
    /// Its issuer.
    pub issuer: String,
    process: Child,
    _alive: Option<ChildStdin>,
}

impl OpenIdServer {
    /// Starts the provider with these arguments; `None` where there is none and none is required.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        let Some(program) = env::var_os("TEST_OIDC_PROVIDER").filter(|program| !program.is_empty()) else {
            let missing = "TEST_OIDC_PROVIDER does not name the program that starts oidc-provider.";
            let remedy = "TEST_OIDC_PROVIDER=$(.ci/install-oidc-provider) cargo test --test oauth identity_provider";
            skip("REQUIRE_OIDC_PROVIDER", "a real OpenID Connect provider", missing, remedy);
            return None;
        };
        let mut process = Command::new("node")
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let alive = process.stdin.take();
        let (line, _) = first_line(&mut process);
        let said: Value = serde_json::from_str(&line).expect("the provider says where it listens");
        Some(Self { issuer: said["issuer"].as_str().unwrap().to_owned(), process, _alive: alive })
    }
}

impl Drop for OpenIdServer {
    fn drop(&mut self) {
        let _already_ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// What a browser does at the provider: it follows redirects, keeps cookies, and sends the forms of its pages.
pub struct Browser {
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Default for Browser {
    fn default() -> Self {
        let builder = client_builder().redirect(reqwest::redirect::Policy::none());
        Self { client: builder.tls_certs_only([]).build().unwrap(), cookies: BTreeMap::new() }
    }
}

impl Browser {
    /// Signs in as `login`, agrees to everything, and returns the URL with the code, to which it is sent back.
    pub async fn sign_in(&mut self, authorization_url: Url, login: &str) -> Url {
        let (mut at, mut form) = (authorization_url, None);
        for _ in 0..12 {
            let request = match form.take() {
                Some(form) => self
                    .client
                    .post(at.clone())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body::<String>(form),
                None => self.client.get(at.clone()),
            };
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let response = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
            for cookie in response.headers().get_all(SET_COOKIE) {
                let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            if let Some(location) = response.headers().get(LOCATION) {
                at = at.join(location.to_str().unwrap()).unwrap();
                if at.path() == "/auth/callback" {
                    return at;
                }
                continue;
            }
            let page = response.text().await.unwrap();
            let action = page.split_once("action=\"").unwrap_or_else(|| panic!("no form: {page}")).1;
            at = at.join(action.split('"').next().unwrap()).unwrap();
            form = Some(if page.contains("value=\"login\"") {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("prompt", "login").append_pair("login", login).append_pair("password", "any").finish()
            } else {
                "prompt=consent".to_owned()
            });
        }
        panic!("the provider never sent the browser back");
    }
}
