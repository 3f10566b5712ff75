use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::applications::{Permission, Permissions};
use crate::oauth::harness::parameters;

fn basic(id: &str, secret: &str) -> Vec<u8> {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))).into_bytes()
}

const CREDENTIALS: [(&str, &str); 2] = [("client_id", "c"), ("client_secret", "s")];

fn parse(members: &[(&str, &str)]) -> Result<TokenRequest, OAuthError> {
    TokenRequest::parse(None, &parameters(&[&CREDENTIALS, members].concat()))
}

#[test]
fn client_credentials_are_read() {
    let request = parse(&[("grant_type", "client_credentials"), ("scope", "memory:read")]).unwrap();
    assert_eq!(request.credentials.client_id, "c");
    assert_eq!(request.credentials.secret.as_deref(), Some("s"));
    let read: Permissions = [Permission::MemoryRead].into_iter().collect();
    assert!(
        matches!(request.grant, GrantRequest::ClientCredentials { scope } if scope == RequestedScope::Exactly(read))
    );
}

#[test]
fn a_refresh_is_read() {
    let request = parse(&[("grant_type", "refresh_token"), ("refresh_token", "r")]).unwrap();
    let GrantRequest::RefreshToken { token, scope } = request.grant else { panic!("not a refresh") };
    assert_eq!((token.as_str(), scope), ("r", RequestedScope::All));
}

#[test]
fn a_refresh_without_its_token_is_an_invalid_request() {
    for members in [&[("grant_type", "refresh_token")][..], &[("grant_type", "refresh_token"), ("refresh_token", "")]] {
        let error = parse(members).unwrap_err();
        assert!(matches!(&error, OAuthError::InvalidRequest(text) if text.contains("`refresh_token`")), "{error:?}");
    }
}

#[test]
fn the_grant_type_is_judged_before_the_client() {
    let anonymous = |members: &[(&str, &str)]| TokenRequest::parse(None, &parameters(members)).unwrap_err();
    let error = anonymous(&[]);
    assert!(matches!(&error, OAuthError::InvalidRequest(text) if text.contains("`grant_type`")), "{error:?}");
    assert!(matches!(anonymous(&[("grant_type", "")]), OAuthError::InvalidRequest(_)));
    for unsupported in [
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:device_code",
        "CLIENT_CREDENTIALS",
        " client_credentials",
        "%",
    ] {
        assert!(matches!(anonymous(&[("grant_type", unsupported)]), OAuthError::UnsupportedGrantType), "{unsupported}");
    }
    assert!(matches!(anonymous(&[("grant_type", "client_credentials")]), OAuthError::InvalidClient));
}

#[test]
fn who_does_not_authenticate_does_not_learn_what_else_is_missing() {
    let error = TokenRequest::parse(None, &parameters(&[("grant_type", "refresh_token")])).unwrap_err();
    assert!(matches!(error, OAuthError::InvalidClient));
}

#[test]
fn credentials_come_from_the_header_or_from_the_body() {
    let from_header = PresentedCredentials::parse(Some(&basic("c", "s")), &parameters(&[])).unwrap();
    assert_eq!((from_header.client_id.as_str(), from_header.secret.as_deref()), ("c", Some("s")));
    let from_body = PresentedCredentials::parse(None, &parameters(&CREDENTIALS)).unwrap();
    assert_eq!((from_body.client_id.as_str(), from_body.secret.as_deref()), ("c", Some("s")));
    let public = PresentedCredentials::parse(None, &parameters(&[("client_id", "c")])).unwrap();
    assert_eq!((public.client_id.as_str(), public.secret), ("c", None));
}

#[test]
fn an_empty_secret_counts_as_absent_in_the_header_too() {
    for members in [&[][..], &[("client_id", "c")], &[("client_secret", "")]] {
        let public = PresentedCredentials::parse(Some(&basic("c", "")), &parameters(members)).unwrap();
        assert_eq!((public.client_id.as_str(), public.secret), ("c", None));
    }
}

#[test]
fn the_resources_of_a_token_request_are_kept() {
    let body = b"grant_type=client_credentials&client_id=c&resource=https://a.example&resource=https://b.example/api";
    let request = TokenRequest::parse(None, &Parameters::from_form(body).unwrap()).unwrap();
    assert_eq!(request.resources, ["https://a.example", "https://b.example/api"]);
}

#[test]
fn the_body_may_repeat_the_id_of_the_header_but_nothing_else() {
    let header = basic("c", "s");
    let parse = |members: &[(&str, &str)]| PresentedCredentials::parse(Some(&header), &parameters(members));
    assert_eq!(parse(&[("client_id", "c")]).unwrap().secret.as_deref(), Some("s"));
    for two in [&[("client_secret", "s")][..], &CREDENTIALS, &[("client_id", "other")]] {
        assert!(matches!(parse(two), Err(OAuthError::InvalidRequest(_))), "{two:?}");
    }
}

#[test]
fn a_malformed_header_is_an_invalid_client_whatever_the_body_says() {
    for header in [&b"Basic !"[..], b"Bearer abc", b"", b"\xff"] {
        let error = PresentedCredentials::parse(Some(header), &parameters(&CREDENTIALS)).unwrap_err();
        assert!(matches!(error, OAuthError::UnreadableAuthorization), "{error:?}");
        assert!(error.to_string().contains("Authorization header"), "{error}");
    }
    assert!(matches!(PresentedCredentials::parse(None, &parameters(&[])), Err(OAuthError::InvalidClient)));
    let only_secret = parameters(&[("client_secret", "s")]);
    assert!(matches!(PresentedCredentials::parse(None, &only_secret), Err(OAuthError::InvalidClient)));
}

#[test]
fn debug_forms_show_neither_credentials_nor_tokens() {
    let members = [("grant_type", "refresh_token"), ("refresh_token", "hush-token")];
    let all = [&[("client_id", "hush-id"), ("client_secret", "hush-secret")][..], &members].concat();
    let shown = format!("{:?}", TokenRequest::parse(None, &parameters(&all)).unwrap());
    assert!(shown.contains("PresentedCredentials(…)") && shown.contains("PresentedToken(…)"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
}
