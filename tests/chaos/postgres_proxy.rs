//! A proxy before a PostgreSQL server that breaks connections at any point of the protocol.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clients::Dice;

/// Serves until it is dropped.
pub struct PostgresProxy {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    socket: PathBuf,
    /// Of how many pieces of data one is cut in the middle, with the connection; 0 for none.
    cut_one_in: AtomicU64,
    dice: Mutex<Dice>,
    faults: AtomicU32,
    /// Connections older than this carry nothing any more, and are not closed either.
    silenced: AtomicU64,
    opened: AtomicU64,
    frozen: watch::Sender<bool>,
    refusing: watch::Sender<bool>,
}

impl PostgresProxy {
    /// A proxy before the server with this socket, which passes everything on.
    pub async fn before(socket: PathBuf, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            socket,
            cut_one_in: AtomicU64::new(0),
            dice: Mutex::new(Dice::new(seed)),
            faults: AtomicU32::new(0),
            silenced: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            frozen: watch::Sender::new(false),
            refusing: watch::Sender::new(false),
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self { port, shared, serving }
    }

    /// Cuts connections at random points.
    pub fn cut_one_in(&self, pieces: u64) {
        self.shared.cut_one_in.store(pieces, Ordering::SeqCst);
    }

    /// The connections that are open carry nothing any more; new ones do.
    pub fn silence_open_connections(&self) {
        self.shared.faults.fetch_add(1, Ordering::SeqCst);
        self.shared.silenced.store(self.shared.opened.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Nothing is carried, on new connections neither, until it is let go on.
    pub fn freeze(&self, freeze: bool) {
        self.shared.faults.fetch_add(u32::from(freeze), Ordering::SeqCst);
        self.shared.frozen.send_replace(freeze);
    }

    /// Closes every connection, the new ones at once, until it is told otherwise.
    pub fn refuse(&self, refuse: bool) {
        self.shared.faults.fetch_add(u32::from(refuse), Ordering::SeqCst);
        self.shared.refusing.send_replace(refuse);
    }

    /// How often something was broken.
    pub fn faults(&self) -> u32 {
        self.shared.faults.load(Ordering::SeqCst)
    }
}

impl Drop for PostgresProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, Arc::clone(&shared)));
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    let number = shared.opened.fetch_add(1, Ordering::SeqCst);
    let mut refusing = shared.refusing.subscribe();
    let Ok(server) = UnixStream::connect(&shared.socket).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, number, &shared) => {}
        () = pump(from_server, to_client, number, &shared) => {}
        _ = refusing.wait_for(|refusing| *refusing) => {}
    }
}

/// Carries data until an end closes or the connection is cut.
async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, number: u64, shared: &Shared) {
    let mut frozen = shared.frozen.subscribe();
    let mut piece = vec![0; 16 * 1024];
    loop {
        let Ok(mut length) = from.read(&mut piece).await else { return };
        if length == 0 {
            return;
        }
        if frozen.wait_for(|frozen| !frozen).await.is_err() {
            return;
        }
        if number < shared.silenced.load(Ordering::SeqCst) {
            continue;
        }
        let cut_one_in = shared.cut_one_in.load(Ordering::SeqCst);
        let cut = cut_one_in > 0 && {
            let mut dice = shared.dice.lock().unwrap();
            let cut = dice.below(cut_one_in) == 0;
            if cut {
                length = usize::try_from(dice.below(length as u64)).unwrap();
            }
            cut
        };
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
        if cut {
            shared.faults.fetch_add(1, Ordering::SeqCst);
            return;
        }
    }
}
