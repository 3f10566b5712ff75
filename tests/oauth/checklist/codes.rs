//! Authorization codes. What a browser does before is in `tests/people/pages`; here the person agrees in the domain.

use std::sync::Arc;

use memgate::domain::applications::{ClientKind, GrantType, NewApplication, PkceRule};
use memgate::domain::people::{Password, Person};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestApplication, TestGate, new_application};
use memgate_test_kit::http;
use reqwest::header::LOCATION;
use url::Url;

use super::{Answer, me, oauth_error, token};

const REDIRECT_URI: &str = "https://app.example/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Place {
    gate: TestGate,
    person: Person,
    application: TestApplication,
}

impl Place {
    async fn on(database: TestDatabase, pkce: PkceRule) -> Self {
        let gate = TestGate::on(database).await;
        let password = Password::choose("correct horse").unwrap();
        let person = gate.gate().backend().people().create("marta".parse().unwrap(), &password).await.unwrap();
        let application = gate.register(authorized(pkce)).await;
        Self { gate, person, application }
    }

    fn query(application: &TestApplication, challenge: Option<&str>) -> String {
        let mut url = Url::parse("https://x.example").unwrap();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &*application.client_id),
            ("redirect_uri", REDIRECT_URI),
            ("state", "s"),
        ]);
        if let Some(challenge) = challenge {
            url.query_pairs_mut().extend_pairs([("code_challenge", challenge), ("code_challenge_method", "S256")]);
        }
        url.query().unwrap().to_owned()
    }

    /// The code that the person's consent yields.
    async fn code(&self, challenge: Option<&str>) -> String {
        let authorizations = self.gate.gate().authorizations();
        let request = authorizations
            .validate(Self::query(&self.application, challenge).as_bytes(), std::net::Ipv4Addr::LOCALHOST.into())
            .await
            .expect("a valid request");
        let location = authorizations.approve(&request, &self.person).await.unwrap();
        location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    async fn exchange(&self, code: &str, changes: &[(&str, &str)]) -> Answer {
        exchange(&self.gate, &self.application, code, changes).await
    }
}

fn authorized(pkce: PkceRule) -> NewApplication {
    NewApplication {
        grants: GrantType::ALL.into(),
        redirect_uris: vec![REDIRECT_URI.parse().unwrap()],
        pkce,
        ..new_application()
    }
}

/// Exchanges a code with the right parameters but for these; `""` takes one away.
async fn exchange(gate: &TestGate, application: &TestApplication, code: &str, changes: &[(&str, &str)]) -> Answer {
    let mut parameters = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changes {
        parameters.retain(|(known, _)| known != name);
        parameters.push((name, value));
    }
    parameters.retain(|(_, value)| !value.is_empty());
    token(gate, application, &parameters).await
}

pub(crate) async fn line_21_a_code_works_once_for_its_client_at_its_uri_and_in_its_minute(database: TestDatabase) {
    let place = Place::on(database, PkceRule::Required).await;
    let (gate, other) = (&place.gate, place.gate.register(authorized(PkceRule::Required)).await);
    let code = place.code(Some(CHALLENGE)).await;
    assert_eq!(oauth_error(&exchange(gate, &other, &code, &[]).await, 400), "invalid_grant");
    for changes in [[("redirect_uri", "https://app.example/callback/")], [("code", "unknown")]] {
        assert_eq!(oauth_error(&place.exchange(&code, &changes).await, 400), "invalid_grant", "{changes:?}");
    }
    let first = place.exchange(&code, &[]).await;
    assert_eq!((first.status, first.text("token_type")), (200, "Bearer".to_owned()), "{}", first.body);
    let mine = me(gate, &first.text("access_token")).await;
    assert_eq!(mine.status, 200);
    assert!(mine.body.contains(&place.person.id.to_string()), "{}", mine.body);

    assert_eq!(oauth_error(&place.exchange(&code, &[]).await, 400), "invalid_grant");
    assert_eq!(me(gate, &first.text("access_token")).await.status, 401, "the second use kills what the first one got");
    let refreshed = super::refresh(gate, &place.application, &first.text("refresh_token")).await;
    assert_eq!(oauth_error(&refreshed, 400), "invalid_grant");

    let late = place.code(Some(CHALLENGE)).await;
    gate.advance(std::time::Duration::from_mins(1));
    assert_eq!(oauth_error(&place.exchange(&late, &[]).await, 400), "invalid_grant");

    let place = Arc::new(place);
    let code = place.code(Some(CHALLENGE)).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (place, code) = (Arc::clone(&place), code.clone());
            tokio::spawn(async move { place.exchange(&code, &[]).await.status })
        })
        .collect();
    let mut successes = 0;
    for task in tasks {
        successes += u32::from(task.await.unwrap() == 200);
    }
    assert_eq!(successes, 1, "of twenty at once one is the first");
}

