//! The languages of the pages: what a browser asks for, and what a person chooses.

use super::browser::Browser;
use super::{PASSWORD, Place};

/// What each language calls signing in.
const LANGUAGES: [(&str, &str); 6] = [
    ("en", "Sign in"),
    ("de", "Anmelden"),
    ("es", "Iniciar sesión"),
    ("fr", "Se connecter"),
    ("pt", "Entrar"),
    ("ja", "サインイン"),
];

/// Pages that need nothing but a session.
const PAGES: [&str; 9] = [
    "/",
    "/privacy",
    "/account",
    "/account/memories",
    "/account/memories?q=tea&from=2026-01-01",
    "/account/connections",
    "/account/security",
    "/account/export",
    "/account/import",
];

fn language_of(page: &str) -> &str {
    page.split_once("<html lang=\"").unwrap().1.split('"').next().unwrap()
}

#[tokio::test]
async fn every_page_is_in_the_language_that_the_browser_asks_for() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    place.gate.remember(&token, "Marta drinks green tea").await;
    let mut before: Vec<String> = Vec::new();
    for (tag, sign_in) in LANGUAGES {
        let mut stranger = Browser::of(&place.gate);
        (stranger.languages, browser.languages) = (Some(tag), Some(tag));
        assert!(stranger.get("/auth/sign-in").await.assert_page(200).says(sign_in), "{tag}");
        let mut texts = String::new();
        for path in PAGES {
            let page = browser.get(path).await;
            assert_eq!(language_of(&page.assert_page(200).0), tag, "{path}");
            texts.push_str(&page.page.text());
        }
        for (path, status) in [("/account/nowhere", 404), ("/auth/consent", 405), ("/auth/authorize?client_id=x", 400)]
        {
            let page = browser.get(path).await;
            assert_eq!(language_of(&page.assert_page(status).0), tag, "{path}");
            texts.push_str(&page.page.text());
        }
        assert!(!before.contains(&texts), "{tag}");
        before.push(texts);
    }
}

#[tokio::test]
async fn days_and_problems_are_in_the_language_of_the_page() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    place.gate.remember(&token, "Marta drinks green tea").await;
    browser.languages = Some("de-CH, en;q=0.5");
    assert!(browser.get("/account/memories").await.assert_page(200).says("18. Mai 2033"));
    let wrong = browser.get("/account/memories?from=gestern").await;
    assert!(wrong.assert_page(400).says("Diese Daten sind nicht verwendbar."), "{}", wrong.page.text());
    let mut stranger = Browser::of(&place.gate);
    stranger.languages = Some("ja");
    let refused = stranger.sign_in("/auth/sign-in", "marta", "wrong horse battery").await;
    assert!(refused.assert_page(403).says("ログイン名またはパスワードが正しくありません。"), "{}", refused.page.text());
    let answer = stranger.submit("/account/undo", &[("form_token", "x")]).await;
    assert!(answer.assert_page(403).says("このページは古くなっています"), "{}", answer.page.text());
}

#[tokio::test]
async fn a_choice_is_stored_and_leads_back_to_the_page() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    browser.languages = Some("fr");
    let request = place.request(&[]);
    let page = browser.get(&request).await.page;
    assert_eq!(page.hidden("here"), request);
    let chosen = browser.submit("/language", &[("language", "ja"), ("here", &page.hidden("here"))]).await;
    assert_eq!(chosen.location(), request);
    let cookie = chosen.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Lax; Path=/; Max-Age=31536000"), "{cookie}");
    assert!(browser.get(&request).await.assert_page(200).says("サインイン"));
    let answer = browser.sign_in(&request, "marta", PASSWORD).await;
    let consent = browser.get(&answer.location()).await;
    assert!(consent.assert_page(200).says("Trip planner にメモリーの利用を許可しますか？"), "{}", consent.page.text());

    for (language, here, expected) in [
        ("de", "https://evil.example/", "/"),
        ("de", "//evil.example/account", "/"),
        ("de", "/api/v1/me", "/"),
        ("DE-at", "/privacy", "/privacy"),
    ] {
        let answer = browser.submit("/language", &[("language", language), ("here", here)]).await;
        assert_eq!(answer.location(), expected, "{here}");
    }
    assert!(browser.get("/privacy").await.assert_page(200).says("Datenschutz"));
    browser.submit("/language", &[("language", "xx")]).await.assert_page(400);
    let evil = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    let answer = browser.submit_with("/language", &[("language", "en")], &evil).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
    assert_eq!(browser.get("/language").await.status, 405);
}
