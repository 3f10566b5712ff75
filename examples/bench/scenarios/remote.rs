//! Search before a memory bank of its own: the bank alone, a bare proxy before it, and memgate before it, with everything on.

use serde_json::{Value, json};

use super::{Bench, CLIENT_CREDENTIALS, fetch_access_token};
use crate::compare::{Plan, Side, added_p50_ms, alone, ratio, take_turns};
use crate::corpus::Corpus;
use crate::load::{Answer, Client, Connection, find, get, post_json};
use crate::report::{Report, Row};
use crate::servers::{Gate, Server};

/// How many questions each connection has for itself: equal searches at the same time would be one request to the bank.
const QUESTIONS: usize = 100;
/// After how long the searches are hedged, where they are after a fixed time.
const HEDGE_AFTER: &str = "25ms";

pub async fn speed(bench: &Bench, report: &mut Report) -> Result<(), String> {
    const AIM_RATIO: f64 = 0.75;
    const AIM_ADDED_MS: f64 = 0.35;
    let (bank, plan) = (Bank::start()?, &bench.plan);
    let proxy = Server::proxy_before(&bank.url())?;
    let gate = bank.gate(bench, "remote")?;
    let (server, _) = gate.start().await?;
    let own = Searcher::of_memgate(plan, &gate, &server).await?;
    let mut sides = [
        Side::new(&bank.0, Searcher::of_bank(plan, "/bank/search")),
        Side::new(&proxy, Searcher::of_bank(plan, "/search")),
        Side::new(&server, own),
    ];
    take_turns(plan, &mut sides).await?;
    let [bare, proxied, gated] = &sides;

    report.row(bare.row("search: the bank alone"));
    report.row(proxied.row("search: poem and reqwest before it (the floor)"));
    let ratio = ratio(proxied, gated);
    let row = Row { ratio: Some(ratio), ..gated.row("search: memgate before it") };
    report.row(row.aim(format!("ratio ≥ {AIM_RATIO}"), ratio[1] >= AIM_RATIO));
    let [by_proxy, by_gate] = [added_p50_ms(bare, proxied), added_p50_ms(bare, gated)];
    report.note(format!(
        "At {} connections memgate adds {by_gate:.2} ms to the bank's p50 (aim: under {AIM_ADDED_MS} ms, {}), and the bare \
         proxy {by_proxy:.2} ms.",
        plan.connections,
        if by_gate < AIM_ADDED_MS { "met" } else { "**missed**" },
    ));
    Ok(())
}

/// Two of a hundred of the bank's answers come half a second later.
pub async fn hedging(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let (bank, plan) = (Bank::start()?, &bench.plan);
    bank.becomes("slow").await?;
    for (what, hedge_after) in
        [("without hedging", "off"), ("hedged after 25 ms", HEDGE_AFTER), ("hedged by itself", "auto")]
    {
        let gate = bank.gate(bench, hedge_after)?.with("MEMGATE_MEMORY_BANK_HEDGE_AFTER", hedge_after);
        let (server, _) = gate.start().await?;
        let mut side = Side::new(&server, Searcher::of_memgate(plan, &gate, &server).await?);
        let before = bank.searches().await?;
        alone(plan, &mut side).await?;
        let sent = bank.searches().await? - before;
        report.row(side.row(&format!("search, 2 % of the bank's answers 500 ms later: {what}")));
        report.note(format!("{what}: {} searches were {sent} requests to the bank.", side.answers()));
    }
    Ok(())
}

