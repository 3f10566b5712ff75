//! `/account/import`: what people bring along. They upload a file, see what is in it, choose, and see what became of it.
//!
//! One address shows how far it is. Reading and storing go on in the background, so that a browser that closes ends nothing
//! halfway; a page that waits asks again by itself.

mod left_out;
mod receive;
mod work;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use askama::Template;
use poem::http::{HeaderName, HeaderValue, StatusCode};
use poem::{Response, handler};
use tokio::task::JoinHandle;

use self::receive::{MAX_UPLOAD_BYTES, RefusedUpload, UploadForm};
use self::work::{Choice, LOOKED_UP, Messages, SpaceOption, Work};
use super::account::{sender, signed_in};
use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::forms::ListForm;
use super::frame::Frame;
use super::return_to::ReturnTo;
use super::texts::{Day, Filled, Language, Text, Texts};
use super::uploads::{Failure, HeldUpload, ImportOutcome, Occupied, Step, Storing, WaitingUpload};
use super::view::{self, PageContext};
use super::words::source_name;
use crate::domain::memories::{ImportFormat, ImportReport};
use crate::domain::people::SignedInUser;

/// How long an answer waits for work that may end at once.
const RESPONSE_WAIT: Duration = Duration::from_secs(2);
/// After how many seconds a page that waits asks again.
const REFRESH: HeaderValue = HeaderValue::from_static("3");
/// How many conversations can be chosen one by one, and how many fields the form then has.
const LISTED: usize = 1_000;
const FIELDS: usize = LISTED + 16;

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage<'a> {
    t: &'a Frame,
    account: &'a str,
    spaces: Vec<SpaceOption>,
    largest: u64,
    problem: Option<Text>,
    form_token: &'a str,
}

#[derive(Template)]
#[template(path = "import_preview.html")]
struct PreviewPage<'a> {
    t: &'a Frame,
    number: u64,
    waiting: &'a WaitingUpload,
    space: &'a str,
    formats: String,
    left_out: u64,
    reasons: Vec<Filled>,
    conversations: Vec<ConversationInWords<'a>>,
    more_conversations: u64,
    problem: Option<Text>,
    form_token: &'a str,
}

struct ConversationInWords<'a> {
    number: usize,
    title: &'a str,
    at: Option<Day>,
    messages: String,
}

#[derive(Template)]
#[template(path = "import_progress.html")]
struct ProgressPage<'a> {
    t: &'a Frame,
    storing: Option<(String, String)>,
    form_token: &'a str,
}

#[derive(Template)]
#[template(path = "import_report.html")]
struct ReportPage<'a> {
    t: &'a Frame,
    outcome: &'a ImportOutcome,
    space: &'a str,
    left_out: u64,
    reasons: Vec<Filled>,
    form_token: &'a str,
}

/// `GET /account/import`: how far it is.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Import).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let now = browser.services.clock.now();
    match browser.pages.uploads.of(user.person.id, now) {
        None => show_form(&browser, &user, StatusCode::OK, None).await,
        Some(HeldUpload { step: Step::Failed(failure), .. }) => {
            show_form(&browser, &user, StatusCode::OK, Some(failure.problem(&browser.t))).await
        }
        Some(HeldUpload { step: Step::Reading, .. }) => show_progress(&browser.t, &user, None),
        Some(HeldUpload { step: Step::Storing(storing), .. }) => show_progress(&browser.t, &user, Some(&storing)),
        Some(HeldUpload { step: Step::Waiting(waiting), number, .. }) => {
            show_preview(&browser.t, &user, number, &waiting, None)
        }
        Some(HeldUpload { step: Step::Done(outcome), .. }) => show_report(&browser.t, &user, &outcome),
    }
}

impl Failure {
    fn problem(self, t: &Texts) -> Text {
        match self {
            Self::Damaged => t.import_damaged,
            Self::UnpacksToTooMuch => t.import_unpacks,
            Self::TooMuchText => t.import_too_much,
            Self::Busy => t.import_busy,
            Self::Internal => t.import_internal,
            Self::BrokenOff => t.import_broken_off,
        }
    }
}

