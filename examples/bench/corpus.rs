//! Memories and questions that nobody wrote: words of syllables whose frequencies fall as Zipf says, held together by the
//! function words of English, in lengths from a remark to a page.

use serde_json::{Value, json};

use crate::random::Repeatable;

const SYLLABLES: [&str; 40] = [
    "ba", "cor", "del", "fin", "gra", "hul", "in", "jo", "kel", "lum", "mar", "nor", "ol", "pen", "qui", "ros", "sta",
    "ten", "ur", "vel", "wil", "xan", "yor", "zel", "bran", "chi", "dor", "es", "fal", "gim", "har", "is", "kro",
    "lin", "mon", "nes", "or", "pra", "ri", "sol",
];
const FUNCTION_WORDS: [&str; 24] = [
    "the", "a", "of", "and", "to", "in", "is", "was", "for", "with", "on", "that", "at", "by", "from", "her", "his",
    "their", "has", "will", "not", "when", "about", "after",
];
const NAMES: [&str; 20] = [
    "Marta", "Tomas", "Ada", "Hugh", "Ingrid", "Pavel", "Noor", "Chidi", "Yuki", "Elena", "Ravi", "Sofia", "Liam",
    "Amara", "Jonas", "Mei", "Omar", "Greta", "Diego", "Hana",
];
const CATEGORIES: [&str; 8] = ["work", "family", "health", "travel", "diet", "projects", "places", "preferences"];
const MONTHS: [&str; 6] = ["January", "March", "May", "July", "September", "November"];
/// How many different words the memories are made of.
const WORDS: usize = 40_000;

/// How many memories a conversation has.
const MEMORIES_OF_A_CONVERSATION: usize = 25;

/// Yields memories and questions, the same in every run.
pub struct Corpus {
    random: Repeatable,
    words: Vec<String>,
    /// How much of all text the words up to here make up.
    cumulative: Vec<f64>,
    /// How many memories there were.
    memories: usize,
}

/// A memory that is to be stored.
pub struct Text {
    pub content: String,
    pub category: &'static str,
    conversation: usize,
}

impl Text {
    /// What is sent, or a line of a file to import.
    pub fn json(&self) -> Value {
        let conversation = format!("c{}", self.conversation);
        json!({ "content": self.content, "categories": [self.category], "context": { "conversation_id": conversation } })
    }
}

impl Corpus {
    pub fn new(seed: u64) -> Self {
        let (mut cumulative, mut total) = (Vec::with_capacity(WORDS), 0.0);
        for rank in 0..u32::try_from(WORDS).unwrap_or(u32::MAX) {
            // Zipf and Mandelbrot: the offset flattens the top, where the function words would stand.
            total += 1.0 / (f64::from(rank) + 8.0);
            cumulative.push(total);
        }
        Self { random: Repeatable::new(seed), words: (0..WORDS).map(word).collect(), cumulative, memories: 0 }
    }

    /// A word as often as it occurs in text.
    fn common(&mut self) -> &str {
        let total = self.cumulative.last().copied().unwrap_or(1.0);
        let at = self.random.fraction() * total;
        let rank = self.cumulative.partition_point(|sum| *sum <= at);
        &self.words[rank.min(WORDS - 1)]
    }

    /// One of the words of these ranks.
    fn ranked(&mut self, from: usize, to: usize) -> &str {
        let rank = from + self.random.below(to - from);
        &self.words[rank]
    }

    /// From 6 words to some hundreds: most are a sentence or two.
    fn length(&mut self) -> usize {
        match self.random.below(100) {
            0..60 => 6 + self.random.below(20),
            60..90 => 20 + self.random.below(50),
            90..99 => 60 + self.random.below(120),
            _ => 200 + self.random.below(300),
        }
    }

    pub fn memory(&mut self) -> Text {
        let length = self.length();
        let mut content = self.random.pick(&NAMES).to_owned();
        for place in 1..length {
            content.push_str(if place % 12 == 0 { ". " } else { " " });
            if self.random.below(10) < 4 {
                content.push_str(self.random.pick(&FUNCTION_WORDS));
            } else {
                let word = self.common().to_owned();
                content.push_str(&word);
            }
        }
        if self.random.below(4) == 0 {
            let (day, month) = (1 + self.random.below(28), self.random.pick(&MONTHS));
            content = format!("{content} on {day} {month} 2026");
        }
        content.push('.');
        self.memories += 1;
        let conversation = (self.memories - 1) / MEMORIES_OF_A_CONVERSATION;
        Text { content, category: self.random.pick(&CATEGORIES), conversation }
    }

    /// A question as people ask it, with words that are everywhere, now and then, or almost nowhere.
    pub fn question(&mut self) -> String {
        let name = self.random.pick(&NAMES);
        let month = self.random.pick(&MONTHS);
        let frequent = self.ranked(0, 60).to_owned();
        let medium = self.ranked(100, 2_000).to_owned();
        let rare = self.ranked(5_000, WORDS).to_owned();
        match self.random.below(6) {
            0 => format!("What did {name} say about the {medium}?"),
            1 => format!("When did {name} go to the {frequent} with the {rare} in {month}?"),
            2 => format!("{rare} {medium}"),
            3 => format!("Which {frequent} and which {medium} does {name} like, and why is the {frequent} better?"),
            4 => format!("Has anybody told us how the {medium} of the {frequent} was after {month} 2026?"),
            _ => frequent,
        }
    }
}

/// The word of a rank: frequent ones are short.
fn word(rank: usize) -> String {
    let mut left = rank + SYLLABLES.len();
    let mut word = String::new();
    while left > 0 {
        word.push_str(SYLLABLES[left % SYLLABLES.len()]);
        left /= SYLLABLES.len();
    }
    word
}
