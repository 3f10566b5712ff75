//! `memgate import` of 100,000 memories in conversations, into an empty database.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use super::{Bench, CLIENT_CREDENTIALS};
use crate::corpus::Corpus;
use crate::postgres::Cluster;
use crate::report::{Report, Row};
use crate::servers::{Credentials, Gate};

const MEMORIES: usize = 100_000;
const AIM_SQLITE: f64 = 15_000.0;
const AIM_POSTGRES: f64 = 5_000.0;

pub fn sqlite(bench: &Bench, report: &mut Report) -> Result<(), String> {
    import(bench, report, &bench.gate("import")?, "SQLite", AIM_SQLITE)
}

pub fn postgres(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let Some(cluster) = Cluster::start()? else {
        report.note("import-postgres was SKIPPED: no PostgreSQL server on this machine");
        return Ok(());
    };
    import(bench, report, &bench.gate_on("import-postgres", cluster.url())?, "PostgreSQL", AIM_POSTGRES)
}

fn import(bench: &Bench, report: &mut Report, gate: &Gate, database: &str, aim: f64) -> Result<(), String> {
    let memories = bench.plan.size(MEMORIES);
    let path = file(bench, memories)?;
    let application = gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
    let begun = Instant::now();
    gate.run(&["import", &path.to_string_lossy(), "--application", &application.client_id])?;
    let count = u32::try_from(memories).map_err(|error| error.to_string())?;
    let per_second = f64::from(count) / begun.elapsed().as_secs_f64();
    let row =
        Row { per_second: Some(per_second), ..Row::new(format!("memgate import, {memories} memories: {database}")) };
    report.row(row.aim(format!("≥ {aim}/s"), per_second >= aim));
    Ok(())
}

/// Registers an application, and imports memories for it.
pub fn filled(bench: &Bench, gate: &Gate, memories: usize) -> Result<Credentials, String> {
    let application = gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
    let path = file(bench, memories)?;
    gate.run(&["import", &path.to_string_lossy(), "--application", &application.client_id])?;
    Ok(application)
}

/// A file of memories in conversations.
pub fn file(bench: &Bench, memories: usize) -> Result<PathBuf, String> {
    let path = bench.dir("import-file")?.join("memories.jsonl");
    let mut file = BufWriter::new(File::create(&path).map_err(|error| error.to_string())?);
    write(&mut file, memories).map_err(|error| error.to_string())?;
    Ok(path)
}

/// Writes memories in conversations, a line each.
fn write(file: &mut BufWriter<File>, memories: usize) -> std::io::Result<()> {
    let mut corpus = Corpus::new(1);
    for _ in 0..memories {
        writeln!(file, "{}", corpus.memory().json())?;
    }
    file.flush()
}