pub(crate) async fn line_22_a_code_needs_the_verifier_of_its_challenge(database: TestDatabase) {
    let place = Place::on(database, PkceRule::Optional).await;
    let code = place.code(Some(CHALLENGE)).await;
    let wrong = "e".repeat(43);
    for verifier in ["", &*wrong, CHALLENGE, "short"] {
        let answer = place.exchange(&code, &[("code_verifier", verifier)]).await;
        assert_eq!(oauth_error(&answer, 400), "invalid_grant", "{verifier}");
    }
    assert_eq!(place.exchange(&code, &[]).await.status, 200);
    let bare = place.code(None).await;
    assert_eq!(oauth_error(&place.exchange(&bare, &[]).await, 400), "invalid_grant", "a verifier without a challenge");
    assert_eq!(place.exchange(&bare, &[("code_verifier", "")]).await.status, 200);

    // `plain`, whether it is said or meant by leaving the method out, goes back to the client as an error.
    let query = Place::query(&place.application, None);
    for plain in ["&code_challenge_method=plain", ""] {
        let url = place.gate.url(&format!("/auth/authorize?{query}&code_challenge={VERIFIER}{plain}"));
        let http = http::client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = http.get(url).send().await.unwrap();
        let location = answer.headers()[LOCATION].to_str().unwrap();
        assert!(location.starts_with(REDIRECT_URI) && location.contains("error=invalid_request"), "{location}");
    }
}

pub(crate) async fn line_23_an_unregistered_redirect_uri_is_a_page_and_never_a_redirect(database: TestDatabase) {
    let place = Place::on(database, PkceRule::Required).await;
    let native = NewApplication {
        kind: ClientKind::Public,
        grants: [GrantType::AuthorizationCode].into(),
        redirect_uris: vec!["http://127.0.0.1/callback".parse().unwrap()],
        ..new_application()
    };
    let native = place.gate.register(native).await;
    let http = http::client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let ask = async |client_id: &str, redirect_uri: &str| {
        let mut url = Url::parse(&place.gate.url("/auth/authorize")).unwrap();
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", redirect_uri),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        http.get(url).send().await.unwrap()
    };
    let own = place.application.client_id.as_str();
    for (client_id, redirect_uri) in [
        (own, "https://evil.example/callback"),
        (own, "https://app.example/callback?x=1"),
        (own, "https://app.example/callback#x"),
        (own, "https://app.example:444/callback"),
        (own, "javascript:alert(1)"),
        (own, ""),
        ("nobody", REDIRECT_URI),
        (&native.client_id, "http://127.0.0.2:4000/callback"),
        (&native.client_id, "http://localhost:4000/callback"),
    ] {
        let answer = ask(client_id, redirect_uri).await;
        assert_eq!(answer.status(), 400, "{client_id} {redirect_uri}");
        assert!(answer.headers().get(LOCATION).is_none());
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    }
    // The port of a loopback address is free: the person is asked to sign in.
    let answer = ask(&native.client_id, "http://127.0.0.1:49152/callback").await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("<form"));
}
