//! `/account/memories`: what is stored of a person, over all connected applications.

use std::time::Duration;

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};
use url::form_urlencoded;

use super::account::{sender, signed_in};
use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::forms::ListForm;
use super::frame::Frame;
use super::history::{self, EntryInWords};
use super::memory_error::{memory_problem, not_found, page_error};
use super::return_to::ReturnTo;
use super::texts::{Day, Filled, Language, Text};
use super::view::{self, PageContext};
use super::words::source_name;
use crate::domain::applications::Category;
use crate::domain::ids::MemoryId;
use crate::domain::memories::{
    Content, DateRange, ErasureError, Limit, ListOrder, Memory, MemoryBankError, MemoryChanges, MemoryError,
    MemoryRecord, OwnMemory, OwnNext, OwnPage, OwnQuery, Position, QueryText, Source,
};
use crate::domain::people::SignedInUser;
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

/// How many memories a page shows.
const PAGE_SIZE: i64 = 20;
/// For how long a deletion can be undone.
const UNDO_WINDOW: Duration = Duration::from_mins(30);
/// How much deleted text a page takes along to undo it, in bytes; escaped in a form it fits into a body.
const UNDO_BYTES: usize = 120 * 1024;
/// How much of a memory a list shows, in characters.
const EXCERPT: usize = 280;
const DAY: Duration = Duration::from_hours(24);

/// A memory, as a person reads it.
struct MemoryInWords {
    id: MemoryId,
    content: String,
    shortened: bool,
    categories: Vec<String>,
    source: String,
    created: Day,
    occurred: Option<Day>,
    updated: Option<Day>,
    expires: Option<Day>,
    conversation: Option<String>,
}

impl MemoryInWords {
    fn whole(own: &OwnMemory, sources: &[Source], t: &Frame) -> Self {
        let day = |at| Day::of(at, t.language);
        let memory = &own.memory;
        Self {
            id: memory.id.clone(),
            content: memory.content.as_str().to_owned(),
            shortened: false,
            categories: memory.categories.iter().map(ToString::to_string).collect(),
            source: source_name(sources.iter().find(|source| source.space == own.space), own.space.as_str(), t),
            created: day(memory.created_at),
            occurred: memory.occurred_at.map(day),
            updated: (memory.updated_at != memory.created_at).then(|| day(memory.updated_at)),
            expires: memory.expires_at.map(day),
            conversation: memory.metadata.conversation_id().map(str::to_owned),
        }
    }

    fn excerpt(own: &OwnMemory, sources: &[Source], t: &Frame) -> Self {
        let mut words = Self::whole(own, sources, t);
        if let Some((end, _)) = words.content.char_indices().nth(EXCERPT) {
            words.content.truncate(end);
            words.content.push('…');
            words.shortened = true;
        }
        words
    }
}

/// What a person asked for, as it stands in the address.
#[derive(Default)]
struct Asked {
    q: String,
    application: String,
    category: String,
    from: String,
    to: String,
    after: String,
    skip: String,
}

impl Asked {
    fn of(query: &str) -> Self {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match &*name {
                "q" => &mut asked.q,
                "application" => &mut asked.application,
                "category" => &mut asked.category,
                "from" => &mut asked.from,
                "to" => &mut asked.to,
                "after" => &mut asked.after,
                "skip" => &mut asked.skip,
                _ => continue,
            };
            value.trim().clone_into(field);
        }
        asked
    }

    fn filters(&self) -> bool {
        [&self.q, &self.application, &self.category, &self.from, &self.to].iter().any(|text| !text.is_empty())
    }

    fn read(&self) -> Result<OwnQuery, InvalidValue> {
        fn given(text: &str) -> Option<&str> {
            Some(text).filter(|text| !text.is_empty())
        }
        let moment = |field, text| given(text).map(|text| Timestamp::parse(field, text)).transpose();
        let end = moment("to", &self.to)?;
        // A day as the end means all of it.
        let end = end.map(|end| if self.to.len() == 10 { end.plus(DAY).minus(Duration::from_millis(1)) } else { end });
        Ok(OwnQuery {
            text: given(&self.q).map(|text| QueryText::try_from(text.to_owned())).transpose()?,
            space: given(&self.application).map(str::parse).transpose()?,
            category: given(&self.category).map(str::parse::<Category>).transpose()?,
            created: DateRange::new("date_range", moment("from", &self.from)?, end)?,
            after: given(&self.after).map(read_position).transpose()?,
            skip: given(&self.skip).map(read_skip).transpose()?.unwrap_or_default(),
            limit: Limit::try_from(PAGE_SIZE)?,
        })
    }

    /// The address of the page that begins at `next`.
    fn next(&self, next: &OwnNext) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("q", &self.q),
            ("application", &self.application),
            ("category", &self.category),
            ("from", &self.from),
            ("to", &self.to),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        match next {
            OwnNext::After(position) => {
                query.append_pair("after", &format!("{}:{}", position.at.unix_millis(), position.id))
            }
            OwnNext::Skip(found) => query.append_pair("skip", &found.to_string()),
        };
        format!("{}?{}", ReturnTo::Memories, query.finish())
    }
}

