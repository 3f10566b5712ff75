//! Password, sessions, history and the end of an account.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use memgate::domain::applications::SpaceName;
use memgate::domain::audit::{AuditEvent, AuditKind};
use memgate::domain::memories::{Limit, ListQuery, MemoryScope};
use memgate::domain::people::Password;
use memgate_domain::testing::InMemoryMemoryBank;
use tokio::sync::Semaphore;

use super::browser::{Answer, Browser};
use super::{PASSWORD, Place, bank_without_list};

const SECURITY: &str = "/account/security";
const NEW: &str = "another battery staple";

async fn signed_in<'a>(place: &'a Place, login: &str) -> Browser<'a> {
    let mut browser = Browser::of(&place.gate);
    browser.sign_in(SECURITY, login, PASSWORD).await;
    browser
}

async fn send(browser: &mut Browser<'_>, action: &str, fields: &[(&str, &str)]) -> Answer {
    let token = browser.get(SECURITY).await.page.hidden("form_token");
    let fields: Vec<_> = [("form_token", token.as_str())].into_iter().chain(fields.iter().copied()).collect();
    browser.submit(&format!("{SECURITY}/{action}"), &fields).await
}

#[tokio::test]
async fn a_new_password_ends_every_session_and_takes_the_place_of_the_old_one() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let mut other = signed_in(&place, "marta").await;
    let changed = [("current", PASSWORD), ("new", NEW), ("again", NEW)];
    let answer = send(&mut browser, "password", &changed).await;
    assert_eq!(answer.location(), "/auth/sign-in?signed-out");
    for browser in [&mut browser, &mut other] {
        assert!(browser.get(SECURITY).await.assert_page(200).says("Sign in"));
    }
    assert_eq!(browser.sign_in(SECURITY, "marta", PASSWORD).await.status, 403);
    assert_eq!(browser.sign_in(SECURITY, "marta", NEW).await.location(), SECURITY);
    assert!(browser.get(SECURITY).await.page.says("Your password was changed."));
    place.gate.search(&token, "applications stay connected").await;
}

#[tokio::test]
async fn a_password_is_not_changed_without_the_current_one_or_to_a_bad_one() {
    let place = Place::new().await;
    let mut browser = signed_in(&place, "marta").await;
    for (current, new, again, status, says) in [
        ("wrong horse battery", NEW, NEW, 403, "The current password is not right."),
        ("", NEW, NEW, 403, "The current password is not right."),
        (PASSWORD, NEW, "something else entirely", 400, "The two new passwords are different."),
        (PASSWORD, "short", "short", 400, "must have at least 10 characters"),
    ] {
        let fields = [("current", current), ("new", new), ("again", again)];
        let answer = send(&mut browser, "password", &fields).await;
        assert!(answer.assert_page(status).says(says), "{says}: {}", answer.page.text());
    }
    let token = browser.get(SECURITY).await.page.hidden("form_token");
    let fields = [("form_token", "x"), ("current", PASSWORD), ("new", NEW), ("again", NEW)];
    browser.submit("/account/security/password", &fields).await.assert_page(403);
    assert_eq!(signed_in(&place, "marta").await.get(SECURITY).await.page.hidden("form_token").len(), token.len());
}

#[tokio::test]
async fn guesses_at_the_current_password_are_throttled_as_at_the_sign_in() {
    let place = Place::new().await;
    let mut browser = signed_in(&place, "marta").await;
    let mut throttled = false;
    for _ in 0..30 {
        let fields = [("current", "wrong horse battery"), ("new", NEW), ("again", NEW)];
        let answer = send(&mut browser, "password", &fields).await;
        throttled |= answer.status == 429;
    }
    assert!(throttled);
    let fields = [("current", PASSWORD), ("new", NEW), ("again", NEW)];
    send(&mut browser, "password", &fields).await.assert_page(429);
}

#[tokio::test]
async fn sessions_are_seen_and_ended_one_by_one_or_all_at_once() {
    let place = Place::new().await;
    let mut browser = signed_in(&place, "marta").await;
    let mut other = signed_in(&place, "marta").await;
    let mut nils = signed_in(&place, "nils").await;
    let session = browser.get(SECURITY).await.assert_page(200).hidden("session");
    send(&mut nils, "end-session", &[("session", &session)]).await.location();
    assert!(!other.get(SECURITY).await.page.says("to see"), "nobody ends somebody else's session");
    assert!(other.get(SECURITY).await.page.says("Change your password"));
    let answer = send(&mut browser, "end-session", &[("session", &session)]).await;
    assert!(browser.get(&answer.location()).await.assert_page(200).says("That session is over."));
    assert!(!other.get(SECURITY).await.page.says("Change your password"));
    send(&mut browser, "end-session", &[("session", "x")]).await.assert_page(400);
    let mut third = signed_in(&place, "marta").await;
    send(&mut browser, "sign-out-everywhere", &[]).await.location();
    for browser in [&mut browser, &mut third] {
        assert!(!browser.get(SECURITY).await.page.says("Change your password"));
    }
    assert!(nils.get(SECURITY).await.page.says("Change your password"));
}

