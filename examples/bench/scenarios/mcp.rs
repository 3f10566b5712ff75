//! MCP beside REST: the same searches by both doors, and what a message costs that does nothing.

use serde_json::json;

use super::{Bench, CLIENT_CREDENTIALS, fetch_token_for, import, remote};
use crate::compare::{Plan, Side, ratio, take_turns};
use crate::corpus::Corpus;
use crate::load::{Answer, Client, find, get, post_json, post_mcp};
use crate::report::{Report, Row};
use crate::servers::{Gate, Server};

const MEMORIES: usize = 100_000;
const QUESTIONS: usize = 1_000;
const AIM_RATIO: f64 = 0.9;
const AIM_STREAM_P50_MS: f64 = 5.0;
const JSON: &str = "application/json, text/event-stream";
const STREAM: &str = "text/event-stream";

/// Before the embedded bank.
pub async fn embedded(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let gate = bench.gate("mcp")?;
    let memories = bench.plan.size(MEMORIES);
    let application = import::filled(bench, &gate, memories)?;
    let (server, _) = gate.start().await?;
    let token = token(&server, &application).await?;
    let what = format!("among {memories}");
    let [rest, mcp] = doors(bench, &server, &token, 1).await?;
    compare(report, &what, &rest, &mcp, true);
    let [rest, mcp] = doors(bench, &server, &token, bench.plan.connections).await?;
    compare(report, &format!("{what}, {} connections", bench.plan.connections), &rest, &mcp, true);

    // What does nothing costs what the protocol costs.
    let message = |method: &str| json!({"jsonrpc": "2.0", "id": 1, "method": method});
    let streamed = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "search", "arguments": {"query": "Marta", "limit": 10},
    }});
    let idle = |request: Vec<u8>, contains| vec![Asker { requests: vec![request], next: 0, contains }];
    let mut sides = [
        Side::new(&server, idle(get("/api/v1/me", Some(&token)), "client_id")),
        Side::new(&server, idle(post_mcp(&token, JSON, &message("ping")), "result")),
        Side::new(&server, idle(post_mcp(&token, JSON, &message("tools/list")), "add_memory")),
        Side::new(&server, idle(post_mcp(&token, STREAM, &streamed), "data:")),
    ];
    take_turns(&bench.plan, &mut sides).await?;
    let [me, ping, list, stream] = sides.map(|side| side.row(""));
    let named = |row: &Row, what: &str| Row { what: what.to_owned(), ..row.clone() };
    report.row(named(&me, "GET /api/v1/me, 1 connection"));
    report.row(named(&ping, "MCP ping, 1 connection"));
    report.row(named(&list, "tools/list, 1 connection"));
    let met = stream.p50_ms.is_some_and(|p50| p50 < AIM_STREAM_P50_MS);
    let row = named(&stream, "tools/call search as an event stream, 1 connection");
    report.row(row.aim(format!("p50 < {AIM_STREAM_P50_MS} ms"), met));
    if let (Some(me), Some(ping), Some(call)) = (me.cpu_us, ping.cpu_us, mcp.row("").cpu_us) {
        let share = 100.0 * (ping - me) / call;
        report.note(format!(
            "A message that does nothing costs {:.0} µs of processor more than `GET /api/v1/me`: rmcp and JSON-RPC. That is \
             {share:.0} % of a search (aim: at most a third).",
            ping - me
        ));
    }
    Ok(())
}

/// Before a bank of its own.
pub async fn before_a_bank(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let bank = remote::Bank::start()?;
    let gate = bank.gate(bench, "mcp")?;
    let (server, _) = gate.start().await?;
    let application = gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
    let token = token(&server, &application).await?;
    let [rest, mcp] = doors(bench, &server, &token, bench.plan.connections).await?;
    compare(report, "before a remote bank", &rest, &mcp, false);
    Ok(())
}

/// A token for both doors.
async fn token(server: &Server, application: &crate::servers::Credentials) -> Result<String, String> {
    let base = Gate::public_url(server);
    let answer = fetch_token_for(server, application, &[&base, &format!("{base}/mcp")]).await?;
    answer["access_token"].as_str().map(str::to_owned).ok_or_else(|| "an answer without access_token".to_owned())
}

/// The same questions by REST and by MCP, in turn.
async fn doors<'a>(
    bench: &Bench,
    server: &'a Server,
    token: &str,
    connections: usize,
) -> Result<[Side<'a, Asker>; 2], String> {
    let by_rest = |query: &str| post_json("/api/v1/search", token, &json!({"query": query, "limit": 10}));
    let by_mcp = |query: &str| {
        let params = json!({"name": "search", "arguments": {"query": query, "limit": 10}});
        post_mcp(token, JSON, &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}))
    };
    let mut sides = [
        Side::new(server, Asker::all(&bench.plan, connections, by_rest, "\"memory_id\"")),
        Side::new(server, Asker::all(&bench.plan, connections, by_mcp, "\"structuredContent\"")),
    ];
    take_turns(&bench.plan, &mut sides).await?;
    Ok(sides)
}

fn compare(report: &mut Report, what: &str, rest: &Side<'_, Asker>, mcp: &Side<'_, Asker>, has_aim: bool) {
    report.row(rest.row(&format!("POST /api/v1/search {what}")));
    let ratio = ratio(rest, mcp);
    let row = Row { ratio: Some(ratio), ..mcp.row(&format!("tools/call search {what}")) };
    report.row(if has_aim { row.aim(format!("ratio to REST ≥ {AIM_RATIO}"), ratio[1] >= AIM_RATIO) } else { row });
}

/// Sends its own requests, one after the other.
struct Asker {
    requests: Vec<Vec<u8>>,
    next: usize,
    contains: &'static str,
}

impl Asker {
    fn all(plan: &Plan, connections: usize, request: impl Fn(&str) -> Vec<u8>, contains: &'static str) -> Vec<Self> {
        let mut corpus = Corpus::new(2);
        let questions = plan.size(QUESTIONS) / connections;
        let mut asker = |_| {
            let requests = (0..questions).map(|_| request(&corpus.question())).collect();
            Self { requests, next: 0, contains }
        };
        (0..connections).map(&mut asker).collect()
    }
}

impl Client for Asker {
    fn request(&mut self) -> Option<&[u8]> {
        self.next = (self.next + 1) % self.requests.len();
        self.requests.get(self.next).map(Vec::as_slice)
    }

    fn check(&mut self, answer: &Answer<'_>) -> Result<(), String> {
        let is_right = answer.status == 200
            && find(answer.body, self.contains.as_bytes()).is_some()
            && find(answer.body, b"\"isError\":true").is_none();
        if is_right { Ok(()) } else { Err(format!("a wrong answer: {}", answer.describe())) }
    }
}