/// A place in the person's own list; whatever it is, nothing but their own memories follows it.
fn read_position(text: &str) -> Result<Position, InvalidValue> {
    let invalid = || InvalidValue::new("after", "is not a place in this list; begin at its start");
    let (millis, id) = text.split_once(':').ok_or_else(invalid)?;
    Ok(Position {
        order: ListOrder::Created,
        at: Timestamp::from_unix_millis(millis.parse().map_err(|_| invalid())?),
        id: id.parse().map_err(|_| invalid())?,
    })
}

/// How many of what a search finds come before the page.
fn read_skip(text: &str) -> Result<u32, InvalidValue> {
    let skip = text.parse().ok().filter(|skip| *skip < OwnQuery::MAX_FOUND);
    skip.ok_or_else(|| InvalidValue::new("after", "is not a place in this list; begin at its start"))
}

struct SourceOption {
    value: String,
    name: String,
    selected: bool,
}

#[derive(Template)]
#[template(path = "memories.html")]
struct MemoriesPage<'a> {
    t: &'a Frame,
    account: &'a str,
    asked: &'a Asked,
    filtered: bool,
    sources: Vec<SourceOption>,
    memories: Vec<MemoryInWords>,
    next: Option<String>,
    searched: bool,
    /// How many are shown at most, if a search finds more.
    only_best: Option<u32>,
    problem: Option<Filled>,
    notice: Option<Text>,
    form_token: &'a str,
}

/// `GET /account/memories`.
#[handler]
pub(crate) async fn list_or_search(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Memories).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    show_list(&browser, &user, None).await
}

async fn show_list(browser: &Browser<'_>, user: &SignedInUser, notice: Option<Text>) -> Result<Response, PageError> {
    let own = &browser.services.own_memories;
    let asked = Asked::of(browser.query());
    let sources = own.sources(user.person.id).await?;
    let found = match asked.read() {
        Ok(query) => own.find(user.person.id, &query).await,
        Err(error) => Err(error.into()),
    };
    let (page, status, problem) = match found {
        Ok(page) => (page, StatusCode::OK, None),
        Err(error) => {
            let (status, problem) = memory_problem(error, &browser.t)?;
            (OwnPage::default(), status, Some(problem))
        }
    };
    let form_token = user.token.form_token();
    let template = MemoriesPage {
        t: &browser.t,
        account: user.person.label(),
        filtered: asked.filters(),
        memories: page.memories.iter().map(|memory| MemoryInWords::excerpt(memory, &sources, &browser.t)).collect(),
        sources: sources
            .iter()
            .map(|source| SourceOption {
                value: source.space.to_string(),
                name: source_name(Some(source), source.space.as_str(), &browser.t),
                selected: source.space.as_str() == asked.application,
            })
            .collect(),
        only_best: matches!(page.next, Some(OwnNext::Skip(OwnQuery::MAX_FOUND))).then_some(OwnQuery::MAX_FOUND),
        next: page.next.as_ref().map(|next| asked.next(next)),
        searched: !asked.q.is_empty(),
        asked: &asked,
        problem,
        notice,
        form_token: form_token.as_str(),
    };
    view::show(status, PageContext::Standalone, &template)
}

