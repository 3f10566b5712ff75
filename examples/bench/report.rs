//! Figures, and how they are shown.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// How long answers took, in microseconds.
#[derive(Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    pub fn extend(&mut self, more: Vec<u32>) {
        self.0.extend(more);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The time within which `percent` of the answers came, in milliseconds.
    pub fn percentile(&mut self, percent: usize) -> f64 {
        self.per_mille(percent * 10)
    }

    /// The same, in thousandths.
    pub fn per_mille(&mut self, share: usize) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        let at = (self.0.len() * share / 1000).min(self.0.len() - 1);
        f64::from(*self.0.select_nth_unstable(at).1) / 1000.0
    }
}

/// The middle of `values`; not a number if there are none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// A line of the table. What does not apply is left out.
#[derive(Clone, Default)]
pub struct Row {
    pub what: String,
    pub per_second: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub p999_ms: Option<f64>,
    pub cpu_us: Option<f64>,
    pub resident_mb: Option<f64>,
    /// To the other server, pair by pair: the lowest, the median, the highest.
    pub ratio: Option<[f64; 3]>,
    pub aim: Option<Aim>,
}

impl Row {
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    pub fn aim(mut self, text: impl Into<String>, met: bool) -> Self {
        self.aim = Some(Aim { text: text.into(), met });
        self
    }
}

/// What an issue asks for.
#[derive(Clone)]
pub struct Aim {
    pub text: String,
    pub met: bool,
}

/// Everything that a run found out.
#[derive(Default)]
pub struct Report {
    pub machine: String,
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
}

impl Report {
    pub fn row(&mut self, row: Row) {
        eprintln!("    {}", line(&row));
        self.rows.push(row);
    }

    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        eprintln!("    {note}");
        self.notes.push(note);
    }

    /// A Markdown table, with the notes below it.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.machine);
        text.push_str(
            "| scenario | requests/s | p50 ms | p99 ms | p99.9 ms | CPU µs/request | resident MB | ratio to the floor (min–max) | aim |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n",
        );
        for row in &self.rows {
            text.push_str(&line(row));
            text.push('\n');
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(row_json).collect();
        json!({ "machine": self.machine, "rows": rows, "notes": self.notes })
    }
}

fn line(row: &Row) -> String {
    let number = |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
    let ratio = row.ratio.map_or(String::new(), |[low, middle, high]| format!("**{middle:.2}** ({low:.2}–{high:.2})"));
    let aim = row
        .aim
        .as_ref()
        .map_or(String::new(), |aim| format!("{}: {}", aim.text, if aim.met { "met" } else { "**missed**" }));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {ratio} | {aim} |",
        row.what,
        number(row.per_second, usize::from(row.per_second.is_some_and(|rate| rate < 100.0))),
        number(row.p50_ms, 2),
        number(row.p99_ms, 2),
        number(row.p999_ms, 2),
        number(row.cpu_us, 0),
        number(row.resident_mb, 1),
    )
}

fn row_json(row: &Row) -> Value {
    json!({
        "scenario": row.what,
        "requests_per_second": row.per_second,
        "p50_ms": row.p50_ms,
        "p99_ms": row.p99_ms,
        "p99_9_ms": row.p999_ms,
        "cpu_us_per_request": row.cpu_us,
        "resident_mb": row.resident_mb,
        "ratio_to_floor": row.ratio,
        "aim": row.aim.as_ref().map(|aim| json!({ "text": aim.text, "met": aim.met })),
    })
}
