//! Displays applications and secrets.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::{CliError, output};
use crate::domain::applications::{
    Application, Category, CategoryAccess, GrantType, IssuedSecret, Permission, RedirectUri, Registration,
    RequestsPerMinute, SpaceName, StoredSecret, TokenLifetime,
};
use crate::domain::ids::ApplicationId;
use crate::domain::memories::{ApplicationExtent, ErasedApplication, MemoriesOfDeleted};
use crate::domain::system::Timestamp;

pub(super) fn application(application: &Application, json: bool) -> Result<(), CliError> {
    let value = application_json(application);
    if json {
        return output::json(&value);
    }
    let Value::Object(members) = value else { return Ok(()) };
    let rows: Vec<Vec<String>> = members
        .iter()
        .filter(|(name, _)| *name != "secrets")
        .map(|(name, value)| vec![name.clone(), plain(value)])
        .collect();
    output::table(&["member", "value"], &rows)?;
    output::line("")?;
    secrets(application, false)
}

/// A list of applications that is printed page by page.
pub(super) enum ApplicationList {
    Json(output::JsonArray),
    Table(output::Table),
}

impl ApplicationList {
    pub(super) fn new(json: bool) -> Self {
        if json {
            Self::Json(output::JsonArray::default())
        } else {
            Self::Table(output::Table::new(&["client_id", "name", "registered_by", "state", "permissions", "space"]))
        }
    }

    pub(super) fn add(&mut self, applications: &[Arc<Application>]) -> Result<(), CliError> {
        match self {
            Self::Json(array) => applications.iter().try_for_each(|one| array.add(&application_json(one))),
            Self::Table(table) => table.add(&applications.iter().map(|one| list_row(one)).collect::<Vec<_>>()),
        }
    }

    pub(super) fn end(self) -> Result<(), CliError> {
        match self {
            Self::Json(array) => array.end(),
            Self::Table(table) => table.end(),
        }
    }
}

fn list_row(application: &Application) -> Vec<String> {
    vec![
        application.id.to_string(),
        application.name.to_string(),
        application.document_host().unwrap_or_else(|| application.registered_by.as_str().to_owned()),
        if application.enabled { "enabled" } else { "disabled" }.to_owned(),
        application.permissions.to_string(),
        application.space.to_string(),
    ]
}

pub(super) fn registration(registration: &Registration, json: bool) -> Result<(), CliError> {
    let secret = registration.secret.as_ref();
    if json {
        let mut value = application_json(&registration.application);
        if let (Some(members), Some(secret)) = (value.as_object_mut(), secret) {
            members.insert("client_secret".to_owned(), secret.expose().into());
        }
        return output::json(&value);
    }
    output::line(format!("Registered {}.", registration.application.name))?;
    output::line(format!("client_id      {}", registration.application.client_id))?;
    if let Some(secret) = secret {
        output::line(format!("client_secret  {}", secret.expose()))?;
        output::line("Store the secret now: only its hash is kept, and it is not shown again.")?;
    }
    Ok(())
}

pub(super) fn issued_secret(id: ApplicationId, issued: &IssuedSecret, json: bool) -> Result<(), CliError> {
    if json {
        let mut value = secret_json(&issued.stored);
        if let Some(members) = value.as_object_mut() {
            members.insert("client_id".to_owned(), id.to_string().into());
            members.insert("client_secret".to_owned(), issued.secret.expose().into());
        }
        return output::json(&value);
    }
    output::line(format!("client_id      {id}"))?;
    output::line(format!("client_secret  {}", issued.secret.expose()))?;
    output::line(format!("secret_id      {}", issued.stored.id))?;
    output::line("Store the secret now: only its hash is kept, and it is not shown again.")
}

pub(super) fn secrets(application: &Application, json: bool) -> Result<(), CliError> {
    if json {
        return output::json(&application.secrets.iter().map(secret_json).collect::<Vec<_>>());
    }
    let rows: Vec<Vec<String>> = application
        .secrets
        .iter()
        .map(|secret| {
            let at = |moment: Option<Timestamp>| moment.map_or("never".to_owned(), |at| at.to_string());
            let (created, expires) = (secret.created_at.to_string(), at(secret.expires_at));
            vec![secret.id.to_string(), secret.hint.to_string(), created, expires, at(secret.last_used_at)]
        })
        .collect();
    output::table(&["secret_id", "secret", "created_at", "expires_at", "last_used_at"], &rows)
}