#[derive(Template)]
#[template(path = "memory.html")]
struct MemoryPage<'a> {
    t: &'a Frame,
    account: &'a str,
    memory: MemoryInWords,
    categories: String,
    problem: Option<Filled>,
    saved: Option<Saved>,
    undone: bool,
    forgotten: bool,
    minutes: u64,
    history: Vec<EntryInWords>,
    form_token: &'a str,
}

/// That a correction was saved, and what undoes it.
struct Saved {
    undo: Option<Undo>,
}

/// What takes a correction back as long as nothing else has changed the memory; `None` if nothing was changed, or if it is too
/// long. The old text goes into the page alone, sealed.
fn undo_of_correction(
    browser: &Browser<'_>,
    user: &SignedInUser,
    before: OwnMemory,
    saved: &OwnMemory,
) -> Result<Option<Undo>, PageError> {
    let is_same = before.memory.content == saved.memory.content && before.memory.categories == saved.memory.categories;
    // The time of the correction tells whether it is the last.
    let memory = Memory { updated_at: saved.memory.updated_at, ..before.memory };
    let memories = written(&[OwnMemory { memory, history: Vec::new(), space: before.space }])?;
    let undo = Undo::seal(browser, user, UndoKind::Correction, memories);
    Ok((!is_same && undo.memories.len() <= UNDO_BYTES).then_some(undo))
}

fn show_memory(
    t: &Frame,
    user: &SignedInUser,
    memory: MemoryInWords,
    problem: Option<(StatusCode, Filled)>,
    saved: Option<Saved>,
    query: &str,
    history: Vec<EntryInWords>,
) -> Result<Response, PageError> {
    let form_token = user.token.form_token();
    let (status, problem) = problem.map_or((StatusCode::OK, None), |(status, problem)| (status, Some(problem)));
    let page = MemoryPage {
        t,
        account: user.person.label(),
        categories: memory.categories.join(", "),
        memory,
        problem,
        saved,
        undone: query == "undone",
        forgotten: query == "forgotten",
        minutes: UNDO_WINDOW.as_secs() / 60,
        history,
        form_token: form_token.as_str(),
    };
    view::show(status, PageContext::Standalone, &page)
}

/// `GET /account/memories/{id}`: the page that assistants cite.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let id = browser.memory_id()?;
    let user = match signed_in(&browser, ReturnTo::Memory(id.clone())).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let own = &browser.services.own_memories;
    let memory = own.get(user.person.id, &id).await.map_err(not_found)?;
    let sources = own.sources(user.person.id).await?;
    let history = history::in_words(&browser, &memory).await?;
    let memory = MemoryInWords::whole(&memory, &sources, &browser.t);
    show_memory(&browser.t, &user, memory, None, None, browser.query(), history)
}

/// `POST /account/memories/{id}`: a correction.
#[handler]
pub(crate) async fn save(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let id = browser.memory_id()?;
    let return_to = ReturnTo::Memory(id.clone());
    let user = sender(&browser, form.get("form_token"), return_to.clone()).await?;
    let own = &browser.services.own_memories;
    let before = own.get(user.person.id, &id).await.map_err(not_found)?;
    let saved = match read_changes(&form) {
        Ok(changes) => own.update(user.person.id, &id, &changes).await,
        Err(error) => Err(error.into()),
    };
    match saved {
        Ok(saved) => {
            let undo = undo_of_correction(&browser, &user, before, &saved)?;
            let sources = own.sources(user.person.id).await?;
            let history = history::in_words(&browser, &saved).await?;
            let memory = MemoryInWords::whole(&saved, &sources, &browser.t);
            show_memory(&browser.t, &user, memory, None, Some(Saved { undo }), "", history)
        }
        Err(MemoryError::NotFound) => Err(PageError::NotFound),
        Err(error) => {
            // What was typed is not lost.
            let problem = memory_problem(error, &browser.t)?;
            let sources = own.sources(user.person.id).await?;
            let mut memory = MemoryInWords::whole(&before, &sources, &browser.t);
            form.get("content").clone_into(&mut memory.content);
            memory.categories = form.get("categories").split(',').map(|name| name.trim().to_owned()).collect();
            let history = history::in_words(&browser, &before).await?;
            show_memory(&browser.t, &user, memory, Some(problem), None, "", history)
        }
    }
}

