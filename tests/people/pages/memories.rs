//! What a person sees, corrects, deletes and takes back of their own memories.

use std::sync::Arc;
use std::time::Duration;

use memgate_domain::testing::InMemoryMemoryBank;
use memgate_test_kit::page::Page;
use serde_json::Value;

use super::browser::{Answer, Browser};
use super::{PASSWORD, Place, bank_without_list};

pub(super) const MEMORIES: &str = "/account/memories";

pub(super) fn id_of(memory: &Value) -> String {
    memory["memory_id"].as_str().unwrap().to_owned()
}

/// The hidden fields of a page with these names, and what is added to them.
pub(super) fn fields<'a>(page: &Page, hidden: &[&'a str], more: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    let hidden = hidden.iter().map(|name| (*name, page.hidden(name)));
    hidden.chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
}

pub(super) async fn submit(browser: &mut Browser<'_>, path: &str, fields: &[(&str, String)]) -> Answer {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.submit(path, &fields).await
}

#[tokio::test]
async fn a_person_sees_their_memories_and_from_which_application() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let page = browser.get(MEMORIES).await;
    assert!(page.assert_page(200).says("Nothing is stored yet"));
    place.gate.remember(&token, "Marta drinks green tea").await;
    place.gate.remember(&token, "<script>alert(1)</script> & \"quotes\"").await;
    let page = browser.get(MEMORIES).await;
    for text in ["Marta drinks green tea", "<script>alert(1)</script> & \"quotes\"", "Trip planner", "18 May 2033"] {
        assert!(page.assert_page(200).says(text), "{text}: {}", page.page.text());
    }
    let found = browser.get("/account/memories?q=tea").await;
    assert!(found.assert_page(200).says("Marta drinks green tea") && !found.page.says("quotes"));
    assert!(browser.get("/account/memories?category=none").await.assert_page(200).says("Nothing found"));
    assert!(browser.get("/account/memories?from=2033-05-18&to=2033-05-18").await.assert_page(200).says("green tea"));
    assert!(browser.get("/account/memories?to=2033-05-17").await.assert_page(200).says("Nothing found"));
    let mut nils = Browser::of(&place.gate);
    nils.sign_in(MEMORIES, "nils", PASSWORD).await;
    assert!(nils.get(MEMORIES).await.assert_page(200).says("Nothing is stored yet"));
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_said_on_the_page() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    for query in [
        "from=yesterday",
        "from=2033-05-18&to=2033-05-17",
        "after=x",
        "application=a/b",
        "category=a%0Ab",
        "q=a&skip=x",
        "q=a&skip=200",
    ] {
        let answer = browser.get(&format!("/account/memories?{query}")).await;
        assert!(answer.assert_page(400).0.contains(r#"role="alert""#), "{query}");
    }
}

/// Stores a memory with the date when it was said, or without one.
pub(super) async fn remember_said(place: &Place, token: &str, text: &str, said: Option<&str>) -> Value {
    let body = serde_json::json!({"content": text, "occurred_at": said});
    let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(token).json(&body);
    request.send().await.unwrap().json::<Value>().await.unwrap()["memory"].take()
}

#[tokio::test]
async fn memories_are_sorted_and_narrowed_by_when_they_were_stored_or_said() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    for number in 0..25 {
        let said = (number % 2 == 0).then(|| format!("2020-01-{:02}", number + 1));
        remember_said(&place, &token, &format!("Fact {number}."), said.as_deref()).await;
        place.gate.advance(Duration::from_secs(1));
    }
    let stored: Vec<u32> = (0..25).rev().collect();
    // What nobody dated counts as said when it was stored.
    let said: Vec<u32> = (0..25).rev().filter(|n| n % 2 == 1).chain((0..25).rev().filter(|n| n % 2 == 0)).collect();
    let early: Vec<u32> = (0..=4).rev().filter(|n| n % 2 == 0).collect();
    for (query, expected) in [
        ("", &stored),
        ("by=stored", &stored),
        ("by=said", &said),
        ("by=said&to=2020-01-05", &early),
        ("by=stored&to=2020-01-05", &vec![]),
        ("by=said&q=fact&to=2020-01-01", &vec![0]),
    ] {
        let mut path = format!("{MEMORIES}?{query}");
        let mut seen = Vec::new();
        for number in 0.. {
            assert!(number < 25, "the pages do not end: {query}");
            let page = browser.get(&path).await;
            let facts = page.assert_page(200).0.split("Fact ").skip(1);
            seen.extend(facts.map(|rest| rest.split('.').next().unwrap().parse::<u32>().unwrap()));
            let Some((before, _)) = page.page.0.split_once("\" rel=\"next\"") else { break };
            path = before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&");
        }
        assert_eq!(seen, *expected, "{query}");
    }
    let page = browser.get(&format!("{MEMORIES}?by=said")).await;
    assert!(page.page.0.contains(r#"<option value="said" selected>"#));
    assert!(browser.get(&format!("{MEMORIES}?q=%22Fact+2.%22")).await.page.says("Said or happened on 3 January 2020."));
}

#[tokio::test]
async fn all_memories_are_reached_page_by_page() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    for number in 0..45 {
        place.gate.remember(&token, &format!("Fact number {number}.")).await;
        place.gate.advance(Duration::from_secs(1));
    }
    let mut path = MEMORIES.to_owned();
    let mut seen = 0;
    for number in 0.. {
        assert!(number < 45, "the pages do not end");
        let page = browser.get(&path).await;
        seen += page.assert_page(200).0.matches("Fact number ").count();
        match page.page.0.split_once(r#"href="/account/memories?after="#) {
            Some((_, rest)) => path = format!("{MEMORIES}?after={}", rest.split('"').next().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, 45);
}

#[tokio::test]
async fn what_a_search_finds_is_reached_page_by_page_and_a_page_says_when_there_is_more() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    for first in [0, 100, 200] {
        let memories: Vec<Value> =
            (first..first + 100).map(|n| serde_json::json!({"content": format!("Fact number {n}.")})).collect();
        let request = place.gate.http.post(place.gate.url("/api/v1/bulk/memories")).bearer_auth(&token);
        let answer = request.json(&serde_json::json!({"memories": memories})).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let mut path = format!("{MEMORIES}?q=fact");
    let mut seen = std::collections::BTreeSet::new();
    let last = loop {
        let answer = browser.get(&path).await;
        let page = answer.assert_page(200);
        let facts = page.0.split("Fact number ").skip(1).map(|rest| rest.split('.').next().unwrap().to_owned());
        let before = seen.len();
        seen.extend(facts);
        assert_eq!(seen.len(), before + 20);
        match page.0.split_once(r#"href="/account/memories?q=fact&#38;skip="#) {
            Some((_, rest)) => path = format!("{MEMORIES}?q=fact&skip={}", rest.split('"').next().unwrap()),
            None => break answer,
        }
    };
    assert_eq!(seen.len(), 200);
    assert!(last.page.says("These are the best 200 results."), "{}", last.page.text());
    let page = browser.get(&format!("{MEMORIES}?q=%22number+7.%22")).await;
    assert!(!page.assert_page(200).says("These are the best"), "{}", page.page.text());
}

#[tokio::test]
async fn a_list_says_which_conversation_a_memory_comes_from() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let body = serde_json::json!({"content": "tea", "context": {"conversation_id": "c-<7>"}});
    let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(&token).json(&body);
    let memory: Value = request.send().await.unwrap().json().await.unwrap();
    for path in [MEMORIES.to_owned(), format!("{MEMORIES}/{}", id_of(&memory["memory"]))] {
        let page = browser.get(&path).await;
        assert!(page.assert_page(200).says("From the conversation c-<7>."), "{}", page.page.text());
    }
}

#[tokio::test]
async fn before_a_bank_that_cannot_list_a_page_says_what_cannot_be_done() {
    let place = Place::before(bank_without_list()).await;
    let (mut browser, token) = place.connected().await;
    place.gate.remember(&token, "Marta drinks tea").await;
    let export = browser.get("/account/export").await;
    let page = export.assert_page(200);
    assert!(
        page.says("so it cannot export them") && page.says("Download account") && !page.says("Download everything")
    );
    for path in ["/account/export/memgate.zip", "/account/export/memories.jsonl"] {
        assert!(browser.get(path).await.assert_page(501).says("so it cannot export them"), "{path}");
    }
    let page = browser.get("/account/delete-memories").await.page;
    let confirmed = fields(&page, &["form_token"], &[("confirmed", "yes")]);
    let refused = submit(&mut browser, "/account/delete-memories", &confirmed).await;
    assert!(refused.assert_page(501).says("Nothing was deleted."), "{}", refused.page.text());
    assert_eq!(place.gate.search(&token, "tea").await["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn before_a_bank_that_is_unavailable_nobody_is_told_that_everything_is_deleted() {
    let bank = Arc::new(InMemoryMemoryBank::default());
    let place = Place::before(bank.clone()).await;
    let (mut browser, token) = place.connected().await;
    place.gate.remember(&token, "Marta drinks tea").await;
    let page = browser.get("/account/delete-memories").await.page;
    let confirmed = fields(&page, &["form_token"], &[("confirmed", "yes")]);
    bank.outage().begin();
    let stopped = submit(&mut browser, "/account/delete-memories", &confirmed).await;
    assert!(stopped.assert_page(503).says("some of your memories may still be there"), "{}", stopped.page.text());
    bank.outage().end();
    let deleted = submit(&mut browser, "/account/delete-memories", &confirmed).await;
    assert!(deleted.assert_page(200).says("All your memories are deleted."));
    assert_eq!(bank.len(), 0);
}

#[tokio::test]
async fn what_was_deleted_is_gone_for_assistants_and_can_be_undone_for_a_while() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let mut ids = Vec::new();
    for text in ["Marta drinks tea", "Marta plays chess", "Marta's \"nuts\" & <b>bolts</b>"] {
        ids.push(id_of(&place.gate.remember(&token, text).await));
    }
    let page = browser.get(MEMORIES).await.page;
    let selected: Vec<(&str, &str)> = ids.iter().map(|id| ("id", id.as_str())).collect();
    let deleted = submit(&mut browser, MEMORIES, &fields(&page, &["form_token"], &selected)).await;
    assert!(deleted.assert_page(200).says("3 memories are deleted"));
    assert_eq!(place.gate.search(&token, "Marta").await["results"], serde_json::json!([]));
    let again = submit(&mut browser, MEMORIES, &fields(&page, &["form_token"], &selected)).await;
    assert!(again.assert_page(200).says("Deleted before: 3."), "a page that is loaded again deletes nothing more");

    let hidden = ["form_token", "memories", "deadline", "seal"];
    let undo = fields(&deleted.page, &hidden, &[]);
    let mut nils = Browser::of(&place.gate);
    nils.sign_in(MEMORIES, "nils", PASSWORD).await;
    let own = nils.get(MEMORIES).await.page.hidden("form_token");
    let stolen: Vec<_> = undo
        .iter()
        .map(|(name, value)| (*name, if *name == "form_token" { own.clone() } else { value.clone() }))
        .collect();
    submit(&mut nils, "/account/undo", &stolen).await.assert_page(403);
    let forged: Vec<_> = undo.iter().map(|(name, value)| (*name, value.replace("chess", "poker"))).collect();
    submit(&mut browser, "/account/undo", &forged).await.assert_page(403);

    let undone = submit(&mut browser, "/account/undo", &undo).await;
    assert!(undone.assert_page(200).says("Undone.") && undone.page.says("Marta plays chess"));
    assert_eq!(place.gate.search(&token, "Marta").await["results"].as_array().unwrap().len(), 3);
    for id in &ids {
        browser.get(&format!("{MEMORIES}/{id}")).await.assert_page(200);
    }

    let deleted = submit(&mut browser, MEMORIES, &fields(&page, &["form_token"], &[("id", ids[0].as_str())])).await;
    place.gate.advance(Duration::from_mins(31));
    let late = submit(&mut browser, "/account/undo", &fields(&deleted.page, &hidden, &[])).await;
    assert!(late.assert_page(200).says("It is too late to undo this."));
    browser.get(&format!("{MEMORIES}/{}", ids[0])).await.assert_page(404);
}

#[tokio::test]
async fn what_is_too_long_to_be_undone_is_asked_about_first() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(id_of(&place.gate.remember(&token, &format!("{number} {}", "long ".repeat(6_000))).await));
    }
    let page = browser.get(MEMORIES).await.page;
    let selected: Vec<(&str, &str)> = ids.iter().map(|id| ("id", id.as_str())).collect();
    let one = submit(&mut browser, MEMORIES, &fields(&page, &["form_token"], &selected[..10])).await;
    assert!(one.assert_page(200).says("10 memories are deleted"), "300 kB can be brought back");
    let undo = fields(&one.page, &["form_token", "memories", "deadline", "seal"], &[]);
    assert!(submit(&mut browser, "/account/undo", &undo).await.assert_page(200).says("Undone."));
    let asked = submit(&mut browser, MEMORIES, &fields(&page, &["form_token"], &selected)).await;
    assert!(asked.assert_page(200).says("Delete these for good?"));
    browser.get(&format!("{MEMORIES}/{}", ids[0])).await.assert_page(200);
    let confirmed: Vec<_> = selected.into_iter().chain([("confirmed", "yes")]).collect();
    let deleted = submit(&mut browser, MEMORIES, &fields(&page, &["form_token"], &confirmed)).await;
    assert!(deleted.assert_page(200).says("20 memories are deleted") && !deleted.page.says("Undo"));
    let nothing = submit(&mut browser, MEMORIES, &fields(&page, &["form_token"], &[])).await;
    assert!(nothing.assert_page(200).says("Nothing was selected"));
}

#[tokio::test]
async fn everything_is_deleted_only_after_it_was_confirmed() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let memory = place.gate.remember(&token, "Marta drinks tea").await;
    let page = browser.get("/account/delete-memories").await.page;
    let path = format!("{MEMORIES}/{}", id_of(&memory));
    submit(&mut browser, "/account/delete-memories", &fields(&page, &["form_token"], &[])).await.assert_page(400);
    browser.get(&path).await.assert_page(200);
    let confirmed = fields(&page, &["form_token"], &[("confirmed", "yes")]);
    let deleted = submit(&mut browser, "/account/delete-memories", &confirmed).await;
    assert!(deleted.assert_page(200).says("All your memories are deleted."));
    browser.get(&path).await.assert_page(404);
    place.gate.remember(&token, "Marta drinks water").await;
    assert!(browser.get(MEMORIES).await.page.says("Marta drinks water"), "the application stays connected");
}

