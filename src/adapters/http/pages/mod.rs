//! The pages that a person sees: sign-in, consent, connected applications, privacy, and what went wrong.
//!
//! They are rendered here, need no script but for passkeys, load nothing from elsewhere, and cannot be framed. A form is processed only if it
//! has the CSRF token that was issued to this browser, and if the browser does not report that another site sent it.

pub(crate) mod account;
mod application_names;
pub(crate) mod assets;
pub(crate) mod browser;
pub(crate) mod connections;
pub(crate) mod consent;
pub(crate) mod cookies;
pub(crate) mod emails;
pub(crate) mod error;
mod error_page;
pub(crate) mod export;
pub(crate) mod forms;
pub(crate) mod frame;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod language;
pub(crate) mod memories;
pub(crate) mod memory_error;
mod memory_name;
mod passkeys;
mod paths;
mod privacy;
pub(crate) mod privacy_file;
pub(crate) mod privacy_policy;
pub(crate) mod provider;
pub(crate) mod return_to;
pub(crate) mod security;
pub(crate) mod services;
pub(crate) mod set_password;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod texts;
pub(crate) mod uploads;
pub(crate) mod view;
pub(crate) mod words;

use std::sync::Arc;

use poem::http::Method;
use poem::{EndpointExt, Route};

pub(crate) use error_page::{render, render_api};
pub(crate) use paths::is_page;

use self::services::PageServices;
use super::server::table::Methods;

/// Adds every page.
pub(crate) fn add_to(route: Route, services: PageServices) -> Route {
    let services = Arc::new(services);
    let (get, post) = (Method::GET, Method::POST);
    let pages = [
        (
            "/auth/authorize",
            Methods::new([(get.clone(), consent::ask.boxed()), (post.clone(), consent::ask_by_form.boxed())]),
        ),
        ("/auth/consent", Methods::new([(post.clone(), consent::answer.boxed())])),
        (
            "/auth/sign-in",
            Methods::new([(get.clone(), sign_in::show.boxed()), (post.clone(), sign_in::with_password.boxed())]),
        ),
        (
            "/auth/sign-in/passkey",
            Methods::new([(get.clone(), passkeys::challenge.boxed()), (post.clone(), passkeys::enter.boxed())]),
        ),
        ("/auth/sign-in/provider", Methods::new([(get.clone(), provider::start.boxed())])),
        ("/auth/callback", Methods::new([(get.clone(), provider::callback.boxed())])),
        ("/auth/sign-out", Methods::new([(post.clone(), sign_out::sign_out.boxed())])),
        ("/", Methods::new([(get.clone(), account::home.boxed())])),
        ("/account", Methods::new([(get.clone(), account::show.boxed())])),
        (
            "/account/memories",
            Methods::new([(get.clone(), memories::list_or_search.boxed()), (post.clone(), memories::delete.boxed())]),
        ),
        (
            "/account/memories/:id",
            Methods::new([(get.clone(), memories::show.boxed()), (post.clone(), memories::save.boxed())]),
        ),
        ("/account/memories/:id/history", Methods::new([(post.clone(), memories::forget_history.boxed())])),
        ("/account/undo", Methods::new([(post.clone(), memories::restore.boxed())])),
        (
            "/account/delete-memories",
            Methods::new([
                (get.clone(), memories::ask_delete_all.boxed()),
                (post.clone(), memories::delete_all.boxed()),
            ]),
        ),
        ("/account/export", Methods::new([(get.clone(), export::show.boxed())])),
        ("/account/export/memgate.zip", Methods::new([(get.clone(), export::everything.boxed())])),
        ("/account/export/memories.jsonl", Methods::new([(get.clone(), export::memories.boxed())])),
        ("/account/export/account.json", Methods::new([(get.clone(), export::account.boxed())])),
        (
            "/account/import",
            Methods::new([(get.clone(), import::show.boxed()), (post.clone(), import::upload.boxed())]),
        ),
        ("/account/import/confirm", Methods::new([(post.clone(), import::confirm.boxed())])),
        ("/account/import/discard", Methods::new([(post.clone(), import::discard.boxed())])),
        (
            "/account/set-password",
            Methods::new([(get.clone(), set_password::show.boxed()), (post.clone(), set_password::set.boxed())]),
        ),
        ("/account/security", Methods::new([(get.clone(), security::show.boxed())])),
        ("/account/security/password", Methods::new([(post.clone(), security::change_password.boxed())])),
        ("/account/security/passkeys", Methods::new([(post.clone(), passkeys::add.boxed())])),
        ("/account/security/passkeys/new", Methods::new([(post.clone(), passkeys::ask.boxed())])),
        ("/account/security/passkeys/remove", Methods::new([(post.clone(), passkeys::remove.boxed())])),
        ("/account/security/end-session", Methods::new([(post.clone(), security::end_session.boxed())])),
        (
            "/account/security/sign-out-everywhere",
            Methods::new([(post.clone(), security::sign_out_everywhere.boxed())]),
        ),
        ("/account/security/delete", Methods::new([(post.clone(), security::delete_account.boxed())])),
        ("/account/connections", Methods::new([(get.clone(), connections::show.boxed())])),
        ("/account/connections/revoke", Methods::new([(post.clone(), connections::revoke.boxed())])),
        ("/language", Methods::new([(post, language::choose.boxed())])),
        ("/privacy", Methods::new([(get, privacy::show.boxed())])),
    ];
    let add = |route: Route, (path, methods): (&str, Methods)| route.at(path, methods.data(Arc::clone(&services)));
    pages.into_iter().fold(assets::add_to(route), add)
}
