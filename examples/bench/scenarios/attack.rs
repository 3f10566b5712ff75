//! What costs bcrypt, and what it does to everybody else: secrets seen for the first time, and a flood of wrong ones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use memgate_domain::applications::ClientSecret;
use memgate_domain::ids::ApplicationId;

use super::{Bench, CLIENT_CREDENTIALS, REFRESH_TOKEN, TOKEN, fetch_token, token_request};
use crate::load::{Answer, Client, Outcome, Repeat, run};
use crate::random::Random;
use crate::report::{Report, Row, median};
use crate::servers::{Credentials, Gate, Server};

const GOOD_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const ATTACKER_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));
/// How many connections of clients with a cached secret see what becomes of them meanwhile.
const GOOD_CONNECTIONS: usize = 8;
/// How many connections bring secrets that were not seen before.
const COLD_CONNECTIONS: usize = 4;
const AIM_P99_MS: f64 = 20.0;
/// Longer than any of this takes.
const LONG: Duration = Duration::from_mins(5);

pub async fn cold_secrets(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let gate = bench.gate("cold-secrets")?;
    let (server, _) = gate.start().await?;
    let good = gate.create_app("good", &[CLIENT_CREDENTIALS, REFRESH_TOKEN])?;
    let (alone, beside) = (cold_clients(bench, &gate)?, cold_clients(bench, &gate)?);
    fetch_token(&server, &good).await?;

    let one = one_bcrypt()?;
    let bound = 1.0 / one.as_secs_f64();
    let (mut cold, _) = run(server.address, alone, LONG).await?;
    let what = format!("cold secrets: each request another application, {COLD_CONNECTIONS} connections");
    let row = figures(&what, &mut cold);
    // Another process may have had the processor while this one measured.
    let met = cold.per_second() >= 0.8 * bound;
    report.row(row.aim(format!("bounded by bcrypt alone: {bound:.1}/s on one core"), met));

    report.row(good_alone(bench, &server, &good, "clients with a cached secret: nothing else going on").await?);
    let stop = Arc::new(AtomicBool::new(false));
    let others = run(server.address, good_clients(&good, &stop), LONG);
    let cold = async {
        let done = run(server.address, beside, LONG).await;
        stop.store(true, Ordering::Relaxed);
        done
    };
    let (others, cold) = tokio::join!(others, cold);
    let (others, (mut cold, _)) = (others?.0, cold?);
    report.row(good_row("clients with a cached secret: cold secrets meanwhile", others));
    let row = figures("cold secrets: clients with a cached secret meanwhile, which take all that is left", &mut cold);
    report.row(Row { resident_mb: server.resident_mb(), ..row });
    Ok(())
}

fn cold_clients(bench: &Bench, gate: &Gate) -> Result<Vec<OneEach>, String> {
    let client = |_| {
        let request = |_| Ok(token_request(&gate.create_app("cold", &[CLIENT_CREDENTIALS])?));
        let requests = (0..bench.plan.size(10)).map(request).collect::<Result<_, String>>()?;
        Ok(OneEach { requests, current: Vec::new() })
    };
    (0..COLD_CONNECTIONS).map(client).collect()
}

pub async fn flood(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let gate = bench.gate("flood")?;
    let (server, _) = gate.start().await?;
    let good = gate.create_app("good", &[CLIENT_CREDENTIALS, REFRESH_TOKEN])?;
    fetch_token(&server, &good).await?;
    report.row(good_alone(bench, &server, &good, "good clients: no flood").await?);
    let same = Some(good.client_id.clone());
    for (what, target) in [("their own client_id", same), ("another client_id each time", None)] {
        let stop = Arc::new(AtomicBool::new(false));
        let statuses = Arc::default();
        let attackers = (0..bench.plan.connections)
            .map(|_| Attacker::new(target.clone(), Arc::clone(&stop), Arc::clone(&statuses)))
            .collect();
        let attack = run(server.address, attackers, LONG);
        let others = async {
            let done = run(server.address, good_clients(&good, &Arc::default()), bench.plan.round * 5).await;
            stop.store(true, Ordering::Relaxed);
            done
        };
        let (attack, others) = tokio::join!(attack, others);
        let (attack, others) = (attack?.0, others?.0);
        let resident_mb = server.resident_mb();
        let row = good_row(&format!("good clients: flood of wrong secrets for {what}"), others);
        report.row(Row { resident_mb, ..row });
        let statuses = statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let counts: Vec<String> = statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        report.note(format!(
            "The flood for {what}: {} connections, {:.0} guesses/s, answered {}.",
            bench.plan.connections,
            attack.per_second(),
            counts.join(", "),
        ));
    }
    Ok(())
}

