//! The authorization request, parsed once (RFC 6749 §4.1.1). Until the client and its redirect URI are verified, nothing is
//! redirected; after that every error is reported to the client.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::pkce::CodeChallenge;
use crate::applications::{Application, GrantType, Permission, Permissions, PkceRule, RedirectUri};
use crate::oauth::audience::{Audience, InvalidTarget};
use crate::oauth::parameters::{Parameters, SIGNED_IN_AFTER};
use crate::oauth::registration::DocumentProblem;
use crate::oauth::scope::RequestedScope;
use crate::system::Timestamp;

/// A valid authorization request, which only needs a person's decision.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// The application.
    pub application: Arc<Application>,
    /// The requested permissions.
    pub scope: Permissions,
    /// The resources that the tokens are for (RFC 8707).
    pub audience: Audience,
    pub(super) recency: Recency,
    pub(super) challenge: Option<CodeChallenge>,
    pub(super) destination: Destination,
}

impl AuthorizationRequest {
    /// Where the response goes.
    #[must_use]
    pub fn redirect_uri(&self) -> &Url {
        &self.destination.url
    }

    /// Those of the requested permissions that a person may leave out: all but reading, without which the others are of no use.
    #[must_use]
    pub fn optional(&self) -> Permissions {
        let reading = self.scope.contains(Permission::MemoryRead);
        self.scope.iter().filter(|permission| reading && *permission != Permission::MemoryRead).collect()
    }

    /// The same request for what the person chose of it: nothing that was not requested, and no less than what is not
    /// [`optional`](Self::optional).
    #[must_use]
    pub fn choosing(self, chosen: Permissions) -> Self {
        let optional = self.optional();
        let left_out = |permission| optional.contains(permission) && !chosen.contains(permission);
        Self { scope: self.scope.iter().filter(|permission| !left_out(*permission)).collect(), ..self }
    }

    /// The parameters about how recently the person must have signed in. In the request that continues after a sign-in
    /// they are replaced by [`SIGNED_IN_AFTER`](Self::SIGNED_IN_AFTER), or the person would have to sign in forever.
    pub const RECENCY: [&str; 3] = ["prompt", "max_age", SIGNED_IN_AFTER];
    /// See [`RECENCY`](Self::RECENCY); in seconds since the epoch.
    pub const SIGNED_IN_AFTER: &str = SIGNED_IN_AFTER;

    /// Whether the application requires a recent sign-in.
    #[must_use]
    pub fn asks_for_recent_sign_in(&self) -> bool {
        self.recency != Recency::default()
    }

    /// Whether a sign-in at `signed_in_at` is recent enough for the request at `now`.
    #[must_use]
    pub fn accepts_sign_in_at(&self, signed_in_at: Timestamp, now: Timestamp) -> bool {
        let Recency { anew, max_age, after } = self.recency;
        match after.filter(|after| *after <= now) {
            Some(after) => signed_in_at >= after,
            None => !anew && max_age.is_none_or(|max_age| !max_age.is_zero() && now.since(signed_in_at) <= max_age),
        }
    }
}

/// How recently the person must have signed in (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recency {
    /// `prompt=login` or `prompt=select_account`: after the request was made.
    anew: bool,
    /// `max_age`: at most this long ago.
    max_age: Option<Duration>,
    /// Our own parameter: not before this time.
    after: Option<Timestamp>,
}

impl Recency {
    fn parse(parameters: &Parameters) -> Result<Self, Refusal> {
        let mut prompts = parameters.get("prompt").unwrap_or_default().split(' ');
        if prompts.clone().any(|prompt| prompt == "none") {
            return Err(Refusal::InteractionRequired);
        }
        let anew = prompts.any(|prompt| matches!(prompt, "login" | "select_account"));
        let max_age = match parameters.get("max_age").map(str::parse) {
            None => None,
            Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
            Some(Err(_)) => return Err(Refusal::invalid("the parameter `max_age` must be a whole number of seconds")),
        };
        let after =
            parameters.get(SIGNED_IN_AFTER).and_then(|text| text.parse().ok()).map(Timestamp::from_unix_seconds);
        Ok(Self { anew, max_age, after })
    }
}

/// Why a request results in an error page, and never in a redirect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UntrustedRequest {
    /// The parameter `client_id` or `redirect_uri` is given twice or unreadable, so the client is unclear.
    #[error("the request is not well-formed")]
    Malformed,
    /// There is no `client_id`.
    #[error("the request does not say which application it comes from (the parameter client_id is missing)")]
    NoClient,
    /// No enabled application has this client id.
    #[error("no application with this client_id is registered here, or it was disabled")]
    UnknownClient,
    /// The client ID is the URL of a document that cannot be used.
    #[error("the document that describes this application, at {host}, {problem}")]
    UnusableDocument {
        /// The host that publishes it.
        host: String,
        /// Why it cannot be used.
        problem: DocumentProblem,
    },
    /// There is no room for another application that a document describes.
    #[error("too many applications are connected here; an operator can remove some of them")]
    TooManyApplications,
    /// There is no `redirect_uri`.
    #[error("the request does not say where to go afterwards (the parameter redirect_uri is missing)")]
    NoRedirectUri,
    /// The application has not registered this `redirect_uri`.
    #[error("the address to go to afterwards (redirect_uri) is not registered for this application")]
    UnregisteredRedirectUri,
    /// No application can have this `redirect_uri`, so one that lists it was registered without it.
    #[error("the address to go to afterwards (redirect_uri) cannot be used: it {problem}")]
    UnusableRedirectUri {
        /// Why, without anything of the URI.
        problem: String,
    },
}

