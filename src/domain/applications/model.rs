//! An application: a Custom GPT, a plugin, an MCP client or an integrator's program with credentials.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::category::CategoryAccess;
use super::limits::{RequestsPerMinute, TokenLifetime};
use super::permissions::{GrantType, GrantTypes, Permission, Permissions};
use super::redirect_uri::RedirectUri;
use super::resource::Resource;
use super::secret::StoredSecret;
use crate::ids::{ApplicationId, ClientId};
use crate::system::Timestamp;
use crate::validation::{self, InvalidValue};

/// A registered application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its ID inside memgate; never changes.
    pub id: ApplicationId,
    /// Its OAuth client ID; never changes.
    pub client_id: ClientId,
    /// Its name, for operators and people.
    pub name: ApplicationName,
    /// Who registered it.
    pub registered_by: RegisteredBy,
    /// Whether it can keep a secret.
    pub kind: ClientKind,
    /// The maximum permissions of its tokens.
    pub permissions: Permissions,
    /// The grant types that it may use.
    pub grants: GrantTypes,
    /// Where authorization responses may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// Whether its authorization requests must use PKCE.
    pub pkce: PkceRule,
    /// What its tokens are for if it does not say (RFC 8707).
    pub default_resource: Resource,
    /// The space that its memories live in.
    pub space: SpaceName,
    /// The categories that it may see and write.
    pub categories: CategoryAccess,
    /// Its rate limit; `None` for the configured default.
    pub rate_limit: Option<RequestsPerMinute>,
    /// Lifetime of its access tokens; `None` for the configured default.
    pub access_token_ttl: Option<TokenLifetime>,
    /// Idle lifetime of its refresh tokens; `None` for the configured default.
    pub refresh_token_ttl: Option<TokenLifetime>,
    /// A disabled application gets no token, and its existing ones become invalid at once.
    pub enabled: bool,
    /// Tokens issued up to this time are not accepted; `None` if all are.
    pub tokens_ended_at: Option<Timestamp>,
    /// Its secrets, oldest first; more than one may be valid.
    pub secrets: Vec<StoredSecret>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed, including its secrets.
    pub updated_at: Timestamp,
}

impl Application {
    /// Maximum number of secrets, including expired ones.
    pub const MAX_SECRETS: usize = 5;
    /// Maximum number of revocations of its own tokens that are stored individually; one more revokes all of its tokens.
    pub const MAX_REVOCATIONS: u32 = 1_000;
    /// Maximum number of redirect URIs.
    pub const MAX_REDIRECT_URIS: usize = 20;

    /// A new application without secrets.
    #[must_use]
    pub fn new(new: NewApplication, id: ApplicationId, now: Timestamp) -> Self {
        // A client ID that was chosen may have belonged to an application that was deleted, whose tokens stay invalid. The
        // clock of another instance, which issues the first tokens, may be slow.
        let tokens_ended_at = new.client_id.as_ref().map(|_| now.minus(Duration::from_mins(1)));
        Self {
            id,
            client_id: new.client_id.unwrap_or_else(|| ClientId::from(id)),
            name: new.name,
            registered_by: new.registered_by,
            kind: new.kind,
            permissions: new.permissions,
            grants: new.grants,
            redirect_uris: new.redirect_uris,
            pkce: new.pkce,
            default_resource: new.default_resource,
            space: new.space.unwrap_or_else(|| SpaceName::own(id)),
            categories: new.categories,
            rate_limit: new.rate_limit,
            access_token_ttl: new.access_token_ttl,
            refresh_token_ttl: new.refresh_token_ttl,
            enabled: true,
            tokens_ended_at,
            secrets: Vec::new(),
            created_at: now,
            updated_at: now,
        }
    }

    /// The host that publishes its document, if one describes it.
    #[must_use]
    pub fn document_host(&self) -> Option<String> {
        let described = matches!(self.registered_by, RegisteredBy::Document { .. });
        let url = Url::parse(self.client_id.as_str()).ok().filter(|_| described)?;
        url.host_str().map(str::to_owned)
    }

    /// Whether tokens issued at `issued_at` are still accepted.
    #[must_use]
    pub fn accepts_tokens_of(&self, issued_at: Timestamp) -> bool {
        self.tokens_ended_at.is_none_or(|ended| ended < issued_at)
    }
}

/// Who registered an application. What anybody but the operator says of itself is not verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegisteredBy {
    /// The operator.
    #[default]
    Operator,
    /// Nobody: its client ID is the URL of a document that describes it, which its publisher may change.
    Document {
        /// When the document was last fetched and said this.
        confirmed_at: Timestamp,
    },
    /// The application itself, by dynamic registration (RFC 7591).
    Itself,
}

