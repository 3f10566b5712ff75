//! One connection, from the accepted socket to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use poem::endpoint::BoxEndpoint;
use poem::http::uri::{Authority, Scheme};
use poem::http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint as _, Response};
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower::Service as _;
use tower_http::CompressionLevel;
use tower_http::compression::Compression;
use tower_http::compression::predicate::{Predicate as _, SizeAbove};

use super::activity::{Activity, UnreadAnswer};
use super::bodies::BodyBudget;
use super::stream::Stream;
use crate::adapters::http::server::json::json_response;
use crate::adapters::http::server::shutdown::{Shutdown, shutdown_requested};

/// TLS handshake timeout.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of an HTTP/1 request head, and of the read buffer, in bytes.
const HTTP1_BUFFER: usize = 80 * 1024;
/// Maximum number of concurrent requests per HTTP/2 connection.
pub(crate) const HTTP2_STREAMS: u32 = 32;
/// HTTP/2 stream window in bytes.
const HTTP2_STREAM_WINDOW: u32 = 64 * 1024;
/// HTTP/2 connection window in bytes.
const HTTP2_CONNECTION_WINDOW: u32 = 256 * 1024;
/// Maximum size of the header fields of an HTTP/2 request, in bytes.
const HTTP2_HEADERS: u32 = 64 * 1024;
/// Minimum size in bytes of a response that is compressed.
const COMPRESSED_FROM: u16 = 1024;
/// Interval between checks of a connection that is draining.
const QUIET_CHECK: Duration = Duration::from_millis(50);
/// Number of consecutive idle checks before it is closed.
const QUIET_CHECKS: u32 = 4;

/// The shared state of a connection's requests.
#[derive(Clone)]
pub(crate) struct ServedConnection {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) endpoint: Arc<BoxEndpoint<'static>>,
    pub(crate) bodies: Arc<BodyBudget>,
    pub(crate) shutdown: Shutdown,
}

impl ServedConnection {
    pub(crate) async fn serve(self, socket: TcpStream, tls: Option<Arc<ServerConfig>>) {
        let activity = Arc::new(Activity::default());
        let stream = Stream::new(socket, Arc::clone(&activity));
        let Some(tls) = tls else { return self.serve_http(stream, Scheme::HTTP, activity).await };
        let mut stopped = self.shutdown.stopped.clone();
        let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(tls).accept(stream));
        tokio::select! {
            agreed = handshake => match agreed {
                Ok(Ok(stream)) => self.serve_http(stream, Scheme::HTTPS, activity).await,
                Ok(Err(error)) => tracing::debug!(error = %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake timed out"),
            },
            () = shutdown_requested(&mut stopped) => {}
        }
    }

