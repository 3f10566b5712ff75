//! `memgate openapi`: the API's description.

use clap::Args;
use url::Url;

use super::{CliError, output};
use crate::adapters::http;

/// Print the OpenAPI document of the API
#[derive(Debug, Args)]
pub(super) struct Openapi {
    /// The URL by which clients reach the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    public_url: Url,
}

impl Openapi {
    pub(super) fn run(self) -> Result<(), CliError> {
        output::line(http::openapi_document(self.public_url.as_str()).trim_end())
    }
}
