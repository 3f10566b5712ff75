//! A port, and the HTTP server behind it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use poem::Server;
use poem::endpoint::BoxEndpoint;
use poem::listener::TcpAcceptor;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::background::told_to_stop;

/// How long requests that are under way may take when the service stops.
const GRACE: Duration = Duration::from_secs(30);
/// How long a connection may stay silent.
const IDLE: Duration = Duration::from_secs(75);

/// A port that is taken, and answers nobody yet.
pub(super) struct Listener {
    acceptor: TcpAcceptor,
    address: SocketAddr,
}

impl Listener {
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { acceptor: TcpAcceptor::from_tokio(listener)?, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stopped`.
    pub(super) fn serve(self, endpoint: BoxEndpoint<'static>, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
        let server = Server::new_with_acceptor(self.acceptor).idle_timeout(IDLE);
        let until = async move { told_to_stop(&mut stopped).await };
        let serve = server.run_with_graceful_shutdown(endpoint, until, Some(GRACE));
        tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(error = %error, "the HTTP server ended");
            }
        })
    }
}
