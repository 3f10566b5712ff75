//! What was answered is kept under every fault: clients create, change, delete, revoke, refresh, and sign in and out while
//! the database's writes fail, its connections break, and the service is killed. At the end every answer is compared with
//! what is there.
//!
//! `CHAOS_SEED` and `CHAOS_SECONDS` choose the schedule and its length; `just chaos` runs it for an hour.
#![cfg(target_os = "linux")]

mod clients;
mod disk;
mod faulty_postgres;
mod postgres_proxy;
mod recovery;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clients::{ChaosClient, Dice, PASSWORD, PUBLIC_URL, Tally};
use disk::FaultyDisk;
use faulty_postgres::FaultyPostgres;
use memgate_test_kit::http;
use memgate_test_kit::process::{Server, finish, finish_with_input, memgate};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

const CLIENTS: u64 = 6;
/// For how long a fault lasts at most, and the peace after it.
const PHASE_MILLIS: u64 = 700;
/// How long the service may take to be ready again when nothing fails any more.
const RECOVERY: Duration = Duration::from_secs(20);

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

fn seed() -> u64 {
    let seed = number_from("CHAOS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("CHAOS_SEED={seed}");
    seed
}

fn duration() -> Duration {
    Duration::from_secs(number_from("CHAOS_SECONDS").unwrap_or(20))
}

/// What a schedule can break and mend.
trait Breakable {
    /// Prepares a command that uses it.
    fn attach(&self, command: &mut Command);
    /// Breaks it in some way.
    fn shake(&mut self, dice: &mut Dice);
    /// Mends it.
    fn mend(&mut self);
    /// How often it broke.
    fn faults(&self) -> u32;
}

impl Breakable for FaultyDisk {
    fn attach(&self, command: &mut Command) {
        Self::attach(self, command);
    }

    fn shake(&mut self, dice: &mut Dice) {
        let one_in = [1, 2, 3, 7, 20, 60];
        self.fail_one_in(one_in[usize::try_from(dice.below(one_in.len() as u64)).unwrap()]);
    }

    fn mend(&mut self) {
        self.fail_one_in(0);
    }

    fn faults(&self) -> u32 {
        self.failed()
    }
}

fn start(folder: &Path, broken: &impl Breakable) -> Server {
    let mut command = memgate(folder);
    // A used refresh token is refused at once, which is how its use is seen at the end. Tokens outlive the longest run.
    let variables = [("MEMGATE_REFRESH_RETRY_WINDOW", "0s"), ("MEMGATE_ACCESS_TOKEN_TTL", "24h")];
    command.env("MEMGATE_PUBLIC_URL", PUBLIC_URL).envs(variables);
    broken.attach(&mut command);
    Server::start(command)
}

/// Registers an application that may do everything, as often as it wants. Returns its credentials.
fn register(folder: &Path, broken: &impl Breakable, name: &str) -> Value {
    let mut command = memgate(folder);
    broken.attach(&mut command);
    command.args(["app", "create", "--json", "--name", name, "--rate-limit", "1000000"]);
    for permission in ["memory:read", "memory:write", "memory:delete"] {
        command.args(["--permission", permission]);
    }
    let output = finish(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn create_person(folder: &Path, broken: &impl Breakable, login: &str) {
    let mut command = memgate(folder);
    broken.attach(&mut command);
    assert!(finish_with_input(command.args(["user", "create", login]), PASSWORD).status.success());
}

async fn ready(url: &str, within: Duration) {
    let http = http::client();
    let deadline = Instant::now() + within;
    loop {
        let answer = http.get(format!("{url}/health/ready")).send().await;
        let status = answer.map(|answer| answer.status().as_u16());
        if matches!(status, Ok(200)) {
            return;
        }
        assert!(Instant::now() < deadline, "the service is not ready {within:?} after the last fault: {status:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs the schedule on this database.
async fn run(mut broken: impl Breakable) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let seed = seed();
    let mut dice = Dice::new(seed);
    let mut server = start(folder, &broken);
    let (address, addresses) = watch::channel(server.url.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let name = format!("Client {number}");
        let application = register(folder, &broken, &name);
        // A person has so many sessions, which others would use up.
        let login = format!("person-{number}");
        create_person(folder, &broken, &login);
        let mut client = ChaosClient::new(seed.wrapping_mul(31) + number, &application, &login, addresses.clone());
        let stop = Arc::clone(&stop);
        clients.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                client.act().await;
            }
            client
        });
    }
    let (begun, duration) = (Instant::now(), duration());
    let (mut kills, mut slowest) = (0, Duration::ZERO);
    while begun.elapsed() < duration {
        if let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
        let pause = |dice: &mut Dice| Duration::from_millis(50 + dice.below(PHASE_MILLIS));
        broken.shake(&mut dice);
        tokio::time::sleep(pause(&mut dice)).await;
        let mended = if dice.below(4) == 0 {
            kills += 1;
            server.kill();
            broken.mend();
            let mended = Instant::now();
            server = start(folder, &broken);
            address.send_replace(server.url.clone());
            mended
        } else {
            broken.mend();
            Instant::now()
        };
        ready(&server.url, RECOVERY).await;
        slowest = slowest.max(mended.elapsed());
        tokio::time::sleep(pause(&mut dice)).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut total = Tally::default();
    let mut verified = Vec::new();
    while let Some(client) = clients.join_next().await {
        let client = client.unwrap();
        total.requests += client.tally.requests;
        total.refused += client.tally.refused;
        total.unanswered += client.tally.unanswered;
        total.promises += client.tally.promises;
        verified.push(client);
    }
    assert_eq!(verified.len() as u64, CLIENTS, "a client ended early");
    // What the running service says, and what is there after a crash.
    for client in &mut verified {
        client.verify_memories(RECOVERY).await;
    }
    server.kill();
    server = start(folder, &broken);
    address.send_replace(server.url.clone());
    ready(&server.url, RECOVERY).await;
    for client in &mut verified {
        client.verify().await;
    }
    let (faults, elapsed) = (broken.faults(), begun.elapsed().as_secs());
    eprintln!(
        "seed {seed}: {elapsed} s, {faults} faults, {kills} kills, {total:?}, ready again after at most {slowest:?}, 0 lost"
    );
    assert!(faults > 0, "nothing was broken");
    assert!(total.promises > total.requests / 20, "hardly anything was promised: {total:?}");
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_what_was_answered_is_kept_whatever_fails() {
    Box::pin(run(FaultyDisk::new(1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_what_was_answered_is_kept_whatever_fails() {
    if let Some(broken) = FaultyPostgres::start().await {
        Box::pin(run(broken)).await;
    }
}
