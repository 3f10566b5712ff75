use crate::applications::HasherError;
use crate::oauth::error::Unavailable;
use crate::oauth::harness::Harness;
use crate::oauth::{MockTokenIssuer, OAuthError};
use crate::system::StorageError;
use crate::testing::database_unavailable;

#[test]
fn the_published_keys_are_those_of_the_issuer() {
    let keys = serde_json::json!({ "keys": [{ "kty": "OKP", "kid": "one" }] });
    let mut issuer = MockTokenIssuer::new();
    issuer.expect_published_keys().return_const(keys.clone());
    assert_eq!(Harness::new().service_with(issuer).published_keys(), keys);
}

#[test]
fn what_is_unavailable_may_be_tried_again_and_what_is_broken_is_internal() {
    let unavailable = OAuthError::from(database_unavailable());
    assert!(matches!(unavailable, OAuthError::TemporarilyUnavailable(Unavailable::Storage(_))), "{unavailable:?}");
    let row = StorageError::InconsistentRow { table: "t", key: "k".to_owned(), detail: "d".to_owned() };
    assert!(matches!(OAuthError::from(row), OAuthError::Internal(_)));
    let busy = OAuthError::from(HasherError::Overloaded);
    assert!(matches!(busy, OAuthError::TemporarilyUnavailable(Unavailable::Hasher(_))), "{busy:?}");
    assert!(matches!(OAuthError::from(HasherError::Failed("x".into())), OAuthError::Internal(_)));
}

#[tokio::test]
async fn debug_forms_of_answers_show_no_token() {
    let harness = Harness::new();
    let answer = harness.client_credentials().await;
    let shown = format!("{answer:?}");
    assert!(shown.contains("AccessToken(…)") && shown.contains("RefreshToken(…)"), "{shown}");
    assert!(!shown.contains(answer.access_token.expose()), "{shown}");
}