fn read_changes(form: &ListForm) -> Result<MemoryChanges, InvalidValue> {
    // Browsers send line breaks as two characters, and drop the first one of a text area.
    let content = form.get("content").replace("\r\n", "\n");
    let names = form.get("categories").split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    Ok(MemoryChanges {
        content: Some(Content::try_from(content)?),
        categories: Some(Category::parse_list("categories", &names)?),
        ..MemoryChanges::default()
    })
}

#[derive(Template)]
#[template(path = "memories_deleted.html")]
struct DeletedPage<'a> {
    t: &'a Frame,
    account: &'a str,
    deleted: usize,
    missing: usize,
    problem: Option<Filled>,
    undo: Option<Undo>,
    minutes: u64,
    form_token: &'a str,
}

struct Undo {
    memories: String,
    deadline: i64,
    seal: String,
}

/// What an [`Undo`] takes back.
#[derive(Clone, Copy)]
enum UndoKind {
    Deletion,
    Correction,
}

impl UndoKind {
    /// What is sealed.
    fn sealed(self, deadline: &str, memories: &str) -> String {
        let kind = match self {
            Self::Deletion => "deletion",
            Self::Correction => "correction",
        };
        format!("{kind} {deadline} {memories}")
    }
}

impl Undo {
    fn seal(browser: &Browser<'_>, user: &SignedInUser, kind: UndoKind, memories: String) -> Self {
        let deadline = browser.services.clock.now().plus(UNDO_WINDOW).unix_seconds();
        let seal = user.token.seal(&kind.sealed(&deadline.to_string(), &memories)).as_str().to_owned();
        Self { memories, deadline, seal }
    }
}

#[derive(Template)]
#[template(path = "memories_confirm.html")]
struct ConfirmPage<'a> {
    t: &'a Frame,
    account: &'a str,
    ids: Vec<String>,
    form_token: &'a str,
}

/// `POST /account/memories`: deletes those that are ticked. What they were goes into the page alone, sealed, so that it can
/// be undone and nothing of it stays here.
#[handler]
pub(crate) async fn delete(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Memories).await?;
    let own = &browser.services.own_memories;
    let ids: Vec<MemoryId> = form.all("id").filter_map(|id| id.parse().ok()).collect();
    if ids.is_empty() {
        return show_list(&browser, &user, Some(browser.t.nothing_selected)).await;
    }
    let (mut found, mut missing) = (Vec::new(), 0);
    for id in &ids {
        match own.get(user.person.id, id).await {
            Ok(memory) => found.push(memory),
            Err(MemoryError::NotFound) => missing += 1,
            Err(error) => return Err(page_error(error)),
        }
    }
    let form_token = user.token.form_token();
    if written(&found)?.len() > UNDO_BYTES && form.get("confirmed") != "yes" {
        let ids = ids.iter().map(ToString::to_string).collect();
        let page = ConfirmPage { t: &browser.t, account: user.person.label(), ids, form_token: form_token.as_str() };
        return view::show(StatusCode::OK, PageContext::Standalone, &page);
    }
    let (mut deleted, mut problem) = (Vec::new(), None);
    for memory in found {
        match own.remove(user.person.id, &memory).await {
            Ok(()) => deleted.push(memory),
            Err(MemoryError::NotFound) => missing += 1,
            Err(error) => {
                problem = Some(memory_problem(error, &browser.t)?.1);
                break;
            }
        }
    }
    let memories = written(&deleted)?;
    let is_short = !deleted.is_empty() && memories.len() <= UNDO_BYTES;
    let undo = is_short.then(|| Undo::seal(&browser, &user, UndoKind::Deletion, memories));
    let page = DeletedPage {
        t: &browser.t,
        account: user.person.label(),
        deleted: deleted.len(),
        missing,
        problem,
        undo,
        minutes: UNDO_WINDOW.as_secs() / 60,
        form_token: form_token.as_str(),
    };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
}

fn written(memories: &[OwnMemory]) -> Result<String, PageError> {
    let records: Vec<MemoryRecord> = memories.iter().map(MemoryRecord::from).collect();
    serde_json::to_string(&records).map_err(|error| PageError::Internal(error.into()))
}

