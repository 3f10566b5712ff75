//! The drill itself: break the bank, watch the breaker open, heal it, watch it close.

mod stage;

use std::time::{Duration, Instant};

use serde_json::Value;

pub use self::stage::{Answer, Stage};

use self::stage::text;

/// How often something is looked at that takes its time.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long anything may take before the drill has failed.
const STEP_TIMEOUT: Duration = Duration::from_mins(2);
/// How many searches are asked of an open breaker.
const WHILE_OPEN: usize = 100;

const QUESTION: &str = "Which nuts is Marta allergic to?";

/// Plays it, and says each line of the transcript.
pub async fn play(stage: &Stage, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    say(&format!(
        "# A bank (a double of mem0) at {}, behind a proxy that breaks it at {}",
        stage.bank.url, stage.proxy.url
    ));
    say(&format!("# memgate at {}, the operator's listener at {}", stage.url, stage.admin));

    say("\n# 1. All is well.");
    expect(stored(stage, "Marta is allergic to hazelnuts.", say).await?, 201)?;
    expect(searched(stage, say).await?, 200)?;
    say(&format!("breakers: {}", stage.breakers().await?));

    say("\n# 2. The bank is broken: it refuses every connection.");
    stage.proxy.refuse(true).await;
    let timeout = StepTimeout::new("the breaker of reads opens");
    while !stage.breakers().await?.contains("read open") {
        expect(searched(stage, say).await?, 503)?;
        timeout.check()?;
    }
    say(&format!("breakers: {}", stage.breakers().await?));
    let accepted = expect(stored(stage, "The spare key is under the fern.", say).await?, 202)?;
    for line in stage.metrics(&METRICS).await? {
        say(&line);
    }

    say("\n# 3. While it is open, answers come at once, and the bank is left alone.");
    while_open(stage, say).await?;

    say("\n# 4. The bank is healed.");
    stage.proxy.refuse(false).await;
    let healed = Instant::now();
    let timeout = StepTimeout::new("a search gets through");
    let mut refused = 0;
    loop {
        let answer = stage.search(QUESTION).await?;
        if answer.status == 200 {
            say(&format!("search: {}", describe(&answer)));
            break;
        }
        refused += 1;
        timeout.check()?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    say(&format!("{refused} searches were refused before, and it took {:.1} s.", healed.elapsed().as_secs_f64()));
    let request = text(&accepted.body, "request_id");
    let timeout = StepTimeout::new("the memory that waited arrives");
    while stage.outcome(request).await? != "stored" {
        timeout.check()?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    say(&format!("request {request}: stored"));
    let found = expect(stage.search("Where is the spare key?").await?, 200)?;
    say(&format!("search: {}", describe(&found)));
    let breakers = stage.breakers().await?;
    say(&format!("breakers: {breakers}"));
    if breakers != "read closed, write closed" {
        return Err("a breaker is not closed, though the bank is well".to_owned());
    }

    say("\n# 5. What memgate logged of it (repetitions left out).");
    for line in noteworthy(&stage.log()) {
        say(&line);
    }
    Ok(())
}

/// What tells the story, of all metrics.
pub const METRICS: [&str; 6] = [
    "memgate_bank_breaker_state",
    "memgate_bank_breaker_transitions_total",
    "memgate_bank_attempts_total",
    "memgate_bank_retries_total{operation=\"search\"}",
    "memgate_bank_retry_budget",
    "memgate_queue_",
];

async fn stored(stage: &Stage, content: &str, say: &mut dyn FnMut(&str)) -> Result<Answer, String> {
    let answer = stage.store(content).await?;
    say(&format!("store:  {}", describe(&answer)));
    Ok(answer)
}

async fn searched(stage: &Stage, say: &mut dyn FnMut(&str)) -> Result<Answer, String> {
    let answer = stage.search(QUESTION).await?;
    say(&format!("search: {}", describe(&answer)));
    Ok(answer)
}

async fn while_open(stage: &Stage, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let before = attempts(stage).await?;
    let mut times = Vec::new();
    for _ in 0..WHILE_OPEN {
        times.push(expect(stage.search(QUESTION).await?, 503)?.took);
    }
    times.sort();
    let median = times[times.len() / 2].as_secs_f64() * 1000.0;
    let sent = attempts(stage).await? - before;
    say(&format!("{WHILE_OPEN} searches: 503, {median:.1} ms each in the median; searches sent to the bank: {sent}"));
    Ok(())
}

/// How many searches memgate has sent to the bank.
async fn attempts(stage: &Stage) -> Result<u64, String> {
    let lines = stage.metrics(&["memgate_bank_attempts_total{operation=\"search\""]).await?;
    Ok(lines.iter().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

fn expect(answer: Answer, status: u16) -> Result<Answer, String> {
    if answer.status == status {
        return Ok(answer);
    }
    Err(format!("{status} was expected, and not {}", describe(&answer)))
}

/// An answer on one line.
pub fn describe(answer: &Answer) -> String {
    let (status, body) = (answer.status.as_u16(), &answer.body);
    let retry_after = answer.retry_after.as_ref().map(|wait| format!(", Retry-After: {wait}")).unwrap_or_default();
    let says = match (body["results"].as_array(), text(body, "detail")) {
        (Some(results), _) => {
            let first = results.first().map(|first| format!(", first {}", first["content"])).unwrap_or_default();
            format!("{} found{first}", results.len())
        }
        (None, "") => match (text(body, "status"), text(body, "message")) {
            (status, "") => status.to_owned(),
            (status, message) => format!("{status}: {message}"),
        },
        (None, detail) => detail.to_owned(),
    };
    format!("{status} in {:.1} ms{retry_after}: {says}", answer.took.as_secs_f64() * 1000.0)
}

/// Warnings, and what the breakers did, one line each; of those that are alike the first.
fn noteworthy(log: &[Value]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut lines = Vec::new();
    for event in log {
        let (level, message) = (text(event, "level"), text(event, "message"));
        let kind = ["operation", "cause", "breaker", "to"].map(|name| text(event, name));
        if (level == "INFO" && !message.contains("breaker")) || seen.contains(&(message, kind)) {
            continue;
        }
        seen.push((message, kind));
        let fields = ["operation", "attempt", "cause", "breaker", "from", "to", "seconds", "retry_budget", "error"];
        let fields = fields.iter().filter_map(|name| {
            let value = event.get(*name).filter(|value| !value.is_null())?;
            Some(format!(" {name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        });
        lines.push(format!("{level} {message}:{}", fields.collect::<String>()));
    }
    lines
}

/// Ends the drill if a step takes too long.
struct StepTimeout {
    until: Instant,
    what: &'static str,
}

impl StepTimeout {
    fn new(what: &'static str) -> Self {
        Self { until: Instant::now() + STEP_TIMEOUT, what }
    }

    fn check(&self) -> Result<(), String> {
        if Instant::now() < self.until { Ok(()) } else { Err(format!("it took too long until {}", self.what)) }
    }
}
