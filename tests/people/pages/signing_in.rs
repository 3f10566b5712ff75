//! Signing in and out.

use std::time::Duration;

use super::browser::Browser;
use super::{CONNECTIONS, PASSWORD, Place};

#[tokio::test]
async fn who_signs_in_gets_to_the_page_they_wanted() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    let asked = browser.get(CONNECTIONS).await;
    assert!(asked.assert_page(200).says("Sign in"));
    let answer = browser.sign_in(CONNECTIONS, " Marta ", PASSWORD).await;
    assert_eq!(answer.location(), CONNECTIONS);
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), [&browser.cookie("session")]);
    assert!(browser.get(CONNECTIONS).await.assert_page(200).says("the memories of marta"));
    assert_eq!(browser.get("/auth/sign-in").await.location(), "/account");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_login_are_answered_alike() {
    let place = Place::new().await;
    let mut texts = Vec::new();
    for (login, password) in [("marta", "wrong"), ("nobody", PASSWORD), ("marta", ""), ("", "")] {
        let mut browser = Browser::of(&place.gate);
        let answer = browser.sign_in(&place.request(&[]), login, password).await;
        let page = answer.assert_page(403);
        assert!(page.0.contains(r#"role="alert""#) && page.says("The login or the password is not right"));
        assert!(page.says("to continue with Trip planner"));
        assert_eq!(page.hidden("return_to"), place.request(&[]));
        assert!(!browser.cookies.contains_key(&browser.cookie("session")));
        texts.push(page.text());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
}

#[tokio::test]
async fn what_was_typed_as_login_is_there_again_and_the_password_is_not() {
    let place = Place::new().await;
    let hostile = r#""><script>alert(1)</script>"#;
    let answer = Browser::of(&place.gate).sign_in(CONNECTIONS, hostile, "pass-that-was-typed").await;
    let page = answer.assert_page(403);
    assert!(page.0.contains("&#34;&#62;&#60;script&#62;") && !page.0.contains("pass-that-was-typed"));
}

#[tokio::test]
async fn whoever_fails_too_often_has_to_wait_and_is_told_how_long() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    for _ in 0..7 {
        browser.sign_in(CONNECTIONS, "marta", "wrong").await;
        place.gate.advance(Duration::from_millis(2500));
    }
    browser.sign_in(CONNECTIONS, "marta", "wrong").await;
    let answer = browser.sign_in(CONNECTIONS, "marta", PASSWORD).await;
    assert!(answer.assert_page(429).says("Wait 4 seconds, then try again."), "{}", answer.page.text());
    assert_eq!(answer.header("retry-after"), Some("4"));
    place.gate.advance(Duration::from_secs(4));
    assert_eq!(browser.sign_in(CONNECTIONS, "marta", PASSWORD).await.location(), CONNECTIONS);
}

#[tokio::test]
async fn who_signs_out_is_out_for_good_and_nothing_is_left_in_the_browser() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    browser.sign_in(CONNECTIONS, "marta", PASSWORD).await;
    let before = browser.cookies.clone();
    let token = browser.get(CONNECTIONS).await.page.hidden("form_token");
    let answer = browser.submit("/auth/sign-out", &[("form_token", &token)]).await;
    assert_eq!(answer.location(), "/auth/sign-in?signed-out");
    assert!(browser.cookies.is_empty());
    assert!(browser.get("/auth/sign-in?signed-out").await.assert_page(200).says("You are signed out."));

    let mut thief = Browser::of(&place.gate);
    thief.cookies = before;
    assert!(thief.get(CONNECTIONS).await.page.says("Sign in"));
}

#[tokio::test]
async fn somebody_else_can_sign_in_at_an_applications_request() {
    let place = Place::new().await;
    let (mut browser, page) = place.browser_at_consent("marta").await;
    let (token, return_to) = (page.hidden("form_token"), page.hidden("return_to"));
    let answer = browser.submit("/auth/sign-out", &[("form_token", &token), ("return_to", &return_to)]).await;
    assert_eq!(answer.location(), place.request(&[]));
    let answer = browser.sign_in(&answer.location(), "nils", PASSWORD).await;
    assert!(browser.get(&answer.location()).await.page.says("Signed in as nils"));
}

#[tokio::test]
async fn a_session_ends_by_itself() {
    let place = Place::configured(&[("MEMGATE_SESSION_TTL", "1h")]).await;
    let mut browser = Browser::of(&place.gate);
    browser.sign_in(CONNECTIONS, "marta", PASSWORD).await;
    place.gate.advance(Duration::from_secs(3601));
    assert!(browser.get(CONNECTIONS).await.page.says("Sign in"));
}

#[tokio::test]
async fn on_https_cookies_are_bound_to_the_host_and_to_encryption() {
    let place = Place::configured(&[("MEMGATE_PUBLIC_URL", "https://gate.example.org")]).await;
    let mut browser = Browser::of(&place.gate);
    let asked = browser.get(CONNECTIONS).await;
    let answer = browser.sign_in(CONNECTIONS, "marta", PASSWORD).await;
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["__Host-memgate-session"]);
    for answer in [asked, answer] {
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            assert!(cookie.starts_with("__Host-") && !cookie.contains("Domain"), "{cookie}");
            for attribute in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
                assert!(cookie.contains(attribute), "{cookie}");
            }
        }
    }
}

