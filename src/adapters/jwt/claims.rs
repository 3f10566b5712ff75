//! Converts between the domain's claims and those on the wire.

use std::str::FromStr;

use jwt_simple::claims::{Audiences, JWTClaims};
use jwt_simple::prelude::{Claims, Duration, UnixTimeStamp};
use serde::{Deserialize, Serialize};

use crate::domain::ids::{ClientId, TokenId};
use crate::domain::oauth::{AccessTokenClaims, RefreshTokenClaims, Subject};
use crate::domain::system::Timestamp;

/// The claims of an access token that are not registered in RFC 7519.
#[derive(Serialize, Deserialize)]
pub(super) struct AccessClaims {
    client_id: String,
    scope: String,
    /// The grant, so that its revocation reaches the token.
    gid: String,
}

impl AccessClaims {
    pub(super) fn to_jwt(claims: &AccessTokenClaims) -> JWTClaims<Self> {
        let own = Self {
            client_id: claims.client_id.to_string(),
            scope: claims.scope.to_string(),
            gid: claims.grant_id.to_string(),
        };
        let subject = subject_to_text(&claims.subject, &claims.client_id);
        let times = (claims.issued_at, claims.expires_at);
        registered(own, &claims.issuer, audiences(&claims.audience), subject, claims.token_id, times)
    }

    /// `None` for claims that memgate never writes.
    pub(super) fn from_jwt(jwt: JWTClaims<Self>) -> Option<AccessTokenClaims> {
        let client_id: ClientId = parse(&jwt.custom.client_id)?;
        Some(AccessTokenClaims {
            subject: subject_from_text(jwt.subject.as_deref()?, &client_id)?,
            audience: read_audiences(jwt.audiences)?,
            issuer: jwt.issuer?,
            grant_id: parse(&jwt.custom.gid)?,
            token_id: parse(jwt.jwt_id.as_deref()?)?,
            scope: parse(&jwt.custom.scope)?,
            issued_at: from_jwt_time(jwt.issued_at?)?,
            expires_at: from_jwt_time(jwt.expires_at?)?,
            client_id,
        })
    }
}

/// The claims of a refresh token that are not registered in RFC 7519.
#[derive(Serialize, Deserialize)]
pub(super) struct RefreshClaims {
    client_id: String,
    scope: String,
    gid: String,
    /// When the grant ends, in seconds since the epoch.
    gxp: i64,
}

impl RefreshClaims {
    pub(super) fn to_jwt(claims: &RefreshTokenClaims) -> JWTClaims<Self> {
        let own = Self {
            client_id: claims.client_id.to_string(),
            scope: claims.scope.to_string(),
            gid: claims.grant_id.to_string(),
            gxp: claims.grant_expires_at.unix_seconds(),
        };
        let subject = subject_to_text(&claims.subject, &claims.client_id);
        let times = (claims.issued_at, claims.expires_at);
        // One text, whatever it says: the members of a set have no order, and the same claims yield the same token.
        let audiences = Audiences::AsString(claims.audience.join(" "));
        registered(own, &claims.issuer, audiences, subject, claims.token_id, times)
    }

    /// `None` for claims that memgate never writes.
    pub(super) fn from_jwt(jwt: JWTClaims<Self>) -> Option<RefreshTokenClaims> {
        let client_id: ClientId = parse(&jwt.custom.client_id)?;
        Some(RefreshTokenClaims {
            subject: subject_from_text(jwt.subject.as_deref()?, &client_id)?,
            audience: match jwt.audiences? {
                Audiences::AsString(audiences) => audiences.split(' ').map(str::to_owned).collect(),
                Audiences::AsSet(_) => return None,
            },
            issuer: jwt.issuer?,
            grant_id: parse(&jwt.custom.gid)?,
            token_id: parse(jwt.jwt_id.as_deref()?)?,
            scope: parse(&jwt.custom.scope)?,
            issued_at: from_jwt_time(jwt.issued_at?)?,
            expires_at: from_jwt_time(jwt.expires_at?)?,
            grant_expires_at: Timestamp::from_unix_seconds(jwt.custom.gxp),
            client_id,
        })
    }
}

fn registered<T: Serialize + for<'a> Deserialize<'a>>(
    own: T,
    issuer: &str,
    audiences: Audiences,
    subject: String,
    token_id: TokenId,
    (issued_at, expires_at): (Timestamp, Timestamp),
) -> JWTClaims<T> {
    // The library fills in times from its own clock, which are replaced.
    let mut jwt = Claims::with_custom_claims(own, Duration::from_secs(0))
        .with_issuer(issuer)
        .with_subject(subject)
        .with_jwt_id(token_id);
    jwt.issued_at = Some(to_jwt_time(issued_at));
    jwt.expires_at = Some(to_jwt_time(expires_at));
    jwt.invalid_before = None;
    jwt.audiences = Some(audiences);
    jwt
}

fn subject_to_text(subject: &Subject, client_id: &ClientId) -> String {
    match subject {
        Subject::Application => client_id.to_string(),
        Subject::Person(user) => user.to_string(),
    }
}

fn subject_from_text(text: &str, client_id: &ClientId) -> Option<Subject> {
    if text == client_id.as_str() { Some(Subject::Application) } else { parse(text).map(Subject::Person) }
}

/// One audience is a text, several are an array (RFC 7519 §4.1.3).
fn audiences(audience: &[String]) -> Audiences {
    match audience {
        [one] => Audiences::AsString(one.clone()),
        several => Audiences::AsSet(several.iter().cloned().collect()),
    }
}

/// The audiences, sorted.
fn read_audiences(audiences: Option<Audiences>) -> Option<Vec<String>> {
    match audiences? {
        Audiences::AsString(audience) => Some(vec![audience]),
        Audiences::AsSet(audiences) => {
            let mut audiences: Vec<String> = audiences.into_iter().collect();
            audiences.sort_unstable();
            (audiences.len() > 1).then_some(audiences)
        }
    }
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn to_jwt_time(at: Timestamp) -> UnixTimeStamp {
    UnixTimeStamp::from_secs(u64::try_from(at.unix_seconds()).unwrap_or(0))
}

fn from_jwt_time(at: UnixTimeStamp) -> Option<Timestamp> {
    i64::try_from(at.as_secs()).ok().map(Timestamp::from_unix_seconds)
}
