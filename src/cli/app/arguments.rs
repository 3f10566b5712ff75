//! The arguments of `app create` and `app update`.

use std::time::Duration;

use clap::Args;

use crate::cli::CliError;
use crate::config::parse_duration;
use crate::domain::applications::{
    ApplicationChanges, ApplicationName, Category, CategoryAccess, ClientKind, GrantType, NewApplication, Permission,
    PkceRule, RedirectUri, RequestsPerMinute, Resource, SpaceName, TokenLifetime,
};
use crate::domain::ids::ApplicationId;

/// The word for the configured default.
const DEFAULT: &str = "default";

#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArguments {
    /// Name shown to people, 1 to 100 characters
    #[arg(long)]
    name: ApplicationName,
    /// Permission, repeatable: memory:read, memory:write, memory:delete [default: read and write]
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<Permission>,
    /// Grant type, repeatable: client_credentials, authorization_code, refresh_token [default: all that apply:
    /// client_credentials unless it is public, authorization_code if it has a redirect URI, and refresh_token]
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<GrantType>,
    /// Redirect URI, repeatable: an exact URI, or gpt-callback, chatgpt-connector or claude for the callbacks of these
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<RedirectUri>,
    /// Whether authorization requests must use PKCE: required, or optional for a client that does not support it
    #[arg(long, value_name = "RULE", default_value = "required")]
    pkce: PkceRule,
    /// What its tokens are for if it does not send the parameter `resource`: api, or mcp for a client of MCP that does not
    #[arg(long, value_name = "RESOURCE", default_value = "api")]
    default_resource: Resource,
    /// Memory space to share with other applications [default: one of its own]
    #[arg(long, value_name = "NAME")]
    space: Option<SpaceName>,
    /// Category that it may see and write, repeatable [default: all]
    #[arg(long = "category", value_name = "CATEGORY")]
    categories: Vec<Category>,
    /// Rate limit in requests per minute [default: as configured]
    #[arg(long, value_name = "NUMBER", value_parser = parse_rate_limit)]
    rate_limit: Option<RequestsPerMinute>,
    /// Lifetime of its access tokens, such as 10m; at most 24h [default: as configured]
    #[arg(long, value_name = "DURATION", value_parser = parse_lifetime)]
    access_token_ttl: Option<TokenLifetime>,
    /// Idle lifetime of its refresh tokens, such as 30d; at most 366d [default: as configured]
    #[arg(long, value_name = "DURATION", value_parser = parse_lifetime)]
    refresh_token_ttl: Option<TokenLifetime>,
    /// Public client without a secret, such as a native program
    #[arg(long)]
    public: bool,
    /// Print one JSON object with client_id and client_secret
    #[arg(long)]
    pub(super) json: bool,
}

