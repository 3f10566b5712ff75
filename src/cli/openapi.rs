//! `memgate openapi`: the OpenAPI documents.

use clap::Args;

use super::{CliError, output, public_url};
use crate::adapters::http::{self, ConfirmWrites};

/// Print the OpenAPI document of the API, or the one that a Custom GPT imports
#[derive(Debug, Args)]
pub(super) struct Openapi {
    /// Public URL of the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    public_url: String,
    /// Print the document for Custom GPTs (OpenAPI 3.1); needs an https URL
    #[arg(long)]
    gpt_actions: bool,
    /// With --gpt-actions: let people choose to always allow storing and changing memories
    #[arg(long, requires = "gpt_actions")]
    no_confirm_writes: bool,
}

impl Openapi {
    pub(super) fn run(self) -> Result<(), CliError> {
        let public_url = public_url::parse(&self.public_url)?;
        if !self.gpt_actions {
            return output::line(http::openapi_document(public_url.base()).trim_end());
        }
        if !public_url.is_https() {
            return Err(CliError::Usage(
                "ChatGPT only calls https URLs; give one, such as --public-url https://memory.example.com".to_owned(),
            ));
        }
        let confirm = if self.no_confirm_writes { ConfirmWrites::Optional } else { ConfirmWrites::Always };
        output::line(http::gpt_actions_document(public_url.base(), confirm).trim_end())
    }
}
