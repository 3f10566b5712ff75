//! The contract of [`TokenIssuer`].
#![cfg_attr(
    not(test),
    expect(clippy::unused_async, reason = "the cases of all suites have one shape, so that one macro runs them")
)]

use std::time::Duration;

use super::Fixture;
use crate::applications::{Permission, Permissions};
use crate::ids::{GrantId, TokenId, UserId};
use crate::oauth::{AccessTokenClaims, RefreshTokenClaims, Subject, TokenIssuer, TokenRejected};
use crate::testing::{now, unique};

/// Generates a test per case of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! token_issuer_cases {
    ($fixture:expr) => {
        $crate::conformance_cases!(
            token_issuer,
            dyn $crate::oauth::TokenIssuer,
            $fixture,
            [
                access_tokens_come_back_with_every_claim,
                refresh_tokens_come_back_with_every_claim,
                a_token_is_verified_by_every_instance_and_as_often_as_it_comes,
                neither_kind_of_token_is_taken_for_the_other,
                the_same_claims_yield_the_same_refresh_token,
                every_changed_character_is_noticed,
                a_token_that_was_cut_or_lengthened_is_refused,
                what_is_no_token_is_refused,
                the_key_set_is_one_and_holds_no_private_member,
            ]
        );
    };
}

fn subjects() -> [Subject; 2] {
    [Subject::Application, Subject::Person(UserId::from_uuid(unique()))]
}

fn access_claims() -> AccessTokenClaims {
    let issued_at = now().truncated_to_seconds();
    AccessTokenClaims {
        issuer: "https://memory.example/é".to_owned(),
        audience: vec!["https://memory.example/api?a=\"b\"".to_owned(), "https://memory.example/mcp".to_owned()],
        subject: Subject::Application,
        client_id: "https://client.example/metadata.json?a=%27".parse().unwrap(),
        grant_id: GrantId::from_uuid(unique()),
        token_id: TokenId::from_uuid(unique()),
        scope: Permissions::all(),
        issued_at,
        expires_at: issued_at.plus(Duration::from_secs(1)),
    }
}

fn refresh_claims() -> RefreshTokenClaims {
    let access = access_claims();
    RefreshTokenClaims {
        issuer: access.issuer,
        audience: access.audience,
        subject: access.subject,
        client_id: access.client_id,
        grant_id: access.grant_id,
        token_id: access.token_id,
        scope: access.scope,
        issued_at: access.issued_at,
        expires_at: access.expires_at,
        grant_expires_at: access.issued_at.plus(Duration::from_hours(366 * 24)),
    }
}

fn issue_both(issuer: &dyn TokenIssuer) -> [String; 2] {
    let access = issuer.issue_access_token(&access_claims()).unwrap();
    let refresh = issuer.issue_refresh_token(&refresh_claims()).unwrap();
    [access.expose().to_owned(), refresh.expose().to_owned()]
}

#[track_caller]
fn assert_rejected(issuer: &dyn TokenIssuer, token: &str) {
    assert_eq!(issuer.verify_access_token(token), Err(TokenRejected), "{token:.200}");
    assert_eq!(issuer.verify_refresh_token(token), Err(TokenRejected), "{token:.200}");
}

pub async fn access_tokens_come_back_with_every_claim(fixture: Fixture<dyn TokenIssuer>) {
    for subject in subjects() {
        for scope in [Permissions::all(), Permissions::default(), [Permission::MemoryWrite].into_iter().collect()] {
            let claims = AccessTokenClaims { subject: subject.clone(), scope, ..access_claims() };
            let token = fixture.port().issue_access_token(&claims).unwrap();
            assert_eq!(*fixture.port().verify_access_token(token.expose()).unwrap(), claims);
        }
    }
}

pub async fn refresh_tokens_come_back_with_every_claim(fixture: Fixture<dyn TokenIssuer>) {
    for subject in subjects() {
        let claims = RefreshTokenClaims { subject, ..refresh_claims() };
        let token = fixture.port().issue_refresh_token(&claims).unwrap();
        assert_eq!(fixture.port().verify_refresh_token(token.expose()).unwrap(), claims);
    }
}

pub async fn a_token_is_verified_by_every_instance_and_as_often_as_it_comes(fixture: Fixture<dyn TokenIssuer>) {
    let [access, refresh] = issue_both(fixture.port());
    for issuer in [fixture.other_instance(), fixture.other_instance(), fixture.port()] {
        issuer.verify_access_token(&access).unwrap();
        issuer.verify_refresh_token(&refresh).unwrap();
    }
}

pub async fn neither_kind_of_token_is_taken_for_the_other(fixture: Fixture<dyn TokenIssuer>) {
    let issuer = fixture.port();
    let [access, refresh] = issue_both(issuer);
    for _ in 0..2 {
        assert_eq!(issuer.verify_access_token(&refresh), Err(TokenRejected));
        assert_eq!(issuer.verify_refresh_token(&access), Err(TokenRejected));
        issuer.verify_access_token(&access).unwrap();
    }
}

pub async fn the_same_claims_yield_the_same_refresh_token(fixture: Fixture<dyn TokenIssuer>) {
    let claims = refresh_claims();
    let one = fixture.port().issue_refresh_token(&claims).unwrap();
    let same = fixture.other_instance().issue_refresh_token(&claims).unwrap();
    assert_eq!(one.expose(), same.expose());
    let other = RefreshTokenClaims { token_id: TokenId::from_uuid(unique()), ..claims };
    assert_ne!(fixture.port().issue_refresh_token(&other).unwrap().expose(), one.expose());
}

pub async fn every_changed_character_is_noticed(fixture: Fixture<dyn TokenIssuer>) {
    let issuer = fixture.port();
    for token in issue_both(issuer) {
        for place in 0..token.len() {
            let replacement = if token.as_bytes()[place] == b'A' { 'B' } else { 'A' };
            assert_rejected(issuer, &format!("{}{replacement}{}", &token[..place], &token[place + 1..]));
        }
    }
}

pub async fn a_token_that_was_cut_or_lengthened_is_refused(fixture: Fixture<dyn TokenIssuer>) {
    let issuer = fixture.port();
    for token in issue_both(issuer) {
        for odd in [
            token[1..].to_owned(),
            token[..token.len() - 1].to_owned(),
            format!("{token}A"),
            format!("{token}="),
            format!("{token}."),
            format!("{token}.A"),
            format!(" {token}"),
            format!("{token}\n"),
            format!("{token}\0"),
            token.rsplit_once('.').expect("a token has parts").0.to_owned(),
            format!("{}.", token.rsplit_once('.').expect("a token has parts").0),
        ] {
            assert_rejected(issuer, &odd);
        }
    }
}

pub async fn what_is_no_token_is_refused(fixture: Fixture<dyn TokenIssuer>) {
    for garbage in ["", ".", "..", "...", "a.b.c", "é.é.é", "\0", &".".repeat(10_000), &"a".repeat(1 << 20)] {
        assert_rejected(fixture.port(), garbage);
    }
}

pub async fn the_key_set_is_one_and_holds_no_private_member(fixture: Fixture<dyn TokenIssuer>) {
    let set = fixture.port().published_keys();
    let keys = set["keys"].as_array().expect("a key set has the member `keys`");
    assert!(!keys.is_empty(), "nobody can verify a token without a key");
    for key in keys {
        assert!(key["kty"].is_string(), "{key}: RFC 7517 §4.1");
        // RFC 7518 §6: the private members of every type of key.
        for private in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
            assert!(key.get(private).is_none(), "`{private}` is published");
        }
    }
}
