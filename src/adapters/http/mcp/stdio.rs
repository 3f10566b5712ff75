//! MCP over standard input and output: one JSON-RPC message per line, for a client that starts memgate as its own process.

use std::io;

use bytes::BufMut as _;
use rmcp::service::{QuitReason, ServerInitializeError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;
use rmcp::{RoleServer, ServiceExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::server::{LocalServices, McpServer};
use crate::adapters::http::server::limits::MAX_BODY_BYTES;

/// Why a session ended other than by the client.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client did not speak MCP.
    #[error("the client did not begin as an MCP client does")]
    Handshake(#[source] Box<ServerInitializeError>),
    /// Standard input cannot be read.
    #[error("standard input cannot be read")]
    Input(#[source] io::Error),
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
    let input = without_byte_order_mark(input).await.map_err(StdioError::Input)?;
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

/// What follows the byte order mark that some programs write at the start of a pipe.
async fn without_byte_order_mark<R: AsyncRead + Unpin>(mut input: R) -> io::Result<impl AsyncRead + Unpin> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let mut start = Vec::new();
    while start.len() < MARK.len() && MARK.starts_with(&start) && input.read_buf(&mut (&mut start).limit(1)).await? > 0
    {
    }
    if start == MARK {
        start.clear();
    }
    Ok(io::Cursor::new(start).chain(input))
}