async fn good_alone(bench: &Bench, server: &Server, good: &Credentials, what: &str) -> Result<Row, String> {
    let clients = good_clients(good, &Arc::default());
    let (mut outcome, _) = run(server.address, clients, bench.plan.round).await?;
    Ok(figures(what, &mut outcome))
}

fn good_row(what: &str, mut outcome: Outcome) -> Row {
    let row = figures(what, &mut outcome);
    let met = row.p99_ms.is_some_and(|p99| p99 < AIM_P99_MS);
    row.aim(format!("p99 < {AIM_P99_MS} ms"), met)
}

fn figures(what: &str, outcome: &mut Outcome) -> Row {
    Row {
        per_second: Some(outcome.per_second()),
        p50_ms: Some(outcome.latencies.percentile(50)),
        p99_ms: Some(outcome.latencies.percentile(99)),
        ..Row::new(what)
    }
}

/// How long one verification at cost 12 takes on this machine, by itself.
fn one_bcrypt() -> Result<Duration, String> {
    let hash = bcrypt::hash("a secret", 12).map_err(|error| error.to_string())?;
    let mut seconds = Vec::new();
    for _ in 0..5 {
        let begin = Instant::now();
        bcrypt::verify("another", &hash).map_err(|error| error.to_string())?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(median(&seconds)))
}

/// Clients whose secret is cached, until `stop`.
fn good_clients(good: &Credentials, stop: &Arc<AtomicBool>) -> Vec<Good> {
    let repeat = Repeat { source: Some(GOOD_ADDRESS), ..Repeat::new(token_request(good), TOKEN) };
    vec![Good { repeat, stop: Arc::clone(stop) }; GOOD_CONNECTIONS]
}

#[derive(Clone)]
struct Good {
    repeat: Repeat,
    stop: Arc<AtomicBool>,
}

impl Client for Good {
    fn request(&mut self) -> Option<&[u8]> {
        if self.stop.load(Ordering::Relaxed) { None } else { self.repeat.request() }
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        self.repeat.check(answer)
    }

    fn source(&self) -> Option<IpAddr> {
        self.repeat.source
    }
}

/// Asks each of its requests once.
struct OneEach {
    requests: Vec<Vec<u8>>,
    current: Vec<u8>,
}

impl Client for OneEach {
    fn request(&mut self) -> Option<&[u8]> {
        self.current = self.requests.pop()?;
        Some(&self.current)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.status == 200 { Ok(()) } else { Err(format!("a right secret was refused: {}", answer.describe())) }
    }
}

/// Guesses well-formed secrets, so that their checksum does not give them away.
struct Attacker {
    target: Option<String>,
    stop: Arc<AtomicBool>,
    statuses: Arc<Mutex<BTreeMap<u16, u64>>>,
    current: Vec<u8>,
}

impl Attacker {
    fn new(target: Option<String>, stop: Arc<AtomicBool>, statuses: Arc<Mutex<BTreeMap<u16, u64>>>) -> Self {
        Self { target, stop, statuses, current: Vec::new() }
    }
}

impl Client for Attacker {
    fn request(&mut self) -> Option<&[u8]> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let client_secret = ClientSecret::generate(&Random).expose().to_owned();
        let client_id = self.target.clone().unwrap_or_else(|| ApplicationId::generate(&Random).to_string());
        self.current = token_request(&Credentials { client_id, client_secret });
        Some(&self.current)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        *self.statuses.lock().unwrap_or_else(PoisonError::into_inner).entry(answer.status).or_default() += 1;
        match answer.status {
            401 | 429 | 503 => Ok(()),
            _ => Err(format!("a wrong secret was answered with {}", answer.describe())),
        }
    }

    fn source(&self) -> Option<IpAddr> {
        Some(ATTACKER_ADDRESS)
    }
}
