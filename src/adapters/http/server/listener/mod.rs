//! A listener and its HTTP server.

mod activity;
mod bodies;
mod connection;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use self::bodies::BodyBudget;
pub(crate) use self::bodies::PiecewiseBody;
pub use self::connection::Compressible;
use self::connection::ServedConnection;
use crate::adapters::http::server::repeated::Repeated;
use crate::adapters::http::server::shutdown::{Shutdown, shutdown_requested};
use crate::adapters::http::server::tls::Tls;

/// Time allowed for requests in flight at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// Delay before the next attempt after accepting a connection failed.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Maximum total size of request bodies in memory, over all connections of a listener.
const BODY_BYTES: usize = 64 << 20;

/// A bound port that is not served yet.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    body_bytes: usize,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// If it is in use or not available.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, tls: None, body_bytes: BODY_BYTES })
    }

    /// The address, with the actual port if port 0 was requested.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown.
    ///
    /// poem's own server never closes a connection on which a part of a request arrived (docs/adr/0009).
    pub fn serve(self, endpoint: BoxEndpoint<'static>, shutdown: Shutdown) -> JoinHandle<()> {
        tokio::spawn(self.answer(Arc::new(endpoint), shutdown))
    }

    /// The same, with TLS if a certificate is given.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Arc<Tls>>) -> Self {
        self.tls = tls;
        self
    }

    async fn answer(self, endpoint: Arc<BoxEndpoint<'static>>, mut shutdown: Shutdown) {
        let bodies = Arc::new(BodyBudget::new(self.body_bytes));
        let mut connections = JoinSet::new();
        let mut failures = Repeated::default();
        loop {
            tokio::select! {
                () = shutdown_requested(&mut shutdown.stopped) => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let connection = ServedConnection {
                            local: self.address,
                            peer,
                            endpoint: Arc::clone(&endpoint),
                            bodies: Arc::clone(&bodies),
                            shutdown: shutdown.clone(),
                        };
                        let tls = self.tls.as_ref().map(|tls| tls.config());
                        connections.spawn(connection.serve(stream, tls));
                    }
                    Err(error) => {
                        if let Some(failed) = failures.count(Instant::now()) {
                            tracing::warn!(error = %error, failed, "failed to accept connections");
                        }
                        tokio::time::sleep(ACCEPT_BACKOFF).await;
                    }
                },
                Some(_ended) = connections.join_next() => {}
            }
        }
        drop(self.socket);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, all_ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "shutdown timed out; cancelling the remaining requests");
            connections.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests;
