//! `/account/memories`: the list, and what a search finds.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};
use url::form_urlencoded;

use super::super::account::signed_in;
use super::super::assets;
use super::super::browser::Browser;
use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::memory_error::memory_problem;
use super::super::return_to::ReturnTo;
use super::super::texts::{Filled, Language, Text};
use super::super::view::{self, PageContext};
use super::in_words::{MemoryInWords, Origins};
use crate::domain::applications::Category;
use crate::domain::memories::{DateRange, Limit, ListOrder, OwnNext, OwnPage, OwnQuery, Position, QueryText};
use crate::domain::people::SignedInUser;
use crate::domain::system::Timestamp;
use crate::domain::validation::InvalidValue;

/// How many memories a page shows.
const PAGE_SIZE: i64 = 20;
/// The choice of the date when something was said or happened.
const SAID: &str = "said";

/// What a person asked for, as it stands in the address.
#[derive(Default)]
struct Asked {
    q: String,
    application: String,
    category: String,
    /// The date that counts: [`SAID`], or anything else for when it was stored.
    by: String,
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
                "by" => &mut asked.by,
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

    fn order(&self) -> ListOrder {
        if self.by == SAID { ListOrder::Occurred } else { ListOrder::Created }
    }

    /// For the template.
    fn is_by_when_said(&self) -> bool {
        self.order() == ListOrder::Occurred
    }

    fn read(&self) -> Result<OwnQuery, InvalidValue> {
        fn given(text: &str) -> Option<&str> {
            Some(text).filter(|text| !text.is_empty())
        }
        Ok(OwnQuery {
            text: given(&self.q).map(|text| QueryText::try_from(text.to_owned())).transpose()?,
            space: given(&self.application).map(str::parse).transpose()?,
            category: given(&self.category).map(str::parse::<Category>).transpose()?,
            order: self.order(),
            dates: DateRange::parse(("from", given(&self.from)), ("to", given(&self.to)))?,
            after: given(&self.after).map(|place| read_position(place, self.order())).transpose()?,
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
            ("by", &self.by),
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
fn read_position(text: &str, order: ListOrder) -> Result<Position, InvalidValue> {
    let invalid = || InvalidValue::new("after", "is not a place in this list; begin at its start");
    let (millis, id) = text.split_once(':').ok_or_else(invalid)?;
    Ok(Position {
        order,
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

pub(super) async fn show_list(
    browser: &Browser<'_>,
    user: &SignedInUser,
    notice: Option<Text>,
) -> Result<Response, PageError> {
    let own = &browser.services.own_memories;
    let asked = Asked::of(browser.query());
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
    let origins = Origins::of(browser, user.person.id, &page.memories).await?;
    let form_token = user.token.form_token();
    let template = MemoriesPage {
        t: &browser.t,
        account: user.person.label(),
        filtered: asked.filters(),
        memories: page.memories.iter().map(|memory| MemoryInWords::excerpt(memory, &origins, &browser.t)).collect(),
        sources: origins
            .sources
            .iter()
            .map(|source| SourceOption {
                value: source.space.to_string(),
                name: origins.space(&source.space, &browser.t),
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