impl RegisteredBy {
    /// The name in storage.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Document { .. } => "document",
            Self::Itself => "itself",
        }
    }

    /// The origin of that name; a document's needs the time of its confirmation. `None` for anything else.
    #[must_use]
    pub fn from_stored(name: &str, confirmed_at: Option<Timestamp>) -> Option<Self> {
        match (name, confirmed_at) {
            ("operator", _) => Some(Self::Operator),
            ("document", Some(confirmed_at)) => Some(Self::Document { confirmed_at }),
            ("itself", _) => Some(Self::Itself),
            _ => None,
        }
    }

    /// Whether it came by itself, so that nobody has verified what it says.
    #[must_use]
    pub fn is_unverified(self) -> bool {
        self != Self::Operator
    }
}

/// Whether an application can keep a secret (RFC 6749 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// It authenticates with a secret.
    Confidential,
    /// It cannot keep a secret, such as a native program.
    Public,
}

impl ClientKind {
    /// The name in RFC 6749.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confidential => "confidential",
            Self::Public => "public",
        }
    }
}

impl FromStr for ClientKind {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "confidential" => Ok(Self::Confidential),
            "public" => Ok(Self::Public),
            _ => Err(InvalidValue::new("kind", "must be confidential or public")),
        }
    }
}

/// Whether the authorization requests of an application must use PKCE (RFC 7636).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PkceRule {
    /// A request without a code challenge is rejected.
    #[default]
    Required,
    /// A code challenge is not required: for a confidential client that does not support PKCE, such as ChatGPT's actions. Its
    /// secret is then all that protects a stolen code.
    Optional,
}

impl PkceRule {
    /// The name in storage and configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
        }
    }
}

impl FromStr for PkceRule {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            _ => Err(InvalidValue::new("pkce", "must be required or optional")),
        }
    }
}

/// The name of an application: 1 to 100 characters on one line, at least one of them visible, and none that changes the text
/// direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationName(String);

impl ApplicationName {
    const MAX: usize = 100;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Accepts a stored name, which may predate a rule that it violates.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is empty, too long, or not on one line.
    pub fn from_stored(text: &str) -> Result<Self, InvalidValue> {
        validation::line("name", text.to_owned(), Self::MAX).map(Self)
    }
}

impl FromStr for ApplicationName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        validation::name("name", text.trim().to_owned(), Self::MAX).map(Self)
    }
}

impl fmt::Display for ApplicationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a memory space: 1 to 100 of `a-z A-Z 0-9 - _ .`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceName(String);

impl SpaceName {
    const MAX: usize = 100;

    /// The private space of one application.
    #[must_use]
    pub fn own(application: ApplicationId) -> Self {
        Self(format!("app-{application}"))
    }