#[tokio::test]
async fn a_foreign_cookie_that_is_not_ascii_does_not_stand_in_the_way() {
    let place = Place::new().await;
    for name in ["a-greeting", "zz-greeting"] {
        let mut browser = Browser::of(&place.gate);
        browser.cookies.insert(name.to_owned(), "J\u{fc}rgen".to_owned());
        assert_eq!(browser.sign_in(CONNECTIONS, "marta", PASSWORD).await.location(), CONNECTIONS, "{name}");
        assert!(browser.get(CONNECTIONS).await.page.says("the memories of marta"));
    }
}

#[tokio::test]
async fn gates_on_two_ports_of_one_host_leave_each_others_people_signed_in() {
    let (here, there) = (Place::new().await, Place::new().await);
    let mut browser = Browser::of(&here.gate);
    browser.sign_in(CONNECTIONS, "marta", PASSWORD).await;
    // To a browser both are one host.
    let mut same = Browser::of(&there.gate);
    same.cookies = browser.cookies.clone();
    same.sign_in(CONNECTIONS, "nils", PASSWORD).await;
    assert!(same.get(CONNECTIONS).await.page.says("the memories of nils"));
    browser.cookies = same.cookies.clone();
    assert!(browser.get(CONNECTIONS).await.page.says("the memories of marta"));
}

#[tokio::test]
async fn who_sends_no_cookie_is_told_that_signing_in_needs_them() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    let page = browser.get(&place.request(&[])).await.page;
    let (token, return_to) = (page.hidden("form_token"), page.hidden("return_to"));
    browser.cookies.clear();
    let fields = [("form_token", &*token), ("return_to", &return_to), ("login", "marta"), ("password", PASSWORD)];
    let answer = browser.submit("/auth/sign-in", &fields).await;
    let page = answer.assert_page(403);
    assert!(page.says("Signing in needs cookies.") && page.says("Start again"), "{}", page.text());
}

#[tokio::test]
async fn the_form_of_another_tab_goes_on_for_who_has_signed_in_meanwhile() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    let other_tab = browser.get(&place.request(&[])).await.page;
    let (token, return_to) = (other_tab.hidden("form_token"), other_tab.hidden("return_to"));
    browser.sign_in(CONNECTIONS, "marta", PASSWORD).await;
    let before = browser.cookies.clone();
    let fields = [("form_token", &*token), ("return_to", &return_to), ("login", "nils"), ("password", PASSWORD)];
    let answer = browser.submit("/auth/sign-in", &fields).await;
    assert_eq!(answer.location(), place.request(&[]));
    assert_eq!(browser.cookies, before, "what was typed there signs nobody in");
    assert!(browser.get(&answer.location()).await.page.says("Signed in as marta"));
}

#[tokio::test]
async fn an_application_can_ask_that_the_person_signs_in_again() {
    let place = Place::new().await;
    for demand in [("prompt", "login"), ("prompt", "consent select_account"), ("max_age", "0"), ("max_age", "60")] {
        let mut browser = Browser::of(&place.gate);
        browser.sign_in(CONNECTIONS, "marta", PASSWORD).await;
        place.gate.advance(Duration::from_secs(61));
        let asked = browser.get(&place.request(&[demand])).await;
        assert!(asked.assert_page(200).says("to continue with Trip planner"), "{demand:?}: {}", asked.page.text());
        // Without signing in again nobody gets further, not even with the address of the page that follows.
        let return_to = asked.page.hidden("return_to");
        assert!(browser.get(&return_to).await.page.says("to continue with Trip planner"), "{demand:?}");
        let answer = browser.sign_in(&place.request(&[demand]), "nils", PASSWORD).await;
        let consent = browser.get(&answer.location()).await.page;
        assert!(consent.says("Signed in as nils"), "{demand:?}: {}", consent.text());
        let answer = browser.submit("/auth/consent", &super::consent::fields(&consent, "allow")).await;
        assert!(super::consent::parameter(&answer.location(), "code").is_some(), "{demand:?}");
    }
    let mut browser = Browser::of(&place.gate);
    browser.sign_in(CONNECTIONS, "marta", PASSWORD).await;
    for enough in [("max_age", "60"), ("prompt", "consent"), ("memgate_signed_in_after", "99999999999")] {
        assert!(browser.get(&place.request(&[enough])).await.page.says("Signed in as marta"), "{enough:?}");
    }
}

#[tokio::test]
async fn a_password_is_the_same_in_both_forms_of_unicode() {
    let place = Place::new().await;
    for (login, set, typed) in [
        ("composed", "caf\u{e9} au lait", "cafe\u{301} au lait"),
        ("decomposed", "cafe\u{301} au lait", "caf\u{e9} au lait"),
    ] {
        let password = memgate::domain::people::Password::choose(set).unwrap();
        place.gate.gate().backend().people().create(login.parse().unwrap(), &password).await.unwrap();
        for presented in [set, typed] {
            let mut browser = Browser::of(&place.gate);
            assert_eq!(browser.sign_in(CONNECTIONS, login, presented).await.location(), CONNECTIONS, "{login}");
        }
    }
}
