//! From the start of the process to the first answer of `/health/ready`, on a database that exists.

use super::{Bench, CLIENT_CREDENTIALS};
use crate::report::{Report, Row, median};

pub async fn start(bench: &Bench, report: &mut Report) -> Result<(), String> {
    const AIM_MS: f64 = 150.0;
    let gate = bench.gate("start")?;
    let (server, first) = gate.start().await?;
    gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
    server.stop();

    let mut millis = Vec::new();
    for _ in 0..10 {
        let (server, elapsed) = gate.start().await?;
        millis.push(elapsed.as_secs_f64() * 1000.0);
        server.stop();
    }
    let (middle, most) = (median(&millis), millis.iter().copied().fold(0.0, f64::max));
    report.row(
        Row {
            p50_ms: Some(middle),
            p99_ms: Some(most),
            ..Row::new("start to ready, existing database (p99: the slowest of 10)")
        }
        .aim(format!("< {AIM_MS} ms"), middle < AIM_MS),
    );
    report.note(format!("The first start, with all migrations and new keys: {:.0} ms.", first.as_secs_f64() * 1000.0));
    Ok(())
}
