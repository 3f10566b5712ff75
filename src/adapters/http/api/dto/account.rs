//! The caller, and the capabilities of the service.

use poem_openapi::Object;
use serde::Serialize;

use crate::adapters::http::openapi::scalar::DateTime;
use crate::adapters::http::server::limits::MAX_BODY_BYTES;
use crate::domain::applications::RequestsPerMinute;
use crate::domain::memories::{Capabilities, Content, Limit};
use crate::domain::oauth::{Caller, Subject};

/// The caller that the access token identifies.
#[derive(Object, Serialize)]
pub(in super::super) struct MeAnswer {
    /// The ID of the application.
    application_id: String,
    /// Its OAuth client ID.
    client_id: String,
    /// Its name.
    name: String,
    /// The space that its memories live in.
    space: String,
    /// The subject of the token: a person's ID, or the `client_id` if the application acts for itself.
    subject: String,
    /// The permissions of the token.
    permissions: Vec<String>,
    /// When the token expires.
    token_expires_at: DateTime,
    /// Rate limit of the application, in requests per minute.
    rate_limit_per_minute: u32,
}

impl MeAnswer {
    pub(in super::super) fn new(caller: &Caller, limit: RequestsPerMinute) -> Self {
        let application = &caller.application;
        Self {
            application_id: application.id.to_string(),
            client_id: application.client_id.to_string(),
            name: application.name.to_string(),
            space: application.space.to_string(),
            subject: match &caller.subject {
                Subject::Application => application.client_id.to_string(),
                Subject::Person(user) => user.to_string(),
            },
            permissions: caller.permissions.iter().map(|permission| permission.to_string()).collect(),
            token_expires_at: caller.expires_at.into(),
            rate_limit_per_minute: limit.get(),
        }
    }
}

/// The capabilities of the memory bank behind this service. Operations that are not supported return 501.
#[derive(Object, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent yes-or-no facts")]
pub(in super::super) struct CapabilitiesAnswer {
    /// The kind of memory bank.
    memory_bank: String,
    /// Memories can be updated.
    update: bool,
    /// Memories can be listed. Without it they cannot be exported, counted or deleted by filters either.
    list: bool,
    /// Searches can be filtered by date.
    date_filter: bool,
    /// Searches can be filtered by metadata.
    metadata_filter: bool,
    /// Memories can expire.
    expiry: bool,
    /// What happened to a memory is kept.
    history: bool,
    /// A new memory can supersede an older one.
    supersede: bool,
    limits: LimitsAnswer,
}

/// Limits of requests.
#[derive(Object, Serialize)]
#[oai(rename = "Limits")]
struct LimitsAnswer {
    /// Maximum length of a memory's content, in characters.
    content_characters: usize,
    /// Maximum number of results of a search or a list.
    results: u32,
    /// Maximum number of results that the memory bank returns for one search.
    search_results: u32,
    /// Maximum number of memories that can be listed. If there are more, a list is refused, since it would have gaps; a search
    /// finds them. Left out if there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed_memories: Option<u32>,
    /// Maximum size of a request body, in bytes.
    body_bytes: usize,
}

impl From<Capabilities> for CapabilitiesAnswer {
    fn from(capabilities: Capabilities) -> Self {
        Self {
            memory_bank: capabilities.kind.to_owned(),
            update: capabilities.update,
            list: capabilities.list,
            date_filter: capabilities.date_filter,
            metadata_filter: capabilities.metadata_filter,
            expiry: capabilities.expiry,
            history: capabilities.history,
            supersede: capabilities.supersede,
            limits: LimitsAnswer {
                content_characters: Content::MAX,
                results: Limit::MAX,
                search_results: capabilities.max_searched.map_or(Limit::MAX, |most| most.min(Limit::MAX)),
                listed_memories: capabilities.max_listed,
                body_bytes: MAX_BODY_BYTES,
            },
        }
    }
}
