//! Invitations and resets: one-time links with which people choose their password.

use std::time::Duration;

use memgate::domain::people::{NewLink, PeopleService};

use super::browser::{Answer, Browser};
use super::{CONNECTIONS, PASSWORD, Place};

const SET: &str = "/account/set-password";
const NEW: &str = "another battery staple";

fn people(place: &Place) -> PeopleService {
    place.gate.gate().backend().people()
}

async fn reset_link(place: &Place, login: &str) -> NewLink {
    let person = people(place).get_by_login(&login.parse().unwrap()).await.unwrap();
    people(place).make_reset_link(person.id, Duration::from_hours(1).try_into().unwrap()).await.unwrap()
}

fn path(link: &NewLink) -> String {
    format!("{SET}?link={}", link.token.expose())
}

async fn set(browser: &mut Browser<'_>, link: &NewLink, new: &str, again: &str) -> Answer {
    let token = browser.get(&path(link)).await.assert_page(200).hidden("form_token");
    let link = link.token.expose();
    browser.submit(SET, &[("form_token", &token), ("link", &link), ("new", new), ("again", again)]).await
}

#[tokio::test]
async fn who_is_invited_chooses_a_password_and_is_signed_in() {
    let place = Place::new().await;
    let lifetime = Duration::from_hours(24).try_into().unwrap();
    let link = people(&place).invite("anna".parse().unwrap(), lifetime).await.unwrap();
    let mut browser = Browser::of(&place.gate);
    let page = browser.get(&path(&link)).await;
    assert!(page.assert_page(200).says("Welcome. Choose a password") && page.page.0.contains(r#"value="anna""#));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "the link is told to nobody");
    assert_eq!(set(&mut browser, &link, NEW, NEW).await.location(), "/account");
    assert!(browser.get("/account").await.assert_page(200).says("signed in as anna"));
    assert_eq!(Browser::of(&place.gate).sign_in(CONNECTIONS, "anna", NEW).await.location(), CONNECTIONS);
    let used = Browser::of(&place.gate).get(&path(&link)).await;
    assert!(used.assert_page(404).says("This link does not work, or no longer"));
}

#[tokio::test]
async fn a_reset_ends_every_session_and_leaves_applications_connected() {
    let place = Place::new().await;
    let (mut signed_in, token) = place.connected().await;
    let link = reset_link(&place, "marta").await;
    let mut browser = Browser::of(&place.gate);
    assert!(browser.get(&path(&link)).await.assert_page(200).says("Choose a new password"));
    assert_eq!(set(&mut browser, &link, NEW, NEW).await.location(), "/account");
    assert!(signed_in.get(CONNECTIONS).await.assert_page(200).says("Sign in"));
    assert_eq!(Browser::of(&place.gate).sign_in(CONNECTIONS, "marta", PASSWORD).await.status, 403);
    place.gate.search(&token, "applications stay connected").await;
    let events = browser.get("/account/security").await.page;
    assert!(events.says("A link for choosing your password was made.") && events.says("Your password was changed."));
}

#[tokio::test]
async fn a_bad_password_is_said_on_the_page_and_uses_nothing_up() {
    let place = Place::new().await;
    let link = reset_link(&place, "marta").await;
    let mut browser = Browser::of(&place.gate);
    for (new, again, says) in [
        (NEW, PASSWORD, "The two passwords are different."),
        ("short", "short", "must have at least 10 characters"),
        ("", "", "must have at least 10 characters"),
    ] {
        let answer = set(&mut browser, &link, new, again).await;
        assert!(answer.assert_page(400).says(says), "{says}: {}", answer.page.text());
        assert!(!answer.page.0.contains(NEW));
    }
    assert_eq!(set(&mut browser, &link, NEW, NEW).await.location(), "/account");
}

#[tokio::test]
async fn a_link_is_no_way_to_sign_somebody_in_unasked() {
    let place = Place::new().await;
    let link = reset_link(&place, "marta").await;
    let token = link.token.expose();
    let mut victim = Browser::of(&place.gate);
    let of_another = Browser::of(&place.gate).get(&path(&link)).await.page.hidden("form_token");
    for form_token in ["", "x", &*of_another] {
        let fields = [("form_token", form_token), ("link", &*token), ("new", NEW), ("again", NEW)];
        let answer = victim.submit(SET, &fields).await;
        assert!(answer.assert_page(403).says("Nothing was done. Try again."), "{}", answer.page.text());
        assert!(!victim.cookies.contains_key(&victim.cookie("session")));
        let headers = [("sec-fetch-site", "cross-site")];
        victim.submit_with(SET, &fields, &headers).await.assert_page(403);
    }
    assert_eq!(set(&mut victim, &link, NEW, NEW).await.location(), "/account", "and nothing was used up");
}

#[tokio::test]
async fn what_is_no_link_is_told_apart_from_nothing() {
    let place = Place::new().await;
    let link = reset_link(&place, "marta").await;
    let forged = format!("{}{}", &link.token.expose()[..22], "A".repeat(43));
    let mut browser = Browser::of(&place.gate);
    for link in ["", "x", &*forged, "%00", "%3Cscript%3E"] {
        let answer = browser.get(&format!("{SET}?link={link}")).await;
        assert!(answer.assert_page(404).says("This link does not work, or no longer"), "{link}");
    }
    browser.get(SET).await.assert_page(404);
    browser.submit(SET, &[("link", "x"), ("new", NEW), ("again", NEW)]).await.assert_page(404);
    place.gate.advance(Duration::from_hours(1));
    browser.get(&path(&link)).await.assert_page(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_use_a_link_at_the_same_time_one_succeeds() {
    let place = Place::new().await;
    let link = reset_link(&place, "marta").await;
    let mut browsers = Vec::new();
    for _ in 0..8 {
        let mut browser = Browser::of(&place.gate);
        let token = browser.get(&path(&link)).await.page.hidden("form_token");
        browsers.push((browser, token));
    }
    let link = link.token.expose();
    let attempts = browsers.iter_mut().enumerate().map(|(number, (browser, token))| {
        let (link, new) = (&link, format!("{NEW} {number}"));
        async move {
            browser.submit(SET, &[("form_token", token), ("link", link), ("new", &new), ("again", &new)]).await.status
        }
    });
    let mut statuses = futures_util::future::join_all(attempts).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 404, 404, 404, 404, 404, 404, 404]);
}