#[tokio::test]
async fn what_happened_in_ones_name_is_told_to_oneself_alone() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let page = browser.get(SECURITY).await.page;
    for text in ["You signed in.", "You allowed an application to use your memories. Trip planner", "was created"] {
        assert!(page.says(text), "{text}: {}", page.text());
    }
    assert!(!signed_in(&place, "nils").await.get(SECURITY).await.page.says("You allowed an application"));
}

#[tokio::test]
async fn older_events_are_on_further_pages() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let backend = place.gate.gate().backend();
    let marta = backend.people().get_by_login(&"marta".parse().unwrap()).await.unwrap().id;
    for _ in 0..230 {
        backend.audit().record(&AuditEvent::new(AuditKind::PasswordLinkCreated, backend.now()).person(marta)).await;
    }
    let (mut path, mut pages) = (SECURITY.to_owned(), Vec::new());
    for number in 0.. {
        assert!(number < 10, "the pages do not end");
        let page = browser.get(&path).await;
        pages.push(page.assert_page(200).0.matches("<li><p>").count());
        let Some((before, _)) = page.page.0.split_once("\" rel=\"next\"") else { break };
        path = before.rsplit_once("href=\"").unwrap().1.to_owned();
        assert!(path.ends_with("#events"), "{path}");
        path.truncate(path.len() - "#events".len());
    }
    assert_eq!(pages[..2], [100, 100]);
    let total = backend.audit().recent_of_person(marta, 0, 1_000).await.unwrap().len();
    assert_eq!(pages.iter().sum::<usize>(), total);
    let first = browser.get(&format!("{SECURITY}?events=none")).await;
    assert!(first.assert_page(200).says("Older events") && !first.page.says("You signed in."));
    assert!(browser.get(&format!("{SECURITY}?events=200")).await.assert_page(200).says("You signed in."));
    let document: serde_json::Value =
        serde_json::from_str(&browser.get("/account/export/account.json").await.page.0).unwrap();
    assert_eq!(document["older_events_left_out"], false);
    assert_eq!(document["events"].as_array().unwrap().len(), total);
}

#[tokio::test]
async fn what_applications_changed_is_named_and_counted_on_the_page_and_in_the_export() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let mut paths = Vec::new();
    for text in ["Marta drinks tea", "Marta plays chess", "Marta lives in Porto"] {
        let memory = place.gate.remember(&token, text).await;
        paths.push(place.gate.url(&format!("/api/v1/memories/{}", memory["memory_id"].as_str().unwrap())));
    }
    place.gate.search(&token, "tea").await;
    let http = &place.gate.http;
    let changed = http.patch(&paths[0]).bearer_auth(&token).json(&serde_json::json!({"content": "Marta drinks water"}));
    for (request, status) in [
        (changed, 200),
        (http.delete(&paths[1]).bearer_auth(&token), 200),
        (http.delete(&paths[2]).bearer_auth(&token), 200),
        (http.delete(&paths[2]).bearer_auth(&token), 404),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    let page = browser.get(SECURITY).await.page;
    let did = ["stored memories: 3", "changed memories: 1", "deleted memories: 2"];
    for text in did {
        assert!(page.says(&format!("Trip planner {text}")), "{text}: {}", page.text());
    }
    let document = browser.get("/account/export/account.json").await.page.0;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let events = document["events"].as_array().unwrap();
    for (event, times) in [("memory_created", 3), ("memory_updated", 1), ("memory_deleted", 2)] {
        let found = events.iter().find(|known| known["event"] == event).unwrap();
        assert_eq!((&found["times"], &found["name"]), (&times.into(), &"Trip planner".into()), "{found}");
    }
    let fields = [("form_token", page.hidden("form_token")), ("application", place.application.id.to_string())];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.submit("/account/connections/revoke", &fields).await.location();
    let page = browser.get(SECURITY).await.page;
    assert!(page.says("An application was disconnected. Trip planner"), "{}", page.text());
    place.gate.applications().delete(place.application.id).await.unwrap();
    let page = browser.get(SECURITY).await.page;
    assert!(page.says("An application that is no longer here deleted memories: 2"), "{}", page.text());
    let page = signed_in(&place, "nils").await.get(SECURITY).await.page;
    assert!(did.iter().all(|text| !page.says(text)), "{}", page.text());
}

