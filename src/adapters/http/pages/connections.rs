//! `/account/connections`: the connected applications, and disconnecting them.

use askama::Template;
use poem::http::StatusCode;
use poem::{Response, handler};

use super::account::{sender, signed_in};
use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::forms::Form;
use super::frame::Frame;
use super::return_to::ReturnTo;
use super::texts::{Day, Language};
use super::view::{self, PageContext};
use super::words::{self, PermissionInWords};
use crate::domain::ids::ApplicationId;
use crate::domain::oauth::Connection;

/// The query string after something was disconnected.
const DISCONNECTED: &str = "disconnected";

#[derive(Template)]
#[template(path = "connections.html")]
struct ConnectionsPage<'a> {
    t: &'a Frame,
    account: &'a str,
    connections: Vec<ConnectionInWords>,
    disconnected: bool,
    form_token: &'a str,
}

struct ConnectionInWords {
    id: ApplicationId,
    name: String,
    unverified: Option<words::Unverified>,
    initial: String,
    permissions: Vec<PermissionInWords>,
    since: Day,
    until: Day,
}

impl ConnectionInWords {
    fn of(connection: &Connection, t: &Frame) -> Self {
        let application = connection.application.as_deref();
        let name =
            application.map_or_else(|| t.application_gone.to_string(), |application| application.name.to_string());
        Self {
            id: connection.application_id,
            initial: words::initial(&name),
            name,
            unverified: application.and_then(|application| words::Unverified::of(application, t)),
            permissions: PermissionInWords::all(connection.scope, t),
            since: Day::of(connection.since, t.language),
            until: Day::of(connection.until, t.language),
        }
    }
}

#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Connections).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let connections = browser.services.authorizations.connections(user.person.id).await?;
    let form_token = user.token.form_token();
    let page = ConnectionsPage {
        t: &browser.t,
        account: user.person.label(),
        connections: connections.iter().map(|connection| ConnectionInWords::of(connection, &browser.t)).collect(),
        disconnected: browser.query() == DISCONNECTED,
        form_token: form_token.as_str(),
    };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
}

#[handler]
pub(crate) async fn revoke(browser: Browser<'_>, form: Form) -> Result<Response, PageError> {
    let user = sender(&browser, form.get("form_token"), ReturnTo::Connections).await?;
    let application = form.get("application").parse().map_err(|_| PageError::InvalidForm)?;
    browser.services.authorizations.disconnect(user.person.id, application).await?;
    view::see_other(&format!("{}?{DISCONNECTED}", ReturnTo::Connections))
}
