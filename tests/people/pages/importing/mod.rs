//! What people bring along: they upload a file, see what is in it, choose, and see what became of it.

mod under_way;

use std::sync::Arc;
use std::time::{Duration, Instant};

use memgate_domain::testing::InMemoryMemoryBank;
use memgate_test_kit::archive::zip;
use memgate_test_kit::page::Page;
use serde_json::{Value, json};

use super::browser::{Answer, Browser, multipart};
use super::{PASSWORD, Place};

const IMPORT: &str = "/account/import";

/// How long an import may be under way.
const SETTLE_TIMEOUT: Duration = Duration::from_mins(1);

/// The value of the first place to which memories can go.
fn first_space(page: &Page) -> String {
    let (_, rest) = page.0.split_once(r#"<option value=""#).expect("there is a place for memories");
    rest.split('"').next().unwrap().to_owned()
}

/// Uploads a file, and returns the page that follows when it was read.
async fn upload(browser: &mut Browser<'_>, name: &str, file: impl AsRef<[u8]>) -> Answer {
    let page = browser.get(IMPORT).await.page;
    let token = page.hidden("form_token");
    // Whatever was there before gives way.
    browser.submit("/account/import/discard", &[("form_token", &token)]).await.location();
    let space = first_space(&browser.get(IMPORT).await.page);
    let answer = browser.upload(IMPORT, &[("form_token", &token), ("space", &space)], name, file).await;
    if answer.status != 303 {
        return answer;
    }
    assert_eq!(answer.location(), IMPORT);
    settled(browser).await
}

/// The page as soon as it waits for nothing but the person.
pub(super) async fn settled(browser: &mut Browser<'_>) -> Answer {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let page = browser.get(IMPORT).await;
        if page.header("refresh").is_none() {
            return page;
        }
        assert!(page.assert_page(200).says("This page checks again every few seconds."));
        assert!(Instant::now() < deadline, "the import is still under way: {}", page.page.text());
    }
}

/// Confirms what the page offers, with these fields.
async fn confirm(browser: &mut Browser<'_>, page: &Page, choice: &[(&str, &str)]) -> Answer {
    let (token, number) = (page.hidden("form_token"), page.hidden("number"));
    let fields: Vec<_> =
        [("form_token", &*token), ("number", &*number)].into_iter().chain(choice.iter().copied()).collect();
    let answer = browser.submit("/account/import/confirm", &fields).await;
    if answer.status == 303 { settled(browser).await } else { answer }
}

async fn lines_of(browser: &mut Browser<'_>) -> Vec<Value> {
    let export = browser.get("/account/export/memories.jsonl").await.page.0;
    let mut lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("space");
    }
    lines
}

/// A conversation of ChatGPT, in which the person said this.
fn conversation(title: &str, said: &[&str], saved: &[&str]) -> Value {
    let message = |role: &str, recipient: &str, text: &str| {
        json!({"message": {"author": {"role": role}, "recipient": recipient, "create_time": 1_767_225_600.25,
            "content": {"content_type": "text", "parts": [text]}}})
    };
    let said = said.iter().map(|text| message("user", "all", text));
    let saved = saved.iter().map(|text| message("assistant", "bio", text));
    let mapping = said.chain(saved).enumerate().map(|(index, node)| (index.to_string(), node));
    json!({"title": title, "create_time": 1_767_225_600, "mapping": mapping.collect::<serde_json::Map<_, _>>()})
}

#[tokio::test]
async fn everything_that_was_taken_away_is_brought_back_to_the_same() {
    let place = Place::new().await;
    let (mut browser, token) = place.connected().await;
    for number in 0..230 {
        place.gate.remember(&token, &format!("Fact {number}\nof 日本")).await;
        place.gate.advance(Duration::from_millis(1));
    }
    let before = lines_of(&mut browser).await;
    let id = before[7]["memory_id"].as_str().unwrap();
    place.gate.advance(Duration::from_mins(1));
    let path = format!("/account/memories/{id}");
    let form_token = browser.get(&path).await.page.hidden("form_token");
    let fields = [("form_token", &*form_token), ("content", "Corrected"), ("categories", "food")];
    assert!(browser.submit(&path, &fields).await.assert_page(200).says("Saved."));
    let before = lines_of(&mut browser).await;
    assert_ne!(before[7]["updated_at"], before[7]["created_at"]);

    let archive = browser.get_bytes("/account/export/memgate.zip").await;
    let page = upload(&mut browser, "memgate.zip", &archive).await;
    assert!(page.assert_page(200).says("memgate.zip, read as memgate. Nothing is stored yet."), "{}", page.page.text());
    assert!(page.page.says("New: 0") && page.page.says("more than once in the file: 230"), "{}", page.page.text());
    assert!(page.page.says("which hold no memories: 1"), "the account is in it, too: {}", page.page.text());

    let confirmed = [("form_token", &*page.page.hidden("form_token")), ("confirmed", "yes")];
    browser.submit("/account/delete-memories", &confirmed).await;
    place.gate.advance(Duration::from_mins(1));
    let done = confirm(&mut browser, &page.page, &[("memories", "yes")]).await;
    assert!(done.assert_page(200).says("The import is done") && done.page.says("Stored: 230"), "{}", done.page.text());
    assert_eq!(lines_of(&mut browser).await, before);

    let discard = [("form_token", &*done.page.hidden("form_token"))];
    assert_eq!(browser.submit("/account/import/discard", &discard).await.location(), IMPORT);
    assert!(browser.get(IMPORT).await.page.says("What can be imported"));
}

