//! The checklist of the OAuth contract, over real HTTP, on SQLite and on PostgreSQL: a line of the table per test name.

mod bad_input;
mod bearer;
mod clients;
mod codes;
mod endpoints;
mod instances;
mod jwt;
mod refresh;
mod requests;

use memgate_test_kit::gate::{TestApplication, TestGate};
use reqwest::Response;
use serde_json::Value;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// Runs each line on both databases.
macro_rules! on_both_databases {
    ($($module:ident::$line:ident,)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $line() {
                super::$module::$line(memgate_test_kit::database::TestDatabase::sqlite()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $line() {
                if let Some(database) = memgate_test_kit::database::TestDatabase::postgres().await {
                    super::$module::$line(database).await;
                }
            })+
        }
    };
}

on_both_databases! {
    requests::line_01_a_valid_request_is_answered_with_a_bearer_token,
    requests::line_02_no_token_answer_may_be_stored,
    clients::line_03_a_public_client_gets_nothing_for_client_credentials,
    requests::line_04_only_post_with_a_form_or_json_is_read,
    requests::line_05_a_repeated_parameter_is_an_invalid_request,
    requests::line_06_a_missing_grant_type_is_invalid_and_an_unknown_one_unsupported,
    requests::line_07_a_grant_that_the_application_lacks_is_unauthorized,
    requests::line_08_a_scope_is_granted_exactly_or_refused,
    clients::line_09_a_wrong_secret_in_basic_is_challenged,
    clients::line_10_an_unknown_client_and_a_wrong_secret_look_the_same,
    clients::line_11_basic_credentials_are_form_encoded,
    clients::line_12_credentials_in_header_and_body_are_refused,
    clients::line_13_who_guesses_waits_and_nobody_else,
    clients::line_14_a_longer_secret_that_begins_alike_is_wrong,
    refresh::line_15_a_refresh_token_that_cannot_be_used_is_an_invalid_grant,
    refresh::line_16_a_refresh_may_narrow_the_scope_and_never_widens_it,
    refresh::line_17_of_fifty_refreshes_one_successor_lives,
    refresh::line_18_after_a_lost_answer_the_same_successor_comes_again,
    refresh::line_19_a_replayed_refresh_token_kills_its_grant,
    refresh::line_20_no_token_survives_a_race_of_refresh_and_revoke,
    codes::line_21_a_code_works_once_for_its_client_at_its_uri_and_in_its_minute,
    codes::line_22_a_code_needs_the_verifier_of_its_challenge,
    codes::line_23_an_unregistered_redirect_uri_is_a_page_and_never_a_redirect,
    jwt::line_24_the_access_token_is_an_at_jwt_with_all_its_claims,
    jwt::line_25_a_forged_token_is_refused_and_nothing_is_fetched,
    bearer::line_26_a_refresh_token_opens_nothing,
    bearer::line_27_a_token_of_another_issuer_or_another_time_is_refused,
    bearer::line_28_without_credentials_the_challenge_names_no_error,
    bearer::line_29_a_missing_permission_is_named,
    bearer::line_30_a_token_in_the_query_or_in_two_places_is_refused,
    endpoints::line_31_revocation_is_silent_about_tokens_and_strict_about_clients,
    endpoints::line_32_a_revoked_refresh_token_takes_its_access_tokens_along,
    endpoints::line_33_of_a_dead_token_nothing_is_said,
    endpoints::line_34_the_metadata_is_true,
    jwt::line_35_after_a_rotation_of_keys_old_tokens_are_good_until_they_expire,
    clients::line_36_two_secrets_overlap_and_a_removed_one_is_refused,
    clients::line_37_disabling_and_losing_a_permission_act_on_live_tokens,
    bearer::line_38_a_token_is_good_until_its_second_and_not_after,
    instances::what_one_instance_does_acts_on_the_other_within_two_seconds,
    instances::of_refreshes_at_two_instances_one_successor_lives,
    bad_input::control_characters_are_refused_in_every_parameter,
    bad_input::a_scope_is_divided_by_spaces_and_by_nothing_else,
    bad_input::input_of_absurd_size_is_refused_and_the_next_request_answered,
}

/// The code of an OAuth error, which must be of this status and must not be stored.
#[track_caller]
fn oauth_error(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("pragma"), Some("no-cache"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let error = answer.json();
    assert!(error["error_description"].is_string(), "{error}");
    error["error"].as_str().unwrap().to_owned()
}

/// An answer, read to its end.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Answer {
    async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().await.unwrap() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member}: {}", self.body)).to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The answer to a token request with the application's credentials in the body.
async fn token(gate: &TestGate, application: &TestApplication, parameters: &[(&str, &str)]) -> Answer {
    Answer::read(gate.token_request(application, parameters).await).await
}

/// The answer to a refresh.
async fn refresh(gate: &TestGate, application: &TestApplication, refresh_token: &str) -> Answer {
    token(gate, application, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
}

/// The answer of `/auth/revoke` or `/auth/introspect`.
async fn about(gate: &TestGate, path: &str, application: &TestApplication, parameters: &[(&str, &str)]) -> Answer {
    let credentials = [("client_id", &*application.client_id), ("client_secret", &*application.secret)];
    Answer::read(gate.form(path, &[&credentials, parameters].concat()).send().await.unwrap()).await
}

/// Whether the token is active, as its application learns it.
async fn is_active(gate: &TestGate, application: &TestApplication, token: &str) -> bool {
    let answer = about(gate, "/auth/introspect", application, &[("token", token)]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["active"].as_bool().unwrap()
}

/// The answer of a resource that needs a token and no permission.
async fn me(gate: &TestGate, token: &str) -> Answer {
    Answer::read(gate.http.get(gate.url("/api/v1/me")).bearer_auth(token).send().await.unwrap()).await
}
