//! The load generator: HTTP/1.1 over kept-alive connections, with requests that are built beforehand and answers that are
//! parsed no further than status and length. It is the same for every server, and it costs as little as it can: both
//! share two cores with it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::report::Latencies;

/// An HTTP answer.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// What to say when it is not the one that was expected.
    pub fn describe(&self) -> String {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(500)]);
        format!("status {}: {body}", self.status)
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(self.body).map_err(|error| format!("not JSON ({error}): {}", self.describe()))
    }
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, from `source` if that is given.
    pub async fn open(address: SocketAddr, source: Option<IpAddr>) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = source {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and waits for the whole answer.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let (mut head, mut end) = (0, None);
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
            }
            if end.is_none()
                && let Some(at) = find(&self.buffer, b"\r\n\r\n")
            {
                head = at + 4;
                end = Some(End::of(&self.buffer[..at]).ok_or_else(malformed)?);
            }
            let body = &self.buffer[head..];
            match end {
                Some(End::After(length)) if body.len() >= length => break,
                Some(End::LastChunk) if body == LAST_CHUNK || body.ends_with(AND_LAST_CHUNK) => break,
                _ => {}
            }
        }
        let status = self.buffer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        Ok(Answer { status: status.ok_or_else(malformed)?, body: &self.buffer[head..] })
    }
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const AND_LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Where a body ends.
#[derive(Clone, Copy)]
enum End {
    After(usize),
    LastChunk,
}

impl End {
    fn of(head: &[u8]) -> Option<Self> {
        let length = header(head, "content-length").and_then(|length| length.parse().ok()).map(Self::After);
        length.or_else(|| {
            header(head, "transfer-encoding").filter(|coding| *coding == "chunked").map(|_| Self::LastChunk)
        })
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer without status or end")
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (known, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

/// A `GET`, as it goes over the wire.
pub fn get(path: &str, bearer: Option<&str>) -> Vec<u8> {
    get_with(path, &bearer.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default())
}

/// A `GET` with these headers, each with its line break.
pub fn get_with(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\n{headers}\r\n").into_bytes()
}

/// A `POST` of a form, as it goes over the wire.
pub fn post_form(path: &str, form: &str) -> Vec<u8> {
    post(path, "application/x-www-form-urlencoded", "accept: */*\r\n", form)
}

/// A `POST` of JSON, as it goes over the wire.
pub fn post_json(path: &str, bearer: &str, json: &serde_json::Value) -> Vec<u8> {
    post(path, "application/json", &format!("accept: */*\r\nauthorization: Bearer {bearer}\r\n"), &json.to_string())
}

/// A message of MCP, as it goes over the wire.
pub fn post_mcp(bearer: &str, accept: &str, message: &serde_json::Value) -> Vec<u8> {
    let headers = format!("accept: {accept}\r\nauthorization: Bearer {bearer}\r\nmcp-protocol-version: 2025-11-25\r\n");
    post("/mcp", "application/json", &headers, &message.to_string())
}

fn post(path: &str, kind: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-type: {kind}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// What one connection asks, and what it thinks of the answers.
pub trait Client: Send + 'static {
    /// The next request; `None` when there is nothing left to ask.
    fn request(&mut self) -> Option<&[u8]>;

    /// Whether the answer is right; if not, why.
    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String>;

    /// Which address it calls from.
    fn source(&self) -> Option<IpAddr> {
        None
    }
}

/// What a round of load came to.
pub struct Outcome {
    pub latencies: Latencies,
    pub elapsed: Duration,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        // A count of requests is far below 2^52.
        #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
        let count = self.latencies.len() as f64;
        count / self.elapsed.as_secs_f64()
    }
}

/// Lets every client ask as fast as it is answered, each on a connection of its own, until `duration` is over or none has
/// anything left to ask. Returns the clients too, for the next round. A wrong answer ends it all.
pub async fn run<C: Client>(
    address: SocketAddr,
    clients: Vec<C>,
    duration: Duration,
) -> Result<(Outcome, Vec<C>), String> {
    let start = Instant::now();
    let deadline = start + duration;
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn(drive(address, client, deadline));
    }
    let (mut latencies, mut clients) = (Latencies::default(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (client, own) = done.map_err(|error| error.to_string())??;
        latencies.extend(own);
        clients.push(client);
    }
    Ok((Outcome { latencies, elapsed: start.elapsed() }, clients))
}

async fn drive<C: Client>(address: SocketAddr, mut client: C, deadline: Instant) -> Result<(C, Vec<u32>), String> {
    let failed = |error: io::Error| format!("talking to {address}: {error}");
    let mut connection = Connection::open(address, client.source()).await.map_err(failed)?;
    let mut latencies = Vec::with_capacity(8 * 1024);
    let mut begin = Instant::now();
    while begin < deadline {
        let Some(request) = client.request() else { break };
        let answer = connection.send(request).await.map_err(failed)?;
        client.check(&answer)?;
        let end = Instant::now();
        latencies.push(u32::try_from((end - begin).as_micros()).unwrap_or(u32::MAX));
        begin = end;
    }
    Ok((client, latencies))
}

/// A client that repeats one request and expects one status, and a piece of text in the body.
#[derive(Clone)]
pub struct Repeat {
    pub request: Vec<u8>,
    pub status: u16,
    pub contains: &'static [u8],
    pub source: Option<IpAddr>,
}

impl Repeat {
    /// Expects 200 with `contains` in the body.
    pub fn new(request: Vec<u8>, contains: &'static str) -> Self {
        Self { request, status: 200, contains: contains.as_bytes(), source: None }
    }
}

impl Client for Repeat {
    fn request(&mut self) -> Option<&[u8]> {
        Some(&self.request)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.status == self.status && find(answer.body, self.contains).is_some() {
            return Ok(());
        }
        Err(format!("a wrong answer to {:?}: {}", first_line(&self.request), answer.describe()))
    }

    fn source(&self) -> Option<IpAddr> {
        self.source
    }
}

fn first_line(request: &[u8]) -> String {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    String::from_utf8_lossy(line).into_owned()
}
