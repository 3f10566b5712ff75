//! What the meaning of memories adds to their score.
//!
//! Similarities are measured in standard deviations above what is usual: what a model calls similar differs from model to model,
//! and from query to query.

/// The weight of one standard deviation of the similarity, where one of the words' scores is [`SPREAD`].
const WEIGHT: f64 = 0.15;
/// A standard deviation of the scores by words. They are 0 for no match, and about 1 for a memory with every term; among compared
/// memories it is 0.13 to 0.2 (`docs/retrieval.md`). A constant, so that a score does not depend on what it is compared with.
const SPREAD: f64 = 0.25;
/// How many standard deviations above the usual a memory without the words of the query must be.
const LEAST_DEVIATION: f64 = 2.0;
/// Minimum number of the most similar memories that are scored; a larger limit raises it.
pub(in super::super) const NEAREST: usize = 100;

/// How many memories the background of the model counts for: the similarities of few memories say little about what is usual.
const BACKGROUND_COUNT: f64 = 16.0;
/// What is assumed of a model that knows too few of the words of [`UNRELATED`], and the least deviation of any, in millionths.
const ASSUMED: Usual = Usual { mean: 0.0, deviation: 100_000.0 };
const LEAST_SPREAD: f64 = 10_000.0;
/// From where on two texts are the same to a model, in millionths.
const SAME: i32 = 990_000;

/// Texts that have nothing to do with each other. How similar their vectors are is the background of a model.
pub(in super::super) const UNRELATED: [&str; 16] = [
    "The train to the coast leaves at seven in the morning.",
    "My sister plays the violin in an orchestra.",
    "Please turn the old database off after the migration.",
    "We painted the kitchen yellow last summer.",
    "The doctor said that the blood test was normal.",
    "Photosynthesis turns light into sugar.",
    "He prefers his coffee without milk.",
    "The contract ends in December unless somebody renews it.",
    "A strong earthquake was felt on the island.",
    "She scored two goals in the final.",
    "Interest rates rose by a quarter of a percent.",
    "The cat sleeps on the warm windowsill.",
    "How do I sort a list of numbers in Python?",
    "The museum shows paintings of the Renaissance.",
    "Their flight to Tokyo was cancelled because of snow.",
    "I lost the key of my bicycle again.",
];

/// What is usual: mean and standard deviation of similarities, in millionths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Usual {
    mean: f64,
    deviation: f64,
}

impl Usual {
    /// From the similarities of texts that have nothing to do with each other. Those that the model does not tell apart, because
    /// it knows nothing of their language, say nothing of what is usual.
    pub(in super::super) fn background(similarities: &[i32]) -> Self {
        let sums = Sums::of(similarities.iter().copied().filter(|similarity| *similarity < SAME));
        if sums.count < 2 {
            return ASSUMED;
        }
        Self { mean: sums.mean(), deviation: sums.variance().sqrt().max(LEAST_SPREAD) }
    }

    /// The same, and the similarities of memories to a query.
    pub(in super::super) fn with(self, similarities: impl Iterator<Item = i32>) -> Self {
        let sums = Sums::of(similarities);
        let count = number(sums.count);
        let share = count / (count + BACKGROUND_COUNT);
        let mean = share * sums.mean() + (1.0 - share) * self.mean;
        let variance = share * sums.variance() + (1.0 - share) * self.deviation.powi(2);
        Self { mean, deviation: variance.sqrt().max(LEAST_SPREAD) }
    }

    /// How many standard deviations above the usual a similarity is; negative if below.
    pub(in super::super) fn deviations(self, similarity: i32) -> f64 {
        (f64::from(similarity) - self.mean) / self.deviation
    }

    /// Whether a memory is similar enough to be found without a word of the query.
    pub(in super::super) fn stands_out(self, similarity: i32) -> bool {
        self.deviations(similarity) >= LEAST_DEVIATION
    }
}

/// The score of a memory by its words and by its meaning. What has the words and is less similar than usual loses nothing, and what
/// has none of them needs to stand out.
pub(in super::super) fn with_meaning(score: f64, deviations: f64) -> f64 {
    let score = if score.is_finite() { score } else { 0.0 };
    if score <= 0.0 && deviations < LEAST_DEVIATION {
        return 0.0;
    }
    score + WEIGHT * SPREAD * deviations.max(0.0)
}

/// Sums of whole numbers, which do not depend on their order.
#[derive(Default)]
struct Sums {
    count: u64,
    sum: i64,
    squares: i128,
}

impl Sums {
    fn of(numbers: impl Iterator<Item = i32>) -> Self {
        numbers.fold(Self::default(), |sums, number| Self {
            count: sums.count + 1,
            sum: sums.sum + i64::from(number),
            squares: sums.squares + i128::from(i64::from(number).pow(2)),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "the same number is rounded in the same way")]
    fn mean(&self) -> f64 {
        self.sum as f64 / number(self.count.max(1))
    }

    #[expect(clippy::cast_precision_loss, reason = "as above")]
    fn variance(&self) -> f64 {
        (self.squares as f64 / number(self.count.max(1)) - self.mean().powi(2)).max(0.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_does_not_depend_on_the_order() {
        let numbers: Vec<i32> = (0..10_000).map(|n| (n * 7_919) % 2_000_003 - 1_000_000).collect();
        let usual = ASSUMED.with(numbers.iter().copied());
        assert_eq!(usual, ASSUMED.with(numbers.iter().rev().copied()));
        assert!(usual.deviation > 500_000.0 && usual.mean.abs() < 20_000.0, "{usual:?}");
    }

    #[test]
    fn one_memory_says_little_about_what_is_usual() {
        let background = Usual::background(&[0, 100_000, 50_000, 150_000]);
        assert!((background.mean - 75_000.0).abs() < 1.0);
        let alone = background.with([800_000].into_iter());
        assert!(alone.stands_out(800_000), "{alone:?}");
        assert!(!alone.stands_out(100_000));
        // Among many that are as similar, it is nothing special.
        let among_many = background.with(std::iter::repeat_n(800_000, 10_000));
        assert!(!among_many.stands_out(800_000), "{among_many:?}");
    }

    #[test]
    fn without_any_similarity_the_background_counts() {
        assert_eq!(Usual::background(&[]), ASSUMED);
        assert_eq!(Usual::background(&[700_000]), ASSUMED);
        assert_eq!(Usual::background(&[1_000_000, 999_000, 995_000]), ASSUMED);
        assert_eq!(ASSUMED.with(std::iter::empty()), ASSUMED);
        assert!(Usual::background(&[5; 40]).deviation >= LEAST_SPREAD, "nothing is divided by zero");
    }

    #[test]
    fn meaning_raises_a_score_and_never_lowers_it() {
        assert!((with_meaning(0.5, -3.0) - 0.5).abs() < 1e-9);
        assert!((with_meaning(0.5, 2.0) - 0.575).abs() < 1e-9);
        assert!((with_meaning(f64::NAN, 2.0) - 0.075).abs() < 1e-9);
        assert!(with_meaning(0.0, 1.9).abs() < 1e-9, "it has no word of the query, and is not similar enough");
        assert!(with_meaning(1.0, 0.0) > with_meaning(0.0, 4.0), "every word counts more than any meaning");
    }
}