#[tokio::test]
async fn of_conversations_the_person_chooses_and_nothing_else_is_stored() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let document = json!([
        conversation("Tea", &["I drink green tea.", "In the morning."], &["User drinks green tea."]),
        conversation("<b>Boats</b>", &["I build boats."], &[]),
    ]);
    let archive = zip(&[
        ("conversations.json", document.to_string().as_bytes()),
        ("user.json", br#"{"id": "u", "email": "marta@example.com"}"#),
        ("chat.html", b"<html>"),
    ]);
    let page = upload(&mut browser, "C:\\Users\\marta\\chatgpt.zip", &archive).await;
    for text in [
        "chatgpt.zip, read as ChatGPT",
        "Memories: 1",
        "Messages that you wrote: 3, in conversations: 2",
        "<b>Boats</b>",
        "New: 4",
    ] {
        assert!(page.assert_page(200).says(text), "{text}: {}", page.page.text());
    }
    let nothing = confirm(&mut browser, &page.page, &[("messages", "chosen")]).await;
    assert!(nothing.assert_page(400).says("Nothing was chosen"));
    let choice = [("memories", "yes"), ("messages", "chosen"), ("conversation", "1"), ("conversation", "99")];
    let done = confirm(&mut browser, &page.page, &choice).await;
    assert!(done.assert_page(200).says("Stored: 2") && done.page.says("Not chosen: 2"), "{}", done.page.text());
    let lines = lines_of(&mut browser).await;
    let mut texts: Vec<&str> = lines.iter().map(|line| line["content"].as_str().unwrap()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["I build boats.", "User drinks green tea."]);
    let said = lines.iter().find(|line| line["content"] == "I build boats.").unwrap();
    assert_eq!(said["occurred_at"], "2026-01-01T00:00:00.25Z");

    let again = upload(&mut browser, "chatgpt.zip", &archive).await;
    assert!(again.page.says("New: 2") && again.page.says("more than once in the file: 2"), "{}", again.page.text());
    let all = confirm(&mut browser, &again.page, &[("memories", "yes"), ("messages", "all")]).await;
    assert!(all.page.says("Stored: 2"), "{}", all.page.text());
}

#[tokio::test]
async fn notes_of_basic_memory_and_files_of_others_are_read() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let note = "---\ntitle: Coffee\n---\n\n- [method] Pour over is clearer #brewing\n- pairs_with [[Chocolate]]\n";
    let entity = json!({"type": "entity", "name": "Marta", "entityType": "person", "observations": ["sails"]});
    for (name, file, expected) in [
        ("notes.zip", zip(&[("a/coffee.md", note.as_bytes())]), "read as basic-memory"),
        ("memory.json", format!("\u{feff}{entity}\r\n{entity}\r\n").into_bytes(), "read as server-memory"),
        (
            "mem0.json",
            json!({"results": [{"memory": "Bakes", "categories": null}]}).to_string().into_bytes(),
            "read as mem0",
        ),
        (
            "claude.json",
            json!([{"conversations_memory": "Marta builds boats."}]).to_string().into_bytes(),
            "read as Claude",
        ),
    ] {
        let page = upload(&mut browser, name, &file).await;
        assert!(page.assert_page(200).says(expected), "{name}: {}", page.page.text());
        confirm(&mut browser, &page.page, &[("memories", "yes")]).await.assert_page(200);
    }
    let lines = lines_of(&mut browser).await;
    let mut texts: Vec<&str> = lines.iter().map(|line| line["content"].as_str().unwrap()).collect();
    texts.sort_unstable();
    let coffee = ["Coffee pairs with Chocolate", "Coffee: Pour over is clearer #brewing"];
    assert_eq!(texts, [&["Bakes"], &coffee[..], &["Marta builds boats.", "Marta: sails"]].concat());
}

