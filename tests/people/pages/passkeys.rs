//! Signing in with passkeys, adding and removing them, and what somebody without one tries.

use std::time::Duration;

use serde_json::Value;

use super::authenticator::Authenticator;
use super::browser::{Answer, Browser};
use super::consent::parameter;
use super::{PASSWORD, Place, consent};

const PUBLIC_URL: &str = "https://gate.example";
const SECURITY: &str = "/account/security";
const NEW: &str = "/account/security/passkeys/new";
const ADD: &str = "/account/security/passkeys";
const REMOVE: &str = "/account/security/passkeys/remove";
const SIGN_IN: &str = "/auth/sign-in";
const ENTER: &str = "/auth/sign-in/passkey";
const REFUSED: &str = "That passkey was not accepted";

async fn place() -> Place {
    Place::configured(&[("MEMGATE_PUBLIC_URL", PUBLIC_URL)]).await
}

fn authenticator(seed: u8) -> Authenticator {
    Authenticator::new(seed, PUBLIC_URL)
}

async fn signed_in<'a>(place: &'a Place, login: &str) -> Browser<'a> {
    let mut browser = Browser::of(&place.gate);
    browser.sign_in(SECURITY, login, PASSWORD).await.location();
    browser
}

/// The page that asks the browser for a new passkey, or says why not.
async fn asked_for(browser: &mut Browser<'_>, name: &str, password: &str) -> Answer {
    let token = browser.get(SECURITY).await.page.hidden("form_token");
    browser.submit(NEW, &[("form_token", &token), ("name", name), ("current", password)]).await
}

/// What the browser is asked for, and the token of the form.
async fn options_to_add(browser: &mut Browser<'_>, name: &str) -> (Value, String) {
    let answer = asked_for(browser, name, PASSWORD).await;
    let page = answer.assert_page(200);
    (serde_json::from_str(&page.attribute("data-options")).unwrap(), page.hidden("form_token"))
}

async fn send_new(browser: &mut Browser<'_>, token: &str, name: &str, credential: &str) -> Answer {
    browser.submit(ADD, &[("form_token", token), ("name", name), ("credential", credential)]).await
}

async fn add(browser: &mut Browser<'_>, name: &str, authenticator: &mut Authenticator) {
    let (options, token) = options_to_add(browser, name).await;
    let answer = send_new(browser, &token, name, &authenticator.create(&options)).await;
    assert_eq!(answer.location(), "/account/security?passkey-added");
}

/// Marta's browser, in which she is signed in and has added her phone.
async fn with_phone(place: &Place) -> (Browser<'_>, Authenticator) {
    let mut marta = signed_in(place, "marta").await;
    let mut phone = authenticator(1);
    add(&mut marta, "Phone", &mut phone).await;
    (marta, phone)
}

/// A sign-in page at `path`, and what its script asks the browser for.
struct SignInPage {
    token: String,
    return_to: String,
    options: Value,
}

