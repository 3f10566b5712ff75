//! What another site, somebody in between, or somebody at the same machine tries.

use std::collections::BTreeSet;

use super::browser::{Answer, Browser};
use super::consent::{fields, parameter};
use super::{CONNECTIONS, PASSWORD, Place};

/// The pages, from which the forms are known.
const PAGES: &str = include_str!("../../../src/adapters/http/pages/mod.rs");
/// What takes a POST without the token of a session, and why: another site may send the first; before the next three nobody has
/// signed in, and they have cookies of their own; the last changes a language.
const WITHOUT_SESSION: [&str; 5] =
    ["/auth/authorize", "/auth/sign-in", "/auth/sign-in/passkey", "/account/set-password", "/language"];
/// Takes a file, and has tests of its own.
const UPLOAD: &str = "/account/import";

/// The path of a form, and its fields.
type Form = (String, Vec<(&'static str, String)>);

/// The forms of a browser that has signed in, with everything right but their token. `memory` can be deleted and changed.
fn forms(place: &Place, memory: &str) -> Vec<Form> {
    let new = "another battery staple";
    let forms: [(&str, &[(&'static str, &str)]); 17] = [
        ("/auth/consent", &[("return_to", &place.request(&[])), ("decision", "allow")]),
        ("/auth/sign-out", &[("return_to", CONNECTIONS)]),
        ("/account/connections/revoke", &[("application", &place.application.id.to_string())]),
        ("/account/memories", &[("id", memory)]),
        ("/account/memories/:id", &[("content", "Forged"), ("categories", "forged")]),
        ("/account/memories/:id/history", &[]),
        ("/account/undo", &[("memories", "[]"), ("deadline", "9999999999"), ("seal", "x")]),
        ("/account/delete-memories", &[("confirmed", "yes")]),
        ("/account/import/confirm", &[("number", "1"), ("memories", "yes")]),
        ("/account/import/discard", &[]),
        ("/account/security/password", &[("current", PASSWORD), ("new", new), ("again", new)]),
        ("/account/security/passkeys", &[("name", "Forged"), ("credential", "{}")]),
        ("/account/security/passkeys/new", &[("name", "Forged"), ("current", PASSWORD)]),
        ("/account/security/passkeys/remove", &[("passkey", &uuid::Uuid::nil().to_string())]),
        ("/account/security/end-session", &[("session", &"A".repeat(43))]),
        ("/account/security/sign-out-everywhere", &[]),
        ("/account/security/delete", &[("current", PASSWORD), ("confirmed", "yes")]),
    ];
    let owned = |(name, value): &(&'static str, &str)| (*name, (*value).to_owned());
    forms.map(|(path, fields)| (path.replace(":id", memory), fields.iter().map(owned).collect())).into()
}

#[tokio::test]
async fn every_form_is_tried_without_its_token() {
    let place = Place::new().await;
    // Each path is the last text before its methods.
    let parts: Vec<&str> = PAGES.split("Methods::new(").collect();
    let routes = parts.windows(2).filter(|route| route[1].contains("(post"));
    let paths = routes.map(|route| route[0].rsplit('"').nth(1).unwrap().to_owned());
    let expected: BTreeSet<String> =
        paths.filter(|path| path != UPLOAD && !WITHOUT_SESSION.contains(&&**path)).collect();
    let tried: BTreeSet<String> = forms(&place, ":id").into_iter().map(|(path, _)| path).collect();
    assert_eq!(tried, expected);
}

async fn submit(browser: &mut Browser<'_>, form: &Form, token: Option<&str>, headers: &[(&str, &str)]) -> Answer {
    let mut fields: Vec<_> = form.1.iter().map(|(name, value)| (*name, &**value)).collect();
    fields.extend(token.map(|token| ("form_token", token)));
    browser.submit_with(&form.0, &fields, headers).await
}

/// What Marta remembers.
const REMEMBERED: &str = "Marta drinks tea, and nobody changes that.";

/// Remembers something that has a history, and returns its id.
async fn remember(place: &Place, token: &str) -> String {
    let older = place.gate.remember(token, "Marta drinks coffee.").await;
    let body = serde_json::json!({"content": REMEMBERED, "supersedes": older["memory_id"]});
    let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(token).json(&body);
    let created: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    created["memory"]["memory_id"].as_str().unwrap().to_owned()
}

/// That the page refuses the form, and that Marta is still signed in and connected.
async fn assert_nothing_happened(place: &Place, browser: &mut Browser<'_>, answer: &Answer, access_token: &str) {
    assert!(answer.assert_page(403).says("Nothing was done."), "{}", answer.page.text());
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 0);
    let page = browser.get(CONNECTIONS).await.page;
    assert!(page.says("the memories of marta") && page.says("Trip planner"));
    let found = place.gate.search(access_token, "tea").await;
    assert_eq!(found["results"][0]["content"], REMEMBERED);
}

/// That the memory has its history, and Marta her password.
async fn assert_nothing_has_happened(place: &Place, browser: &mut Browser<'_>, memory: &str) {
    let page = browser.get(&format!("/account/memories/{memory}")).await;
    assert!(page.assert_page(200).says("Marta drinks coffee."), "{}", page.page.text());
    assert_eq!(Browser::of(&place.gate).sign_in(CONNECTIONS, "marta", PASSWORD).await.location(), CONNECTIONS);
}

#[tokio::test]
async fn a_form_without_the_token_of_its_own_session_is_refused_and_nothing_happens() {
    let place = Place::new().await;
    let (mut browser, access_token) = place.connected().await;
    let mut other = Browser::of(&place.gate);
    other.sign_in(CONNECTIONS, "nils", PASSWORD).await;
    let foreign = other.get(CONNECTIONS).await.page.hidden("form_token");
    let of_sign_in = Browser::of(&place.gate).get(CONNECTIONS).await.page.hidden("form_token");
    let memory = remember(&place, &access_token).await;
    for form in forms(&place, &memory) {
        for token in [None, Some(""), Some("wrong"), Some(&*foreign), Some(&*of_sign_in)] {
            let answer = submit(&mut browser, &form, token, &[]).await;
            assert_nothing_happened(&place, &mut browser, &answer, &access_token).await;
        }
    }
    let space = format!("app-{}", place.application.id);
    for token in ["", "wrong", &foreign] {
        let fields = [("form_token", token), ("space", &space)];
        let answer = browser.upload(UPLOAD, &fields, "a.jsonl", "{\"content\": \"forged\"}").await;
        assert_nothing_happened(&place, &mut browser, &answer, &access_token).await;
    }
    assert_nothing_has_happened(&place, &mut browser, &memory).await;
}

#[tokio::test]
async fn a_form_that_another_site_sent_is_refused_even_with_the_right_token() {
    let place = Place::new().await;
    let (mut browser, access_token) = place.connected().await;
    let token = browser.get(CONNECTIONS).await.page.hidden("form_token");
    let memory = remember(&place, &access_token).await;
    for form in forms(&place, &memory) {
        for headers in [
            [("origin", "https://evil.example")].as_slice(),
            &[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        ] {
            let answer = submit(&mut browser, &form, Some(&token), headers).await;
            assert_nothing_happened(&place, &mut browser, &answer, &access_token).await;
        }
    }
    assert_nothing_has_happened(&place, &mut browser, &memory).await;
}

#[tokio::test]
async fn a_form_is_sent_with_an_origin_of_null_since_the_pages_send_no_referrer() {
    let place = Place::new().await;
    let (mut browser, page) = place.browser_at_consent("marta").await;
    let headers = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    let answer = browser.submit_with("/auth/consent", &fields(&page, "allow"), &headers).await;
    assert!(parameter(&answer.location(), "code").is_some());
}

#[tokio::test]
async fn a_form_that_stood_there_while_somebody_signed_out_is_out_of_date() {
    let place = Place::new().await;
    let (mut browser, page) = place.browser_at_consent("marta").await;
    let token = page.hidden("form_token");
    browser.submit("/auth/sign-out", &[("form_token", &token)]).await;
    let answer = browser.submit("/auth/consent", &fields(&page, "allow")).await;
    assert!(answer.assert_page(403).says("This page is out of date") && answer.page.says("Start again"));
}

#[tokio::test]
async fn nobody_is_signed_in_by_the_form_of_another_browser() {
    let place = Place::new().await;
    let mut attacker = Browser::of(&place.gate);
    let token = attacker.get(CONNECTIONS).await.page.hidden("form_token");
    let fields = [("form_token", &*token), ("login", "nils"), ("password", PASSWORD)];
    // Without a cookie, with the cookie of an attempt of its own, and with garbage.
    let (mut without, mut with_own, mut garbled) =
        (Browser::of(&place.gate), Browser::of(&place.gate), Browser::of(&place.gate));
    with_own.get(CONNECTIONS).await;
    garbled.cookies.insert(garbled.cookie("sign-in"), token.clone());
    for victim in [&mut without, &mut with_own, &mut garbled] {
        victim.submit("/auth/sign-in", &fields).await.assert_page(403);
        assert!(!victim.cookies.contains_key(&victim.cookie("session")));
    }
    let foreign = [("origin", "https://evil.example")];
    attacker.submit_with("/auth/sign-in", &fields, &foreign).await.assert_page(403);
    assert_eq!(attacker.submit("/auth/sign-in", &fields).await.location(), "/account");
}

#[tokio::test]
async fn a_session_that_was_planted_before_signing_in_is_worth_nothing_after() {
    let place = Place::new().await;
    let mut attacker = Browser::of(&place.gate);
    attacker.sign_in(CONNECTIONS, "nils", PASSWORD).await;
    let planted = attacker.cookies.clone();
    let mut victim = Browser::of(&place.gate);
    victim.get("/auth/sign-in").await;
    victim.cookies.extend(planted.clone());
    // The page of somebody who has signed in has no form to sign in with, so the form comes from before.
    let page = Browser::of(&place.gate).get(CONNECTIONS).await;
    let attempt = page.header("set-cookie").unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    victim.cookies.insert(victim.cookie("sign-in"), attempt);
    let token = page.page.hidden("form_token");
    let fields = [("form_token", &*token), ("login", "marta"), ("password", PASSWORD)];
    assert_eq!(victim.submit("/auth/sign-in", &fields).await.location(), "/account");
    assert_ne!(victim.cookies[&victim.cookie("session")], planted[&victim.cookie("session")]);
    assert!(victim.get(CONNECTIONS).await.page.says("the memories of marta"));
    assert!(attacker.get(CONNECTIONS).await.page.says("Sign in"), "the session from before has ended");
}

#[tokio::test]
async fn a_session_of_ones_own_making_is_none() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    for value in ["A".repeat(43), String::new(), "é".to_owned(), "x".repeat(5000)] {
        browser.cookies.insert(browser.cookie("session"), value);
        assert!(browser.get(CONNECTIONS).await.assert_page(200).says("Sign in"));
    }
}

#[tokio::test]
async fn nobody_is_sent_to_another_site_after_signing_in_or_out() {
    let place = Place::new().await;
    for elsewhere in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "https://evil.example/auth/authorize?x",
        "/auth/sign-out",
        "",
    ] {
        let mut browser = Browser::of(&place.gate);
        let token = browser.get(CONNECTIONS).await.page.hidden("form_token");
        let fields = [("form_token", &*token), ("return_to", elsewhere), ("login", "marta"), ("password", PASSWORD)];
        assert_eq!(browser.submit("/auth/sign-in", &fields).await.location(), "/account", "{elsewhere:?}");
        let token = browser.get(CONNECTIONS).await.page.hidden("form_token");
        let answer = browser.submit("/auth/sign-out", &[("form_token", &token), ("return_to", elsewhere)]).await;
        assert_eq!(answer.location(), "/auth/sign-in?signed-out", "{elsewhere:?}");
    }
    let mut browser = Browser::of(&place.gate);
    let token = browser.get(CONNECTIONS).await.page.hidden("form_token");
    let elsewhere = "/auth/authorize\r\nLocation: https://evil.example/";
    let fields = [("form_token", &*token), ("return_to", elsewhere), ("login", "marta"), ("password", PASSWORD)];
    browser.submit("/auth/sign-in", &fields).await.assert_page(400);
}

#[tokio::test]
async fn no_page_can_be_framed_stored_or_made_to_load_anything() {
    let place = Place::new().await;
    let (mut browser, access_token) = place.connected().await;
    let memory = remember(&place, &access_token).await;
    let mut stranger = Browser::of(&place.gate);
    let token = browser.get("/account/security").await.page.hidden("form_token");
    let form = |fields: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned()));
        [("form_token", token.clone())].into_iter().chain(fields).collect()
    };
    let mut own = Vec::new();
    for path in ["/", "/account", "/account/memories", "/account/memories?q=tea", "/account/memories?from=x"] {
        own.push(browser.get(path).await);
    }
    own.push(browser.get(&format!("/account/memories/{memory}")).await);
    for path in ["/account/delete-memories", "/account/security", "/account/export", "/account/import", "/privacy"] {
        own.push(browser.get(path).await);
    }
    for (path, fields) in [
        ("/account/memories", form(&[])),
        ("/account/memories", form(&[("id", &memory)])),
        ("/account/delete-memories", form(&[])),
        ("/account/security/delete", form(&[])),
        ("/account/security/password", form(&[("current", "x")])),
    ] {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        own.push(browser.submit(path, &fields).await);
    }
    let space = format!("app-{}", place.application.id);
    let upload = [("form_token", &*token), ("space", &*space)];
    assert_eq!(browser.upload(UPLOAD, &upload, "a.jsonl", "{\"content\": \"x\"}").await.location(), UPLOAD);
    own.push(browser.get(UPLOAD).await);
    let dead = stranger.get("/account/set-password?link=x").await;
    own.push(dead);
    let pages = own.into_iter().chain([
        stranger.get(CONNECTIONS).await,
        stranger.get(&place.request(&[])).await,
        stranger.get("/auth/sign-in").await,
        stranger.get("/auth/authorize").await,
        stranger.get("/auth/callback?code=a&state=b").await,
        stranger.get("/account/nowhere").await,
        stranger.get("/auth/consent").await,
        stranger.get("/privacy").await,
        stranger.submit("/auth/sign-in", &[]).await,
        stranger.get("/").await,
        browser.get(CONNECTIONS).await,
        browser.get(&place.request(&[])).await,
    ]);
    for answer in pages {
        answer.assert_page(answer.status);
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let policy = answer.header("content-security-policy").unwrap();
        for directive in ["default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(directive), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        let may_leave = answer.page.says("Allow Trip planner");
        assert_eq!(policy.contains("form-action"), !may_leave, "{policy}");
        assert_eq!(policy.contains("form-action 'self';"), !may_leave, "{policy}");
    }
}

#[tokio::test]
async fn one_person_of_an_application_leaves_half_of_what_it_may_to_others() {
    let place = Place::configured(&[("MEMGATE_RATE_LIMIT", "20")]).await;
    let ((_, of_marta), (_, of_nils)) = (place.connected().await, place.connected_as("nils").await);
    let get = async |token: &str| {
        let request = place.gate.http.get(place.gate.url("/api/v1/me")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(get(&of_marta).await);
    }
    assert_eq!(statuses, [[200; 10].as_slice(), [429; 90].as_slice()].concat());
    for _ in 0..10 {
        assert_eq!(get(&of_nils).await, 200);
    }
    assert_eq!(get(&of_nils).await, 429, "no more in all");
}