#[tokio::test]
async fn a_flood_of_duplicates_and_a_broken_last_line_are_told() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let line = "{\"content\": \"tea\", \"categories\": null}\r\n";
    let file = format!("\u{feff}{}{{\"content\": ", line.repeat(40_000));
    let page = upload(&mut browser, "memories.jsonl", &file).await;
    for text in ["New: 1", "more than once in the file: 39,999", "Left out: 1", "Line 40,001: not valid JSON"] {
        assert!(page.assert_page(200).says(text), "{text}: {}", page.page.text());
    }
    browser.languages = Some("de");
    let german = browser.get(IMPORT).await;
    assert!(german.assert_page(200).says("Zeile 40.001: kein gültiges JSON (bei 1:11)"), "{}", german.page.text());
    browser.languages = None;
    let done = confirm(&mut browser, &page.page, &[("memories", "yes")]).await;
    for text in ["Stored: 1", "more than once in the file: 39,999", "Left out: 1", "Line 40,001"] {
        assert!(done.assert_page(200).says(text), "{text}: {}", done.page.text());
    }
    assert_eq!(lines_of(&mut browser).await.len(), 1);
}

#[tokio::test]
async fn archives_that_are_not_to_be_trusted_are_refused_with_the_reason() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let line = b"{\"content\": \"tea\"}\n";
    let files: [(&str, &[u8]); 4] =
        [("../../etc/a.jsonl", line), ("/b.jsonl", line), ("inner.zip", line), ("secret.jsonl", line)];
    let mut archive = zip(&files);
    let central = archive.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    archive[central + 8] |= 1;
    let page = upload(&mut browser, "bad.zip", &archive).await;
    for text in [
        "There is nothing to import in it",
        "File 1, ../../etc/a.jsonl: its name leads out of the archive",
        "File 2, /b.jsonl: its name leads out of the archive",
        "File 3, inner.zip: an archive in the archive",
        "File 4, secret.jsonl: encrypted",
        "Left out: 4",
    ] {
        assert!(page.assert_page(200).says(text), "{text}: {}", page.page.text());
    }

    let mut bomb = zip(&[("a.jsonl", line)]);
    let central = bomb.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bomb[central + 24..central + 28].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let page = upload(&mut browser, "bomb.zip", &bomb).await;
    assert!(page.assert_page(200).says("unpacks to more than an import takes"), "{}", page.page.text());
    let page = upload(&mut browser, "half.zip", &archive[..archive.len() / 2]).await;
    assert!(page.assert_page(200).says("This ZIP archive is damaged or not complete."), "{}", page.page.text());
    for file in [&b"\xff\xfe not text"[..], b"GIF89a", b"{", b"[]", b"<html>"] {
        let page = upload(&mut browser, "x", file).await;
        assert!(page.assert_page(200).says("There is nothing to import in it") || page.page.says("Left out: 1"));
    }
    assert!(lines_of(&mut browser).await.is_empty());
}

#[tokio::test]
async fn what_is_no_upload_of_this_page_is_refused() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let page = browser.get(IMPORT).await.page;
    let (token, space) = (page.hidden("form_token"), first_space(&page));
    let fields = [("form_token", &*token), ("space", &*space)];
    let row = "{\"content\": \"tea\"}";
    browser.upload(IMPORT, &[("form_token", "x"), ("space", &space)], "a.jsonl", row).await.assert_page(403);
    browser.upload(IMPORT, &[("space", &space), ("form_token", &token)], "a.jsonl", row).await.assert_page(400);
    browser.upload(IMPORT, &[("form_token", &token)], "a.jsonl", row).await.assert_page(400);
    browser.upload(IMPORT, &[], "a.jsonl", row).await.assert_page(400);
    let elsewhere = [("form_token", &*token), ("space", "of-somebody-else")];
    assert!(
        browser.upload(IMPORT, &elsewhere, "a.jsonl", row).await.assert_page(400).says("Choose where the memories go.")
    );
    assert!(browser.upload(IMPORT, &fields, "", "").await.assert_page(400).says("Choose a file that is not empty."));
    browser.submit(IMPORT, &fields).await.assert_page(400);
    let whole = multipart(&fields, "a.jsonl", row.as_bytes());
    let cut = whole[..whole.len() - 40].to_vec();
    assert!(browser.upload_body(IMPORT, cut).await.assert_page(400).says("did not arrive completely"));
    let long = multipart(&[("form_token", &"x".repeat(10_000))], "a.jsonl", row.as_bytes());
    browser.upload_body(IMPORT, long).await.assert_page(400);
    let headers = vec![b'x'; 3 << 20];
    assert_eq!(browser.upload_body(IMPORT, [b"--".to_vec(), headers].concat()).await.status, 400);
    let foreign = [("origin", "https://evil.example"), ("content-type", "multipart/form-data; boundary=x")];
    assert_eq!(browser.submit_with(IMPORT, &fields, &foreign).await.status, 403);
    assert!(browser.get(IMPORT).await.assert_page(200).says("What can be imported"), "nothing was kept");
    let mut stranger = Browser::of(&place.gate);
    stranger.upload(IMPORT, &fields, "a.jsonl", row).await.assert_page(403);
    assert!(stranger.get(IMPORT).await.assert_page(200).says("Sign in"));
}

