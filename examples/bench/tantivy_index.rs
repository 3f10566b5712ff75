//! tantivy over the same terms as memgate's own index, in this process: how little a search can cost.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use memgate::adapters::database::memories::terms_of_text;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions};
use tantivy::{Index, IndexWriter, Searcher, TantivyDocument, TantivyError, Term};

use crate::report::{Latencies, Row, median};
use crate::servers::micros_of;

/// What its writer may use.
const WRITER_BYTES: usize = 100_000_000;
const RESULTS: usize = 10;

/// An index in memory, and the rounds that it was asked.
pub struct TantivyIndex {
    searcher: Searcher,
    terms: Field,
    content: Field,
    rounds: Vec<(f64, f64, f64, f64)>,
}

impl TantivyIndex {
    /// Indexes these texts.
    pub fn of(texts: impl Iterator<Item = String>) -> Result<Self, String> {
        Self::index(texts).map_err(|error| error.to_string())
    }

    fn index(texts: impl Iterator<Item = String>) -> Result<Self, TantivyError> {
        let mut schema = Schema::builder();
        let indexing =
            TextFieldIndexing::default().set_tokenizer("whitespace").set_index_option(IndexRecordOption::WithFreqs);
        let terms = schema.add_text_field("terms", TextOptions::default().set_indexing_options(indexing));
        let content = schema.add_text_field("content", STORED);
        let index = Index::create_in_ram(schema.build());
        let mut writer: IndexWriter = index.writer_with_num_threads(1, WRITER_BYTES)?;
        for text in texts {
            let mut document = TantivyDocument::default();
            document.add_text(terms, terms_of_text(&text).join(" "));
            document.add_text(content, text);
            writer.add_document(document)?;
        }
        writer.commit()?;
        writer.wait_merging_threads()?;
        Ok(Self { searcher: index.reader()?.searcher(), terms, content, rounds: Vec::new() })
    }

    /// Asks these questions for so long, and again from the beginning when there are no more.
    pub fn ask(&mut self, questions: &[String], duration: Duration) -> Result<(), String> {
        let (mut latencies, begin, before) = (Vec::new(), Instant::now(), own_micros());
        for question in questions.iter().cycle() {
            if begin.elapsed() > duration {
                break;
            }
            let asked = Instant::now();
            let found = self.search(question).map_err(|error| error.to_string())?;
            if found == 0 {
                return Err(format!("tantivy found nothing: {question}"));
            }
            latencies.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        let micros = own_micros() - before;
        let mut all = Latencies::default();
        all.extend(latencies);
        #[expect(clippy::cast_precision_loss, reason = "both numbers are far below 2^52")]
        let (count, micros) = (all.len().max(1) as f64, micros as f64);
        let per_second = count / begin.elapsed().as_secs_f64();
        self.rounds.push((per_second, all.percentile(50), all.percentile(99), micros / count));
        Ok(())
    }

    fn search(&self, question: &str) -> Result<usize, TantivyError> {
        let words: BTreeSet<String> = terms_of_text(question).into_iter().collect();
        let of_term = |word: &String| {
            let term = Term::from_field_text(self.terms, word);
            let query: Box<dyn Query> = Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs));
            (Occur::Should, query)
        };
        let query = BooleanQuery::new(words.iter().map(of_term).collect());
        let mut read = 0;
        for (_, address) in self.searcher.search(&query, &TopDocs::with_limit(RESULTS).order_by_score())? {
            let document: TantivyDocument = self.searcher.doc(address)?;
            read += usize::from(document.get_first(self.content).is_some());
        }
        Ok(read)
    }

    /// The medians of its rounds but the first, which warms it up.
    pub fn row(&self, what: &str) -> Row {
        let of = |figure: fn(&(f64, f64, f64, f64)) -> f64| {
            Some(median(&self.rounds.iter().skip(1).map(figure).collect::<Vec<_>>()))
        };
        Row {
            per_second: of(|round| round.0),
            p50_ms: of(|round| round.1),
            p99_ms: of(|round| round.2),
            cpu_us: of(|round| round.3),
            ..Row::new(what)
        }
    }
}

/// The processor time of this process so far.
fn own_micros() -> u64 {
    fs::read_to_string("/proc/self/stat").ok().and_then(|stat| micros_of(&stat)).unwrap_or_default()
}
