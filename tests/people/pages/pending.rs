//! What an assistant stored, and the memory bank has not taken yet.

use std::sync::Arc;
use std::time::Duration;

use memgate::domain::memories::Capabilities;
use memgate_domain::testing::InMemoryMemoryBank;

use super::Place;

#[tokio::test]
async fn what_waits_for_the_bank_is_marked_opened_and_deleted_for_good() {
    let capabilities = Capabilities { local: false, ..InMemoryMemoryBank::CAPABILITIES };
    let bank = Arc::new(InMemoryMemoryBank::with_capabilities(capabilities));
    let place = Place::before(bank.clone()).await;
    let (mut browser, token) = place.connected().await;
    bank.outage().begin();
    let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(&token);
    let body = serde_json::json!({"content": "Marta drinks tea", "context": {"conversation_id": "c-7"}});
    assert_eq!(request.json(&body).send().await.unwrap().status(), 202);
    bank.outage().end();

    let page = browser.get("/account/memories?q=tea").await;
    assert!(page.assert_page(200).says("Not yet stored by the memory service."), "{}", page.page.text());
    let (_, rest) = page.page.0.split_once(r#"name="id" type="checkbox" value=""#).unwrap();
    let name = rest.split('"').next().unwrap();
    let path = format!("/account/memories/{name}");
    assert!(page.page.0.contains(&format!(r#"href="{path}""#)));
    let opened = browser.get(&path).await;
    for text in ["The memory service has not stored this yet.", "Marta drinks tea", "From the conversation c-7."] {
        assert!(opened.assert_page(200).says(text), "{text}: {}", opened.page.text());
    }
    assert!(!opened.page.0.contains("<textarea"), "nothing can be corrected yet");

    let fields = [("form_token", &*page.page.hidden("form_token")), ("id", name)];
    let deleted = browser.submit("/account/memories", &fields).await;
    assert!(deleted.assert_page(200).says("1 memory is deleted"), "{}", deleted.page.text());
    assert!(!deleted.page.says("Deleted before"));
    place.gate.advance(Duration::from_hours(1));
    place.gate.gate().run_background_work().await;
    assert!(bank.is_empty(), "it is not delivered later");
    browser.get(&path).await.assert_page(404);
}