#[tokio::test]
async fn the_hub_says_how_many_there_are_and_which() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    assert!(!browser.get("/account").await.assert_page(200).says("In numbers"));
    for categories in [vec!["food", "tea & <cake>"], vec!["food"], vec![]] {
        let body = serde_json::json!({"content": "x", "categories": categories});
        let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(&token).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 201);
    }
    let page = browser.get("/account").await;
    for text in [
        "Memories: 3. The oldest is from 18 May 2033, the newest from 18 May 2033.",
        "Trip planner3",
        "food2",
        "tea & <cake>1",
        "Without a category1",
    ] {
        assert!(page.assert_page(200).says(text), "{text}: {}", page.page.text());
    }
    assert!(page.page.0.contains(r#"href="/account/memories?category=tea+%26+%3Ccake%3E""#));
}

#[tokio::test]
async fn the_way_to_everything_begins_at_the_first_page() {
    let place = Place::new().await;
    let mut browser = Browser::of(&place.gate);
    let home = browser.get("/").await;
    assert!(home.assert_page(200).says("Sign in") && home.page.0.contains(r#"href="/docs""#));
    for path in ["/account", MEMORIES, "/account/security", "/account/connections", "/account/delete-memories"] {
        assert!(browser.get(path).await.assert_page(200).says("Sign in"), "{path}");
    }
    let answer = browser.sign_in("/auth/sign-in", "marta", PASSWORD).await;
    let account = browser.get(&answer.location()).await;
    assert_eq!(answer.location(), "/account");
    for path in [MEMORIES, "/account/security", "/account/connections"] {
        assert!(account.assert_page(200).0.contains(&format!(r#"href="{path}""#)), "{path}");
        browser.get(path).await.assert_page(200);
    }
    assert!(browser.get("/").await.assert_page(200).says("You are signed in as marta"));
}

#[tokio::test]
async fn a_browser_that_has_lost_its_way_gets_a_page_and_a_program_a_problem() {
    let place = Place::new().await;
    let accepting = |path: &str, accept: &'static str| {
        let request = place.gate.http.get(place.gate.url(path)).header("accept", accept);
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 404);
            let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
            (media_type, Page(answer.text().await.unwrap()))
        }
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for path in ["/login", "/memories", "/auth/login", "/account/nowhere", "/assets/none", "/docs/x"] {
        let (media_type, page) = accepting(path, browser).await;
        assert_eq!(media_type, "text/html; charset=utf-8", "{path}");
        page.assert_sound();
        assert!(page.says("Go to the start page"), "{path}: {}", page.text());
    }
    for (path, accept) in [("/login", "*/*"), ("/auth/login", "application/json"), ("/api/v1/nothing", browser)] {
        let (media_type, page) = accepting(path, accept).await;
        assert!(media_type.contains("json"), "{path}: {}", page.0);
    }
}

#[tokio::test]
async fn everything_about_a_person_is_downloaded_and_nothing_of_others() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let mut expected = Vec::new();
    for number in 0..250 {
        expected.insert(0, id_of(&place.gate.remember(&token, &format!("Fact {number}\nof 日本")).await));
        place.gate.advance(Duration::from_millis(1));
    }
    assert!(browser.get("/account/export").await.assert_page(200).0.contains("/account/export/memories.jsonl"));
    let memories = browser.get("/account/export/memories.jsonl").await;
    assert_eq!(memories.header("content-type"), Some("application/octet-stream"));
    assert!(memories.header("content-disposition").unwrap().starts_with("attachment"));
    let lines: Vec<Value> = memories.page.0.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<&str> = lines.iter().map(|line| line["memory_id"].as_str().unwrap()).collect();
    assert_eq!(ids, expected);
    assert_eq!(lines[0]["content"], "Fact 249\nof 日本");

    let request = place.gate.http.get(place.gate.url("/api/v1/export")).bearer_auth(&token);
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), memories.page.0, "an integrator gets the same");

    let archive = browser.get_bytes("/account/export/memgate.zip").await;
    let read = rawzip::ZipArchive::from_slice(&archive).unwrap();
    let mut entries = read.entries();
    let mut files = Vec::new();
    while let Some(entry) = entries.next_entry().unwrap() {
        let name = String::from_utf8(entry.file_path().as_bytes().to_vec()).unwrap();
        let file = read.get_entry(entry.wayfinder()).unwrap();
        let unpacked = file.verifying_reader(flate2::read::DeflateDecoder::new(file.data()));
        files.push((name, std::io::read_to_string(unpacked).unwrap()));
    }
    assert_eq!(files[1], ("memories.jsonl".to_owned(), memories.page.0.clone()));
    let whole = &browser.get("/account/export/account.json").await.page.0;
    assert_eq!((files[0].0.as_str(), &files[0].1, files.len()), ("account.json", whole, 2));

    let account: Value = serde_json::from_str(whole).unwrap();
    assert_eq!((&account["account"], &account["connections"][0]["name"]), (&"marta".into(), &"Trip planner".into()));
    assert!(account["events"].as_array().unwrap().iter().any(|event| event["event"] == "person_signed_in"));

    let mut nils = Browser::of(&place.gate);
    assert!(nils.get("/account/export/memories.jsonl").await.assert_page(200).says("Sign in"));
    nils.sign_in("/account/export", "nils", PASSWORD).await;
    assert_eq!(nils.get("/account/export/memories.jsonl").await.page.0, "");
}