/// `POST /account/undo`.
#[handler]
pub(crate) async fn restore(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Memories).await?;
    let (memories, deadline) = (form.get("memories"), form.get("deadline"));
    let is_sealed = |kind: UndoKind| user.token.seal(&kind.sealed(deadline, memories)).matches(form.get("seal"));
    let kinds = [UndoKind::Deletion, UndoKind::Correction];
    let Some(kind) = kinds.into_iter().find(|kind| is_sealed(*kind)) else {
        return Err(PageError::ForeignForm { again: Some(ReturnTo::Memories) });
    };
    let in_time = deadline.parse().is_ok_and(|deadline: i64| browser.services.clock.now().unix_seconds() <= deadline);
    if !in_time {
        return show_list(&browser, &user, Some(browser.t.too_late_to_undo)).await;
    }
    let records: Vec<MemoryRecord> = serde_json::from_str(memories).map_err(|_| PageError::InvalidForm)?;
    for record in records {
        let memory = OwnMemory::try_from(record).map_err(|_| PageError::InvalidForm)?;
        match kind {
            UndoKind::Deletion => {
                browser.services.own_memories.restore(user.person.id, memory).await.map_err(page_error)?;
            }
            UndoKind::Correction => return take_back(&browser, &user, memory.memory).await,
        }
    }
    show_list(&browser, &user, Some(browser.t.undone)).await
}

/// Gives a memory the text and the categories that it had, unless something else has changed it since its correction.
async fn take_back(browser: &Browser<'_>, user: &SignedInUser, before: Memory) -> Result<Response, PageError> {
    let own = &browser.services.own_memories;
    let current = own.get(user.person.id, &before.id).await.map_err(not_found)?;
    if current.memory.updated_at != before.updated_at {
        return show_list(browser, user, Some(browser.t.too_late_to_undo)).await;
    }
    let (content, categories) = (Some(before.content), Some(before.categories));
    let changes = MemoryChanges { content, categories, ..MemoryChanges::default() };
    own.update(user.person.id, &before.id, &changes).await.map_err(not_found)?;
    view::see_other(&format!("{}?undone", ReturnTo::Memory(before.id)))
}

#[derive(Template)]
#[template(path = "memories_delete_all.html")]
struct DeleteAllPage<'a> {
    t: &'a Frame,
    account: &'a str,
    form_token: &'a str,
    problem: Option<Text>,
}

/// `GET /account/delete-memories`: asks before everything is deleted.
#[handler]
pub(crate) async fn ask_delete_all(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Memories).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    show_delete_all(&browser.t, &user, None)
}

fn show_delete_all(t: &Frame, user: &SignedInUser, problem: Option<(StatusCode, Text)>) -> Result<Response, PageError> {
    let form_token = user.token.form_token();
    let (status, problem) = problem.map_or((StatusCode::OK, None), |(status, problem)| (status, Some(problem)));
    let page = DeleteAllPage { t, account: user.person.label(), form_token: form_token.as_str(), problem };
    view::show(status, PageContext::Standalone, &page)
}

/// `POST /account/delete-memories`.
#[handler]
pub(crate) async fn delete_all(browser: Browser<'_>, form: ListForm) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Memories).await?;
    if form.get("confirmed") != "yes" {
        return show_delete_all(&browser.t, &user, Some((StatusCode::BAD_REQUEST, browser.t.tick_to_confirm)));
    }
    match browser.services.own_memories.delete_all(user.person.id).await {
        Ok(_) => show_list(&browser, &user, Some(browser.t.all_deleted)).await,
        Err(ErasureError::Bank(MemoryBankError::Unsupported(_))) => {
            show_delete_all(&browser.t, &user, Some((StatusCode::NOT_IMPLEMENTED, browser.t.cannot_delete_all)))
        }
        Err(ErasureError::Bank(error)) if error.is_retryable() => {
            show_delete_all(&browser.t, &user, Some((StatusCode::SERVICE_UNAVAILABLE, browser.t.delete_all_stopped)))
        }
        Err(error) => Err(error.into()),
    }
}
