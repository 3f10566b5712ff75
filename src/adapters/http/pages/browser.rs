//! The browser that sent a request, and its cookies.

use std::net::IpAddr;
use std::sync::Arc;

use poem::{FromRequest, Request, RequestBody, Response, Result};
use url::form_urlencoded;

use super::cookies::{CookieKind, Cookies};
use super::error::PageError;
use super::frame::Frame;
use super::return_to::ReturnTo;
use super::services::PageServices;
use super::view;
use crate::adapters::http::server::error::ApiError;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::services::Services;
use crate::domain::ids::MemoryId;
use crate::domain::memories::OwnMemoryId;
use crate::domain::oauth::AuthorizationError;
use crate::domain::people::{SessionToken, SignInAttempt, SignedInUser};

pub(crate) struct Browser<'a> {
    pub(crate) request: &'a Request,
    pub(crate) services: Arc<Services>,
    pub(crate) pages: Arc<PageServices>,
    pub(crate) cookies: Cookies,
    /// The language, and where the page is.
    pub(crate) t: Frame,
}

impl<'a> FromRequest<'a> for Browser<'a> {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> Result<Self> {
        let services = Arc::clone(&Exchange::of(request)?.services);
        let pages = Arc::clone(request.data().ok_or(ApiError::OutsideEnvelope)?);
        let cookies = Cookies::at(&services.policy.resources.issuer);
        Ok(Self { request, services, pages, cookies, t: Frame::of(request, cookies) })
    }
}

impl Browser<'_> {
    /// The query string of the request.
    pub(crate) fn query(&self) -> &str {
        self.request.uri().query().unwrap_or_default()
    }

    /// The address of the client.
    pub(crate) fn address(&self) -> IpAddr {
        self.services.trusted_proxies.address_of(self.request)
    }

    /// The session token from the browser's cookie.
    pub(crate) fn session(&self) -> Option<SessionToken> {
        SessionToken::parse(&self.cookies.read(self.request, CookieKind::Session)?)
    }

    /// The person signed in with this browser.
    ///
    /// # Errors
    /// [`PageError::Unavailable`], [`PageError::Internal`].
    pub(crate) async fn signed_in_user(&self) -> Result<Option<SignedInUser>, PageError> {
        match self.cookies.read(self.request, CookieKind::Session) {
            Some(cookie) => Ok(self.services.sign_in.recognize(&cookie).await?),
            None => Ok(None),
        }
    }

    /// The sign-in attempt from the browser's cookie.
    pub(crate) fn attempt(&self, kind: CookieKind) -> Option<SignInAttempt> {
        SignInAttempt::parse(&self.cookies.read(self.request, kind)?)
    }

    /// Starts the session of a person who has just signed in, and redirects. An earlier session ends.
    ///
    /// # Errors
    /// [`PageError::Unavailable`], [`PageError::Internal`].
    pub(crate) async fn start_session(&self, user: &SignedInUser, return_to: &ReturnTo) -> Result<Response, PageError> {
        if let Some(before) = self.session() {
            self.services.sign_in.sign_out(&before).await?;
        }
        let mut response = self.go_on_to(return_to).await?;
        self.forget_attempts(&mut response);
        let lifetime = user.session.expires_at.since(self.services.clock.now());
        self.cookies.set(&mut response, CookieKind::Session, user.token.expose(), lifetime);
        Ok(response)
    }

    /// Continues to `return_to` after a form. A request that is rejected by now redirects to the application, which the
    /// `form-action` of the form's page would block: then an intermediate page continues.
    ///
    /// # Errors
    /// [`PageError::Internal`].
    pub(crate) async fn go_on_to(&self, return_to: &ReturnTo) -> Result<Response, PageError> {
        if let ReturnTo::Authorization(query) = return_to
            && let Err(AuthorizationError::Refused { location }) =
                self.services.authorizations.validate(query.as_bytes(), self.address()).await
        {
            return view::hand_over_to(&location, &self.t);
        }
        view::see_other(&return_to.to_string())
    }

    /// Whether the address asks for this notice.
    pub(crate) fn has_notice(&self, notice: &str) -> bool {
        self.query().split('&').any(|part| part == notice)
    }

    /// The memory that the address names.
    ///
    /// # Errors
    /// [`PageError::NotFound`].
    pub(crate) fn memory_id(&self) -> Result<OwnMemoryId, PageError> {
        let id: MemoryId =
            self.request.path_params::<String>().ok().and_then(|id| id.parse().ok()).ok_or(PageError::NotFound)?;
        let space = form_urlencoded::parse(self.query().as_bytes()).find(|(name, _)| name == "application");
        let space = space.map(|(_, space)| space.parse()).transpose().map_err(|_| PageError::NotFound)?;
        Ok(OwnMemoryId { id, space })
    }

    /// Clears the cookies of sign-in attempts.
    pub(crate) fn forget_attempts(&self, response: &mut Response) {
        for kind in [CookieKind::SignIn, CookieKind::Provider] {
            self.cookies.clear(response, kind);
        }
        self.cookies.clear_return_to(response);
    }
}
