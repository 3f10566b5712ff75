//! Whether assistants can reach this gate at its public URL.

use std::time::Duration;

use reqwest::redirect::Policy;
use url::Url;

use crate::cli::CliError;

/// ChatGPT waits no longer than this for discovery.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the public URL who it is, as a client of the authorization server would (RFC 8414 §3.3).
pub(super) async fn reaches_a_gate(public_url: &Url) -> Result<(), CliError> {
    let base = public_url.as_str().trim_end_matches('/');
    let failed = |problem: &str| {
        CliError::failed(format!(
            "{base} does not answer as this gate does: {problem}. Start `memgate serve` with MEMGATE_PUBLIC_URL={base} behind \
             that address (docs/gpt-actions.md says how), or register without this check with --skip-check"
        ))
    };
    let client =
        reqwest::Client::builder().timeout(PATIENCE).redirect(Policy::none()).build().map_err(CliError::failed)?;
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

/// The innermost cause says what is wrong: no such host, connection refused, an invalid certificate.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
