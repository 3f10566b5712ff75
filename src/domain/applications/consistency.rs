//! Which applications there may be.

use super::limits::{LONGEST_ACCESS_TOKEN_LIFETIME, LONGEST_REFRESH_TOKEN_LIFETIME};
use super::model::{Application, ClientKind, PkceRule};
use super::permissions::GrantType;
use super::redirect_uri::RedirectUri;
use crate::validation::InvalidValue;

impl Application {
    /// The rules that span several members.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    pub fn check_consistency(&self) -> Result<(), InvalidValue> {
        if self.permissions.is_empty() {
            return Err(InvalidValue::new("permissions", "must hold at least one permission"));
        }
        if self.grants.is_empty() {
            return Err(InvalidValue::new("grants", "must hold at least one grant type"));
        }
        if self.kind == ClientKind::Public && self.grants.contains(&GrantType::ClientCredentials) {
            return Err(InvalidValue::new(
                "grants",
                "must not hold client_credentials: a public application has no secret",
            ));
        }
        if self.access_token_ttl.is_some_and(|ttl| ttl.as_duration() > LONGEST_ACCESS_TOKEN_LIFETIME) {
            return Err(InvalidValue::new("access_token_ttl", "must be at most 24 hours"));
        }
        if self.refresh_token_ttl.is_some_and(|ttl| ttl.as_duration() > LONGEST_REFRESH_TOKEN_LIFETIME) {
            return Err(InvalidValue::new("refresh_token_ttl", "must be at most 366 days"));
        }
        self.check_authorization()
    }

    /// The rules of the authorization code grant.
    fn check_authorization(&self) -> Result<(), InvalidValue> {
        let uris = &self.redirect_uris;
        if uris.len() > Self::MAX_REDIRECT_URIS {
            return Err(InvalidValue::new("redirect_uris", format!("must be at most {}", Self::MAX_REDIRECT_URIS)));
        }
        if self.grants.contains(&GrantType::AuthorizationCode) && uris.is_empty() {
            return Err(InvalidValue::new("redirect_uris", "must hold at least one for the grant authorization_code"));
        }
        // Without a secret, only PKCE binds a code to its requester; and any GPT can receive a GPT's callback.
        if self.kind == ClientKind::Public && self.pkce == PkceRule::Optional {
            return Err(InvalidValue::new("pkce", "must be required: a public application has no secret"));
        }
        if self.kind == ClientKind::Public && uris.iter().any(RedirectUri::is_gpt_callback) {
            return Err(InvalidValue::new(
                "redirect_uris",
                "must not hold gpt-callback: a public application has no secret",
            ));
        }
        Ok(())
    }
}
