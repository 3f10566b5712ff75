//! Where a memory comes from, as its person is told.

use memgate::domain::applications::NewApplication;

use super::importing::settled;
use super::{Place, of_a_gpt};

const MEMORIES: &str = "/account/memories";

fn of_the_shared_space(name: &str) -> NewApplication {
    NewApplication { space: Some("people".parse().unwrap()), ..of_a_gpt(name) }
}

#[tokio::test]
async fn a_memory_comes_from_the_application_that_stored_it_and_not_from_its_space() {
    let place = Place::new().await;
    let (mut browser, planner) = place.connected().await;
    let (editor, notebook) = (
        place.gate.register(of_the_shared_space("Editor")).await,
        place.gate.register(of_the_shared_space("Notebook")).await,
    );
    let [by_editor, by_notebook] =
        [place.connected_to(&mut browser, &editor).await, place.connected_to(&mut browser, &notebook).await];
    let mut paths = Vec::new();
    for (token, text) in [(&planner, "tea"), (&by_editor, "chess"), (&by_notebook, "boats")] {
        let memory = place.gate.remember(token, text).await;
        paths.push(format!("{MEMORIES}/{}", memory["memory_id"].as_str().unwrap()));
    }
    let list = browser.get(MEMORIES).await;
    for text in [
        "Editor, 18 May 2033. Space: people.",
        "Notebook, 18 May 2033. Space: people.",
        "Trip planner, 18 May 2033. Open",
    ] {
        assert!(list.assert_page(200).says(text), "{text}: {}", list.page.text());
    }
    let said = [
        "Stored by Trip planner on 18 May 2033.",
        "Stored by Editor on 18 May 2033. Space: people.",
        "Stored by Notebook on 18 May 2033. Space: people.",
    ];
    for (path, said) in paths.iter().zip(said) {
        let page = browser.get(path).await;
        assert!(page.assert_page(200).says(said), "{said}: {}", page.page.text());
    }
    place.gate.applications().delete(notebook.id).await.unwrap();
    let page = browser.get(&paths[2]).await;
    let said = "Stored by An application that is no longer here on 18 May 2033. Space: people.";
    assert!(page.assert_page(200).says(said), "{}", page.page.text());
}

#[tokio::test]
async fn the_filter_and_the_numbers_say_that_they_are_about_spaces() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let editor = place.gate.register(of_the_shared_space("Editor")).await;
    let token = place.connected_to(&mut browser, &editor).await;
    place.gate.remember(&token, "chess").await;
    let list = browser.get(MEMORIES).await;
    assert!(list.assert_page(200).0.contains(r#"<label for="application">Space</label>"#), "{}", list.page.0);
    assert!(list.page.0.contains(r#"<option value="people">people</option>"#));
    assert!(browser.get(&format!("{MEMORIES}?application=people")).await.assert_page(200).says("chess"));
    let hub = browser.get("/account").await;
    assert!(hub.assert_page(200).says("By space people1"), "{}", hub.page.text());
}

#[tokio::test]
async fn what_a_person_has_imported_is_said_to_be_their_own_import() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    let page = browser.get("/account/import").await.page;
    let form_token = page.hidden("form_token");
    let space = format!("app-{}", place.application.id);
    let file = "{\"content\": \"Marta plays chess\", \"created_at\": \"2026-01-02\"}\n";
    let fields = [("form_token", &*form_token), ("space", &space)];
    browser.upload("/account/import", &fields, "memories.jsonl", file).await.location();
    let page = settled(&mut browser).await.page;
    let confirmed = [("form_token", &*form_token), ("number", &*page.hidden("number")), ("memories", "yes")];
    browser.submit("/account/import/confirm", &confirmed).await;
    settled(&mut browser).await;
    let list = browser.get(MEMORIES).await;
    let said = "Your own import, 2 January 2026. Space: Trip planner.";
    assert!(list.assert_page(200).says(said), "{}", list.page.text());
    let found = place.gate.search(&token, "chess").await;
    let page = browser.get(&format!("{MEMORIES}/{}", found["results"][0]["memory_id"].as_str().unwrap())).await;
    let said = "From your own import, dated 2 January 2026. Space: Trip planner.";
    assert!(page.assert_page(200).says(said), "{}", page.page.text());
}
