//! Search with an embedding model beside search without one, on the same memories.

use std::path::Path;
use std::{env, fs};

use super::search::{askers, questions};
use super::{Bench, fetch_access_token, import};
use crate::compare::{Side, take_turns};
use crate::report::{Report, Row};

/// With a static model, whose vector of a query costs next to nothing: what is left is the comparison with all vectors.
const MEMORIES: usize = 100_000;
/// With a transformer: enough for an index in memory, and few enough to embed within a minute or two.
const FEW: usize = 2_000;
const AIM_CPU_US: f64 = 3_000.0;
const AIM_QUERY_US: f64 = 10_000.0;

pub async fn meaning(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let Some(models) = env::var_os("TEST_EMBEDDING_MODELS") else {
        report.note(
            "search-meaning was SKIPPED: TEST_EMBEDDING_MODELS is not set to what .ci/install-embedding-model prints",
        );
        return Ok(());
    };
    let models = fs::canonicalize(models).map_err(|error| format!("TEST_EMBEDDING_MODELS: {error}"))?;
    let [without, with] = compare(bench, &models.join("wordllama"), bench.plan.size(MEMORIES)).await?;
    let met = with.cpu_us.is_some_and(|cpu| cpu <= AIM_CPU_US);
    report.row(without);
    report.row(with.aim(format!("processor ≤ {AIM_CPU_US} µs"), met));
    let [without, with] = compare(bench, &models.join("minilm"), FEW).await?;
    let query = with.cpu_us.zip(without.cpu_us).map_or(f64::INFINITY, |(with, without)| with - without);
    report.row(without);
    report.row(with.aim(format!("≤ {AIM_QUERY_US} µs more ({query:.0})"), query <= AIM_QUERY_US));
    Ok(())
}

/// Searches without and with the model, in turn.
async fn compare(bench: &Bench, model: &Path, memories: usize) -> Result<[Row; 2], String> {
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    let without = bench.gate(&format!("{name}-without"))?;
    let with = bench.gate(&format!("{name}-with"))?.with("MEMGATE_EMBEDDING_MODEL", &model.to_string_lossy());
    let applications = [import::filled(bench, &without, memories)?, import::filled(bench, &with, memories)?];
    with.run(&["embed", "rebuild"])?;
    let ((words, _), (meaning, _)) = (without.start().await?, with.start().await?);
    let [first, second] = applications;
    let first = questions(&fetch_access_token(&words, &first).await?).1;
    let second = questions(&fetch_access_token(&meaning, &second).await?).1;
    let mut sides = [Side::new(&words, askers(&first, 1)), Side::new(&meaning, askers(&second, 1))];
    take_turns(&bench.plan, &mut sides).await?;
    let [words, meaning] = sides;
    let what = format!("search among {memories}, 1 connection");
    Ok([words.row(&format!("{what}: no model")), meaning.row(&format!("{what}: {name}"))])
}
