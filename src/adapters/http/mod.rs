//! The HTTP API and the pages: poem and poem-openapi.
//!
//! | module | content |
//! |---|---|
//! | `envelope` | what every request and response passes through |
//! | [`server`] | the listener, reading bodies and tokens, [errors](server::error) |
//! | [`openapi`] | the OpenAPI documents, and the types that they are built from |
//! | [`oauth`] | the token endpoint, its neighbours and the metadata documents |
//! | [`api`] | the memory API: one file per resource, with its bodies in `dto` |
//! | [`mcp`] | the Model Context Protocol |
//! | [`pages`] | what people see in a browser |
//! | [`admin`] | the operator's listener |
//!
//! A request passes through the envelope (request ID, panics, headers, the shape of errors) to one of the resources. These
//! parse it, call a domain service, and build the response. Every error becomes an
//! [`ApiError`](server::error::ApiError).

mod admin;
mod api;
mod envelope;
mod mcp;
mod oauth;
mod openapi;
mod pages;
mod routes;
mod server;
mod swagger;

pub use admin::attempt_metrics::render_attempts;
pub use admin::{AdminServices, BreakerOperation, BreakerSetting, BreakerSwitch, BreakerView, admin_routes};
pub use mcp::{LocalServices, StdioError, serve_stdio};
pub use openapi::gpt_actions::ConfirmWrites;
pub(crate) use pages::emails;
pub use pages::privacy_file::{PrivacyError, load as load_privacy_policy};
pub use pages::privacy_policy::PrivacyPolicy;
pub use pages::services::PageServices;
pub(crate) use pages::texts::Language;
pub use pages::uploads::Uploads;
pub use routes::{gpt_actions_document, openapi_document, routes};
pub use server::address::TrustedProxies;
pub use server::answers::AnswerBudget;
pub use server::checks::{ClockCheck, DatabaseCheck};
pub use server::cors::CorsOrigins;
pub use server::limits::MAX_BODY_BYTES;
pub use server::listener::{Compressible, Listener};
pub use server::metrics::HttpMetrics;
pub use server::services::Services;
pub use server::shutdown::Shutdown;
pub use server::shutdown::shutdown_requested;
pub use server::tls::{Tls, TlsError, TlsFiles};