    async fn serve_http<S>(self, stream: S, scheme: Scheme, activity: Arc<Activity>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Shutdown { mut draining, mut stopped } = self.shutdown.clone();
        let endpoint = tower::service_fn({
            let activity = Arc::clone(&activity);
            move |request| self.clone().answer(request, scheme.clone(), Arc::clone(&activity))
        });
        let endpoint = Compression::new(endpoint)
            .quality(CompressionLevel::Fastest)
            .compress_when(SizeAbove::new(COMPRESSED_FROM).and(is_compressible));
        let service = hyper::service::service_fn({
            let activity = Arc::clone(&activity);
            move |request: hyper::Request<Incoming>| {
                let (in_flight, mut endpoint) = (activity.begin(), endpoint.clone());
                if request.version() == Version::HTTP_2 {
                    activity.note_http2();
                }
                let is_head = request.method() == Method::HEAD;
                async move {
                    let answer = endpoint.call(request).await?;
                    Ok::<_, Infallible>(AnswerBody::put_into(answer, is_head, in_flight.answered()))
                }
            }
        });
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().max_buf_size(HTTP1_BUFFER);
        http.http2()
            .max_concurrent_streams(HTTP2_STREAMS)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .max_header_list_size(HTTP2_HEADERS)
            .max_send_buf_size(HTTP1_BUFFER);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut goes_away = false;
        let ended = loop {
            tokio::select! {
                ended = &mut connection => break ended,
                expired = activity.expired() => {
                    tracing::debug!(?expired, "closing a connection");
                    return;
                }
                () = shutdown_requested(&mut draining), if !goes_away => {
                    goes_away = true;
                    // HTTP/1 clients are told by each response; closing an idle connection could race with a request.
                    if activity.is_http2() {
                        connection.as_mut().graceful_shutdown();
                    }
                }
                () = shutdown_requested(&mut stopped) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = &mut connection => break ended,
                        () = quiet(&activity) => return,
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended early");
        }
    }

    async fn answer(
        self,
        request: hyper::Request<Incoming>,
        scheme: Scheme,
        activity: Arc<Activity>,
    ) -> Result<hyper::Response<BoxBody<Bytes, std::io::Error>>, Infallible> {
        let version = request.version();
        let is_expected = request.headers().contains_key(header::EXPECT);
        let refused = refuse_host(version, request.headers());
        let is_refused = refused.is_some();
        let (local, peer) = (LocalAddr(self.local.into()), RemoteAddr(self.peer.into()));
        let mut request = poem::Request::from((request, local, peer, scheme));
        let (body, arrival) = self.bodies.receive(request.take_body().into());
        request.set_body(body);
        request.set_data(arrival.piecewise());
        let answer = match refused {
            Some(refused) => refused,
            None => self.endpoint.get_response(request).await,
        };
        let mut answer = hyper::Response::from(answer);
        let has_ended = arrival.drain(is_expected).await;
        if version < Version::HTTP_2 {
            if !has_ended {
                activity.linger();
            }
            if !has_ended || is_refused || *self.shutdown.draining.borrow() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
        }
        Ok(answer)
    }
}

/// The response to a request whose `Host` violates RFC 9112 §3.2: an HTTP/1.1 request has exactly one, no request has two, and
/// it is a host name. `None` if it is valid.
fn refuse_host(version: Version, headers: &HeaderMap) -> Option<Response> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_right = match (hosts.next(), hosts.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(_), Some(_)) => false,
        (Some(host), None) => {
            let authority = Authority::try_from(host.as_bytes());
            host.is_empty() || authority.is_ok_and(|authority| !authority.as_str().contains('@'))
        }
    };
    (!is_right).then(|| {
        let problem = json!({
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "the request must have one valid Host header",
        });
        json_response(StatusCode::BAD_REQUEST, "application/problem+json", &problem)
    })
}

/// Marks a response that may be compressed if the client accepts it.
///
/// Responses under `/auth` and the pages are not: they contain tokens and codes beside attacker-controlled input, and the
/// compressed length reveals how similar the two are (BREACH). The memory API returns no credentials, and a page of another
/// site cannot send its requests, which need a header.
#[derive(Clone, Copy, Debug)]
pub struct Compressible;

/// Whether a response may be compressed.
fn is_compressible(_: StatusCode, _: Version, _: &HeaderMap, extensions: &Extensions) -> bool {
    extensions.get::<Compressible>().is_some()
}

/// Returns when the connection has nothing in flight.
async fn quiet(activity: &Activity) {
    let mut checks = 0;
    while checks < QUIET_CHECKS {
        tokio::time::sleep(QUIET_CHECK).await;
        checks = if activity.is_quiet() { checks + 1 } else { 0 };
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response, which tracks whether it is unread.
struct AnswerBody {
    inner: UnsyncBoxBody<Bytes, BoxError>,
    unread: Arc<UnreadAnswer>,
}

/// A chunk of a response on its way to the socket.
struct Chunk {
    bytes: Bytes,
    _unread: Arc<UnreadAnswer>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AnswerBody {
    /// hyper drops the body of a response to HEAD over HTTP/1, but not over HTTP/2, where it would be an error (RFC 9110 §9.3.2).
    fn put_into<B>(answer: hyper::Response<B>, is_head: bool, unread: UnreadAnswer) -> hyper::Response<Self>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = answer.into_parts();
        let inner = if is_head {
            if let Some(length) = body.size_hint().exact()
                && !head.headers.contains_key(header::CONTENT_LENGTH)
            {
                head.headers.insert(header::CONTENT_LENGTH, length.into());
            }
            http_body_util::Empty::new().map_err(Into::into).boxed_unsync()
        } else {
            body.map_err(Into::into).boxed_unsync()
        };
        hyper::Response::from_parts(head, Self { inner, unread: Arc::new(unread) })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        let hold = |bytes| Bytes::from_owner(Chunk { bytes, _unread: Arc::clone(&self.unread) });
        frame.map_ok(|frame| frame.map_data(hold))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
