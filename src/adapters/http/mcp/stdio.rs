//! MCP over standard input and output: one JSON-RPC message per line, for a client that starts memgate as its own process.

use std::sync::Arc;

use rmcp::service::{QuitReason, ServerInitializeError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;
use rmcp::{RoleServer, ServiceExt as _};

use super::server::McpServer;
use crate::adapters::http::server::limits::MAX_BODY_BYTES;
use crate::domain::memories::MemoryService;
use crate::domain::oauth::LocalAccess;
use crate::domain::system::{Clock, Entropy};

/// What the server of one local client needs.
pub struct LocalServices {
    /// The memories.
    pub memories: MemoryService,
    /// Whose, and with which permissions.
    pub access: LocalAccess,
    /// The base of the memories' URLs, without a trailing slash.
    pub public_url: String,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of request IDs.
    pub entropy: Arc<dyn Entropy>,
}

/// Why a session ended other than by the client.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client did not speak MCP.
    #[error("the client did not begin as an MCP client does")]
    Handshake(#[source] Box<ServerInitializeError>),
    /// A fault of this program.
    #[error("the session failed")]
    Session(#[source] tokio::task::JoinError),
}

/// Serves one client until it closes standard input.
///
/// # Errors
/// [`StdioError`].
pub async fn serve_stdio(services: LocalServices) -> Result<(), StdioError> {
    let (input, output) = stdio_pipes();
    let transport = AsyncRwTransport::<RoleServer, _, _>::new(input, output).with_max_line_length(MAX_BODY_BYTES);
    let session = match McpServer::local(services).serve(transport).await {
        Ok(session) => session,
        // A client may start the process and close it again without a message.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(StdioError::Handshake(Box::new(error))),
    };
    match session.waiting().await {
        Ok(QuitReason::JoinError(error)) | Err(error) => Err(StdioError::Session(error)),
        Ok(_) => Ok(()),
    }
}
