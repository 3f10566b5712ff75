//! The client of HTTP that tests use.

use std::time::Duration;

use reqwest::{Client, ClientBuilder};

/// How long an answer may take on a busy machine. Without it, a service that never answers would hang a test instead of
/// failing it.
const DEADLINE: Duration = Duration::from_mins(2);

/// A client without the proxy of the environment, and with a deadline.
pub fn client() -> Client {
    client_builder().build().unwrap()
}

/// The same, to be configured further.
pub fn client_builder() -> ClientBuilder {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(DEADLINE)
}