impl SignInPage {
    async fn open(browser: &mut Browser<'_>, path: &str) -> Self {
        let page = browser.get(path).await.assert_page(200).0.clone();
        let page = memgate_test_kit::page::Page(page);
        let answer = browser.get(&page.attribute("data-options-from")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let options = serde_json::from_str(&answer.page.0).unwrap();
        Self { token: page.hidden("form_token"), return_to: page.hidden("return_to"), options }
    }

    async fn send(&self, browser: &mut Browser<'_>, credential: &str) -> Answer {
        let fields = [("form_token", &*self.token), ("return_to", &self.return_to), ("credential", credential)];
        browser.submit(ENTER, &fields).await
    }
}

async fn enter(browser: &mut Browser<'_>, path: &str, authenticator: &mut Authenticator) -> Answer {
    let page = SignInPage::open(browser, path).await;
    let credential = authenticator.get(&page.options);
    page.send(browser, &credential).await
}

#[tokio::test]
async fn who_added_a_passkey_signs_in_with_it_until_it_is_removed() {
    let place = place().await;
    let mut browser = signed_in(&place, "marta").await;
    let mut phone = authenticator(1);
    add(&mut browser, "Marta's phone", &mut phone).await;
    let page = browser.get("/account/security?passkey-added").await;
    let page = page.assert_page(200);
    assert!(page.says("The passkey was added.") && page.says("Marta's phone Added"), "{}", page.text());
    assert!(page.says("Not used yet.") && page.says("You added a passkey."), "{}", page.text());

    place.gate.advance(Duration::from_hours(1));
    let mut elsewhere = Browser::of(&place.gate);
    let answer = enter(&mut elsewhere, &place.request(&[]), &mut phone).await;
    let consent_page = elsewhere.get(&answer.location()).await.page;
    let answer = elsewhere.submit("/auth/consent", &consent::fields(&consent_page, "allow")).await;
    assert!(parameter(&answer.location(), "code").is_some());
    let page = elsewhere.get(SECURITY).await;
    let page = page.assert_page(200);
    assert!(page.says("You signed in with a passkey.") && page.says("Last used"), "{}", page.text());
    let account: Value = serde_json::from_slice(&elsewhere.get_bytes("/account/export/account.json").await).unwrap();
    assert_eq!(account["passkeys"][0]["name"], "Marta's phone");
    assert!(account["passkeys"][0]["last_used_at"].is_string() && account["passkeys"].as_array().unwrap().len() == 1);

    let (token, passkey) = (page.hidden("form_token"), page.hidden("passkey"));
    let mut nils = signed_in(&place, "nils").await;
    let of_nils = nils.get(SECURITY).await.page.hidden("form_token");
    nils.submit(REMOVE, &[("form_token", &of_nils), ("passkey", &passkey)]).await.location();
    assert!(enter(&mut Browser::of(&place.gate), SIGN_IN, &mut phone).await.status == 303, "it is not that of Nils");
    browser.submit(REMOVE, &[("form_token", &token), ("passkey", &passkey)]).await.assert_page(403);
    let answer = elsewhere.submit(REMOVE, &[("form_token", &token), ("passkey", &passkey)]).await;
    assert_eq!(answer.location(), "/account/security?passkey-removed");
    let page = elsewhere.get(&answer.location()).await;
    assert!(page.assert_page(200).says("The passkey was removed") && page.page.says("You removed a passkey."));
    assert!(!page.page.says("Marta's phone"));
    let answer = enter(&mut Browser::of(&place.gate), SIGN_IN, &mut phone).await;
    assert!(answer.assert_page(403).says(REFUSED));
    elsewhere.submit(REMOVE, &[("form_token", &token), ("passkey", "x")]).await.assert_page(400);
}

#[tokio::test]
async fn an_assertion_that_is_not_what_it_must_be_signs_nobody_in() {
    let place = place().await;
    let (mut marta, mut nils) = (signed_in(&place, "marta").await, signed_in(&place, "nils").await);
    let (mut phone, mut of_nils) = (authenticator(1), authenticator(2));
    add(&mut marta, "Phone", &mut phone).await;
    add(&mut nils, "Phone", &mut of_nils).await;
    let origin = |origin: &str| Authenticator { origin: origin.to_owned(), ..phone.clone() };
    for (why, mut wrong) in [
        ("another origin", origin("https://evil.example")),
        ("a subdomain", origin("https://a.gate.example")),
        ("another port", origin("https://gate.example:8443")),
        ("without TLS", origin("http://gate.example")),
        ("another relying party", Authenticator { relying_party: Some("evil.example"), ..phone.clone() }),
        ("an unverified user", Authenticator { is_verified: false, ..phone.clone() }),
        ("a registration", Authenticator { kind: Some("webauthn.create"), ..phone.clone() }),
        ("no user", Authenticator { user: None, ..phone.clone() }),
        ("somebody else as the user", Authenticator { user: of_nils.user.clone(), ..phone.clone() }),
        ("somebody else's credential", Authenticator { id: of_nils.id.clone(), ..phone.clone() }),
        (
            "somebody else's credential and name",
            Authenticator { id: of_nils.id.clone(), user: of_nils.user.clone(), ..phone.clone() },
        ),
        ("an unknown credential", Authenticator { user: phone.user.clone(), ..authenticator(3) }),
    ] {
        let mut browser = Browser::of(&place.gate);
        let answer = enter(&mut browser, SIGN_IN, &mut wrong).await;
        assert!(answer.assert_page(403).says(REFUSED), "{why}: {}", answer.page.text());
        assert!(browser.get(SECURITY).await.page.says("Sign in"), "{why}");
    }
    for garbage in ["", "{}", "null", "[", r#"{"rawId":"AQ","response":{"clientDataJSON":"e30"}}"#] {
        let mut browser = Browser::of(&place.gate);
        let page = SignInPage::open(&mut browser, SIGN_IN).await;
        assert!(page.send(&mut browser, garbage).await.assert_page(403).says(REFUSED), "{garbage}");
    }
    assert_eq!(enter(&mut Browser::of(&place.gate), SIGN_IN, &mut phone).await.location(), "/account");
}

#[tokio::test]
async fn a_challenge_works_once_in_the_browser_that_asked_for_five_minutes() {
    let place = place().await;
    let (_, mut phone) = with_phone(&place).await;

    let mut browser = Browser::of(&place.gate);
    let page = SignInPage::open(&mut browser, SIGN_IN).await;
    let credential = phone.get(&page.options);
    let cookies = browser.cookies.clone();
    let mut thief = Browser::of(&place.gate);
    let of_thief = SignInPage::open(&mut thief, SIGN_IN).await;
    assert!(of_thief.send(&mut thief, &credential).await.assert_page(403).says(REFUSED), "it is for another browser");
    assert_eq!(page.send(&mut browser, &credential).await.location(), "/account");
    // Somebody who has everything that was sent.
    thief.cookies = cookies;
    assert!(page.send(&mut thief, &credential).await.assert_page(403).says(REFUSED), "it was used");

    for (wait, status) in [(Duration::from_secs(299), 303), (Duration::from_mins(5), 403)] {
        let mut browser = Browser::of(&place.gate);
        let page = SignInPage::open(&mut browser, SIGN_IN).await;
        let credential = phone.get(&page.options);
        place.gate.advance(wait);
        assert_eq!(page.send(&mut browser, &credential).await.status, status);
    }
    // A challenge that is made up, with or without the parts of a good one.
    let mut browser = Browser::of(&place.gate);
    let mut page = SignInPage::open(&mut browser, SIGN_IN).await;
    let challenge = page.options["publicKey"]["challenge"].as_str().unwrap().to_owned();
    for made_up in ["A".repeat(75), challenge.replace(&challenge[40..44], "AAAA"), challenge[..40].to_owned()] {
        page.options["publicKey"]["challenge"] = made_up.into();
        let credential = phone.get(&page.options);
        assert!(page.send(&mut browser, &credential).await.assert_page(403).says(REFUSED));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_send_the_same_assertion_at_the_same_time_one_signs_in() {
    let place = place().await;
    let (_, mut phone) = with_phone(&place).await;
    let mut browser = Browser::of(&place.gate);
    let page = SignInPage::open(&mut browser, SIGN_IN).await;
    let credential = phone.get(&page.options);
    let mut browsers: Vec<_> = (0..8).map(|_| Browser::of(&place.gate)).collect();
    for other in &mut browsers {
        other.cookies.clone_from(&browser.cookies);
    }
    let answers = browsers.iter_mut().map(|browser| page.send(browser, &credential));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(answers).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403, 403, 403, 403, 403, 403, 403]);
}

#[tokio::test]
async fn a_counter_must_go_up_if_there_is_one() {
    let place = place().await;
    let mut marta = signed_in(&place, "marta").await;
    let mut key = authenticator(1);
    key.counter = 5;
    add(&mut marta, "Key", &mut key).await;
    for (counter, status) in [(5, 403), (4, 403), (0, 403), (6, 303), (6, 403), (5, 403), (60, 303)] {
        key.counter = counter;
        assert_eq!(enter(&mut Browser::of(&place.gate), SIGN_IN, &mut key).await.status, status, "{counter}");
    }
}

#[tokio::test]
async fn a_disabled_person_does_not_sign_in_and_a_new_password_changes_nothing() {
    let place = place().await;
    let (_, mut phone) = with_phone(&place).await;
    let people = place.gate.gate().backend().people();
    let id = people.get_by_login(&"marta".parse().unwrap()).await.unwrap().id;
    people.disable(id).await.unwrap();
    let answer = enter(&mut Browser::of(&place.gate), SIGN_IN, &mut phone).await;
    assert!(answer.assert_page(403).says(REFUSED));
    people.enable(id).await.unwrap();
    let password = memgate::domain::people::Password::choose("another battery staple").unwrap();
    people.set_password(id, &password).await.unwrap();
    let mut browser = Browser::of(&place.gate);
    enter(&mut browser, SIGN_IN, &mut phone).await.location();
    assert!(browser.get(SECURITY).await.assert_page(200).says("Phone Added"));
    people.delete(id).await.unwrap();
    let answer = enter(&mut Browser::of(&place.gate), SIGN_IN, &mut phone).await;
    assert!(answer.assert_page(403).says(REFUSED));
}

#[tokio::test]
async fn a_passkey_is_added_with_the_password_alone_and_a_sound_name() {
    let place = place().await;
    let mut browser = signed_in(&place, "marta").await;
    for (name, password, status, says) in [
        ("Phone", "wrong horse battery", 403, "The current password is not right."),
        ("Phone", "", 403, "The current password is not right."),
        ("", PASSWORD, 400, "The name must have 1 to 50 characters on one line."),
        ("a\u{202e}b", PASSWORD, 400, "The name must have 1 to 50 characters on one line."),
    ] {
        let answer = asked_for(&mut browser, name, password).await;
        assert!(answer.assert_page(status).says(says), "{name}: {}", answer.page.text());
    }
    let mut phone = authenticator(1);
    let token = browser.get(SECURITY).await.page.hidden("form_token");
    let mut stranger = Browser::of(&place.gate);
    let of_sign_in = SignInPage::open(&mut stranger, SIGN_IN).await;
    let mut made_up = of_sign_in.options;
    made_up["publicKey"]["rp"]["id"] = "gate.example".into();
    made_up["publicKey"]["user"]["id"] = "AQ".into();
    let answer = send_new(&mut browser, &token, "Phone", &phone.create(&made_up)).await;
    assert!(answer.assert_page(403).says("The passkey was not accepted"), "its challenge is for signing in");
    send_new(&mut stranger, &token, "Phone", "{}").await.assert_page(403);
}

#[tokio::test]
async fn a_registration_that_is_not_what_it_must_be_adds_nothing() {
    let place = place().await;
    let (mut browser, mut same, mut nils) =
        (signed_in(&place, "marta").await, signed_in(&place, "marta").await, signed_in(&place, "nils").await);
    let phone = authenticator(1);
    for (why, mut wrong) in [
        ("another origin", Authenticator { origin: "https://evil.example".to_owned(), ..phone.clone() }),
        ("another relying party", Authenticator { relying_party: Some("evil.example"), ..phone.clone() }),
        ("an unverified user", Authenticator { is_verified: false, ..phone.clone() }),
        ("an assertion", Authenticator { kind: Some("webauthn.get"), ..phone.clone() }),
    ] {
        let (options, token) = options_to_add(&mut browser, "Phone").await;
        let answer = send_new(&mut browser, &token, "Phone", &wrong.create(&options)).await;
        assert!(answer.assert_page(403).says("The passkey was not accepted"), "{why}: {}", answer.page.text());
    }
    let mut phone = phone;
    let (options, token) = options_to_add(&mut browser, "Phone").await;
    let credential = phone.create(&options);
    for garbage in ["", "{}", &credential[1..], &credential.replace("clientDataJSON", "clientData")] {
        send_new(&mut browser, &token, "Phone", garbage).await.assert_page(403);
    }
    for other in [&mut same, &mut nils] {
        let token = other.get(SECURITY).await.page.hidden("form_token");
        send_new(other, &token, "Phone", &credential).await.assert_page(403);
    }
    assert_eq!(send_new(&mut browser, &token, "Phone", &credential).await.status, 303);
    let passkey = browser.get(SECURITY).await.page.hidden("passkey");
    browser.submit(REMOVE, &[("form_token", &token), ("passkey", &passkey)]).await.location();
    send_new(&mut browser, &token, "Phone", &credential).await.assert_page(403);

    let (options, token) = options_to_add(&mut browser, "Phone").await;
    let credential = phone.create(&options);
    place.gate.advance(Duration::from_mins(5));
    send_new(&mut browser, &token, "Phone", &credential).await.assert_page(403);

    // A credential has one person, whoever comes second.
    add(&mut browser, "Phone", &mut phone).await;
    let (options, token) = options_to_add(&mut nils, "Phone").await;
    let answer = send_new(&mut nils, &token, "Phone", &phone.clone().create(&options)).await;
    assert!(answer.assert_page(409).says("This passkey was added before."), "{}", answer.page.text());
    let (options, token) = options_to_add(&mut browser, "Phone").await;
    assert_eq!(options["publicKey"]["excludeCredentials"].as_array().unwrap().len(), 1);
    send_new(&mut browser, &token, "Phone", &phone.create(&options)).await.assert_page(403);
}

#[tokio::test]
async fn a_person_has_at_most_ten_passkeys() {
    let place = place().await;
    let mut browser = signed_in(&place, "marta").await;
    let (options, token) = options_to_add(&mut browser, "One more").await;
    for seed in 1..=10 {
        add(&mut browser, &format!("Key {seed}"), &mut authenticator(seed)).await;
    }
    let page = browser.get(SECURITY).await;
    assert!(!page.assert_page(200).0.contains(NEW));
    assert_eq!(asked_for(&mut browser, "One more", PASSWORD).await.assert_page(409).hidden("form_token"), token);
    let answer = send_new(&mut browser, &token, "One more", &authenticator(11).create(&options)).await;
    assert!(answer.assert_page(409).says("You have 10 passkeys"), "{}", answer.page.text());
}

#[tokio::test]
async fn wrong_passkeys_are_throttled_by_address_as_wrong_passwords_are() {
    let place = place().await;
    let (_, mut phone) = with_phone(&place).await;
    let mut browser = Browser::of(&place.gate);
    let page = SignInPage::open(&mut browser, SIGN_IN).await;
    for _ in 0..60 {
        assert_eq!(page.send(&mut browser, "{}").await.status, 403);
    }
    let credential = phone.get(&page.options);
    let answer = page.send(&mut browser, &credential).await;
    assert!(answer.assert_page(429).says("Too many failed attempts."), "{}", answer.page.text());
    assert!(answer.header("retry-after").is_some());
    place.gate.advance(Duration::from_secs(1));
    assert_eq!(page.send(&mut browser, &credential).await.location(), "/account");
}

#[tokio::test]
async fn a_form_of_another_site_or_browser_signs_nobody_in() {
    let place = place().await;
    let (_, mut phone) = with_phone(&place).await;
    let mut browser = Browser::of(&place.gate);
    let page = SignInPage::open(&mut browser, SIGN_IN).await;
    let credential = phone.get(&page.options);
    let fields = [("form_token", &*page.token), ("credential", &*credential)];
    browser.submit_with(ENTER, &fields, &[("origin", "https://evil.example")]).await.assert_page(403);
    browser.submit(ENTER, &[("form_token", "x"), ("credential", &credential)]).await.assert_page(403);
    Browser::of(&place.gate).submit(ENTER, &fields).await.assert_page(403);
    Browser::of(&place.gate).get(ENTER).await.assert_page(403);
    browser.submit(ENTER, &fields).await.location();
}

#[tokio::test]
async fn instances_that_share_a_database_and_a_master_key_share_challenges() {
    let place = place().await;
    let other = place.gate.beside(&[("MEMGATE_PUBLIC_URL", PUBLIC_URL)]).await;
    let (_, mut phone) = with_phone(&place).await;
    let mut browser = Browser::of(&place.gate);
    let page = SignInPage::open(&mut browser, SIGN_IN).await;
    let credential = phone.get(&page.options);
    let cookies = browser.cookies.clone();
    let mut at_the_other = Browser::of(&other);
    at_the_other.cookies.clone_from(&cookies);
    assert_eq!(page.send(&mut at_the_other, &credential).await.location(), "/account");
    browser.cookies = cookies;
    page.send(&mut browser, &credential).await.assert_page(403);
}

#[tokio::test]
async fn the_two_pages_that_ask_for_a_passkey_run_our_script_and_no_other_page_does() {
    let place = place().await;
    let mut browser = signed_in(&place, "marta").await;
    let sign_in = Browser::of(&place.gate).get(SIGN_IN).await;
    let new = asked_for(&mut browser, "Phone", PASSWORD).await;
    for (answer, policy) in [
        (&sign_in, "script-src 'self'; connect-src 'self'; form-action 'self'"),
        (&new, "script-src 'self'; form-action 'self'"),
    ] {
        answer.assert_page(200);
        let sent = answer.header("content-security-policy").unwrap();
        assert!(sent.contains(policy) && sent.contains("default-src 'none'") && !sent.contains("unsafe"), "{sent}");
        let path = answer.page.attribute("src");
        assert!(path.starts_with("/assets/passkeys-"), "{path}");
        let script = browser.get(&path).await;
        assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    }
    assert_eq!(sign_in.header("cross-origin-opener-policy"), Some("unsafe-none"), "an application may have opened it");
    assert_eq!(new.header("cross-origin-opener-policy"), Some("same-origin"));
    for path in [SECURITY, "/account", "/", "/privacy", "/account/nowhere", &place.request(&[])] {
        let answer = browser.get(path).await;
        answer.assert_page(answer.status);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(!policy.contains("script-src") && !policy.contains("connect-src"), "{path}: {policy}");
        assert!(!answer.page.0.contains("<script"), "{path}");
    }
}

#[tokio::test]
async fn where_browsers_have_no_passkeys_there_are_none() {
    for variables in [&[][..], &[("MEMGATE_PUBLIC_URL", "http://gate.example")]] {
        let place = Place::configured(variables).await;
        let mut stranger = Browser::of(&place.gate);
        let page = stranger.get(SIGN_IN).await;
        assert!(!page.assert_page(200).says("passkey") && !page.page.0.contains("<script"));
        assert!(!page.header("content-security-policy").unwrap().contains("script-src"));
        stranger.get(ENTER).await.assert_page(404);
        let token = page.page.hidden("form_token");
        stranger.submit(ENTER, &[("form_token", &token), ("credential", "{}")]).await.assert_page(404);
        let mut browser = signed_in(&place, "marta").await;
        assert!(!browser.get(SECURITY).await.assert_page(200).says("Passkeys"));
        asked_for(&mut browser, "Phone", PASSWORD).await.assert_page(404);
    }
    let place = Place::configured(&[("MEMGATE_PUBLIC_URL", "http://localhost:8080")]).await;
    let page = Browser::of(&place.gate).get(SIGN_IN).await;
    assert!(page.assert_page(200).says("Sign in with a passkey"));
}
