//! A proxy that breaks in every way a network and a server can. It carries one request on each connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use url::Url;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is passed on, and so is the answer.
    Pass,
    /// It is read, and the connection is reset.
    Reset,
    /// It is read, and nothing follows.
    Stall,
    /// An answer comes, a byte at a time, that would take minutes.
    Drip,
    /// It is passed on, and the answer ends in the middle of its body.
    Cut,
    /// It is passed on, and the answer is lost.
    Lose,
    /// It is answered like this.
    Answer { status: &'static str, headers: &'static str, body: &'static [u8] },
}

impl Fault {
    pub const fn status(status: &'static str) -> Self {
        Self::Answer { status, headers: "content-type: application/json\r\n", body: b"{\"detail\":\"broken\"}" }
    }
}

/// The proxy; it serves until it is dropped.
pub struct FaultProxy {
    pub url: Url,
    shared: Arc<Shared>,
    listening: mpsc::UnboundedSender<(bool, oneshot::Sender<()>)>,
    serving: JoinHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    usual: Mutex<Fault>,
    next: Mutex<VecDeque<Fault>>,
    requests: AtomicU64,
}

impl FaultProxy {
    /// A proxy before `upstream` that passes everything on.
    pub async fn before(upstream: &Url) -> Self {
        let upstream = upstream.socket_addrs(|| None).unwrap()[0];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            usual: Mutex::new(Fault::Pass),
            next: Mutex::default(),
            requests: AtomicU64::new(0),
        });
        let (listening, commands) = mpsc::unbounded_channel();
        let serving = tokio::spawn(serve(listener, address, Arc::clone(&shared), commands));
        Self { url: format!("http://{address}").parse().unwrap(), shared, listening, serving }
    }

    /// What becomes of every request from now on.
    pub fn set(&self, fault: Fault) {
        *self.shared.usual.lock().unwrap() = fault;
    }

    /// What becomes of the next requests, one after the other.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.next.lock().unwrap().extend(faults);
    }

    /// Refuses connections, or no longer.
    pub async fn refuse(&self, refuse: bool) {
        let (done, is_done) = oneshot::channel();
        self.listening.send((!refuse, done)).unwrap();
        is_done.await.unwrap();
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut commands: mpsc::UnboundedReceiver<(bool, oneshot::Sender<()>)>,
) {
    let mut listener = Some(listener);
    loop {
        let accept = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = accept => {
                let Ok((stream, _)) = accepted else { continue };
                // A connection that breaks is the point; its error is not.
                tokio::spawn(carry(stream, Arc::clone(&shared)));
            }
            command = commands.recv() => {
                let Some((listen, done)) = command else { return };
                listener = if listen { Some(TcpListener::bind(address).await.unwrap()) } else { None };
                let _ = done.send(());
            }
        }
    }
}

async fn carry(mut client: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let request = read_request(&mut client).await?;
    if request.is_empty() {
        // A connection that was opened in advance.
        return Ok(());
    }
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let scripted = shared.next.lock().unwrap().pop_front();
    let fault = scripted.unwrap_or_else(|| shared.usual.lock().unwrap().clone());
    match fault {
        Fault::Pass => client.write_all(&pass_on(&request, shared.upstream).await?).await?,
        Fault::Reset => client.set_zero_linger()?,
        Fault::Stall => std::future::pending().await,
        Fault::Drip => {
            client
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n")
                .await?;
            loop {
                client.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Fault::Cut => {
            let answer = pass_on(&request, shared.upstream).await?;
            let body = end_of_head(&answer).unwrap();
            client.write_all(&answer[..usize::midpoint(body, answer.len())]).await?;
        }
        Fault::Lose => {
            pass_on(&request, shared.upstream).await?;
            client.set_zero_linger()?;
        }
        Fault::Answer { status, headers, body } => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
            client.write_all(head.as_bytes()).await?;
            client.write_all(body).await?;
        }
    }
    client.shutdown().await
}

/// Head and body, as far as the client says how long that is.
async fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if let Some(body) = end_of_head(&request) {
            let head = String::from_utf8_lossy(&request[..body]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            if request.len() >= body + length.unwrap_or(0) {
                return Ok(request);
            }
        }
        if client.read_buf(&mut request).await? == 0 {
            return Ok(request);
        }
    }
}

fn end_of_head(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|window| window == b"\r\n\r\n").map(|position| position + 4)
}

/// What the real server answers, with the connection closed behind it.
async fn pass_on(request: &[u8], upstream: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await?;
    let first_line = request.windows(2).position(|window| window == b"\r\n").unwrap() + 2;
    server.write_all(&request[..first_line]).await?;
    server.write_all(b"connection: close\r\n").await?;
    server.write_all(&request[first_line..]).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}
