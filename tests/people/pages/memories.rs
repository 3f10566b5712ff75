//! What a person sees, corrects, deletes and takes back of their own memories.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use memgate::domain::ids::MemoryId;
use memgate::domain::memories::{
    Memory, MemoryBank, MemoryBankDecorator, MemoryBankError, MemoryChanges, MemoryScope, MemoryUpdate,
};
use memgate::domain::system::Timestamp;
use memgate_domain::testing::{InMemoryMemoryBank, content, update};
use memgate_test_kit::page::Page;
use serde_json::Value;

use super::browser::{Answer, Browser};
use super::{PASSWORD, Place, bank_without_list};

const MEMORIES: &str = "/account/memories";

fn id_of(memory: &Value) -> String {
    memory["memory_id"].as_str().unwrap().to_owned()
}

/// The hidden fields of a page with these names, and what is added to them.
fn fields<'a>(page: &Page, hidden: &[&'a str], more: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    let hidden = hidden.iter().map(|name| (*name, page.hidden(name)));
    hidden.chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
}

async fn submit(browser: &mut Browser<'_>, path: &str, fields: &[(&str, String)]) -> Answer {
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
async fn remember_said(place: &Place, token: &str, text: &str, said: Option<&str>) -> Value {
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
async fn the_date_when_something_was_said_is_corrected_removed_and_brought_back() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let said = remember_said(&place, &token, "Marta moved to Porto", Some("2020-05-08T21:30:00Z")).await;
    let path = format!("{MEMORIES}/{}", id_of(&said));
    let hidden = ["form_token", "occurred_was"];
    let stored = async || {
        let request = place.gate.http.get(place.gate.url(&format!("/api/v1/memories/{}", id_of(&said))));
        request.bearer_auth(&token).send().await.unwrap().json::<Value>().await.unwrap()["memory"]["occurred_at"].take()
    };
    let send = async |browser: &mut Browser<'_>, text: &str, day: &str| {
        let page = browser.get(&path).await.page;
        place.gate.advance(Duration::from_secs(1));
        let changes = [("content", text), ("categories", ""), ("occurred", day)];
        submit(browser, &path, &fields(&page, &hidden, &changes)).await
    };
    let page = browser.get(&path).await.page;
    assert!(page.0.contains(r#"type="date" value="2020-05-08""#), "{}", page.0);
    send(&mut browser, "Marta lives in Porto", "2020-05-08").await.assert_page(200);
    assert_eq!(stored().await, "2020-05-08T21:30:00Z", "the same day is no change");
    let removed = send(&mut browser, "Marta lives in Porto", "").await;
    assert!(removed.assert_page(200).says("Saved.") && !removed.page.says("Said or happened on"));
    assert_eq!(stored().await, Value::Null);
    let undo = fields(&removed.page, &["form_token", "memories", "deadline", "seal"], &[]);
    place.gate.advance(Duration::from_secs(1));
    submit(&mut browser, "/account/undo", &undo).await.location();
    assert_eq!(stored().await, "2020-05-08T21:30:00Z");
    let refused = send(&mut browser, "x", "2021-02-30").await;
    assert!(refused.assert_page(400).says("This date cannot be used."));
    assert!(refused.page.0.contains(r#"value="2021-02-30" aria-invalid="true" aria-describedby="problem""#));
    send(&mut browser, "x", "2021-02-28").await.assert_page(200);
    assert_eq!(stored().await, "2021-02-28T00:00:00Z");

    // What an application changes after the page was shown stays, unless the person changes it too.
    let page = browser.get(&path).await.page;
    let change = place.gate.http.patch(place.gate.url(&format!("/api/v1/memories/{}", id_of(&said))));
    let change = change.bearer_auth(&token).json(&serde_json::json!({"occurred_at": "2022-02-02"}));
    assert_eq!(change.send().await.unwrap().status(), 200);
    let empty = [("content", " "), ("categories", ""), ("occurred", "2021-02-28")];
    let refused = submit(&mut browser, &path, &fields(&page, &hidden, &empty)).await;
    assert!(refused.assert_page(400).0.contains(r#"type="date" value="2022-02-02""#));
    let again = [("content", "y"), ("categories", ""), ("occurred", "2022-02-02")];
    submit(&mut browser, &path, &fields(&refused.page, &hidden, &again)).await.assert_page(200);
    assert_eq!(stored().await, "2022-02-02T00:00:00Z");
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
async fn the_page_of_a_memory_is_its_owners_and_asks_who_it_is() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let memory = place.gate.remember(&token, "Marta drinks coffee").await;
    let path = format!("{MEMORIES}/{}", id_of(&memory));
    assert!(browser.get(&path).await.assert_page(200).says("Marta drinks coffee"));
    let mut nils = Browser::of(&place.gate);
    let answer = nils.sign_in(&path, "nils", PASSWORD).await;
    assert_eq!(answer.location(), path, "the citable address is gone back to");
    nils.get(&path).await.assert_page(404);
    browser.get(&format!("{MEMORIES}/nothing-like-this")).await.assert_page(404);
    browser.get(&format!("{MEMORIES}/a%20b")).await.assert_page(404);
}

#[tokio::test]
async fn a_correction_is_what_assistants_find_from_then_on() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let memory = place.gate.remember(&token, "Marta drinks coffee").await;
    let path = format!("{MEMORIES}/{}", id_of(&memory));
    let page = browser.get(&path).await.page;
    let changed = [("content", "Marta drinks tea\r\nand water"), ("categories", "Drinks, health")];
    let answer = submit(&mut browser, &path, &fields(&page, &["form_token"], &changed)).await;
    assert!(answer.assert_page(200).says("Saved."), "{}", answer.page.text());
    let found = place.gate.search(&token, "tea").await;
    let found = &found["results"][0];
    assert_eq!(found["content"], "Marta drinks tea\nand water");
    assert_eq!(found["categories"], serde_json::json!(["drinks", "health"]));
    let empty = [("content", "  "), ("categories", "")];
    let answer = submit(&mut browser, &path, &fields(&page, &["form_token"], &empty)).await;
    assert!(answer.assert_page(400).0.contains(r#"role="alert""#));
    let foreign = [("form_token", "x".to_owned()), ("content", "Marta drinks wine".to_owned())];
    submit(&mut browser, &path, &foreign).await.assert_page(403);
    assert_eq!(place.gate.search(&token, "wine").await["results"], serde_json::json!([]));
}

#[tokio::test]
async fn a_correction_can_be_undone_for_a_while_and_as_long_as_it_is_the_last_change() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let body = serde_json::json!({"content": "Marta's \"coffee\" & <b>cake</b>", "categories": ["food", "guests"]});
    let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(&token).json(&body);
    let memory: Value = request.send().await.unwrap().json().await.unwrap();
    let id = id_of(&memory["memory"]);
    let path = format!("{MEMORIES}/{id}");
    let hidden = ["form_token", "memories", "deadline", "seal"];
    let token_of_page = browser.get(&path).await.page.hidden("form_token");
    let correction = |text: &str| {
        [("form_token", token_of_page.clone()), ("content", text.to_owned()), ("categories", "drinks".to_owned())]
    };
    place.gate.advance(Duration::from_secs(1));
    let saved = submit(&mut browser, &path, &correction("Marta drinks tea")).await;
    let undo = fields(saved.assert_page(200), &hidden, &[]);
    let forged: Vec<_> = undo.iter().map(|(name, value)| (*name, value.replace("cake", "wine"))).collect();
    submit(&mut browser, "/account/undo", &forged).await.assert_page(403);
    let undone = submit(&mut browser, "/account/undo", &undo).await;
    assert_eq!(undone.location(), format!("{path}?application=app-{}&undone", place.application.id));
    let page = browser.get(&undone.location()).await;
    assert!(page.assert_page(200).says("as it was before") && page.page.says("Marta's \"coffee\" & <b>cake</b>"));
    let found = place.gate.search(&token, "coffee").await;
    assert_eq!(found["results"][0]["categories"], serde_json::json!(["food", "guests"]));

    place.gate.advance(Duration::from_secs(1));
    let saved = submit(&mut browser, &path, &correction("Marta drinks tea")).await;
    let undo = fields(saved.assert_page(200), &hidden, &[]);
    place.gate.advance(Duration::from_secs(1));
    let change = place.gate.http.patch(place.gate.url(&format!("/api/v1/memories/{id}"))).bearer_auth(&token);
    assert_eq!(change.json(&serde_json::json!({"content": "Marta drinks water"})).send().await.unwrap().status(), 200);
    let late = submit(&mut browser, "/account/undo", &undo).await;
    assert!(late.assert_page(200).says("It is too late to undo this.") && late.page.says("Marta drinks water"));

    let saved = submit(&mut browser, &path, &correction("Marta drinks tea")).await;
    let undo = fields(saved.assert_page(200), &hidden, &[]);
    place.gate.advance(Duration::from_mins(31));
    let late = submit(&mut browser, "/account/undo", &undo).await;
    assert!(late.assert_page(200).says("It is too late to undo this.") && late.page.says("Marta drinks tea"));
    let same = submit(&mut browser, &path, &correction("Marta drinks tea")).await;
    assert!(same.assert_page(200).says("Saved.") && !same.page.says("Undo"), "{}", same.page.text());
}

#[tokio::test]
async fn the_longest_text_can_be_brought_back_after_its_correction() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    for unit in ["\u{1d54f}", "\u{1}", "\"", "語", "&"] {
        let text = unit.repeat(32_768 / unit.chars().count());
        let metadata = serde_json::json!({"note": "x".repeat(16_000)});
        let categories: Vec<String> = (0..16).map(|n| format!("{}{n:02}", "語".repeat(62))).collect();
        let body = serde_json::json!({"content": text, "metadata": metadata, "categories": categories});
        let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(&token).json(&body);
        let memory: Value = request.send().await.unwrap().json().await.unwrap();
        let path = format!("{MEMORIES}/{}", id_of(&memory["memory"]));
        let page = browser.get(&path).await.page;
        place.gate.advance(Duration::from_secs(1));
        let correction = [("content", "short"), ("categories", "")];
        let saved = submit(&mut browser, &path, &fields(&page, &["form_token"], &correction)).await;
        let undo = fields(saved.assert_page(200), &["form_token", "memories", "deadline", "seal"], &[]);
        submit(&mut browser, "/account/undo", &undo).await.location();
        let api = place.gate.url(&format!("/api/v1/memories/{}", id_of(&memory["memory"])));
        let request = place.gate.http.get(api).bearer_auth(&token);
        let now = &request.send().await.unwrap().json::<Value>().await.unwrap()["memory"];
        assert!(now["content"] == text.as_str(), "{unit:?}");
        assert_eq!(now["metadata"], metadata, "{unit:?}: it was not part of the correction");
        assert_eq!(now["categories"], serde_json::json!(categories), "{unit:?}");
    }
}

/// A bank in which an application changes a memory right before the next change or deletion arrives, if it is told to.
#[derive(Default)]
struct Overtaken {
    inner: InMemoryMemoryBank,
    text: Mutex<Option<&'static str>>,
}

#[async_trait]
impl MemoryBankDecorator for Overtaken {
    fn inner(&self) -> &dyn MemoryBank {
        &self.inner
    }

    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        late: &MemoryUpdate,
    ) -> Result<Option<Memory>, MemoryBankError> {
        self.overtake(scope, id, late.at).await?;
        self.inner.update(scope, id, late).await
    }

    async fn delete_unchanged(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        updated_at: Timestamp,
    ) -> Result<bool, MemoryBankError> {
        self.overtake(scope, id, updated_at.plus(Duration::from_secs(1))).await?;
        self.inner.delete_unchanged(scope, id, updated_at).await
    }
}

impl Overtaken {
    async fn overtake(&self, scope: &MemoryScope, id: &MemoryId, at: Timestamp) -> Result<(), MemoryBankError> {
        let text = self.text.lock().unwrap().take();
        if let Some(text) = text {
            let changes = MemoryChanges { content: Some(content(text)), ..MemoryChanges::default() };
            self.inner.update(scope, id, &update(&changes, at)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_an_application_changes_while_a_memory_is_deleted_comes_back_when_that_is_undone() {
    let bank = Arc::new(Overtaken::default());
    let place = Place::before(bank.clone()).await;
    let (mut browser, token) = place.connected().await;
    let id = id_of(&place.gate.remember(&token, "Marta drinks coffee").await);
    let page = browser.get(MEMORIES).await.page;
    place.gate.advance(Duration::from_mins(1));
    *bank.text.lock().unwrap() = Some("Marta drinks water");
    let deleted = submit(&mut browser, MEMORIES, &fields(&page, &["form_token"], &[("id", &*id)])).await;
    assert_eq!((deleted.assert_page(200).says("is deleted"), bank.inner.len()), (true, 0), "{}", deleted.page.text());
    let undo = fields(&deleted.page, &["form_token", "memories", "deadline", "seal"], &[]);
    let undone = submit(&mut browser, "/account/undo", &undo).await;
    assert!(undone.assert_page(200).says("Marta drinks water"), "{}", undone.page.text());
}

#[tokio::test]
async fn what_an_application_changes_while_a_correction_is_undone_stays() {
    let bank = Arc::new(Overtaken::default());
    let place = Place::before(bank.clone()).await;
    let (mut browser, token) = place.connected().await;
    let memory = place.gate.remember(&token, "Marta drinks coffee").await;
    let path = format!("{MEMORIES}/{}", id_of(&memory));
    let page = browser.get(&path).await.page;
    place.gate.advance(Duration::from_secs(1));
    let correction = [("content", "Marta drinks tea"), ("categories", "")];
    let saved = submit(&mut browser, &path, &fields(&page, &["form_token"], &correction)).await;
    let undo = fields(saved.assert_page(200), &["form_token", "memories", "deadline", "seal"], &[]);
    place.gate.advance(Duration::from_secs(1));
    *bank.text.lock().unwrap() = Some("Marta drinks water");
    let late = submit(&mut browser, "/account/undo", &undo).await;
    assert!(late.assert_page(200).says("It is too late to undo this.") && late.page.says("Marta drinks water"));
}

#[tokio::test]
async fn a_correction_of_what_an_application_changes_at_the_same_time_is_saved_and_offers_no_older_text() {
    let bank = Arc::new(Overtaken::default());
    let place = Place::before(bank.clone()).await;
    let (mut browser, token) = place.connected().await;
    let memory = place.gate.remember(&token, "Marta drinks coffee").await;
    let path = format!("{MEMORIES}/{}", id_of(&memory));
    let page = browser.get(&path).await.page;
    place.gate.advance(Duration::from_secs(1));
    *bank.text.lock().unwrap() = Some("Marta drinks water");
    let correction = [("content", "Marta drinks tea"), ("categories", "")];
    let saved = submit(&mut browser, &path, &fields(&page, &["form_token"], &correction)).await;
    let page = saved.assert_page(200);
    assert!(page.says("Saved.") && page.says("Marta drinks tea"), "{}", page.text());
    assert!(!page.says("Undo"), "it would bring back what the application had replaced: {}", page.text());
}

#[tokio::test]
async fn the_page_of_a_memory_shows_what_happened_to_it_until_that_is_forgotten() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let older = place.gate.remember(&token, "Marta lives in <b>Ulm</b>.").await;
    let body = serde_json::json!({"content": "Marta lives in Porto.", "supersedes": older["memory_id"]});
    let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(&token);
    let created: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
    let path = format!("{MEMORIES}/{}", id_of(&created["memory"]));
    let page = browser.get(&path).await;
    assert!(page.assert_page(200).says("replaced an older memory") && page.page.says("Marta lives in <b>Ulm</b>."));
    assert!(page.page.says("Trip planner"));
    let changed = [("content", "Marta lives in Turin."), ("categories", "places")];
    submit(&mut browser, &path, &fields(&page.page, &["form_token"], &changed)).await;
    let page = browser.get(&path).await;
    assert!(page.assert_page(200).says("You changed: text, categories"), "{}", page.page.text());
    assert!(!page.page.says("Porto"), "the old text is gone");

    let history = format!("{path}/history");
    submit(&mut browser, &history, &[("form_token", "x".to_owned())]).await.assert_page(403);
    let mut nils = Browser::of(&place.gate);
    nils.sign_in(MEMORIES, "nils", PASSWORD).await;
    let own = nils.get("/account/delete-memories").await.page;
    for confirmed in ["", "yes"] {
        let fields = fields(&own, &["form_token"], &[("confirmed", confirmed)]);
        submit(&mut nils, &history, &fields).await.assert_page(404);
    }
    assert!(browser.get(&path).await.assert_page(200).says("Ulm"));
    let asked = submit(&mut browser, &history, &fields(&page.page, &["form_token"], &[])).await;
    assert!(asked.assert_page(400).says("Tick the box to confirm.") && asked.page.says("Ulm"));
    let answer = submit(&mut browser, &history, &fields(&asked.page, &["form_token"], &[("confirmed", "yes")])).await;
    let page = browser.get(&answer.location()).await;
    assert!(page.assert_page(200).says("is forgotten") && !page.page.says("Ulm") && page.page.says("Turin"));
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
