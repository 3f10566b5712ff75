//! Applications that nobody registered: a document describes them.

use std::time::Duration;

use memgate::domain::oauth::DocumentProblem;
use serde_json::{Value, json};

use super::browser::Browser;
use super::consent::{fields, parameter};
use super::{CONNECTIONS, PASSWORD, Place};

const CLIENT: &str = "https://claude.example/oauth/metadata.json";
const LOOPBACK: &str = "http://localhost:33418/callback";
const WEB: &str = "https://claude.example/api/callback";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn document() -> Value {
    json!({
        "client_id": CLIENT, "client_name": "Your Bank", "redirect_uris": ["http://localhost/callback", WEB],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
    })
}

async fn place() -> Place {
    let place = Place::new().await;
    place.gate.documents.publish(&document(), None);
    place
}

fn request(place: &Place, redirect_uri: &str, more: &[(&str, &str)]) -> String {
    let own = [
        ("client_id", CLIENT),
        ("redirect_uri", redirect_uri),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    place.request(&[&own, more].concat())
}

/// Marta's browser after she allowed the request, and the code.
async fn allowed<'a>(place: &'a Place, request: &str) -> (Browser<'a>, String) {
    let mut browser = Browser::of(&place.gate);
    let page = browser.sign_in(request, "marta", PASSWORD).await.location();
    let page = browser.get(&page).await.page;
    let location = browser.submit("/auth/consent", &fields(&page, "allow")).await.location();
    (browser, parameter(&location, "code").unwrap_or_else(|| panic!("{location}")))
}