    /// The application whose own space this is; `None` if the space has a name that somebody gave it.
    #[must_use]
    pub fn owner(&self) -> Option<ApplicationId> {
        self.0.strip_prefix("app-")?.parse().ok().filter(|owner| Self::own(*owner) == *self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SpaceName {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !starts_well || text.len() > Self::MAX || !text.bytes().all(allowed) {
            return Err(InvalidValue::new(
                "space",
                "must be 1 to 100 of a-z A-Z 0-9 - _ . and begin with a letter or digit",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SpaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The data to register an application.
#[derive(Clone, Debug)]
pub struct NewApplication {
    /// See [`Application::client_id`]; `None` for its [`ApplicationId`].
    pub client_id: Option<ClientId>,
    /// See [`Application::registered_by`].
    pub registered_by: RegisteredBy,
    /// See [`Application::name`].
    pub name: ApplicationName,
    /// See [`Application::kind`].
    pub kind: ClientKind,
    /// See [`Application::permissions`].
    pub permissions: Permissions,
    /// See [`Application::grants`].
    pub grants: GrantTypes,
    /// See [`Application::redirect_uris`].
    pub redirect_uris: Vec<RedirectUri>,
    /// See [`Application::pkce`].
    pub pkce: PkceRule,
    /// See [`Application::default_resource`].
    pub default_resource: Resource,
    /// A shared space; `None` for one of its own.
    pub space: Option<SpaceName>,
    /// See [`Application::categories`].
    pub categories: CategoryAccess,
    /// See [`Application::rate_limit`].
    pub rate_limit: Option<RequestsPerMinute>,
    /// See [`Application::access_token_ttl`].
    pub access_token_ttl: Option<TokenLifetime>,
    /// See [`Application::refresh_token_ttl`].
    pub refresh_token_ttl: Option<TokenLifetime>,
}

impl NewApplication {
    /// An application with these grants and with what is usual for the rest: all permissions in a space of its own, PKCE,
    /// and the configured limits.
    #[must_use]
    pub fn new(name: ApplicationName, kind: ClientKind, grants: GrantTypes) -> Self {
        Self {
            client_id: None,
            registered_by: RegisteredBy::Operator,
            name,
            kind,
            permissions: Permissions::all(),
            grants,
            redirect_uris: Vec::new(),
            pkce: PkceRule::Required,
            default_resource: Resource::Api,
            space: None,
            categories: CategoryAccess::All,
            rate_limit: None,
            access_token_ttl: None,
            refresh_token_ttl: None,
        }
    }

    /// An application for people who authorize it, and keep it authorized.
    fn for_people(name: ApplicationName, kind: ClientKind) -> Self {
        Self::new(name, kind, [GrantType::AuthorizationCode, GrantType::RefreshToken].into())
    }

    /// A Custom GPT, with the callback of any GPT. ChatGPT's actions send no code challenge.
    #[must_use]
    pub fn for_gpt(name: ApplicationName) -> Self {
        Self {
            redirect_uris: vec![RedirectUri::gpt_callback()],
            pkce: PkceRule::Optional,
            ..Self::for_people(name, ClientKind::Confidential)
        }
    }

    /// A client of MCP that people install. Whoever has the program has what is in it, so there is no secret.
    #[must_use]
    pub fn for_mcp_client(name: ApplicationName, redirect_uris: Vec<RedirectUri>) -> Self {
        Self { redirect_uris, default_resource: Resource::Mcp, ..Self::for_people(name, ClientKind::Public) }
    }

    /// With these permissions; as before if none is named.
    #[must_use]
    pub fn permitting(self, named: &[Permission]) -> Self {
        let permissions = if named.is_empty() { self.permissions } else { named.iter().copied().collect() };
        Self { permissions, ..self }
    }
}

/// Changes to an application. `None` leaves a member unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplicationChanges {
    /// See [`Application::registered_by`].
    pub registered_by: Option<RegisteredBy>,
    /// See [`Application::name`].
    pub name: Option<ApplicationName>,
    /// See [`Application::permissions`].
    pub permissions: Option<Permissions>,
    /// See [`Application::grants`].
    pub grants: Option<GrantTypes>,
    /// See [`Application::redirect_uris`].
    pub redirect_uris: Option<Vec<RedirectUri>>,
    /// See [`Application::pkce`].
    pub pkce: Option<PkceRule>,
    /// See [`Application::default_resource`].
    pub default_resource: Option<Resource>,
    /// See [`Application::space`]. Memories are not moved.
    pub space: Option<SpaceName>,
    /// See [`Application::categories`].
    pub categories: Option<CategoryAccess>,
    /// See [`Application::rate_limit`].
    pub rate_limit: Option<Option<RequestsPerMinute>>,
    /// See [`Application::access_token_ttl`].
    pub access_token_ttl: Option<Option<TokenLifetime>>,
    /// See [`Application::refresh_token_ttl`].
    pub refresh_token_ttl: Option<Option<TokenLifetime>>,
    /// See [`Application::enabled`].
    pub enabled: Option<bool>,
}

impl ApplicationChanges {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Applies the changes to `application`.
    pub fn apply_to(&self, application: &mut Application, now: Timestamp) {
        fn set<T: Clone>(target: &mut T, change: Option<&T>) {
            if let Some(value) = change {
                *target = value.clone();
            }
        }
        set(&mut application.registered_by, self.registered_by.as_ref());
        set(&mut application.name, self.name.as_ref());
        set(&mut application.permissions, self.permissions.as_ref());
        set(&mut application.grants, self.grants.as_ref());
        set(&mut application.redirect_uris, self.redirect_uris.as_ref());
        set(&mut application.pkce, self.pkce.as_ref());
        set(&mut application.default_resource, self.default_resource.as_ref());
        set(&mut application.space, self.space.as_ref());
        set(&mut application.categories, self.categories.as_ref());
        set(&mut application.rate_limit, self.rate_limit.as_ref());
        set(&mut application.access_token_ttl, self.access_token_ttl.as_ref());
        set(&mut application.refresh_token_ttl, self.refresh_token_ttl.as_ref());
        set(&mut application.enabled, self.enabled.as_ref());
        application.updated_at = now;
    }
}

#[cfg(test)]
mod tests;
