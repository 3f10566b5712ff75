//! What a person has connected, and how it is taken back.

use super::browser::Browser;
use super::{CONNECTIONS, PASSWORD, Place};

#[tokio::test]
async fn the_page_says_what_each_application_may_do_and_since_when() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let answer = browser.get(CONNECTIONS).await;
    let page = answer.assert_page(200);
    for text in ["Trip planner", "Read your memories", "Store memories", "Delete memories", "Since 18 May 2033."] {
        assert!(page.says(text), "{text}: {}", page.text());
    }
    let mut other = Browser::of(&place.gate);
    other.sign_in(CONNECTIONS, "nils", PASSWORD).await;
    let page = other.get(CONNECTIONS).await.page;
    assert!(page.says("Nothing is connected") && !page.says("Trip planner"));
}

#[tokio::test]
async fn what_is_disconnected_stops_at_once() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    place.gate.search(&token, "anything").await;
    let page = browser.get(CONNECTIONS).await.page;
    let fields = [("form_token", page.hidden("form_token")), ("application", page.hidden("application"))];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
    let answer = browser.submit("/account/connections/revoke", &fields).await;
    let after = browser.get(&answer.location()).await;
    assert!(after.assert_page(200).says("Disconnected.") && after.page.says("Nothing is connected"));
    let request = place.gate.http.get(place.gate.url("/api/v1/me")).bearer_auth(&token);
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert_eq!(browser.submit("/account/connections/revoke", &fields).await.status, 303, "it can be repeated");
}

#[tokio::test]
async fn nobody_disconnects_what_somebody_else_has_connected() {
    let place = Place::new().await;
    let (mut marta, token) = place.connected().await;
    let application = marta.get(CONNECTIONS).await.page.hidden("application");
    let mut nils = Browser::of(&place.gate);
    nils.sign_in(CONNECTIONS, "nils", PASSWORD).await;
    let form_token = nils.get(CONNECTIONS).await.page.hidden("form_token");
    nils.submit("/account/connections/revoke", &[("form_token", &form_token), ("application", &application)]).await;
    place.gate.search(&token, "anything").await;
    let nonsense = [("form_token", &*form_token), ("application", "nonsense")];
    nils.submit("/account/connections/revoke", &nonsense).await.assert_page(400);
}

#[tokio::test]
async fn an_application_that_was_deleted_is_still_shown_as_what_it_is() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    place.gate.applications().delete(place.application.id).await.unwrap();
    place.gate.advance(std::time::Duration::from_secs(2));
    assert!(browser.get(CONNECTIONS).await.assert_page(200).says("An application that is no longer here"));
}
