//! A mail server that notes what it receives (RFC 5321, RFC 3207, RFC 4954), with a certificate for `localhost`.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How long a client may stand still.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a server does.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// Speaks TLS from the first byte on.
    pub implicit_tls: bool,
    /// Offers STARTTLS.
    pub starttls: bool,
    /// The user and the password that a client needs.
    pub login: Option<(&'static str, &'static str)>,
    /// What it answers to a recipient, instead of accepting it.
    pub refusal: Option<&'static str>,
}

/// A message as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub encrypted: bool,
    pub from: String,
    pub to: Vec<String>,
    pub data: String,
}

impl Received {
    /// A header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    }

    /// The text, decoded.
    pub fn text(&self) -> String {
        let body = self.data.split_once("\r\n\r\n").unwrap().1;
        let bytes = match self.header("Content-Transfer-Encoding").as_deref() {
            Some("base64") => base64(body),
            Some("quoted-printable") => quoted_printable(body),
            _ => body.as_bytes().to_vec(),
        };
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }
}

/// A running server. It ends with the process.
pub struct SmtpDouble {
    pub address: SocketAddr,
    /// The authority that signed its certificate, as PEM.
    pub authority: String,
    received: Receiver<Received>,
    /// Every line that clients sent outside of messages.
    commands: Arc<Mutex<Vec<String>>>,
}

impl SmtpDouble {
    pub fn start(behaviour: Behaviour) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map(Arc::new)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = channel();
        let commands = Arc::default();
        let noted = Arc::clone(&commands);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { break };
                let session =
                    Session { behaviour: behaviour.clone(), sender: sender.clone(), commands: Arc::clone(&noted) };
                let tls = Arc::clone(&tls);
                // A client may leave at any time.
                thread::spawn(move || session.serve(stream, tls));
            }
        });
        Self { address, authority: authority.pem(), received, commands }
    }

    /// The next message.
    pub fn receive(&self) -> Received {
        self.received.recv_timeout(TIMEOUT).expect("a message")
    }

    /// Every line that clients sent so far, outside of messages.
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

struct Session {
    behaviour: Behaviour,
    sender: Sender<Received>,
    commands: Arc<Mutex<Vec<String>>>,
}

impl Session {
    fn serve(self, stream: TcpStream, tls: Arc<ServerConfig>) -> Option<()> {
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        let encrypt = |stream| Some(StreamOwned::new(ServerConnection::new(tls).ok()?, stream));
        if self.behaviour.implicit_tls {
            return self.talk(encrypt(stream)?, true, true).map(drop);
        }
        let starttls = self.talk(stream.try_clone().ok()?, false, true)?;
        if starttls { self.talk(encrypt(stream)?, true, false).map(drop) } else { Some(()) }
    }

    /// Talks until the client leaves or, which is returned as true, asks for TLS.
    fn talk<S: Read + Write>(&self, stream: S, encrypted: bool, greets: bool) -> Option<bool> {
        let mut stream = BufReader::new(stream);
        if greets {
            answer(&mut stream, "220 double ESMTP")?;
        }
        let (mut from, mut to, mut known) = (String::new(), Vec::new(), self.behaviour.login.is_none());
        loop {
            let line = read_line(&mut stream)?;
            self.commands.lock().unwrap().push(line.clone());
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb {
                "EHLO" => {
                    let mut offered = vec!["double", "8BITMIME"];
                    if self.behaviour.starttls && !encrypted {
                        offered.push("STARTTLS");
                    }
                    if self.behaviour.login.is_some() {
                        offered.push("AUTH PLAIN");
                    }
                    let last = offered.len() - 1;
                    for (number, line) in offered.iter().enumerate() {
                        answer(&mut stream, &format!("250{}{line}", if number == last { ' ' } else { '-' }))?;
                    }
                }
                "STARTTLS" if self.behaviour.starttls => {
                    answer(&mut stream, "220 go ahead")?;
                    return Some(true);
                }
                "AUTH" => {
                    let given = rest.strip_prefix("PLAIN ").map(base64);
                    known = self.behaviour.login.is_some_and(|(user, password)| {
                        given.as_deref() == Some(format!("\0{user}\0{password}").as_bytes())
                    });
                    answer(&mut stream, if known { "235 welcome" } else { "535 5.7.8 authentication failed" })?;
                }
                "MAIL" if known => {
                    rest.clone_into(&mut from);
                    answer(&mut stream, "250 ok")?;
                }
                "RCPT" if known => {
                    if let Some(refusal) = self.behaviour.refusal {
                        answer(&mut stream, refusal)?;
                    } else {
                        to.push(rest.to_owned());
                        answer(&mut stream, "250 ok")?;
                    }
                }
                "DATA" if !to.is_empty() => {
                    answer(&mut stream, "354 end with a dot")?;
                    let mut data = String::new();
                    loop {
                        let line = read_line(&mut stream)?;
                        if line == "." {
                            break;
                        }
                        data.push_str(line.strip_prefix('.').unwrap_or(&line));
                        data.push_str("\r\n");
                    }
                    let message = Received { encrypted, from: from.clone(), to: std::mem::take(&mut to), data };
                    self.sender.send(message).ok()?;
                    answer(&mut stream, "250 accepted")?;
                }
                "QUIT" => {
                    answer(&mut stream, "221 bye")?;
                    return Some(false);
                }
                "RSET" | "NOOP" => answer(&mut stream, "250 ok")?,
                _ => answer(&mut stream, "503 not now")?,
            }
        }
    }
}

fn answer<S: Read + Write>(stream: &mut BufReader<S>, line: &str) -> Option<()> {
    let stream = stream.get_mut();
    stream.write_all(format!("{line}\r\n").as_bytes()).and_then(|()| stream.flush()).ok()
}

fn read_line<S: Read>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = String::new();
    let length = stream.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    let text: String = text.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn quoted_printable(text: &str) -> Vec<u8> {
    let text = text.replace("=\r\n", "");
    let mut parts = text.split('=');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).unwrap());
        bytes.extend(rest.as_bytes());
    }
    bytes
}