/// Where a person's memories can go: the applications that they have connected, and where they have memories.
async fn spaces(browser: &Browser<'_>, user: &SignedInUser) -> Result<Vec<SpaceOption>, PageError> {
    let person = user.person.id;
    let mut spaces: Vec<SpaceOption> = Vec::new();
    for source in browser.services.own_memories.sources(person).await? {
        // What an application that is gone left behind is no place for more.
        if source.space.owner().is_none() || source.application.is_some() {
            let name = source_name(Some(&source), source.space.as_str(), &browser.t);
            spaces.push(SpaceOption { space: source.space, name });
        }
    }
    for connection in browser.services.authorizations.connections(person).await? {
        if let Some(application) = connection.application
            && spaces.iter().all(|known| known.space != application.space)
        {
            spaces.push(SpaceOption { space: application.space.clone(), name: application.name.to_string() });
        }
    }
    Ok(spaces)
}

async fn show_form(
    browser: &Browser<'_>,
    user: &SignedInUser,
    status: StatusCode,
    problem: Option<Text>,
) -> Result<Response, PageError> {
    let form_token = user.token.form_token();
    let page = ImportPage {
        t: &browser.t,
        account: user.person.label(),
        spaces: spaces(browser, user).await?,
        largest: MAX_UPLOAD_BYTES >> 20,
        problem,
        form_token: form_token.as_str(),
    };
    view::show(status, PageContext::Standalone, &page)
}

fn show_progress(t: &Frame, user: &SignedInUser, storing: Option<&Storing>) -> Result<Response, PageError> {
    let form_token = user.token.form_token();
    let storing = storing.map(|storing| (t.number(storing.done.load(Ordering::Relaxed)), t.number(storing.total)));
    let page = ProgressPage { t, storing, form_token: form_token.as_str() };
    let mut response = view::show(StatusCode::OK, PageContext::Standalone, &page)?;
    response.headers_mut().insert(HeaderName::from_static("refresh"), REFRESH);
    Ok(response)
}

fn show_preview(
    t: &Frame,
    user: &SignedInUser,
    number: u64,
    waiting: &WaitingUpload,
    problem: Option<Text>,
) -> Result<Response, PageError> {
    let mut conversations: Vec<_> = waiting.conversations.iter().enumerate().collect();
    // The newest first; those without a date last.
    conversations.sort_by_key(|(_, conversation)| std::cmp::Reverse(conversation.at));
    let more_conversations = waiting.conversation_count.saturating_sub(LISTED) as u64;
    let conversations = conversations.into_iter().take(LISTED).map(|(number, conversation)| ConversationInWords {
        number,
        title: &conversation.title,
        at: conversation.at.map(|at| Day::of(at, t.language)),
        messages: t.number(conversation.messages),
    });
    let of_rows = waiting.preview.as_ref().map(|preview| &preview.report);
    let form_token = user.token.form_token();
    let page = PreviewPage {
        t,
        number,
        waiting,
        space: &waiting.space_name,
        formats: names(&waiting.formats),
        left_out: waiting.left_out.left_out + of_rows.map_or(0, |report| report.left_out),
        reasons: all_reasons(&waiting.left_out, of_rows, t),
        conversations: conversations.collect(),
        more_conversations,
        problem,
        form_token: form_token.as_str(),
    };
    let status = if problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    view::show(status, PageContext::Standalone, &page)
}

fn show_report(t: &Frame, user: &SignedInUser, outcome: &ImportOutcome) -> Result<Response, PageError> {
    let form_token = user.token.form_token();
    let page = ReportPage {
        t,
        outcome,
        space: &outcome.space_name,
        left_out: outcome.left_out.left_out + outcome.report.left_out,
        reasons: all_reasons(&outcome.left_out, Some(&outcome.report), t),
        form_token: form_token.as_str(),
    };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
}

