//! An application asks, and a person answers.

use memgate::domain::applications::{NewApplication, Permission};
use memgate_test_kit::deadline::happens;
use memgate_test_kit::page::Page;
use url::Url;

use super::browser::Browser;
use super::{PASSWORD, Place, REDIRECT_URI, of_a_gpt};

/// What the form of the consent page sends if nothing is unticked.
pub fn fields(page: &Page, decision: &'static str) -> Vec<(&'static str, &'static str)> {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let mut fields = vec![
        ("form_token", leak(page.hidden("form_token"))),
        ("return_to", leak(page.hidden("return_to"))),
        ("decision", decision),
    ];
    fields.extend(page.ticked("permission").into_iter().map(|permission| ("permission", leak(permission))));
    fields
}

/// A parameter of a redirect.
pub fn parameter(location: &str, name: &str) -> Option<String> {
    let url = Url::parse(location).unwrap();
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn the_page_says_who_asks_for_what_for_whom_and_where_it_goes_on() {
    let place = Place::new().await;
    let (_, page) = place.browser_at_consent("marta").await;
    page.assert_sound();
    for text in [
        "Allow Trip planner to use your memories?",
        "Read your memories",
        "Store memories",
        "Delete memories",
        "Signed in as marta",
        "Not you? Sign out",
        "Afterwards you return to chatgpt.com.",
    ] {
        assert!(page.says(text), "{text}: {}", page.text());
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_shown() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    let answer = browser.sign_in(&place.request(&[("scope", "memory:read")]), "marta", PASSWORD).await;
    let page = browser.get(&answer.location()).await.page;
    assert!(page.says("Read your memories") && !page.says("Store memories") && !page.says("Delete memories"));
}

#[tokio::test]
async fn who_allows_it_goes_back_with_a_code_that_becomes_a_token_for_their_own_memories() {
    let place = Place::new().await;
    let (_, token) = place.connected().await;
    let own = place.gate.access_token(&place.application).await;
    place.gate.remember(&token, "Marta is allergic to hazelnuts.").await;
    assert_eq!(place.gate.search(&token, "hazelnuts").await["results"].as_array().unwrap().len(), 1);
    assert_eq!(place.gate.search(&own, "hazelnuts").await["results"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn the_answer_goes_where_the_application_asked_with_its_state_and_who_answers() {
    let place = Place::new().await;
    for (decision, expected) in [("allow", "code"), ("deny", "error")] {
        let (mut browser, page) = place.browser_at_consent("marta").await;
        let location = browser.submit("/auth/consent", &fields(&page, decision)).await.location();
        assert!(location.starts_with(&format!("{REDIRECT_URI}?")), "{location}");
        assert_eq!(parameter(&location, "state").as_deref(), Some("a b&c"));
        assert_eq!(parameter(&location, "iss").as_deref(), Some(place.gate.gate().public_url()));
        assert!(parameter(&location, expected).is_some(), "{location}");
        assert_eq!(parameter(&location, "code").is_some(), decision == "allow");
    }
}

#[tokio::test]
async fn what_is_unticked_is_not_granted_and_what_was_not_asked_for_is_not_either() {
    let place = Place::new().await;
    for (scope, chosen, granted) in [
        ("", &["memory:write", "memory:delete"][..], "memory:read memory:write memory:delete"),
        ("", &["memory:write"], "memory:read memory:write"),
        ("", &[], "memory:read"),
        ("memory:read", &["memory:delete", "admin"], "memory:read"),
        // One permission alone is what the decision is about.
        ("memory:write", &[], "memory:write"),
    ] {
        let request = place.request(&[("scope", scope)]);
        let mut browser = Browser::of(&place.gate);
        let answer = browser.sign_in(&request, "marta", PASSWORD).await;
        let page = browser.get(&answer.location()).await.page;
        page.assert_sound();
        let mut fields = fields(&page, "allow");
        fields.retain(|(name, _)| *name != "permission");
        fields.extend(chosen.iter().map(|permission| ("permission", *permission)));
        let location = browser.submit("/auth/consent", &fields).await.location();
        let code = parameter(&location, "code").unwrap();
        let parameters = [("grant_type", "authorization_code"), ("code", &*code), ("redirect_uri", REDIRECT_URI)];
        let answer = place.gate.token_request(&place.application, &parameters).await;
        let answer: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(answer["scope"], granted, "{scope} {chosen:?}");
    }
}

#[tokio::test]
async fn who_denies_it_gives_nothing() {
    let place = Place::new().await;
    let (mut browser, page) = place.browser_at_consent("marta").await;
    let location = browser.submit("/auth/consent", &fields(&page, "deny")).await.location();
    assert_eq!(parameter(&location, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn an_answer_that_is_neither_yes_nor_no_is_no_answer() {
    let place = Place::new().await;
    let (mut browser, page) = place.browser_at_consent("marta").await;
    for decision in ["", "maybe", "ALLOW"] {
        browser.submit("/auth/consent", &fields(&page, decision)).await.assert_page(400);
    }
}

#[tokio::test]
async fn a_request_as_a_form_comes_again_with_get() {
    let place = Place::new().await;
    let request = place.request(&[]);
    let fields: Vec<_> = url::form_urlencoded::parse(request.split_once('?').unwrap().1.as_bytes()).collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut browser = Browser::of(&place.gate);
    let foreign = [("origin", "https://chatgpt.com"), ("sec-fetch-site", "cross-site")];
    assert_eq!(browser.submit_with("/auth/authorize", &fields, &foreign).await.location(), request);
}

#[tokio::test]
async fn a_request_that_cannot_be_trusted_is_a_page_and_never_a_redirect() {
    let place = Place::new().await;
    let (mut signed_in, page) = place.browser_at_consent("marta").await;
    for (change, says) in [
        (("client_id", ""), "does not say which application"),
        (("client_id", "unknown"), "No application with this client_id"),
        (("redirect_uri", ""), "does not say where to go"),
        (("redirect_uri", "https://evil.example/"), "is not registered for this application"),
        (("redirect_uri", "https://chatgpt.com/aip/g-124/oauth/callback"), "is not registered for this application"),
        (("redirect_uri", "https://chatgpt.com/aip/g-123/oauth/callback/"), "is not registered for this application"),
        (("redirect_uri", "https://chatgpt.com/aip/g-123/oauth/callback#x"), "must not have a fragment"),
    ] {
        let request = place.request(&[change]);
        for browser in [&mut Browser::of(&place.gate), &mut signed_in] {
            let answer = browser.get(&request).await;
            assert!(answer.assert_page(400).says(says), "{change:?}: {}", answer.page.text());
            assert!(answer.page.says(answer.header("x-request-id").unwrap()));
        }
        let mut fields = fields(&page, "allow");
        fields[1].1 = &request;
        signed_in.submit("/auth/consent", &fields).await.assert_page(400);
    }
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example%2F", place.request(&[]));
    signed_in.get(&twice).await.assert_page(400);
    signed_in.get("/auth/authorize").await.assert_page(400);
    let long = format!("{}&x={}", place.request(&[]), "x".repeat(8000));
    signed_in.get(&long).await.assert_page(400);
}

#[tokio::test]
async fn every_other_mistake_is_told_to_the_application() {
    let place = Place::new().await;
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("scope", "memory:everything"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
    ] {
        let location = Browser::of(&place.gate).get(&place.request(&[change])).await.location();
        assert!(location.starts_with(REDIRECT_URI), "{location}");
        assert_eq!(parameter(&location, "error").as_deref(), Some(error));
        assert_eq!(parameter(&location, "state").as_deref(), Some("a b&c"));
    }
}

#[tokio::test]
async fn an_application_cannot_put_markup_into_the_pages_by_its_name() {
    let name = r#"<script>alert(1)</script> & "Co" <b onclick='x'>"#;
    let mut place = Place::new().await;
    place.application = place
        .gate
        .register(NewApplication { permissions: [Permission::MemoryRead].into_iter().collect(), ..of_a_gpt(name) })
        .await;
    let asked = Browser::of(&place.gate).get(&place.request(&[])).await;
    let (mut browser, consent) = place.browser_at_consent("marta").await;
    let answer = browser.submit("/auth/consent", &fields(&consent, "allow")).await;
    let code = parameter(&answer.location(), "code").unwrap();
    let parameters = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", REDIRECT_URI)];
    assert_eq!(place.gate.token_request(&place.application, &parameters).await.status(), 200);
    let connections = browser.get(super::CONNECTIONS).await.page;
    for page in [asked.page, consent, connections] {
        assert!(!page.0.contains("<script") && !page.0.contains("<b "), "{}", page.0);
        assert!(page.says(name), "{}", page.text());
    }
}

#[tokio::test]
async fn parameters_that_may_repeat_and_those_that_are_unknown_do_not_stand_in_the_way() {
    let place = Place::new().await;
    let long = format!("x={}", "y".repeat(3000));
    let base = place.gate.gate().public_url();
    let resources = format!("resource={base}&resource={base}/mcp");
    for more in [
        &*resources,
        "audience=a&audience=b",
        "unknown=1&unknown=2",
        "unknown=%zz&%ff=1",
        "token=1&access_token=2&refresh_token=3",
        &long,
    ] {
        let mut browser = Browser::of(&place.gate);
        let request = format!("{}&{more}", place.request(&[]));
        let answer = browser.sign_in(&request, "marta", PASSWORD).await;
        let page = browser.get(&answer.location()).await.page;
        let location = browser.submit("/auth/consent", &fields(&page, "allow")).await.location();
        assert!(parameter(&location, "code").is_some(), "{more}: {location}");
    }
    let secret = format!("{}&client_secret=x", place.request(&[]));
    Browser::of(&place.gate).get(&secret).await.assert_page(400);
}

#[tokio::test]
async fn a_state_that_is_not_escaped_comes_back_as_it_was() {
    let place = Place::new().await;
    // A client that escapes is not the one that is asked here, so the request is written as bytes.
    let request = format!("{}&state=\u{e9}t\u{e9}", place.request(&[("state", "")]));
    let page = raw_get(&place, &request).await;
    let return_to = page.hidden("return_to");
    assert!(return_to.ends_with("&state=%C3%A9t%C3%A9"), "{return_to}");
    let mut browser = Browser::of(&place.gate);
    browser.sign_in(&return_to, "marta", PASSWORD).await;
    let page = browser.get(&return_to).await.page;
    let location = browser.submit("/auth/consent", &fields(&page, "allow")).await.location();
    assert_eq!(parameter(&location, "state").as_deref(), Some("\u{e9}t\u{e9}"));
}

async fn raw_get(place: &Place, path: &str) -> Page {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut connection = tokio::net::TcpStream::connect(place.gate.gate().address()).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    happens(connection.read_to_string(&mut answer)).await.unwrap();
    Page(answer)
}

#[tokio::test]
async fn a_silent_request_is_told_that_a_person_has_to_answer() {
    let place = Place::new().await;
    for (change, error) in [(("prompt", "none"), "interaction_required"), (("max_age", "soon"), "invalid_request")] {
        let location = Browser::of(&place.gate).get(&place.request(&[change])).await.location();
        assert_eq!(parameter(&location, "error").as_deref(), Some(error));
    }
}

#[tokio::test]
async fn an_application_hears_of_a_refusal_that_comes_up_while_somebody_signs_in() {
    let place = Place::new().await;
    let request = place.request(&[("scope", "memory:write")]);
    let mut browser = Browser::of(&place.gate);
    let page = browser.get(&request).await.page;
    let changes = memgate::domain::applications::ApplicationChanges {
        permissions: Some([Permission::MemoryRead].into_iter().collect()),
        ..Default::default()
    };
    place.gate.applications().update(place.application.id, &changes).await.unwrap();
    place.gate.advance(std::time::Duration::from_secs(5));
    let (token, return_to) = (page.hidden("form_token"), page.hidden("return_to"));
    let fields = [("form_token", &*token), ("return_to", &return_to), ("login", "marta"), ("password", PASSWORD)];
    let answer = browser.submit("/auth/sign-in", &fields).await;
    // No redirect: a browser would hold it against the `form-action` of the sign-in page.
    let page = answer.assert_page(200);
    let target = format!("{REDIRECT_URI}?error=invalid_scope&#38;");
    assert!(page.0.contains(&format!(r#"http-equiv="refresh" content="0;url={target}"#)), "{}", page.0);
    assert!(page.0.contains(&format!(r#"href="{target}"#)) && page.says("Continuing to chatgpt.com"), "{}", page.0);
    assert!(browser.cookies.contains_key(&browser.cookie("session")), "the person is signed in all the same");
}

#[tokio::test]
async fn who_chooses_a_language_is_not_stopped_by_a_refusal_that_came_up_meanwhile() {
    let place = Place::new().await;
    let request = place.request(&[("scope", "memory:write")]);
    let mut browser = Browser::of(&place.gate);
    let page = browser.get(&request).await.page;
    let choice = [("language", "de"), ("here", &*page.hidden("here"))];
    let answer = browser.submit("/language", &choice).await;
    assert!(answer.location().starts_with("/auth/authorize?"), "{}", answer.location());
    let changes = memgate::domain::applications::ApplicationChanges {
        permissions: Some([Permission::MemoryRead].into_iter().collect()),
        ..Default::default()
    };
    place.gate.applications().update(place.application.id, &changes).await.unwrap();
    place.gate.advance(std::time::Duration::from_secs(5));
    // No redirect, as above.
    let answer = browser.submit("/language", &choice).await;
    let page = answer.assert_page(200);
    assert!(page.0.contains(&format!(r#"href="{REDIRECT_URI}?error=invalid_scope&#38;"#)), "{}", page.0);
    assert!(browser.cookies.contains_key(&browser.cookie("language")));
}

#[tokio::test]
async fn a_name_stands_apart_from_the_text_around_it() {
    let place = Place::new().await;
    let asked = Browser::of(&place.gate).get(&place.request(&[])).await.page;
    let (_, consent) = place.browser_at_consent("marta").await;
    let (mut browser, _) = place.connected().await;
    let connections = browser.get(super::CONNECTIONS).await.page;
    for page in [&asked, &consent, &connections] {
        let named = page.0.matches("Trip planner").count();
        let isolated =
            page.0.matches("<bdi>Trip planner</bdi>").count() + page.0.matches("\u{2068}Trip planner\u{2069}").count();
        assert_eq!(named, isolated, "{}", page.0);
    }
    assert!(consent.0.contains("<bdi>marta</bdi>") && connections.0.contains("<bdi>marta</bdi>"));
}

#[tokio::test]
async fn a_resource_that_is_not_here_is_told_to_the_application() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    let request = format!("{}&resource=https://evil.example/mcp", place.request(&[]));
    let location = browser.get(&request).await.location();
    assert_eq!(parameter(&location, "error").as_deref(), Some("invalid_target"), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("a b&c"));
}
