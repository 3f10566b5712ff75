//! A port, and the HTTP server behind it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use poem::Endpoint as _;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::background::told_to_stop;
use super::tls::Tls;

/// How long requests that are under way may take when the service stops.
const GRACE: Duration = Duration::from_secs(30);
/// How long a connection may be open without a request under way; at most twice as long, because it is looked at as often.
/// It counts from the last answer to the next whole head of a request, so sending one slowly gains nothing.
const PATIENCE: Duration = Duration::from_secs(75);
/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// A port that is taken, and answers nobody yet.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, tls: None })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stopped`.
    ///
    /// poem's own server never closes a connection on which a part of a request arrived (docs/adr/0009).
    pub(super) fn serve(self, endpoint: BoxEndpoint<'static>, stopped: watch::Receiver<bool>) -> JoinHandle<()> {
        tokio::spawn(self.answer(Arc::new(endpoint), stopped))
    }

    /// The same, with TLS if a certificate is given.
    pub(super) fn with_tls(mut self, tls: Option<Arc<Tls>>) -> Self {
        self.tls = tls;
        self
    }

    async fn answer(self, endpoint: Arc<BoxEndpoint<'static>>, mut stopped: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = told_to_stop(&mut stopped) => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let connection =
                            Connection { local: self.address, peer, endpoint: Arc::clone(&endpoint) };
                        let (tls, stopped) = (self.tls.as_ref().map(|tls| tls.config()), stopped.clone());
                        connections.spawn(async move {
                            match tls {
                                Some(tls) => connection.serve_tls(stream, tls, stopped).await,
                                None => connection.serve(stream, Scheme::HTTP, stopped).await,
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(_ended) = connections.join_next() => {}
            }
        }
        drop(self.socket);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all_ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "requests that did not end in time are broken off");
            connections.shutdown().await;
        }
    }
}

/// What the requests of one connection have in common.
struct Connection {
    local: SocketAddr,
    peer: SocketAddr,
    endpoint: Arc<BoxEndpoint<'static>>,
}

impl Connection {
    async fn serve_tls(self, stream: TcpStream, tls: Arc<ServerConfig>, stopped: watch::Receiver<bool>) {
        match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, Scheme::HTTPS, stopped).await,
            Ok(Err(error)) => tracing::debug!(error = %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn serve<S>(self, stream: S, scheme: Scheme, mut stopped: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let tally = Arc::new(Tally::default());
        let service = hyper::service::service_fn({
            let tally = Arc::clone(&tally);
            move |request: hyper::Request<Incoming>| {
                let under_way = UnderWay::begin(Arc::clone(&tally));
                let (local, peer) = (LocalAddr(self.local.into()), RemoteAddr(self.peer.into()));
                let request = poem::Request::from((request, local, peer, scheme.clone()));
                let endpoint = Arc::clone(&self.endpoint);
                async move {
                    let answer = endpoint.get_response(request).await;
                    drop(under_way);
                    Ok::<_, Infallible>(hyper::Response::from(answer))
                }
            }
        });
        let http = auto::Builder::new(TokioExecutor::new());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = tally.stands_still() => return,
            () = told_to_stop(&mut stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended early");
        }
    }
}

/// The requests of one connection so far.
#[derive(Default)]
struct Tally {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Tally {
    fn so_far(&self) -> (u64, u64) {
        (self.begun.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed))
    }

    /// Returns when no request is under way and none was for [`PATIENCE`].
    async fn stands_still(&self) {
        let mut before = (0, 0);
        loop {
            tokio::time::sleep(PATIENCE).await;
            let (begun, ended) = self.so_far();
            if begun == ended && (begun, ended) == before {
                return;
            }
            before = (begun, ended);
        }
    }
}

/// A request, from its whole head to its answer, or to the moment when its client goes away.
struct UnderWay(Arc<Tally>);

impl UnderWay {
    fn begin(tally: Arc<Tally>) -> Self {
        tally.begun.fetch_add(1, Ordering::Relaxed);
        Self(tally)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