fn names(formats: &[ImportFormat]) -> String {
    let name = |format: &ImportFormat| match format {
        ImportFormat::Memgate => "memgate",
        ImportFormat::ChatGpt => "ChatGPT",
        ImportFormat::Claude => "Claude",
        ImportFormat::Mem0 => "mem0",
        ImportFormat::ServerMemory => "server-memory",
        ImportFormat::BasicMemory => "basic-memory",
    };
    formats.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn all_reasons(of_file: &ImportReport, of_rows: Option<&ImportReport>, t: &Frame) -> Vec<Filled> {
    let of_rows = of_rows.into_iter().flat_map(|report| &report.reasons);
    let named = of_file.reasons.iter().chain(of_rows).take(ImportReport::NAMED);
    named.map(|left_out| left_out::in_words(left_out, t)).collect()
}

/// `POST /account/import`: a file.
#[handler]
pub(crate) async fn upload(browser: Browser<'_>, mut form: UploadForm) -> Result<Response, PageError> {
    // Nothing of the file is read before it is known who sends it.
    let token = form.text("form_token").await.map_err(|_| PageError::InvalidForm)?;
    let user = sender(&browser, &token, ReturnTo::Import).await?;
    let refuse = |status, problem| show_form(&browser, &user, status, Some(problem));
    let Ok(space) = form.text("space").await else { return Err(PageError::InvalidForm) };
    let Some(option) = spaces(&browser, &user).await?.into_iter().find(|known| known.space.as_str() == space) else {
        return refuse(StatusCode::BAD_REQUEST, browser.t.import_choose_space).await;
    };
    let (uploads, person) = (&browser.pages.uploads, user.person.id);
    let receiving = match uploads.receive(person) {
        Ok(receiving) => receiving,
        Err(Occupied::Already) => return refuse(StatusCode::TOO_MANY_REQUESTS, browser.t.import_already).await,
        Err(Occupied::ByOthers) => return refuse(StatusCode::TOO_MANY_REQUESTS, browser.t.import_busy).await,
    };
    let uploaded = match form.file("file").await {
        Ok(uploaded) => uploaded,
        Err(RefusedUpload::Form) => return Err(PageError::InvalidForm),
        Err(RefusedUpload::Interrupted) => {
            return refuse(StatusCode::BAD_REQUEST, browser.t.import_interrupted).await;
        }
        Err(RefusedUpload::Empty) => {
            return refuse(StatusCode::BAD_REQUEST, browser.t.import_empty).await;
        }
        Err(RefusedUpload::TooLarge) => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, browser.t.import_too_large).await;
        }
        Err(RefusedUpload::Disk(error)) => return Err(PageError::Unavailable(error.into())),
    };
    let number = uploads.begin(person, browser.services.clock.now());
    let work = Work { services: Arc::clone(&browser.services), uploads: Arc::clone(uploads), person, number };
    let work = work.read(uploaded, receiving, option);
    wait_a_little(tokio::spawn(work)).await;
    view::see_other(&ReturnTo::Import.to_string())
}

/// `POST /account/import/confirm`.
#[handler]
pub(crate) async fn confirm(browser: Browser<'_>, form: ListForm<FIELDS>) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Import).await?;
    let (uploads, person, now) = (&browser.pages.uploads, user.person.id, browser.services.clock.now());
    let number: u64 = form.get("number").parse().map_err(|_| PageError::InvalidForm)?;
    let held = uploads.of(person, now).filter(|held| held.number == number);
    let Some(HeldUpload { step: Step::Waiting(waiting), .. }) = held else {
        // It was decided about in another window, or not in time.
        return view::see_other(&ReturnTo::Import.to_string());
    };
    let messages = match form.get("messages") {
        "all" => Messages::All,
        "chosen" => Messages::Of(form.all("conversation").filter_map(|number| number.parse().ok()).collect()),
        _ => Messages::None,
    };
    let choice = Choice { memories: form.get("memories") == "yes", messages };
    let total = choice.rows_of(&waiting);
    if total == 0 {
        return show_preview(&browser.t, &user, number, &waiting, Some(browser.t.nothing_chosen));
    }
    drop(waiting);
    if let Some((waiting, storing)) = uploads.begin_storing(person, number, now, total) {
        let work = Work { services: Arc::clone(&browser.services), uploads: Arc::clone(uploads), person, number };
        wait_a_little(tokio::spawn(work.store(waiting, storing, choice))).await;
    }
    view::see_other(&ReturnTo::Import.to_string())
}

impl Choice {
    fn rows_of(&self, waiting: &WaitingUpload) -> u64 {
        let messages = match &self.messages {
            Messages::None => 0,
            Messages::All => waiting.messages,
            Messages::Of(chosen) => {
                let named = chosen.iter().filter_map(|number| waiting.conversations.get(*number));
                named.map(|conversation| conversation.messages).sum()
            }
        };
        messages + if self.memories { waiting.memories } else { 0 }
    }
}

/// `POST /account/import/discard`.
#[handler]
pub(crate) async fn discard(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Import).await?;
    browser.pages.uploads.forget(user.person.id);
    view::see_other(&ReturnTo::Import.to_string())
}

/// Most files are small. The work goes on whether or not it is waited for.
async fn wait_a_little(work: JoinHandle<()>) {
    drop(tokio::time::timeout(RESPONSE_WAIT, work).await);
}
