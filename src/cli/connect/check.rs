//! Checks that assistants can reach this service at its public URL.

use std::time::Duration;

use reqwest::redirect::Policy;

use crate::cli::CliError;
use crate::domain::oauth::PublicUrl;
use crate::domain::system::causes;

/// ChatGPT's timeout for discovery.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests the metadata at the public URL, as a client of the authorization server would (RFC 8414 §3.3).
pub(super) async fn reaches_a_gate(public_url: &PublicUrl) -> Result<(), CliError> {
    let base = public_url.base();
    let failed = |problem: &str| {
        CliError::failed(format!(
            "{base} does not reach this service: {problem}. Start `memgate serve` with MEMGATE_PUBLIC_URL={base} behind \
             that address (docs/gpt-actions.md says how), or register without this check with --skip-check"
        ))
    };
    let client =
        reqwest::Client::builder().timeout(PROBE_TIMEOUT).redirect(Policy::none()).build().map_err(CliError::failed)?;
    let answer = client.get(format!("{base}/.well-known/oauth-authorization-server")).send().await;
    let answer = answer.map_err(|error| failed(&cause(&error)))?;
    if !answer.status().is_success() {
        return Err(failed(&format!("it answers with status {}", answer.status().as_u16())));
    }
    let metadata: serde_json::Value =
        answer.json().await.map_err(|_| failed("its answer is not the metadata of an authorization server"))?;
    match metadata["issuer"].as_str() {
        Some(issuer) if issuer.trim_end_matches('/') == base => Ok(()),
        Some(_) => Err(failed("it says that its own public URL is another one")),
        None => Err(failed("its answer is not the metadata of an authorization server")),
    }
}

/// The innermost cause has the details: no such host, connection refused, an invalid certificate.
fn cause(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::*;

    async fn checked(answer: impl FnOnce(&str) -> ResponseTemplate) -> Result<(), String> {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let server = MockServer::start().await;
        let metadata = path("/.well-known/oauth-authorization-server");
        Mock::given(metadata).respond_with(answer(&server.uri())).mount(&server).await;
        reaches_a_gate(&server.uri().parse().unwrap()).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn a_gate_that_knows_itself_by_this_address_is_reached() {
        let own = |uri: &str| ResponseTemplate::new(200).set_body_json(json!({ "issuer": uri }));
        assert_eq!(checked(own).await, Ok(()));
    }

    #[tokio::test]
    async fn anything_else_is_said_to_be_something_else_and_what_to_do_about_it() {
        let json = |value: serde_json::Value| ResponseTemplate::new(200).set_body_json(value);
        for (answer, expected) in [
            (json(json!({ "issuer": "https://other.example" })), "its own public URL is another one"),
            (json(json!({ "hello": 1 })), "not the metadata"),
            (ResponseTemplate::new(200).set_body_string("<html>"), "not the metadata"),
            (ResponseTemplate::new(404), "status 404"),
            // Redirects are not followed: ChatGPT would not send a client's secret along either.
            (ResponseTemplate::new(301).insert_header("location", "https://other.example"), "status 301"),
        ] {
            let error = checked(|_| answer).await.unwrap_err();
            assert!(error.contains(expected) && error.contains("MEMGATE_PUBLIC_URL="), "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_at_which_nobody_answers_is_named_with_its_cause() {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = reaches_a_gate(&format!("http://{free}").parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("refused") && error.contains("--skip-check"), "{error}");
    }
}