/// The bank answers nothing but 503.
pub async fn down(bench: &Bench, report: &mut Report) -> Result<(), String> {
    const AIM_PER_SECOND: f64 = 20_000.0;
    let (bank, plan) = (Bank::start()?, &bench.plan);
    let gate = bank.gate(bench, "down")?;
    let (server, _) = gate.start().await?;
    bank.becomes("failing").await?;
    let mut searchers = Searcher::of_memgate(plan, &gate, &server).await?;
    for searcher in &mut searchers {
        (searcher.status, searcher.contains) = (503, "problem:unavailable");
    }
    let mut side = Side::new(&server, searchers);
    alone(plan, &mut side).await?;
    let (answers, sent) = (side.answers(), bank.searches().await?);
    let row = side.row("search: memgate, the bank is down");
    let met = row.per_second.is_some_and(|rate| rate >= AIM_PER_SECOND);
    report.row(row.aim(format!("≥ {AIM_PER_SECOND:.0} answers/s"), met));
    let allowed = answers + answers / 10 + 10;
    report.note(format!(
        "With the bank down {answers} searches were {sent} requests to it; the budget allows {allowed}: {}.",
        if sent <= allowed { "met" } else { "**missed**" },
    ));
    Ok(())
}

/// The bank that is the same for all: the floor's.
pub struct Bank(Server);

impl Bank {
    pub fn start() -> Result<Self, String> {
        Server::floor().map(Self)
    }

    fn url(&self) -> String {
        format!("http://{}/bank", self.0.address)
    }

    /// A memgate before it, which logs as it does by default, every search included.
    pub fn gate(&self, bench: &Bench, name: &str) -> Result<Gate, String> {
        let gate = bench.gate(&format!("remote-{name}"))?.with("MEMGATE_LOG", "warn,memgate=info");
        Ok(gate.with("MEMGATE_MEMORY_BANK_KIND", "mem0-oss").with("MEMGATE_MEMORY_BANK_URL", &self.url()))
    }

    async fn ask(&self, path: &str) -> Result<Value, String> {
        let mut connection = Connection::open(self.0.address, None).await.map_err(|error| error.to_string())?;
        let answer = connection.send(&get(path, None)).await.map_err(|error| error.to_string())?;
        answer.json()
    }

    async fn becomes(&self, mood: &str) -> Result<(), String> {
        self.ask(&format!("/bank/mood/{mood}")).await.map(drop)
    }

    async fn searches(&self) -> Result<u64, String> {
        let answer = self.ask("/bank/searches").await?;
        answer["searches"].as_u64().ok_or_else(|| "the bank does not say how many searches there were".to_owned())
    }
}

/// Asks its own questions, one after the other.
struct Searcher {
    requests: Vec<Vec<u8>>,
    next: usize,
    status: u16,
    contains: &'static str,
}

impl Searcher {
    fn all(plan: &Plan, request: impl Fn(String) -> Vec<u8>) -> Vec<Self> {
        let mut corpus = Corpus::new(3);
        let mut searcher = |connection| {
            let question = |number| request(format!("{} ({connection}-{number})", corpus.question()));
            Self { requests: (0..QUESTIONS).map(question).collect(), next: 0, status: 200, contains: "hazelnuts" }
        };
        (0..plan.connections).map(&mut searcher).collect()
    }

    /// Those that ask as memgate asks a bank.
    fn of_bank(plan: &Plan, path: &str) -> Vec<Self> {
        Self::all(plan, |question| {
            let filters = json!({"user_id": "67e55044-10b1-426f-9247-bb680e5fe0c8/app"});
            post_json(path, "none", &json!({"query": question, "filters": filters, "top_k": 10, "threshold": 0.0}))
        })
    }

    /// Those that ask memgate.
    async fn of_memgate(plan: &Plan, gate: &Gate, server: &Server) -> Result<Vec<Self>, String> {
        let application = gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
        let token = fetch_access_token(server, &application).await?;
        Ok(Self::all(plan, |question| post_json("/api/v1/search", &token, &json!({"query": question, "limit": 10}))))
    }
}

impl Client for Searcher {
    fn request(&mut self) -> Option<&[u8]> {
        self.next = (self.next + 1) % self.requests.len();
        self.requests.get(self.next).map(Vec::as_slice)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        if answer.status == self.status && find(answer.body, self.contains.as_bytes()).is_some() {
            return Ok(());
        }
        Err(format!("a wrong answer to a search: {}", answer.describe()))
    }
}