#[tokio::test]
async fn an_account_is_closed_before_a_bank_that_is_unavailable_and_the_deletion_goes_on() {
    let bank = Arc::new(InMemoryMemoryBank::default());
    let place = Place::before(bank.clone()).await;
    let (mut browser, token) = place.connected().await;
    place.gate.remember(&token, "Marta drinks tea").await;
    bank.outage().begin();
    let closed = send(&mut browser, "delete", &[("current", PASSWORD), ("confirmed", "yes")]).await;
    let page = closed.assert_page(202);
    assert!(page.says("Your account is closed") && page.says("as soon as it responds again"), "{}", page.text());
    assert!(browser.get(SECURITY).await.assert_page(200).says("to see what your assistants remember"));
    assert_eq!(Browser::of(&place.gate).sign_in(SECURITY, "marta", PASSWORD).await.status, 403);
    bank.outage().end();
    assert_eq!(bank.len(), 1);
    place.gate.advance(Duration::from_mins(3));
    place.gate.gate().run_background_work().await;
    assert_eq!(bank.len(), 0);
}

#[tokio::test]
async fn an_account_stays_before_a_bank_that_cannot_delete_all_of_it() {
    let bank = bank_without_list();
    let place = Place::before(bank.clone()).await;
    let (mut browser, token) = place.connected().await;
    place.gate.remember(&token, "Marta drinks tea").await;
    let confirmed = [("current", PASSWORD), ("confirmed", "yes")];
    let answer = send(&mut browser, "delete", &confirmed).await;
    assert!(answer.assert_page(501).says("Nothing was deleted."), "{}", answer.page.text());
    assert!(browser.get(SECURITY).await.assert_page(200).says("Change your password"));
    place.gate.search(&token, "tea").await;
    assert_eq!(bank.len(), 1);
    let mut nils = signed_in(&place, "nils").await;
    assert_eq!(send(&mut nils, "delete", &confirmed).await.location(), "/?deleted", "who has none can leave");
}

#[tokio::test]
async fn an_account_is_deleted_with_everything_in_it_once_that_is_confirmed() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    place.gate.remember(&token, "Marta drinks tea").await;
    send(&mut browser, "delete", &[("current", PASSWORD)]).await.assert_page(400);
    send(&mut browser, "delete", &[("current", "wrong horse battery"), ("confirmed", "yes")]).await.assert_page(403);
    place.gate.search(&token, "tea").await;
    let answer = send(&mut browser, "delete", &[("current", PASSWORD), ("confirmed", "yes")]).await;
    assert_eq!(answer.location(), "/?deleted");
    assert!(browser.get("/?deleted").await.assert_page(200).says("Your account and everything in it are deleted."));
    let request = place.gate.http.get(place.gate.url("/api/v1/me")).bearer_auth(&token);
    assert_eq!(request.send().await.unwrap().status(), 401);
    assert_eq!(Browser::of(&place.gate).sign_in(SECURITY, "marta", PASSWORD).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_deleted_while_an_assistant_writes_leaves_nothing_behind() {
    const WRITERS: u32 = 4;
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let backend = place.gate.gate().backend();
    let marta = backend.people().get_by_login(&"marta".parse().unwrap()).await.unwrap().id;
    let (stored, is_deleted) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (stored, is_deleted) = (Arc::clone(&stored), Arc::clone(&is_deleted));
            let (http, url, token) = (place.gate.http.clone(), place.gate.url("/api/v1/memories"), token.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let began_after = is_deleted.load(Ordering::SeqCst);
                    let body = format!("{{\"content\": \"{writer} writes {number}\"}}");
                    let request = http.post(&url).bearer_auth(&token).header("content-type", "application/json");
                    let status = request.body(body).send().await.unwrap().status();
                    if matches!(status.as_u16(), 401 | 403) {
                        return;
                    }
                    assert!(!began_after && !status.is_server_error(), "{status}, deleted: {began_after}");
                    if status == 201 {
                        stored.add_permits(1);
                    }
                }
            })
        })
        .collect();
    stored.acquire_many(10 * WRITERS).await.unwrap().forget();
    let answer = send(&mut browser, "delete", &[("current", PASSWORD), ("confirmed", "yes")]).await;
    assert_eq!(answer.location(), "/?deleted");
    // What is cached of a person is at most a second old.
    place.gate.advance(Duration::from_secs(2));
    is_deleted.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    // What was under way while the account was deleted may have come after.
    place.gate.advance(Duration::from_mins(3));
    place.gate.gate().run_background_work().await;
    assert!(backend.people().get(marta).await.is_err());
    let scope = MemoryScope::from_stored(application_space(&place).await, Some(marta));
    let query = ListQuery::new(Limit::PAGE, backend.now());
    assert_eq!(backend.bank().list(&scope, &query).await.unwrap().memories, []);
    let password = Password::choose(PASSWORD).unwrap();
    backend.people().create("marta".parse().unwrap(), &password).await.unwrap();
    let mut again = signed_in(&place, "marta").await;
    assert_eq!(again.get("/account/export/memories.jsonl").await.page.0, "");
}

async fn application_space(place: &Place) -> SpaceName {
    place.gate.applications().get(place.application.id).await.unwrap().space.clone()
}
