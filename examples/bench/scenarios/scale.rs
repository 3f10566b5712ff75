//! A million memories: in one space, and in a thousand.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::search::{askers, questions, request};
use super::{Bench, CLIENT_CREDENTIALS, fetch_access_token, import};
use crate::compare::{Plan, Side, alone};
use crate::corpus::Corpus;
use crate::report::Report;

const MEMORIES: usize = 1_000_000;
const SPACES: usize = 1_000;
/// How long the index of a million memories is waited for.
const BUILT_WITHIN: Duration = Duration::from_mins(5);
const AIM_CPU_US: f64 = 10_000.0;
const AIM_MB: f64 = 120.0;

pub async fn one_space(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let memories = bench.plan.size(MEMORIES);
    let gate = bench.gate("million")?;
    let application = import::filled(bench, &gate, memories)?;
    let (server, _) = gate.start().await?;
    let token = fetch_access_token(&server, &application).await?;
    let (_, requests) = questions(&token);
    // Until the index is in memory, searches are slower.
    let mut first = Side::new(&server, askers(&requests, 1));
    alone(&bench.plan, &mut first).await?;
    report.row(first.row(&format!("search among {memories} of one space, just started")));
    let (begun, first_p50) = (Instant::now(), first.row("").p50_ms.unwrap_or_default());
    loop {
        let mut side = Side::new(&server, askers(&requests, 1));
        alone(&Plan { rounds: 1, ..bench.plan }, &mut side).await?;
        let is_built = side.row("").p50_ms.is_some_and(|p50| p50 < first_p50 / 2.0);
        if is_built || begun.elapsed() > BUILT_WITHIN {
            break;
        }
    }
    let mut side = Side::new(&server, askers(&requests, 1));
    alone(&bench.plan, &mut side).await?;
    let row = side.row(&format!("search among {memories} of one space"));
    let met = row.cpu_us.is_some_and(|cpu| cpu <= AIM_CPU_US);
    report.row(row.aim(format!("processor ≤ {AIM_CPU_US} µs"), met));
    Ok(())
}

pub async fn many_spaces(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let (memories, spaces) = (bench.plan.size(MEMORIES), bench.plan.size(SPACES));
    // The cheapest bcrypt, so that the applications are there within minutes.
    let gate = bench.gate("spaces")?.with("MEMGATE_BCRYPT_COST", "4");
    let path = bench.dir("spaces-file")?.join("memories.jsonl");
    let (mut corpus, mut applications) = (Corpus::new(1), Vec::with_capacity(spaces));
    for number in 0..spaces {
        let mut file = BufWriter::new(File::create(&path).map_err(|error| error.to_string())?);
        for _ in 0..memories / spaces {
            writeln!(file, "{}", corpus.memory().json()).map_err(|error| error.to_string())?;
        }
        file.flush().map_err(|error| error.to_string())?;
        let application = gate.create_app(&format!("bench {number}"), &[CLIENT_CREDENTIALS])?;
        gate.run(&["import", &path.to_string_lossy(), "--application", &application.client_id])?;
        applications.push(application);
    }
    let (server, _) = gate.start().await?;
    let mut asked = Corpus::new(2);
    let mut requests = Vec::with_capacity(spaces);
    for application in &applications {
        let token = fetch_access_token(&server, application).await?;
        requests.push(request(&token, &asked.question()));
    }
    let requests: Arc<[Vec<u8>]> = requests.into();
    let mut clients = askers(&requests, bench.plan.connections);
    for client in &mut clients {
        client.may_find_nothing = true;
    }
    let mut side = Side::new(&server, clients);
    alone(&bench.plan, &mut side).await?;
    let row = side.row(&format!("search in {spaces} spaces in turn, {memories} memories in all"));
    let met = row.resident_mb.is_some_and(|mb| mb < AIM_MB);
    report.row(row.aim(format!("resident < {AIM_MB} MB"), met));
    Ok(())
}
