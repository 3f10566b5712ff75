//! The page of one memory: whose it is, its correction, what takes that back, and its history.

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

use super::browser::Browser;
use super::memories::{MEMORIES, fields, id_of, remember_said, submit};
use super::{PASSWORD, Place};

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

/// A correction of the memory that is [opened].
const TEA: [(&str, &str); 2] = [("content", "Marta drinks tea"), ("categories", "")];

/// Opens the page of a memory that an application has just stored. A second later, returns the browser, the path and the page.
async fn opened(place: &Place) -> (Browser<'_>, String, Page) {
    let (mut browser, token) = place.connected().await;
    let memory = place.gate.remember(&token, "Marta drinks coffee").await;
    let path = format!("{MEMORIES}/{}", id_of(&memory));
    let page = browser.get(&path).await.page;
    place.gate.advance(Duration::from_secs(1));
    (browser, path, page)
}

#[tokio::test]
async fn what_an_application_changes_while_a_correction_is_undone_stays() {
    let bank = Arc::new(Overtaken::default());
    let place = Place::before(bank.clone()).await;
    let (mut browser, path, page) = opened(&place).await;
    let saved = submit(&mut browser, &path, &fields(&page, &["form_token"], &TEA)).await;
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
    let (mut browser, path, page) = opened(&place).await;
    *bank.text.lock().unwrap() = Some("Marta drinks water");
    let saved = submit(&mut browser, &path, &fields(&page, &["form_token"], &TEA)).await;
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
