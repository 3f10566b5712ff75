//! Sends requests after printing them as curl commands.

use serde_json::Value;

use crate::cli::{CliError, output};

/// A client that prints what it does.
pub(super) struct DemoClient {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl DemoClient {
    pub(super) fn new(base: &str) -> Result<Self, CliError> {
        let http = reqwest::Client::builder().no_proxy().build().map_err(CliError::failed)?;
        Ok(Self { http, base: base.to_owned(), token: String::new() })
    }

    /// Gets a token with client_credentials and keeps it.
    pub(super) async fn fetch_token(&mut self, client_id: &str, secret: &str) -> Result<(), CliError> {
        let url = format!("{}/auth/token", self.base);
        output::line(format!(
            "curl -s {url} -d grant_type=client_credentials -d client_id={client_id} -d client_secret={secret}"
        ))?;
        let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={secret}");
        let request = self.http.post(url).header("Content-Type", "application/x-www-form-urlencoded").body(form);
        let answer = show_answer(request).await?;
        let token =
            answer["access_token"].as_str().ok_or_else(|| CliError::failed("the response contains no token"))?;
        output::line(format!("\nexport TOKEN='{token}'"))?;
        token.clone_into(&mut self.token);
        Ok(())
    }

    /// Sends a JSON body.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<(), CliError> {
        let url = format!("{}{path}", self.base);
        let quoted = body.to_string().replace('\'', r"'\''");
        output::line(format!(
            "curl -s {url} -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' -d '{quoted}'"
        ))?;
        show_answer(self.http.post(url).bearer_auth(&self.token).json(body)).await.map(drop)
    }
}

async fn show_answer(request: reqwest::RequestBuilder) -> Result<Value, CliError> {
    let answer = request.send().await.map_err(CliError::failed)?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(CliError::failed)?;
    output::line(serde_json::to_string_pretty(&body).map_err(CliError::failed)?)?;
    if status.is_success() { Ok(body) } else { Err(CliError::failed(format!("the service responded with {status}"))) }
}
