use poem::{EndpointExt as _, Request, Response, endpoint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::activity::{ANSWER_TIMEOUT, IDLE_TIMEOUT, STALL_TIMEOUT};
use super::connection::HTTP2_STREAMS;
use super::*;

/// Slightly less than the idle timeout of the server.
const ALMOST: Duration = Duration::from_secs(74);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: gate\r\n\r\n";

/// More than the system buffers for a client that does not read.
const LARGE: usize = 64 << 20;

/// A server whose responses take as many seconds as the path says, or are large, and a client connected to it.
struct Place {
    address: SocketAddr,
    client: TcpStream,
    draining: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

async fn answer(mut request: Request) -> poem::Result<Response> {
    match request.uri().path() {
        "/large" => return Ok(Response::builder().body(vec![0; LARGE])),
        "/body" => {
            let read = request.take_body().into_bytes().await;
            return Ok(Response::builder().body(if read.is_ok() { "answered" } else { "refused" }));
        }
        "/text" | "/secret" => {
            let mut response = Response::builder().content_type("text/plain").body("a ".repeat(5000));
            if request.uri().path() == "/text" {
                response.set_data(Compressible);
            }
            return Ok(response);
        }
        _ => {}
    }
    let seconds = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Ok(Response::builder().body("answered"))
}

async fn place() -> Place {
    place_with(BODY_BYTES).await
}

async fn place_with(body_bytes: usize) -> Place {
    let mut listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    listener.body_bytes = body_bytes;
    let address = listener.address();
    let client = TcpStream::connect(address).await.unwrap();
    let ((draining, is_draining), (stop, stopped)) = (watch::channel(false), watch::channel(false));
    let shutdown = Shutdown { draining: is_draining, stopped };
    let served = listener.serve(endpoint::make(answer).boxed(), shutdown);
    Place { address, client, draining, stop, served }
}

impl Place {
    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// Reads one response.
    async fn receive(&mut self) -> String {
        receive(&mut self.client, "answered").await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// How long the server takes to close the connection.
    async fn closed(&mut self) -> Duration {
        let start = Instant::now();
        // Unread input makes it a reset.
        let _ended = self.client.read_to_end(&mut Vec::new()).await;
        start.elapsed()
    }
}

/// Reads one response, which ends with this.
async fn receive(client: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        assert_ne!(client.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
    }
    assert!(read.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&read));
    String::from_utf8(read).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_whole_head_of_a_request_is_closed() {
    for start in
        ["", "G", "GET / HTTP/1.1\r\nHost: gate\r\nX-Slow: ", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut place = place().await;
        place.send(start.as_bytes()).await;
        let after = place.closed().await;
        assert!((IDLE_TIMEOUT..IDLE_TIMEOUT * 2).contains(&after), "{start:?}: {after:?}");
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
        assert!(start.elapsed() <= IDLE_TIMEOUT * 2, "{:?}", start.elapsed());
    }
    assert!(start.elapsed() <= IDLE_TIMEOUT * 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_second_request_is_not_waited_for_longer_than_the_first() {
    for start in ["", "GET / HT"] {
        let mut place = place().await;
        place.send(REQUEST).await;
        place.receive().await;
        place.send(start.as_bytes()).await;
        let after = place.closed().await;
        assert!((IDLE_TIMEOUT..=IDLE_TIMEOUT * 2).contains(&after), "{start:?}: {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_answer_is_not_waited_for() {
    let mut place = place().await;
    place.send(b"GET /large HTTP/1.1\r\nHost: gate\r\n\r\n").await;
    tokio::time::sleep(STALL_TIMEOUT * 2 + Duration::from_secs(10)).await;
    let mut read = Vec::new();
    let _ended = place.client.read_to_end(&mut read).await;
    assert!((1..LARGE).contains(&read.len()), "{}", read.len());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_its_answer_a_little_at_a_time_is_not_waited_for() {
    let mut place = place().await;
    place.send(b"GET /large HTTP/1.1\r\nHost: gate\r\n\r\n").await;
    let (start, mut few, mut total) = (Instant::now(), vec![0; 8 * 1024], 0);
    // One kilobyte per second.
    while start.elapsed() < ANSWER_TIMEOUT {
        total += place.client.read(&mut few).await.unwrap_or(0);
        tokio::time::sleep(Duration::from_secs(8)).await;
    }
    let mut rest = Vec::new();
    let _ended = place.client.read_to_end(&mut rest).await;
    total += rest.len();
    assert!(total < LARGE, "{total}");
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
    let mut place = place().await;
    place.send(b"GET /1000 HTTP/1.1\r\nHost: gate\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    place.stop.send_replace(true);
    let after = place.closed().await;
    assert!((SHUTDOWN_TIMEOUT..SHUTDOWN_TIMEOUT + Duration::from_secs(1)).contains(&after), "{after:?}");
    place.served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_connections_without_a_whole_head() {
    for start in ["", "GET / HTTP/1.1\r\nX-Slow: ", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut place = place().await;
        place.send(start.as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let stopped_at = Instant::now();
        place.stop.send_replace(true);
        place.served.await.unwrap();
        assert!(stopped_at.elapsed() < Duration::from_secs(2), "{start:?}: {:?}", stopped_at.elapsed());
    }
}

#[tokio::test]
async fn while_draining_requests_are_served_and_answers_close_their_connections() {
    let mut place = place().await;
    place.send(REQUEST).await;
    assert!(!place.receive().await.contains("connection: close"));
    place.draining.send_replace(true);
    place.send(REQUEST).await;
    assert!(place.receive().await.contains("connection: close"));
    assert_eq!(place.client.read(&mut [0]).await.unwrap(), 0);
    let mut later = place.connect().await;
    later.write_all(REQUEST).await.unwrap();
    assert!(receive(&mut later, "answered").await.contains("connection: close"));
}

#[tokio::test]
async fn after_an_answer_before_the_body_was_read_the_connection_can_be_used_again() {
    let mut place = place().await;
    let body = vec![b'x'; 300 * 1024];
    let head = format!("POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: {}\r\n\r\n", body.len());
    for _ in 0..3 {
        place.send(head.as_bytes()).await;
        place.send(&body).await;
        assert!(!place.receive().await.contains("connection: close"));
    }
    let chunked = "POST / HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for _ in 0..3 {
        place.send(chunked.as_bytes()).await;
        assert!(!place.receive().await.contains("connection: close"));
    }
}

#[tokio::test]
async fn an_answer_before_a_body_that_is_too_large_says_that_the_connection_ends_and_arrives() {
    let mut place = place().await;
    let body = vec![b'x'; 3 << 20];
    place.send(format!("POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes()).await;
    // All of it is sent before anything is read, as many clients do.
    place.send(&body).await;
    assert!(place.receive().await.contains("connection: close"));
    assert_eq!(place.client.read(&mut [0]).await.unwrap(), 0);
    // A client that waits for `100 Continue` does not get it.
    let mut waiting = place.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    waiting.write_all(head.as_bytes()).await.unwrap();
    assert!(receive(&mut waiting, "answered").await.contains("connection: close"));
}

#[tokio::test]
async fn a_request_names_one_host() {
    for (version, headers, status) in [
        ("1.1", "", "400 Bad Request"),
        ("1.1", "Host: gate\r\nHost: gate\r\n", "400 Bad Request"),
        ("1.1", "Host: some body@gate\r\n", "400 Bad Request"),
        ("1.0", "Host: gate\r\nHost: other\r\n", "400 Bad Request"),
        ("1.1", "Host: gate:8080\r\n", "200 OK"),
        ("1.1", "Host: [::1]:8080\r\n", "200 OK"),
        ("1.1", "Host:\r\n", "200 OK"),
        ("1.0", "", "200 OK"),
    ] {
        let mut place = place().await;
        let request = format!("GET / HTTP/{version}\r\n{headers}Connection: close\r\n\r\n");
        place.send(request.as_bytes()).await;
        let mut read = String::new();
        place.client.read_to_string(&mut read).await.unwrap();
        assert!(read.starts_with(&format!("HTTP/{version} {status}")), "{request}{read}");
    }
}

#[tokio::test]
async fn the_body_that_arrives_for_the_longest_time_makes_room_for_others() {
    let place = place_with(100 * 1024).await;
    let half = vec![b'x'; 60 * 1024];
    let head = format!("POST /body HTTP/1.1\r\nHost: gate\r\nContent-Length: {}\r\n\r\n", half.len() + 1);
    let mut slow = place.connect().await;
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&half).await.unwrap();
    for _ in 0..20 {
        let mut quick = place.connect().await;
        quick.write_all(head.as_bytes()).await.unwrap();
        quick.write_all(&half).await.unwrap();
        quick.write_all(b"x").await.unwrap();
        receive(&mut quick, "answered").await;
    }
    slow.write_all(b"x").await.unwrap();
    receive(&mut slow, "refused").await;
}

#[tokio::test]
async fn what_may_be_compressed_is_where_the_client_accepts_it() {
    for (path, accepted, expected) in
        [("/text", "gzip", true), ("/text", "identity", false), ("/secret", "gzip", false), ("/0", "gzip", false)]
    {
        let mut place = place().await;
        let headers = format!("Host: gate\r\nAccept-Encoding: {accepted}\r\nConnection: close\r\n");
        place.send(format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes()).await;
        let mut read = Vec::new();
        place.client.read_to_end(&mut read).await.unwrap();
        let head = String::from_utf8_lossy(&read);
        assert_eq!(head.contains("content-encoding: gzip"), expected, "{path} {accepted}: {head}");
        assert_eq!(read.len() < 1000, expected || path == "/0", "{path} {accepted}");
    }
}

/// The settings that the server announces to an HTTP/2 client, by number (RFC 9113 §6.5).
#[tokio::test]
async fn http2_is_bounded_in_streams_and_windows() {
    let mut place = place().await;
    place.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut head = [0; 9];
    place.client.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "a SETTINGS frame");
    let mut payload = vec![0; usize::from(head[2])];
    place.client.read_exact(&mut payload).await.unwrap();
    let settings: std::collections::HashMap<u16, u32> = payload
        .chunks(6)
        .map(|pair| (u16::from_be_bytes([pair[0], pair[1]]), u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]])))
        .collect();
    let (streams, window) = (settings[&3], settings[&4]);
    assert_eq!((streams, window), (HTTP2_STREAMS, 64 * 1024));
}
