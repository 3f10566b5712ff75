//! `memgate serve` with an internet of its own, for `.ci/mcp-judges`: the document that describes their client is published on
//! this machine, which the service itself never lets anybody fetch from.
//!
//! `DOCUMENT_PORT` says where the document is; everything else is configured as usual.

use std::error::Error;
use std::sync::Arc;

use memgate::app::{Gate, GateOptions};
use memgate::config::Config;
use memgate_test_kit::publisher::{self, HOST, Names, PUBLISHER, Publisher, Reply};
use serde_json::json;

/// The path of the document.
const PATH: &str = "/client.json";

/// As the vendors' documents are: with members that memgate does not know, and more than it supports.
fn answer(path: &str, port: u16) -> Reply {
    let document = json!({
        "client_id": format!("https://{HOST}:{port}{PATH}"),
        "client_name": "Judge",
        "client_uri": format!("https://{HOST}/"),
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    match path {
        PATH => Reply::Whole(publisher::json("", &document.to_string())),
        _ => Reply::Never,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let publisher = Publisher::start(std::env::var("DOCUMENT_PORT")?.parse()?, answer).await;
    let client_documents = Arc::new(publisher.source(Names::of(HOST, &[&[PUBLISHER]])));
    let options = GateOptions { client_documents, ..GateOptions::default() };
    let _gate = Gate::start(&Config::load(None)?, options).await?;
    std::future::pending().await
}