fn application_json(application: &Application) -> Value {
    let seconds = |ttl: Option<TokenLifetime>| ttl.map(TokenLifetime::as_seconds);
    json!({
        "id": application.id.to_string(),
        "client_id": application.client_id.to_string(),
        "registered_by": application.registered_by.as_str(),
        "name": application.name.as_str(),
        "kind": application.kind.as_str(),
        "enabled": application.enabled,
        "permissions": application.permissions.iter().map(Permission::as_str).collect::<Vec<_>>(),
        "grants": application.grants.iter().copied().map(GrantType::as_str).collect::<Vec<_>>(),
        "redirect_uris": application.redirect_uris.iter().map(RedirectUri::as_str).collect::<Vec<_>>(),
        "pkce": application.pkce.as_str(),
        "default_resource": application.default_resource.as_str(),
        "space": application.space.as_str(),
        "categories": match &application.categories {
            CategoryAccess::All => Value::Null,
            CategoryAccess::Only(allowed) => allowed.iter().map(Category::as_str).collect(),
        },
        "rate_limit": application.rate_limit.map(RequestsPerMinute::get),
        "access_token_ttl": seconds(application.access_token_ttl),
        "refresh_token_ttl": seconds(application.refresh_token_ttl),
        "created_at": application.created_at.to_string(),
        "updated_at": application.updated_at.to_string(),
        "secrets": application.secrets.iter().map(secret_json).collect::<Vec<_>>(),
    })
}

fn secret_json(secret: &StoredSecret) -> Value {
    json!({
        "secret_id": secret.id.to_string(),
        "hint": secret.hint.to_string(),
        "created_at": secret.created_at.to_string(),
        "expires_at": secret.expires_at.map(|at| at.to_string()),
        "last_used_at": secret.last_used_at.map(|at| at.to_string()),
    })
}

/// A JSON value in readable form.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "default".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The effects of deleting an application.
pub(super) fn loss(id: ApplicationId, extent: &ApplicationExtent, memories: MemoriesOfDeleted) -> String {
    let ApplicationExtent { application, space, tenants, .. } = extent;
    let mut lines = Vec::new();
    if let Some(application) = application {
        let (name, secrets) = (&application.name, application.secrets.len());
        lines.push(format!(
            "This deletes the application {id} ({name}) with its {secrets} secrets; its tokens become invalid at once."
        ));
    }
    let people = tenants.iter().filter(|tenant| tenant.person.is_some()).count();
    lines.push(match memories {
        MemoriesOfDeleted::Delete => {
            format!("This deletes every memory in the space {space}, its own and those of {people} people.")
        }
        MemoriesOfDeleted::Keep => format!("The memories in the space {space} are kept."),
    });
    lines.join("\n")
}

/// What a deleted application left behind, and how to delete that too.
pub(super) fn deleted(id: ApplicationId, erased: &ErasedApplication, json: bool) -> Result<(), CliError> {
    let people = erased.left.iter().filter(|tenant| tenant.person.is_some()).count();
    let memories_left = !erased.left.is_empty();
    if json {
        return output::json(&json!({
            "client_id": id.to_string(), "deleted": true, "memories_deleted": erased.memories,
            "space": erased.space.as_str(), "memories_left": memories_left, "people_left": people,
        }));
    }
    if !memories_left {
        return output::line(format!("Deleted {id}, and {} memories.", erased.memories));
    }
    let space = &erased.space;
    output::line(format!(
        "Deleted {id}. The memories in the space {space}, including those of {people} people, are kept."
    ))?;
    if erased.shared_with > 0 {
        return output::line(format!("{} other applications use that space.", erased.shared_with));
    }
    if *space == SpaceName::own(id) {
        return output::line(format!("`memgate app delete {id} --with-memories` deletes them too."));
    }
    output::line(format!(
        "To delete them too, register an application with --space {space}, and delete it --with-memories."
    ))
}
