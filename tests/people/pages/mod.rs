//! What people see and do with a browser, before a served gate: signing in and out, consent, connected applications; and
//! what somebody in between, or another site, tries.

mod attacks;
mod authenticator;
mod browser;
mod connections;
mod consent;
mod copies;
mod importing;
mod languages;
mod memories;
mod memory;
mod origins;
mod passkeys;
mod password_links;
mod pending;
mod registering;
mod security;
mod signing_in;
mod unverified;

use std::sync::Arc;

use memgate::domain::applications::{GrantType, NewApplication, PkceRule};
use memgate::domain::memories::{Capabilities, MemoryBank};
use memgate::domain::people::Password;
use memgate_domain::testing::InMemoryMemoryBank;
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestApplication, TestGate, new_application};
use memgate_test_kit::page::Page;

const PASSWORD: &str = "correct horse battery";
const REDIRECT_URI: &str = "https://chatgpt.com/aip/g-123/oauth/callback";
const CONNECTIONS: &str = "/account/connections";

/// A gate that knows Marta and Nils, and one application.
struct Place {
    gate: TestGate,
    application: TestApplication,
}

impl Place {
    async fn new() -> Self {
        Self::configured(&[]).await
    }

    async fn configured(variables: &[(&str, &str)]) -> Self {
        Self::on(TestGate::configured(TestDatabase::sqlite(), variables).await).await
    }

    async fn on(gate: TestGate) -> Self {
        let password = Password::choose(PASSWORD).unwrap();
        for login in ["marta", "nils"] {
            gate.gate().backend().people().create(login.parse().unwrap(), &password).await.unwrap();
        }
        let application = gate.register(of_a_gpt("Trip planner")).await;
        Self { gate, application }
    }

    /// As [`new`](Self::new), before this bank.
    async fn before(bank: Arc<dyn MemoryBank>) -> Self {
        Self::on(TestGate::with_bank(TestDatabase::sqlite(), &[], bank).await).await
    }

    /// The application's request with these changes; an empty value takes a parameter away.
    fn request(&self, changes: &[(&str, &str)]) -> String {
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", &*self.application.client_id),
            ("redirect_uri", REDIRECT_URI),
            ("state", "a b&c"),
        ];
        for (name, value) in changes {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name, value));
        }
        parameters.retain(|(_, value)| !value.is_empty());
        let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        format!("/auth/authorize?{query}")
    }

    /// Signs in and looks at the application's request.
    async fn browser_at_consent(&self, login: &str) -> (browser::Browser<'_>, Page) {
        let mut browser = browser::Browser::of(&self.gate);
        let answer = browser.sign_in(&self.request(&[]), login, PASSWORD).await;
        let page = browser.get(&answer.location()).await.page;
        (browser, page)
    }

    /// Lets Marta allow the application's request and exchanges the code. Returns the access token.
    async fn connected(&self) -> (browser::Browser<'_>, String) {
        self.connected_as("marta").await
    }

    /// The same of somebody else.
    async fn connected_as(&self, login: &str) -> (browser::Browser<'_>, String) {
        let (mut browser, page) = self.browser_at_consent(login).await;
        let token = self.allow(&mut browser, &page, &self.application).await;
        (browser, token)
    }

    /// Lets whoever is signed in allow another application's request. Returns the access token.
    async fn connected_to(&self, browser: &mut browser::Browser<'_>, application: &TestApplication) -> String {
        let page = browser.get(&self.request(&[("client_id", &application.client_id)])).await.page;
        self.allow(browser, &page, application).await
    }

    async fn allow(&self, browser: &mut browser::Browser<'_>, page: &Page, application: &TestApplication) -> String {
        let answer = browser.submit("/auth/consent", &consent::fields(page, "allow")).await;
        let code = consent::parameter(&answer.location(), "code").unwrap();
        let parameters = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", REDIRECT_URI)];
        let answer = self.gate.token_request(application, &parameters).await;
        assert_eq!(answer.status(), 200);
        let answer: serde_json::Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }
}

/// A bank that cannot list what it holds.
fn bank_without_list() -> Arc<InMemoryMemoryBank> {
    let capabilities = Capabilities { list: false, ..InMemoryMemoryBank::CAPABILITIES };
    Arc::new(InMemoryMemoryBank::with_capabilities(capabilities))
}

/// An application as `memgate connect gpt` registers it.
fn of_a_gpt(name: &str) -> NewApplication {
    NewApplication {
        name: name.parse().unwrap(),
        grants: GrantType::ALL.into(),
        redirect_uris: vec![REDIRECT_URI.parse().unwrap()],
        pkce: PkceRule::Optional,
        ..new_application()
    }
}
