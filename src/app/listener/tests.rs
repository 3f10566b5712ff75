use poem::{EndpointExt as _, Request, Response, endpoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::*;

/// A little less than the patience of the server.
const ALMOST: Duration = Duration::from_secs(74);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: gate\r\n\r\n";

/// More than the system keeps for a client that does not read.
const LARGE: usize = 64 << 20;

/// A server whose answers take as many seconds as the path says, or are large, and a client that is connected to it.
struct Place {
    client: TcpStream,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

async fn answer(request: Request) -> poem::Result<Response> {
    if request.uri().path() == "/large" {
        return Ok(Response::builder().body(vec![0; LARGE]));
    }
    let seconds = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok(Response::builder().body("answered"))
}

async fn place() -> Place {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let client = TcpStream::connect(listener.address()).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let served = listener.serve(endpoint::make(answer).boxed(), stopped);
    Place { client, stop, served }
}

impl Place {
    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// Reads one answer.
    async fn receive(&mut self) {
        let mut read = Vec::new();
        while !read.ends_with(b"answered") {
            assert_ne!(self.client.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
        }
        assert!(read.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&read));
    }

    /// How long it takes the server to close the connection.
    async fn closed(&mut self) -> Duration {
        let start = Instant::now();
        // What was not read yet makes it a reset.
        let _ended = self.client.read_to_end(&mut Vec::new()).await;
        start.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_whole_head_of_a_request_is_closed() {
    for start in
        ["", "G", "GET / HTTP/1.1\r\nHost: gate\r\nX-Slow: ", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut place = place().await;
        place.send(start.as_bytes()).await;
        let after = place.closed().await;
        assert!((PATIENCE..PATIENCE * 2).contains(&after), "{start:?}: {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_byte_by_byte_gains_no_time() {
    let mut place = place().await;
    place.send(b"GET / HTTP/1.1\r\nX-Slow: ").await;
    let start = Instant::now();
    let (mut read, mut write) = place.client.split();
    let mut end = [0];
    let closed = read.read(&mut end);
    tokio::pin!(closed);
    loop {
        tokio::select! {
            ended = &mut closed => break assert_eq!(ended.unwrap_or(0), 0),
            () = tokio::time::sleep(Duration::from_secs(1)) => drop(write.write_all(b"a").await),
        }
    }
    assert!(start.elapsed() <= PATIENCE * 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_second_request_is_not_waited_for_longer_than_the_first() {
    for start in ["", "GET / HT"] {
        let mut place = place().await;
        place.send(REQUEST).await;
        place.receive().await;
        place.send(start.as_bytes()).await;
        let after = place.closed().await;
        assert!((PATIENCE..=PATIENCE * 2).contains(&after), "{start:?}: {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_is_not_waited_for() {
    let mut place = place().await;
    place.send(b"GET /large HTTP/1.1\r\nHost: gate\r\n\r\n").await;
    tokio::time::sleep(PATIENCE * 2 + Duration::from_secs(1)).await;
    let mut read = Vec::new();
    let _ended = place.client.read_to_end(&mut read).await;
    assert!((1..LARGE).contains(&read.len()), "{}", read.len());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_used_stays_open() {
    let mut place = place().await;
    for _ in 0..20 {
        place.send(REQUEST).await;
        place.receive().await;
        tokio::time::sleep(ALMOST).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_long_is_waited_for_and_the_connection_kept_afterwards() {
    let mut place = place().await;
    place.send(b"GET /1000 HTTP/1.1\r\nHost: gate\r\n\r\n").await;
    place.receive().await;
    tokio::time::sleep(ALMOST).await;
    place.send(REQUEST).await;
    place.receive().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_under_way_and_closes_what_is_idle() {
    let mut place = place().await;
    place.send(REQUEST).await;
    place.receive().await;
    place.stop.send_replace(true);
    assert!(place.closed().await < Duration::from_secs(1));
    place.served.await.unwrap();

    let mut place = self::place().await;
    place.send(b"GET /20 HTTP/1.1\r\nHost: gate\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    place.stop.send_replace(true);
    place.receive().await;
    place.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_breaks_off_what_does_not_end_in_time() {
    for request in ["GET /1000 HTTP/1.1\r\nHost: gate\r\n\r\n", "GET / HTTP/1.1\r\nX-Slow: "] {
        let mut place = place().await;
        place.send(request.as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        place.stop.send_replace(true);
        let after = place.closed().await;
        assert!((GRACE..GRACE + Duration::from_secs(1)).contains(&after), "{request:?}: {after:?}");
        place.served.await.unwrap();
    }
}
