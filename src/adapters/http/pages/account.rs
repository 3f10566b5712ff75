//! `/` and `/account`: what this is, and the way to everything that a person can do here.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};
use url::form_urlencoded;

use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::memories::source_name;
use super::memory_error::page_error;
use super::return_to::ReturnTo;
use super::sign_in::{self, Notice};
use super::view::{self, PageContext};
use super::words::Day;
use crate::domain::memories::{MemoryStatistics, Source};
use crate::domain::people::SignedInUser;

/// The query string that asks for numbers.
const COUNT: &str = "count";
/// How many categories are shown.
const CATEGORIES: usize = 20;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    account: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    account: &'a str,
    numbers: Option<Numbers>,
    countable: bool,
    form_token: &'a str,
}

/// How many memories a person has, and which.
struct Numbers {
    memories: u64,
    oldest: Option<Day>,
    newest: Option<Day>,
    applications: Vec<Count>,
    categories: Vec<Count>,
    uncategorized: u64,
}

/// A number, and where those that it counts are listed.
struct Count {
    name: String,
    href: String,
    number: u64,
}

impl Numbers {
    fn of(statistics: &[(Source, MemoryStatistics)]) -> Self {
        let mut all = MemoryStatistics::default();
        let mut applications = Vec::new();
        for (source, of_source) in statistics {
            all.merge(of_source);
            if of_source.memories > 0 {
                applications.push(Count {
                    name: source_name(Some(source), source.space.as_str()),
                    href: listing("application", source.space.as_str()),
                    number: of_source.memories,
                });
            }
        }
        applications.sort_by_key(|count| std::cmp::Reverse(count.number));
        let categories = all.most_used().into_iter().take(CATEGORIES).map(|(category, number)| Count {
            name: category.to_string(),
            href: listing("category", category.as_str()),
            number,
        });
        Self {
            memories: all.memories,
            oldest: all.oldest.map(Day::from),
            newest: all.newest.map(Day::from),
            applications,
            categories: categories.collect(),
            uncategorized: all.uncategorized,
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
    view::show(StatusCode::OK, PageContext::Standalone, &HomePage { account })
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
        Some(Numbers::of(&counted))
    } else {
        None
    };
    let page = AccountPage {
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
