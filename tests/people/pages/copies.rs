//! One memory in two spaces of a person: an import keeps the ids of what was exported.

use memgate_test_kit::page::Page;

use super::browser::{Answer, Browser};
use super::{Place, of_a_gpt};

const MEMORIES: &str = "/account/memories";

/// Marta, whose export of the Trip planner's memories was imported for a second application. Returns the tokens of both, and
/// the names of what the list shows, newest first.
async fn with_copies<'a>(place: &'a Place, texts: &[&str]) -> (Browser<'a>, [String; 2], Vec<String>) {
    let (mut browser, planner) = place.connected().await;
    for text in texts {
        place.gate.remember(&planner, text).await;
        place.gate.advance(std::time::Duration::from_secs(1));
    }
    let cook = place.gate.register(of_a_gpt("Cook")).await;
    let cook = place.connected_to(&mut browser, &cook).await;

    let http = &place.gate.http;
    let export = http.get(place.gate.url("/api/v1/export")).bearer_auth(&planner).send().await.unwrap();
    let import = http.post(place.gate.url("/api/v1/import")).bearer_auth(&cook);
    let import = import.header("content-type", "application/x-ndjson").body(export.text().await.unwrap());
    assert_eq!(import.send().await.unwrap().status(), 200);
    let listed = names(&browser.get(MEMORIES).await.page);
    (browser, [planner, cook], listed)
}

/// What the boxes of a list stand for.
fn names(page: &Page) -> Vec<String> {
    let boxes = page.0.split(r#"name="id" type="checkbox" value=""#).skip(1);
    boxes.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

async fn delete(browser: &mut Browser<'_>, names: &[&str]) -> Answer {
    let token = browser.get(MEMORIES).await.page.hidden("form_token");
    let fields: Vec<_> = names.iter().map(|name| ("id", *name)).chain([("form_token", &*token)]).collect();
    browser.submit(MEMORIES, &fields).await
}

async fn found(place: &Place, token: &str) -> usize {
    place.gate.search(token, "Marta").await["results"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_copy_that_is_ticked_is_the_one_that_is_deleted_and_comes_back() {
    let place = Place::new().await;
    let (mut browser, tokens, names) = with_copies(&place, &["Marta drinks tea"]).await;
    let [first, second] = &names[..] else { panic!("both copies are listed: {names:?}") };
    let in_second = usize::from(!second.ends_with(&place.application.id.to_string()));
    let deleted = delete(&mut browser, &[second]).await;
    assert!(deleted.assert_page(200).says("1 memory is deleted"), "{}", deleted.page.text());
    assert_eq!(found(&place, &tokens[in_second]).await, 0);
    assert_eq!(found(&place, &tokens[1 - in_second]).await, 1);
    let hidden = ["form_token", "memories", "deadline", "seal"].map(|name| (name, deleted.page.hidden(name)));
    let hidden: Vec<_> = hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert!(browser.submit("/account/undo", &hidden).await.assert_page(200).says("Undone."));
    assert_eq!(found(&place, &tokens[in_second]).await, 1);

    let deleted = delete(&mut browser, &[first, second]).await;
    assert!(deleted.assert_page(200).says("2 memories are deleted"), "{}", deleted.page.text());
    assert!(!deleted.page.says("Deleted before"));
    for token in &tokens {
        assert_eq!(found(&place, token).await, 0);
    }
}

#[tokio::test]
async fn the_copy_that_is_opened_is_the_one_that_is_shown_corrected_and_undone() {
    let place = Place::new().await;
    let (mut browser, tokens, names) = with_copies(&place, &["Marta drinks coffee"]).await;
    let texts = async |token: &str| place.gate.search(token, "Marta").await["results"][0]["content"].clone();
    for (name, other) in [(&names[0], &names[1]), (&names[1], &names[0])] {
        let (path, other) = (format!("{MEMORIES}/{name}"), format!("{MEMORIES}/{other}"));
        let page = browser.get(&path).await;
        assert!(page.assert_page(200).says("Marta drinks coffee"));
        let token = page.page.hidden("form_token");
        let fields = [("form_token", &*token), ("content", "Marta drinks tea"), ("categories", "")];
        place.gate.advance(std::time::Duration::from_secs(1));
        let saved = browser.submit(&path, &fields).await;
        assert!(saved.assert_page(200).says("Saved."), "{}", saved.page.text());
        assert!(browser.get(&path).await.assert_page(200).says("Marta drinks tea"));
        assert!(browser.get(&other).await.assert_page(200).says("Marta drinks coffee"));
        let mut both = [texts(&tokens[0]).await, texts(&tokens[1]).await];
        both.sort_by_key(ToString::to_string);
        assert_eq!(both, ["Marta drinks coffee", "Marta drinks tea"]);

        let hidden = ["form_token", "memories", "deadline", "seal"].map(|name| (name, saved.page.hidden(name)));
        let hidden: Vec<_> = hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let undone = browser.submit("/account/undo", &hidden).await;
        let page = browser.get(&undone.location()).await;
        assert!(page.assert_page(200).says("as it was before") && page.page.says("Marta drinks coffee"));
        assert_eq!([texts(&tokens[0]).await, texts(&tokens[1]).await], ["Marta drinks coffee"; 2]);
    }
}

#[tokio::test]
async fn the_address_that_assistants_cite_leads_to_each_copy() {
    let place = Place::new().await;
    let (mut browser, _, names) = with_copies(&place, &["Marta drinks tea"]).await;
    let (id, _) = names[0].split_once('?').unwrap();
    let page = browser.get(&format!("{MEMORIES}/{id}")).await;
    assert!(page.assert_page(200).says("There are copies of this memory in other spaces:"), "{}", page.page.text());
    let shown = names.iter().find(|name| page.page.0.contains(&format!(r#"action="{MEMORIES}/{name}""#))).unwrap();
    let other = names.iter().find(|name| name != &shown).unwrap();
    assert!(page.page.0.contains(&format!(r#"href="{MEMORIES}/{other}""#)), "{}", page.page.0);
    let page = browser.get(&format!("{MEMORIES}/{other}")).await;
    assert!(!page.assert_page(200).says("There are copies"), "whoever says which one is asked nothing");
    for unknown in ["nowhere", "a/b", ""] {
        browser.get(&format!("{MEMORIES}/{id}?application={unknown}")).await.assert_page(404);
    }
    let mut nobody = Browser::of(&place.gate);
    let answer = nobody.sign_in(&format!("{MEMORIES}/{other}"), "marta", super::PASSWORD).await;
    assert_eq!(answer.location(), format!("{MEMORIES}/{other}"));
}

#[tokio::test]
async fn no_copy_is_left_out_where_a_page_ends() {
    let place = Place::new().await;
    let texts: Vec<String> = (0..25).map(|number| format!("Marta fact {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (mut browser, [planner, _], _) = with_copies(&place, &texts).await;
    // So that a page of 20 would end between two copies.
    place.gate.remember(&planner, "Marta has no copy of this").await;
    let mut page = browser.get(MEMORIES).await.page;
    let mut all = names(&page);
    while let Some((_, rest)) = page.0.split_once(r#"href="/account/memories?after="#) {
        let path = format!("{MEMORIES}?after={}", rest.split('"').next().unwrap());
        page = browser.get(&path).await.page;
        all.extend(names(&page));
    }
    assert_eq!(all.len(), 51);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 51);
}