#[tokio::test]
async fn a_file_that_is_too_large_is_read_to_its_end_and_refused() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let page = browser.get(IMPORT).await.page;
    let (token, space) = (page.hidden("form_token"), first_space(&page));
    let form = multipart(&[("form_token", &token), ("space", &space)], "large.json", b"");
    let end = form.len() - form.windows(4).rev().position(|window| window == b"\r\n--").unwrap() - 4;
    let (before, after) = (form[..end].to_vec(), form[end..].to_vec());
    let zeros = bytes::Bytes::from(vec![b' '; 1 << 20]);
    let pieces = std::iter::once(before.into()).chain(std::iter::repeat_n(zeros, 257)).chain([after.into()]);
    let frames = pieces.map(|piece| Ok::<_, std::io::Error>(hyper::body::Frame::data(piece)));
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    let answer = browser.upload_body(IMPORT, reqwest::Body::wrap(body)).await;
    assert!(answer.assert_page(413).says("The file is too large."), "{}", answer.page.text());
    assert!(browser.get(IMPORT).await.assert_page(200).says("What can be imported"));
}

#[tokio::test]
async fn an_upload_is_its_owners_until_it_is_discarded_or_forgotten() {
    let place = Place::new().await;
    let (mut browser, _) = place.connected().await;
    let row = "{\"content\": \"tea\"}";
    let page = upload(&mut browser, "a.jsonl", row).await.page;
    let mut nils = Browser::of(&place.gate);
    nils.sign_in(IMPORT, "nils", PASSWORD).await;
    let of_nils = nils.get(IMPORT).await;
    assert!(of_nils.assert_page(200).says("Connect an application first") && !of_nils.page.says("a.jsonl"));
    let fields =
        [("form_token", &*of_nils.page.hidden("form_token")), ("number", &page.hidden("number")), ("memories", "yes")];
    nils.submit("/account/import/confirm", &fields).await.location();
    let foreign = [("form_token", "x"), ("number", &*page.hidden("number")), ("memories", "yes")];
    browser.submit("/account/import/confirm", &foreign).await.assert_page(403);

    let newer = upload(&mut browser, "b.jsonl", row).await.page;
    let older = confirm(&mut browser, &page, &[("memories", "yes")]).await;
    assert!(older.page.says("Nothing is stored yet."), "another one took its place: {}", older.page.text());
    place.gate.advance(Duration::from_mins(31));
    let late = confirm(&mut browser, &newer, &[("memories", "yes")]).await;
    assert!(late.page.says("What can be imported"), "{}", late.page.text());

    let page = upload(&mut browser, "a.jsonl", row).await.page;
    browser.submit("/auth/sign-out", &[("form_token", &page.hidden("form_token"))]).await.location();
    browser.sign_in(IMPORT, "marta", PASSWORD).await;
    assert!(browser.get(IMPORT).await.page.says("What can be imported"));
    assert!(lines_of(&mut browser).await.is_empty());
}

fn many_rows() -> String {
    let rows: Vec<String> = (0..600).map(|number| format!("{{\"content\": \"memory {number}\"}}")).collect();
    rows.join("\n")
}

#[tokio::test]
async fn an_import_that_stops_says_so_and_goes_on_when_it_is_repeated() {
    let bank = Arc::new(InMemoryMemoryBank::default());
    let place = Place::before(bank.clone()).await;
    let (mut browser, _) = place.connected().await;
    let rows = many_rows();
    let page = upload(&mut browser, "a.jsonl", &rows).await;
    assert!(page.assert_page(200).says("New: 600"), "{}", page.page.text());
    bank.outage().begin();
    let stopped = confirm(&mut browser, &page.page, &[("memories", "yes")]).await;
    assert!(stopped.assert_page(200).says("The import is not complete") && stopped.page.says("Stored: 0"));
    bank.outage().end();
    let discard = [("form_token", &*stopped.page.hidden("form_token"))];
    browser.submit("/account/import/discard", &discard).await.location();
    let page = upload(&mut browser, "a.jsonl", &rows).await;
    let done = confirm(&mut browser, &page.page, &[("memories", "yes")]).await;
    assert!(done.page.says("Stored: 600"), "{}", done.page.text());
}