/// The answer of the token endpoint to the client, which has no secret.
async fn token(place: &Place, parameters: &[(&str, &str)]) -> (u16, Value) {
    let answer = place.gate.form("/auth/token", &[&[("client_id", CLIENT)], parameters].concat()).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn exchange(place: &Place, code: &str, redirect_uri: &str) -> (u16, Value) {
    let parameters = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    token(place, &parameters).await
}

async fn ping(place: &Place, token: &Value) -> u16 {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let request = place.gate.http.post(place.gate.url("/mcp")).bearer_auth(token.as_str().unwrap()).json(&ping);
    request.send().await.unwrap().status().as_u16()
}

async fn rest(place: &Place, token: &Value) -> u16 {
    let request = place.gate.http.get(place.gate.url("/api/v1/me")).bearer_auth(token.as_str().unwrap());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_client_that_nobody_registered_is_connected_for_mcp_alone_and_disconnected() {
    let place = place().await;
    let (mut browser, code) = allowed(&place, &request(&place, LOOPBACK, &[])).await;
    let (status, answer) = exchange(&place, &code, LOOPBACK).await;
    assert_eq!(status, 200, "{answer}");
    let access = &answer["access_token"];
    assert_eq!((ping(&place, access).await, rest(&place, access).await), (200, 401));
    let refresh = answer["refresh_token"].as_str().unwrap();
    let (status, refreshed) = token(&place, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    assert_eq!(status, 200, "{refreshed}");
    assert_eq!(ping(&place, &refreshed["access_token"]).await, 200);

    let page = browser.get(CONNECTIONS).await.page;
    page.assert_sound();
    assert!(page.says("Described by claude.example. Its name is not verified."), "{}", page.text());
    let (form_token, application) = (page.hidden("form_token"), page.hidden("application"));
    let disconnect = [("form_token", &*form_token), ("application", &application)];
    browser.submit("/account/connections/revoke", &disconnect).await.location();
    assert_eq!(ping(&place, &refreshed["access_token"]).await, 401);
}

#[tokio::test]
async fn nobody_takes_the_name_of_an_unverified_application_for_the_truth() {
    let place = place().await;
    let mut browser = Browser::of(&place.gate);
    let at_sign_in = browser.get(&request(&place, WEB, &[])).await.page;
    assert!(at_sign_in.says("to continue with claude.example"), "{}", at_sign_in.text());
    assert!(!at_sign_in.says("Your Bank"), "{}", at_sign_in.text());
    browser.sign_in(&request(&place, WEB, &[]), "marta", PASSWORD).await;
    for (redirect_uri, goes_to, warns) in [(WEB, "claude.example", false), (LOOPBACK, "a program on this device", true)]
    {
        let page = browser.get(&request(&place, redirect_uri, &[])).await.page;
        page.assert_sound();
        for text in [
            "Allow claude.example to use your memories?",
            &format!("It sends you to {goes_to}."),
            "It calls itself Your Bank. This name is not verified",
        ] {
            assert!(page.says(text), "{text}: {}", page.text());
        }
        assert_eq!(page.says("Any program on this device can pose as this one."), warns, "{redirect_uri}");
    }
    let verified = browser.get(&place.request(&[])).await.page;
    assert!(verified.says("Allow Trip planner to use your memories?") && !verified.says("not verified"));
}

#[tokio::test]
async fn a_document_that_cannot_be_used_is_explained_and_nothing_is_redirected() {
    let place = place().await;
    let other = "https://other.example/metadata.json";
    for (problem, says) in [
        (DocumentProblem::ForbiddenAddress, "at other.example, is at an address that is not public"),
        (DocumentProblem::Status(404), "answered with status 404"),
        (DocumentProblem::Unreachable, "could not be fetched; try again"),
    ] {
        place.gate.documents.answer(other, Err(problem));
        place.gate.advance(Duration::from_mins(1));
        let answer = Browser::of(&place.gate).get(&request(&place, WEB, &[("client_id", other)])).await;
        assert!(answer.assert_page(400).says(says), "{}", answer.page.text());
    }
    let foreign = request(&place, "https://evil.example/", &[]);
    assert!(Browser::of(&place.gate).get(&foreign).await.assert_page(400).says("is not registered"));
    let answer = Browser::of(&place.gate).get(&request(&place, WEB, &[("code_challenge", "")])).await;
    assert!(answer.location().contains("error=invalid_request"), "PKCE is required");
}

#[tokio::test]
async fn whoever_names_ever_new_clients_has_to_wait_and_connected_clients_go_on() {
    let place = place().await;
    let (mut browser, _) = allowed(&place, &request(&place, WEB, &[])).await;
    let mut refused = Vec::new();
    for number in 0..200 {
        let client = format!("https://c{number}.example/metadata.json");
        let answer = browser.get(&place.request(&[("client_id", &client), ("redirect_uri", WEB)])).await;
        refused.push((answer.status, answer.header("retry-after").map(str::to_owned)));
    }
    let waits = refused.iter().filter(|(status, wait)| *status == 429 && wait.as_deref() == Some("10")).count();
    assert_eq!((waits, place.gate.documents.fetched()), (181, 20), "{refused:?}");
    assert!(refused[..19].iter().all(|refused| *refused == (400, None)));
    let page = browser.get(&request(&place, WEB, &[])).await;
    assert!(page.assert_page(200).says("Your Bank"), "its document is cached");
}

#[tokio::test]
async fn a_redirect_uri_that_no_application_can_have_is_refused_with_the_reason_and_the_others_work() {
    let place = Place::new().await;
    let plain = "http://claude.example/callback";
    let listed = json!({"client_id": CLIENT, "client_name": "Editor", "redirect_uris": [plain, WEB]});
    place.gate.documents.publish(&listed, None);
    let mut browser = Browser::of(&place.gate);
    let answer = browser.get(&request(&place, plain, &[])).await;
    let page = answer.assert_page(400);
    assert!(page.says("cannot be used by any application") && page.says("http is for loopback"), "{}", page.0);
    browser.get(&request(&place, WEB, &[])).await.assert_page(200);
}

#[tokio::test]
async fn the_operator_has_the_last_word() {
    let place = place().await;
    let (_, code) = allowed(&place, &request(&place, WEB, &[])).await;
    let (_, answer) = exchange(&place, &code, WEB).await;
    let applications = place.gate.applications();
    let all = applications.list(None, 10).await.unwrap();
    let id = all.iter().find(|application| application.client_id.as_str() == CLIENT).expect("it is stored").id;
    applications.set_enabled(id, false).await.unwrap();
    place.gate.advance(Duration::from_secs(2));
    assert_eq!(ping(&place, &answer["access_token"]).await, 401);
    Browser::of(&place.gate).get(&request(&place, WEB, &[])).await.assert_page(400);
    // Neither is it swept and described anew.
    place.gate.advance(Duration::from_hours(24 * 400));
    place.gate.gate().run_background_work().await;
    Browser::of(&place.gate).get(&request(&place, WEB, &[])).await.assert_page(400);
}

#[tokio::test]
async fn an_application_that_nobody_uses_any_more_goes_and_its_old_tokens_do_not_come_back() {
    let place = place().await;
    let (_, code) = allowed(&place, &request(&place, WEB, &[])).await;
    let (_, old) = exchange(&place, &code, WEB).await;
    let applications = place.gate.applications();
    let count = async || applications.list(None, 10).await.unwrap().len();
    assert_eq!(count().await, 2);
    place.gate.advance(Duration::from_hours(2));
    place.gate.gate().run_background_work().await;
    assert_eq!(count().await, 2, "while somebody may use it, it stays");
    let id = applications.list(None, 10).await.unwrap().iter().find(|one| one.client_id.as_str() == CLIENT).unwrap().id;
    applications.delete(id).await.unwrap();
    let (_, code) = allowed(&place, &request(&place, WEB, &[])).await;
    assert_eq!(exchange(&place, &code, WEB).await.0, 200);
    let refresh = old["refresh_token"].as_str().unwrap();
    let (status, answer) = token(&place, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    place.gate.advance(Duration::from_hours(24 * 100));
    place.gate.gate().run_background_work().await;
    assert_eq!(count().await, 1, "the grant is over");
}

#[tokio::test]
async fn without_the_setting_a_client_has_to_be_registered() {
    for (value, supported) in [("false", false), ("true", true)] {
        let place = Place::configured(&[("MEMGATE_CLIENT_ID_DOCUMENTS", value)]).await;
        place.gate.documents.publish(&document(), None);
        let metadata = place.gate.http.get(place.gate.url("/.well-known/oauth-authorization-server")).send().await;
        let metadata: Value = metadata.unwrap().json().await.unwrap();
        assert_eq!(metadata["client_id_metadata_document_supported"], supported);
        let answer = Browser::of(&place.gate).get(&request(&place, WEB, &[])).await;
        assert_eq!(answer.status, if supported { 200 } else { 400 });
        assert_eq!(place.gate.documents.fetched(), usize::from(supported));
    }
}