/// Where a response goes, and what every response includes.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    /// The redirect URI as the client wrote it, which the token request must repeat exactly.
    pub(super) redirect_uri: String,
    url: Url,
    state: Option<String>,
    issuer: String,
}

impl Destination {
    pub(super) fn of(
        application: &Application,
        parameters: &Parameters,
        issuer: &str,
    ) -> Result<Self, UntrustedRequest> {
        let redirect_uri = parameters.get("redirect_uri").ok_or(UntrustedRequest::NoRedirectUri)?;
        if !application.redirect_uris.iter().any(|registered| registered.accepts(redirect_uri)) {
            return Err(match RedirectUri::exact(redirect_uri) {
                Ok(_) => UntrustedRequest::UnregisteredRedirectUri,
                Err(error) => UntrustedRequest::UnusableRedirectUri { problem: error.problem().to_string() },
            });
        }
        let url = Url::parse(redirect_uri).map_err(|_| UntrustedRequest::UnregisteredRedirectUri)?;
        Ok(Self {
            redirect_uri: redirect_uri.to_owned(),
            url,
            state: parameters.get("state").map(str::to_owned),
            issuer: issuer.to_owned(),
        })
    }

    /// The redirect with `answer`, the state, and the issuer (RFC 9207).
    pub(super) fn with(&self, answer: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        let mut query = url.query_pairs_mut();
        query.extend_pairs(answer);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", &self.issuer);
        drop(query);
        url
    }

    /// The redirect with an error (RFC 6749 §4.1.2.1).
    pub(super) fn refusing(&self, refusal: &Refusal) -> Url {
        self.with(&[("error", refusal.code()), ("error_description", &refusal.to_string())])
    }
}

/// Why a request is rejected, by the codes of RFC 6749 §4.1.2.1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    InvalidRequest(String),
    #[error("this application may not use the grant type authorization_code")]
    UnauthorizedClient,
    #[error("only the response type code is supported")]
    UnsupportedResponseType,
    #[error("the scope is unknown, or nothing of it was granted to this application")]
    InvalidScope,
    #[error(transparent)]
    InvalidTarget(InvalidTarget),
    #[error("the person did not allow it")]
    AccessDenied,
    #[error("this person connected applications too often; try again later")]
    ConnectedTooOften,
    /// Of OpenID Connect Core §3.1.2.6.
    #[error("a person has to agree on a page, so the prompt none cannot succeed")]
    InteractionRequired,
}

impl Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget(_) => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::ConnectedTooOften => "temporarily_unavailable",
            Self::InteractionRequired => "interaction_required",
        }
    }

    fn invalid(text: &str) -> Self {
        Self::InvalidRequest(text.to_owned())
    }
}

/// The requested permissions and the challenge, once validated.
pub(super) struct ValidRequest {
    pub(super) scope: Permissions,
    pub(super) challenge: Option<CodeChallenge>,
    pub(super) recency: Recency,
}

/// Validates the rest of the request.
pub(super) fn validate(application: &Application, parameters: &Parameters) -> Result<ValidRequest, Refusal> {
    match parameters.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(Refusal::UnsupportedResponseType),
        None => return Err(Refusal::invalid("the parameter `response_type` is missing; it must be code")),
    }
    if parameters.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(Refusal::invalid("only the response mode query is supported"));
    }
    if !application.grants.contains(&GrantType::AuthorizationCode) {
        return Err(Refusal::UnauthorizedClient);
    }
    let challenge = challenge(application, parameters)?;
    let scope = RequestedScope::parse(parameters.get("scope"));
    let scope = scope.offered_out_of(application.permissions).ok_or(Refusal::InvalidScope)?;
    Ok(ValidRequest { scope, challenge, recency: Recency::parse(parameters)? })
}

fn challenge(application: &Application, parameters: &Parameters) -> Result<Option<CodeChallenge>, Refusal> {
    match (parameters.get("code_challenge"), parameters.get("code_challenge_method")) {
        (Some(challenge), Some(CodeChallenge::METHOD)) => challenge
            .parse()
            .map(Some)
            .map_err(|error: crate::validation::InvalidValue| Refusal::InvalidRequest(error.to_string())),
        // A challenge without a method means `plain` (RFC 7636 §4.3), which reveals the verifier to whoever sees the request.
        (Some(_), _) => Err(Refusal::invalid("the parameter `code_challenge_method` must be S256")),
        (None, Some(_)) => Err(Refusal::invalid("there is a `code_challenge_method` and no `code_challenge`")),
        (None, None) if application.pkce == PkceRule::Optional => Ok(None),
        (None, None) => {
            Err(Refusal::invalid("PKCE is required: send `code_challenge` and `code_challenge_method=S256`"))
        }
    }
}
