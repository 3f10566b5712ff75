//! `/account/export`: everything about a person, to take away.

use askama::Template;
use poem::http::{StatusCode, header};
use poem::{IntoResponse as _, Response, handler};
use serde_json::{Value, json};

use super::account::signed_in;
use super::assets;
use super::browser::Browser;
use super::error::PageError;
use super::memory_error::page_error;
use super::return_to::ReturnTo;
use super::view::{self, PageContext};
use crate::adapters::http::server::json_lines::JsonLines;
use crate::domain::people::SignedInUser;

/// How many events the document about the account has at most.
const EVENTS: u32 = 10_000;

#[derive(Template)]
#[template(path = "export.html")]
struct ExportPage<'a> {
    account: &'a str,
    form_token: &'a str,
}

/// `GET /account/export`.
#[handler]
pub(crate) async fn show(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Export).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let form_token = user.token.form_token();
    let page = ExportPage { account: user.person.label(), form_token: form_token.as_str() };
    view::show(StatusCode::OK, PageContext::Standalone, &page)
}

/// `GET /account/export/memories.jsonl`.
#[handler]
pub(crate) async fn memories(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Export).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let export = browser.services.own_memories.export(user.person.id).await.map_err(page_error)?;
    Ok(JsonLines::of(export).await.map_err(|error| page_error(error.into()))?.into_response())
}

/// `GET /account/export/account.json`: the account, its connections and what happened.
#[handler]
pub(crate) async fn account(browser: Browser<'_>) -> Result<Response, PageError> {
    let user = match signed_in(&browser, ReturnTo::Export).await? {
        Ok(user) => user,
        Err(sign_in) => return Ok(sign_in),
    };
    let document = document(&browser, &user).await?;
    Ok(Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_DISPOSITION, "attachment; filename=\"account.json\"")
        .body(format!("{document:#}\n")))
}

async fn document(browser: &Browser<'_>, user: &SignedInUser) -> Result<Value, PageError> {
    let (services, id) = (&browser.services, user.person.id);
    let connections: Vec<Value> = services
        .authorizations
        .connections(id)
        .await?
        .into_iter()
        .map(|connection| {
            json!({
                "client_id": connection.application_id.to_string(),
                "name": connection.application.map(|application| application.name.to_string()),
                "scope": connection.scope.to_string(),
                "since": connection.since.to_string(),
                "until": connection.until.to_string(),
            })
        })
        .collect();
    let sessions: Vec<Value> = services
        .sign_in
        .sessions(id)
        .await?
        .iter()
        .map(|session| {
            json!({"signed_in_at": session.signed_in_at.to_string(), "expires_at": session.expires_at.to_string()})
        })
        .collect();
    let events: Vec<Value> = services
        .sign_in
        .history(id, EVENTS)
        .await?
        .iter()
        .map(|event| {
            json!({
                "event": event.kind.as_str(),
                "at": event.at.to_string(),
                "client_id": event.application_id.map(|id| id.to_string()),
            })
        })
        .collect();
    Ok(json!({
        "user_id": id.to_string(),
        "account": user.person.label(),
        "created_at": user.person.created_at.to_string(),
        "connections": connections,
        "sessions": sessions,
        "events": events,
    }))
}
