//! `/` and `/account`: what this is, and the way to everything that a person can do here.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};
use url::form_urlencoded;

use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::frame::Frame;
use super::memory_error::page_error;
use super::return_to::ReturnTo;
use super::sign_in::{self, Notice};
use super::texts::{Day, Language};
use super::view::{self, PageContext};
use super::words::source_name;
use crate::domain::memories::{MemoryStatistics, Source};
use crate::domain::people::SignedInUser;

/// The query string that asks for numbers.
const COUNT: &str = "count";
/// How many categories are shown.
const CATEGORIES: usize = 20;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    t: &'a Frame,
    account: Option<&'a str>,
    deleted: bool,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    t: &'a Frame,
    account: &'a str,
    numbers: Option<Numbers>,
    countable: bool,
    form_token: &'a str,
}

/// How many memories a person has, and which.
struct Numbers {
    memories: String,
    oldest: Option<Day>,
    newest: Option<Day>,
    applications: Vec<Count>,
    categories: Vec<Count>,
    uncategorized: Option<String>,
}

/// A number, and where those that it counts are listed.
struct Count {
    name: String,
    href: String,
    number: String,
}

impl Numbers {
    fn of(statistics: &[(Source, MemoryStatistics)], t: &Frame) -> Self {
        let mut all = MemoryStatistics::default();
        let mut sources: Vec<_> = statistics.iter().filter(|(_, of_source)| of_source.memories > 0).collect();
        sources.sort_by_key(|(_, of_source)| std::cmp::Reverse(of_source.memories));
        let applications = sources.into_iter().map(|(source, of_source)| {
            all.merge(of_source);
            Count {
                name: source_name(Some(source), source.space.as_str(), t),
                href: listing("application", source.space.as_str()),
                number: t.number(of_source.memories),
            }
        });
        let applications = applications.collect();
        let categories = all.most_used().into_iter().take(CATEGORIES).map(|(category, number)| Count {
            name: category.to_string(),
            href: listing("category", category.as_str()),
            number: t.number(number),
        });
        Self {
            memories: t.number(all.memories),
            oldest: all.oldest.map(|at| Day::of(at, t.language)),
            newest: all.newest.map(|at| Day::of(at, t.language)),
            applications,
            categories: categories.collect(),
            uncategorized: (all.uncategorized > 0).then(|| t.number(all.uncategorized)),
        }
    }
}

/// The address of the memories of which this is so.
fn listing(name: &str, value: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
    format!("{}?{query}", ReturnTo::Memories)
}

/// `/`.
#[handler]
pub(crate) async fn home(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = browser.signed_in_user().await?;
    let account = user.as_ref().map(|user| user.person.label());
    let deleted = user.is_none() && browser.query() == "deleted";
    view::show(StatusCode::OK, PageContext::Standalone, &HomePage { t: &browser.t, account, deleted })
}

/// `/account`.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Account).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let form_token = user.token.form_token();
    let capabilities = browser.services.memories.capabilities();
    // To count what another service keeps is to read all of it, which a person has to ask for.
    let numbers = if capabilities.local || (capabilities.list && browser.query() == COUNT) {
        let counted = browser.services.own_memories.statistics(user.person.id).await.map_err(page_error)?;
        Some(Numbers::of(&counted, &browser.t))
    } else {
        None
    };
    let page = AccountPage {
        t: &browser.t,
        account: user.person.label(),
        countable: numbers.is_none() && capabilities.list,
        numbers,
        form_token: form_token.as_str(),
    };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
}

/// Who has sent a form that carries `form_token`.
///
/// # Errors
/// [`PageError::ForeignForm`] if it is not a form of their session; it can be opened `again`.
pub(crate) async fn sender(
    browser: &Browser<'_>,
    form_token: &str,
    again: ReturnTo,
) -> Result<SignedInUser, PageError> {
    let user = browser.signed_in_user().await?.filter(|user| user.token.form_token().matches(form_token));
    user.ok_or(PageError::ForeignForm { again: Some(again) })
}

/// Who is signed in, or the page that asks for it and goes on to `return_to`.
///
/// # Errors
/// [`PageError::Unavailable`], [`PageError::Internal`].
pub(crate) async fn signed_in(
    browser: &Browser<'_>,
    return_to: ReturnTo,
) -> Result<Result<SignedInUser, Response>, PageError> {
    Ok(match browser.signed_in_user().await? {
        Some(user) => Ok(user),
        None => Err(sign_in::ask(browser, &return_to, None, &Notice::Nothing)?),
    })
}