impl CreateArguments {
    pub(super) fn into_new(self) -> NewApplication {
        let or = |given: Vec<Permission>| match given.as_slice() {
            [] => [Permission::MemoryRead, Permission::MemoryWrite].into_iter().collect(),
            _ => given.into_iter().collect(),
        };
        let kind = if self.public { ClientKind::Public } else { ClientKind::Confidential };
        let fits = |grant: &GrantType| match grant {
            GrantType::ClientCredentials => !self.public,
            GrantType::AuthorizationCode => self.public || !self.redirect_uris.is_empty(),
            GrantType::RefreshToken => true,
        };
        let grants = match self.grants.as_slice() {
            [] => GrantType::ALL.into_iter().filter(fits).collect(),
            given => given.iter().copied().collect(),
        };
        NewApplication {
            permissions: or(self.permissions),
            redirect_uris: self.redirect_uris,
            pkce: self.pkce,
            default_resource: self.default_resource,
            space: self.space,
            categories: access_to(self.categories),
            rate_limit: self.rate_limit,
            access_token_ttl: self.access_token_ttl,
            refresh_token_ttl: self.refresh_token_ttl,
            ..NewApplication::new(self.name, kind, grants)
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UpdateArguments {
    /// Application ID (its client_id)
    #[arg(value_name = "CLIENT_ID")]
    id: ApplicationId,
    /// Name shown to people, 1 to 100 characters
    #[arg(long)]
    name: Option<ApplicationName>,
    /// Permission, repeatable; replaces all existing ones. Applies at once to tokens already issued
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<Permission>,
    /// Grant type, repeatable; replaces all existing ones
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<GrantType>,
    /// Redirect URI, repeatable (an exact URI, gpt-callback, chatgpt-connector or claude); replaces all existing ones
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<RedirectUri>,
    /// Remove all redirect URIs
    #[arg(long, conflicts_with = "redirect_uris")]
    no_redirect_uris: bool,
    /// Whether authorization requests must use PKCE: required or optional
    #[arg(long, value_name = "RULE")]
    pkce: Option<PkceRule>,
    /// What its tokens are for if it does not send the parameter `resource`: api or mcp
    #[arg(long, value_name = "RESOURCE")]
    default_resource: Option<Resource>,
    /// Another memory space; existing memories are not moved
    #[arg(long, value_name = "NAME")]
    space: Option<SpaceName>,
    /// Category that it may see and write, repeatable; replaces all existing ones
    #[arg(long = "category", value_name = "CATEGORY")]
    categories: Vec<Category>,
    /// Allow every category
    #[arg(long, conflicts_with = "categories")]
    all_categories: bool,
    /// Rate limit in requests per minute, or `default` for the configured one
    #[arg(long, value_name = "NUMBER", value_parser = or_default(parse_rate_limit))]
    rate_limit: Option<OrDefault<RequestsPerMinute>>,
    /// Lifetime of its access tokens, such as 10m, or `default`
    #[arg(long, value_name = "DURATION", value_parser = or_default(parse_lifetime))]
    access_token_ttl: Option<OrDefault<TokenLifetime>>,
    /// Idle lifetime of its refresh tokens, such as 30d, or `default`
    #[arg(long, value_name = "DURATION", value_parser = or_default(parse_lifetime))]
    refresh_token_ttl: Option<OrDefault<TokenLifetime>>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

impl UpdateArguments {
    pub(super) fn into_changes(self) -> Result<(ApplicationId, ApplicationChanges), CliError> {
        fn given<T, C: FromIterator<T>>(values: Vec<T>) -> Option<C> {
            (!values.is_empty()).then(|| values.into_iter().collect())
        }
        let changes = ApplicationChanges {
            registered_by: None,
            name: self.name,
            permissions: given(self.permissions),
            grants: given(self.grants),
            redirect_uris: if self.no_redirect_uris { Some(Vec::new()) } else { given(self.redirect_uris) },
            pkce: self.pkce,
            default_resource: self.default_resource,
            space: self.space,
            categories: match (self.all_categories, self.categories.is_empty()) {
                (false, true) => None,
                _ => Some(access_to(self.categories)),
            },
            rate_limit: self.rate_limit.map(|value| value.0),
            access_token_ttl: self.access_token_ttl.map(|value| value.0),
            refresh_token_ttl: self.refresh_token_ttl.map(|value| value.0),
            enabled: None,
        };
        if changes.is_empty() {
            return Err(CliError::Usage("nothing to change; `memgate app update --help` lists the options".into()));
        }
        Ok((self.id, changes))
    }
}

/// A value, or `default`.
#[derive(Clone, Copy, Debug)]
struct OrDefault<T>(Option<T>);

fn or_default<T: Clone + Send + Sync + 'static>(
    parse: fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<OrDefault<T>, String> + Clone + Send + Sync + 'static {
    move |text| if text == DEFAULT { Ok(OrDefault(None)) } else { parse(text).map(|value| OrDefault(Some(value))) }
}

fn parse_rate_limit(text: &str) -> Result<RequestsPerMinute, String> {
    let number: u32 = text.parse().map_err(|_| "must be a whole number, such as 600".to_owned())?;
    RequestsPerMinute::try_from(number).map_err(|error| error.problem().to_string())
}

fn parse_lifetime(text: &str) -> Result<TokenLifetime, String> {
    TokenLifetime::try_from(lifetime(text)?).map_err(|error| error.problem().to_string())
}

/// Parses a duration of at least a second.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "must be a duration in whole seconds, such as 90s, 10m, 1h or 30d".to_owned())
}

fn access_to(categories: Vec<Category>) -> CategoryAccess {
    if categories.is_empty() { CategoryAccess::All } else { CategoryAccess::Only(categories.into_iter().collect()) }
}
