//! Two servers in turn, A B A B, so that whatever else happens on the machine happens to both.

use std::time::Duration;

use crate::load::{Client, run};
use crate::report::{Row, median};
use crate::servers::Server;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Plan {
    pub rounds: usize,
    pub round: Duration,
    pub warm_up: Duration,
    pub connections: usize,
    pub quick: bool,
}

impl Plan {
    pub fn new(quick: bool) -> Self {
        let (rounds, round, warm_up) = if quick { (2, 1, 1) } else { (5, 3, 2) };
        Self {
            rounds,
            round: Duration::from_secs(round),
            warm_up: Duration::from_secs(warm_up),
            connections: 16,
            quick,
        }
    }

    /// `full`, or a tenth of it in a quick run.
    pub fn size(&self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }
}

/// A server with the clients that ask it, and the rounds they had.
pub struct Side<'a, C> {
    server: &'a Server,
    clients: Vec<C>,
    rounds: Vec<Round>,
    answers: u64,
}

struct Round {
    answers: u64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    cpu_us: f64,
    resident_mb: f64,
}

impl<'a, C: Client> Side<'a, C> {
    pub fn new(server: &'a Server, clients: Vec<C>) -> Self {
        Self { server, clients, rounds: Vec::new(), answers: 0 }
    }

    async fn load(&mut self, duration: Duration) -> Result<Round, String> {
        let clients = std::mem::take(&mut self.clients);
        let (clients, round) = measure(self.server, clients, duration).await?;
        self.clients = clients;
        self.answers += round.answers;
        Ok(round)
    }

    /// How many answers there were so far, those of the warm-up included.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// The medians of its rounds, under the name `what`.
    pub fn row(&self, what: &str) -> Row {
        let of = |figure: fn(&Round) -> f64| Some(median(&self.rounds.iter().map(figure).collect::<Vec<_>>()));
        Row {
            per_second: of(|round| round.per_second),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
            p999_ms: of(|round| round.p999_ms),
            cpu_us: of(|round| round.cpu_us),
            resident_mb: self.rounds.iter().map(|round| round.resident_mb).reduce(f64::max),
            ..Row::new(what)
        }
    }
}

/// One round of load on one server, with its memory and processor time.
async fn measure<C: Client>(server: &Server, clients: Vec<C>, duration: Duration) -> Result<(Vec<C>, Round), String> {
    let cpu_before = server.cpu_micros().unwrap_or_default();
    let mut resident_mb: f64 = 0.0;
    let (mut outcome, clients) = {
        let mut load = std::pin::pin!(run(server.address, clients, duration));
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                done = &mut load => break done?,
                _ = tick.tick() => resident_mb = resident_mb.max(server.resident_mb().unwrap_or_default()),
            }
        }
    };
    let cpu = server.cpu_micros().unwrap_or_default() - cpu_before;
    #[expect(clippy::cast_precision_loss, reason = "both numbers are far below 2^52")]
    let cpu_us = cpu as f64 / outcome.latencies.len().max(1) as f64;
    let round = Round {
        answers: u64::try_from(outcome.latencies.len()).unwrap_or(u64::MAX),
        per_second: outcome.per_second(),
        p50_ms: outcome.latencies.percentile(50),
        p99_ms: outcome.latencies.percentile(99),
        p999_ms: outcome.latencies.per_mille(999),
        cpu_us,
        resident_mb: resident_mb.max(server.resident_mb().unwrap_or_default()),
    };
    Ok((clients, round))
}

/// Warms both up, then lets them take turns.
pub async fn alternate<A: Client, B: Client>(
    plan: &Plan,
    one: &mut Side<'_, A>,
    other: &mut Side<'_, B>,
) -> Result<(), String> {
    one.load(plan.warm_up).await?;
    other.load(plan.warm_up).await?;
    for _ in 0..plan.rounds {
        let round = one.load(plan.round).await?;
        one.rounds.push(round);
        let round = other.load(plan.round).await?;
        other.rounds.push(round);
    }
    Ok(())
}

/// Any number of servers in turn, A B C A B C.
pub async fn take_turns<C: Client>(plan: &Plan, sides: &mut [Side<'_, C>]) -> Result<(), String> {
    for side in &mut *sides {
        side.load(plan.warm_up).await?;
    }
    for _ in 0..plan.rounds {
        for side in &mut *sides {
            let round = side.load(plan.round).await?;
            side.rounds.push(round);
        }
    }
    Ok(())
}

/// One server alone.
pub async fn alone<C: Client>(plan: &Plan, side: &mut Side<'_, C>) -> Result<(), String> {
    side.load(plan.warm_up).await?;
    for _ in 0..plan.rounds {
        let round = side.load(plan.round).await?;
        side.rounds.push(round);
    }
    Ok(())
}

/// One server in turn with something else, which is given the duration of each round, that of the warm-up first.
pub async fn beside<C: Client>(
    plan: &Plan,
    side: &mut Side<'_, C>,
    mut other: impl FnMut(Duration) -> Result<(), String>,
) -> Result<(), String> {
    side.load(plan.warm_up).await?;
    other(plan.warm_up)?;
    for _ in 0..plan.rounds {
        let round = side.load(plan.round).await?;
        side.rounds.push(round);
        other(plan.round)?;
    }
    Ok(())
}

/// By how many milliseconds the other's median answer was later than the floor's: the median of the pairs.
pub fn added_p50_ms<A, B>(floor: &Side<'_, A>, other: &Side<'_, B>) -> f64 {
    let pairs: Vec<f64> = floor.rounds.iter().zip(&other.rounds).map(|(f, o)| o.p50_ms - f.p50_ms).collect();
    median(&pairs)
}

/// How many times as fast as `floor` the other was: the lowest, the median and the highest of the pairs.
pub fn ratio<A, B>(floor: &Side<'_, A>, other: &Side<'_, B>) -> [f64; 3] {
    let pairs: Vec<f64> = floor.rounds.iter().zip(&other.rounds).map(|(f, o)| o.per_second / f.per_second).collect();
    let least = pairs.iter().copied().fold(f64::INFINITY, f64::min);
    let most = pairs.iter().copied().fold(0.0, f64::max);
    [least, median(&pairs), most]
}
