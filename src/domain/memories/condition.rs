//! Conditions on memories, combined with AND, OR and NOT.

use serde_json::{Map, Value};

use super::model::Memory;
use super::scalar::Scalar;
use crate::applications::Category;
use crate::system::Timestamp;
use crate::validation::InvalidValue;

/// A condition that a memory meets or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// It meets all of these.
    All(Vec<Condition>),
    /// It meets at least one of these.
    Any(Vec<Condition>),
    /// It does not meet this one.
    Not(Box<Condition>),
    /// It has this category.
    Category(Category),
    /// Its metadata has a member of this name, and the value passes all tests.
    Metadata {
        /// The name of the member.
        name: String,
        /// The tests; none if any value will do.
        tests: Vec<ValueTest>,
    },
}

/// A test of a value in metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueTest {
    /// It is this value, of the same type.
    Equals(Scalar),
    /// It is a number on this side of a bound.
    Number(Side, f64),
    /// It is text that is a date on this side of a bound.
    Date(Side, Timestamp),
}

/// A side of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Below the bound.
    LessThan,
    /// Below the bound, or the bound itself.
    AtMost,
    /// Above the bound, or the bound itself.
    AtLeast,
    /// Above the bound.
    GreaterThan,
}

impl Side {
    const ALL: [(&'static str, Self); 4] = [
        ("less_than", Self::LessThan),
        ("at_most", Self::AtMost),
        ("at_least", Self::AtLeast),
        ("greater_than", Self::GreaterThan),
    ];

    fn holds<T: PartialOrd>(self, value: &T, bound: &T) -> bool {
        match self {
            Self::LessThan => value < bound,
            Self::AtMost => value <= bound,
            Self::AtLeast => value >= bound,
            Self::GreaterThan => value > bound,
        }
    }

    /// A date alone stands for a whole day: what is at most on Friday may be on Friday, and what is after Friday is not.
    fn date(self, field: &str, text: &str) -> Result<Timestamp, InvalidValue> {
        match self {
            Self::LessThan | Self::AtLeast => Timestamp::parse(field, text),
            Self::AtMost | Self::GreaterThan => Timestamp::parse_end(field, text),
        }
    }
}

impl ValueTest {
    fn passes(&self, value: &Value) -> bool {
        match self {
            Self::Equals(wanted) => Scalar::from_json(value).as_ref() == Some(wanted),
            Self::Number(side, bound) => value.as_f64().is_some_and(|number| side.holds(&number, bound)),
            Self::Date(side, bound) => {
                let date = value.as_str().and_then(|text| Timestamp::parse("date", text).ok());
                date.is_some_and(|date| side.holds(&date, bound))
            }
        }
    }
}

const FORMS: &str = "must have exactly one of the members and, or, not, category, metadata";

impl Condition {
    /// How many conditions may be inside one another.
    pub const MAX_DEPTH: usize = 5;
    /// How many conditions there may be in all.
    pub const MAX_CONDITIONS: usize = 32;

    /// Parses the JSON form: `{"and": […]}`, `{"or": […]}`, `{"not": {…}}`, `{"category": "…"}`, or `{"metadata": "name"}` with
    /// any of `equals`, `less_than`, `at_most`, `at_least`, `greater_than`.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the place within `field`.
    pub fn parse(field: &str, value: &Value) -> Result<Self, InvalidValue> {
        Parser { left: Self::MAX_CONDITIONS }.condition(field, value, 1)
    }

    /// As [`parse`](Self::parse); an empty object is no condition. Some clients send one for every object of a schema.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_optional(field: &str, value: &Value) -> Result<Option<Self>, InvalidValue> {
        if value.as_object().is_some_and(Map::is_empty) { Ok(None) } else { Self::parse(field, value).map(Some) }
    }

    /// Whether `memory` meets it.
    #[must_use]
    pub fn is_met_by(&self, memory: &Memory) -> bool {
        self.holds(&memory.categories, memory.metadata.as_object())
    }

    /// Whether a memory with these categories and this metadata meets it.
    #[must_use]
    pub fn holds(&self, categories: &[Category], metadata: &Map<String, Value>) -> bool {
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(categories, metadata)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(categories, metadata)),
            Self::Not(condition) => !condition.holds(categories, metadata),
            Self::Category(category) => categories.contains(category),
            Self::Metadata { name, tests } => {
                metadata.get(name).is_some_and(|value| tests.iter().all(|test| test.passes(value)))
            }
        }
    }

    /// Whether it depends on metadata.
    #[must_use]
    pub fn reads_metadata(&self) -> bool {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions.iter().any(Self::reads_metadata),
            Self::Not(condition) => condition.reads_metadata(),
            Self::Category(_) => false,
            Self::Metadata { .. } => true,
        }
    }
}

struct Parser {
    /// How many more conditions there may be.
    left: usize,
}

impl Parser {
    fn condition(&mut self, field: &str, value: &Value, depth: usize) -> Result<Condition, InvalidValue> {
        if depth > Condition::MAX_DEPTH {
            let problem = format!("is nested too deeply; at most {} levels are allowed", Condition::MAX_DEPTH);
            return Err(InvalidValue::new(field, problem));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            let problem =
                format!("is one condition too many; at most {} are allowed in all", Condition::MAX_CONDITIONS);
            InvalidValue::new(field, problem)
        })?;
        let object = value.as_object().ok_or_else(|| InvalidValue::new(field, "must be an object"))?;
        if let Some(name) = object.get("metadata") {
            return metadata(field, name, object);
        }
        let (Some((form, inner)), 1) = (object.iter().next(), object.len()) else {
            return Err(InvalidValue::new(field, FORMS));
        };
        let place = format!("{field}.{form}");
        match form.as_str() {
            "and" => Ok(Condition::All(self.conditions(&place, inner, depth)?)),
            "or" => Ok(Condition::Any(self.conditions(&place, inner, depth)?)),
            "not" => Ok(Condition::Not(Box::new(self.condition(&place, inner, depth + 1)?))),
            "category" => {
                let name = inner.as_str().ok_or_else(|| InvalidValue::new(&place, "must be a string"))?;
                let category = name.parse().map_err(|error: InvalidValue| error.of(&place))?;
                Ok(Condition::Category(category))
            }
            _ => Err(InvalidValue::new(field, FORMS)),
        }
    }

    fn conditions(&mut self, field: &str, value: &Value, depth: usize) -> Result<Vec<Condition>, InvalidValue> {
        let items = value.as_array().filter(|items| !items.is_empty());
        let items = items.ok_or_else(|| InvalidValue::new(field, "must be a list of at least one condition"))?;
        let numbered = items.iter().enumerate();
        numbered.map(|(number, item)| self.condition(&format!("{field}[{number}]"), item, depth + 1)).collect()
    }
}

fn metadata(field: &str, name: &Value, object: &Map<String, Value>) -> Result<Condition, InvalidValue> {
    let named = name.as_str().filter(|name| !name.is_empty() && !name.contains('\0'));
    let name = named.ok_or_else(|| InvalidValue::new(format!("{field}.metadata"), "must be the name of a member"))?;
    let mut tests = Vec::new();
    for (member, value) in object.iter().filter(|(member, _)| *member != "metadata") {
        let place = || format!("{field}.{member}");
        if member == "equals" {
            let problem = "must be text without NUL, a number, or true or false";
            let scalar = Scalar::from_json(value).ok_or_else(|| InvalidValue::new(place(), problem))?;
            tests.push(ValueTest::Equals(scalar));
            continue;
        }
        let Some((_, side)) = Side::ALL.into_iter().find(|(name, _)| name == member) else {
            let problem = "has a member that is none of metadata, equals, less_than, at_most, at_least, greater_than";
            return Err(InvalidValue::new(field, problem));
        };
        tests.push(match (value.as_str(), value.as_f64()) {
            (Some(text), _) => ValueTest::Date(side, side.date(&place(), text)?),
            (None, Some(number)) => ValueTest::Number(side, number),
            (None, None) => return Err(InvalidValue::new(place(), "must be a number or a date")),
        });
    }
    Ok(Condition::Metadata { name: name.to_owned(), tests })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::memories::NewMemory;
    use crate::testing::{categories, metadata, new_memory};

    fn parse(value: &Value) -> Result<Condition, InvalidValue> {
        Condition::parse("where", value)
    }

    #[test]
    fn a_memory_meets_a_condition_or_not() {
        let memory = NewMemory {
            categories: categories(&["food", "guests"]),
            metadata: metadata(json!({
                "n": 5, "f": 1.5, "t": "5", "b": true, "z": null, "due": "2026-05-08T12:00:00Z", "day": "2026-05-08",
                "list": [5],
            })),
            ..new_memory("x")
        }
        .into_memory();
        for (value, expected) in [
            (json!({"category": "Food"}), true),
            (json!({"category": "travel"}), false),
            (json!({"not": {"category": "travel"}}), true),
            (json!({"and": [{"category": "food"}, {"category": "guests"}]}), true),
            (json!({"and": [{"category": "food"}, {"category": "travel"}]}), false),
            (json!({"or": [{"category": "travel"}, {"category": "guests"}]}), true),
            (json!({"or": [{"category": "travel"}]}), false),
            (json!({"not": {"or": [{"category": "travel"}, {"metadata": "n", "at_least": 6}]}}), true),
            (json!({"metadata": "n"}), true),
            (json!({"metadata": "z"}), true),
            (json!({"metadata": "absent"}), false),
            (json!({"not": {"metadata": "absent"}}), true),
            (json!({"metadata": "n", "equals": 5.0}), true),
            (json!({"metadata": "n", "equals": "5"}), false),
            (json!({"metadata": "t", "equals": "5"}), true),
            (json!({"metadata": "b", "equals": true}), true),
            (json!({"metadata": "n", "at_least": 5, "at_most": 5}), true),
            (json!({"metadata": "n", "greater_than": 5}), false),
            (json!({"metadata": "n", "less_than": 5}), false),
            (json!({"metadata": "f", "greater_than": 1, "less_than": 2}), true),
            (json!({"metadata": "t", "at_least": 1}), false),
            (json!({"metadata": "list", "at_least": 1}), false),
            (json!({"metadata": "b", "at_least": 0}), false),
            (json!({"metadata": "due", "at_least": "2026-05-08", "at_most": "2026-05-08"}), true),
            (json!({"metadata": "due", "greater_than": "2026-05-08"}), false),
            (json!({"metadata": "due", "less_than": "2026-05-08"}), false),
            (json!({"metadata": "due", "greater_than": "2026-05-08T11:59:59Z"}), true),
            (json!({"metadata": "due", "less_than": "2026-05-08T14:00:00+01:00"}), true),
            (json!({"metadata": "day", "at_least": "2026-05-07", "less_than": "2026-05-09"}), true),
            (json!({"metadata": "t", "at_least": "1970-01-01"}), false),
            (json!({"metadata": "n", "at_least": "1970-01-01"}), false),
        ] {
            assert_eq!(parse(&value).unwrap().is_met_by(&memory), expected, "{value}");
        }
    }

    #[test]
    fn nothing_is_no_condition_but_not_within_one() {
        assert_eq!(Condition::parse_optional("where", &json!({})).unwrap(), None);
        let one = json!({"category": "a"});
        assert_eq!(Condition::parse_optional("where", &one).unwrap(), Some(parse(&one).unwrap()));
        for value in [json!([]), json!(null), json!({"not": {}}), json!({"and": [{}]})] {
            assert!(Condition::parse_optional("where", &value).is_err(), "{value}");
        }
    }

    #[test]
    fn an_error_names_its_place() {
        for (value, field) in [
            (json!([]), "where"),
            (json!({}), "where"),
            (json!({"xor": []}), "where"),
            (json!({"category": "a", "not": {"category": "b"}}), "where"),
            (json!({"and": []}), "where.and"),
            (json!({"and": {"category": "a"}}), "where.and"),
            (json!({"or": [{"category": "a"}, {"not": {"category": 7}}]}), "where.or[1].not.category"),
            (json!({"not": {"category": " "}}), "where.not.category"),
            (json!({"and": [{"metadata": 7}]}), "where.and[0].metadata"),
            (json!({"metadata": ""}), "where.metadata"),
            (json!({"metadata": "a", "equals": [1]}), "where.equals"),
            (json!({"metadata": "a", "equals": null}), "where.equals"),
            (json!({"metadata": "a", "at_least": "soon"}), "where.at_least"),
            (json!({"metadata": "a", "at_most": true}), "where.at_most"),
            (json!({"metadata": "a", "like": "x"}), "where"),
            (json!({"metadata": "a", "category": "x"}), "where"),
        ] {
            assert_eq!(parse(&value).unwrap_err().field(), field, "{value}");
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = |levels: usize| (1..levels).fold(json!({"category": "a"}), |inner, _| json!({ "not": inner }));
        assert!(parse(&nested(Condition::MAX_DEPTH)).is_ok());
        let error = parse(&nested(Condition::MAX_DEPTH + 1)).unwrap_err();
        assert_eq!(error.field(), "where.not.not.not.not.not");
        let many = |number: usize| json!({ "or": vec![json!({"category": "a"}); number] });
        assert!(parse(&many(Condition::MAX_CONDITIONS - 1)).is_ok());
        let error = parse(&many(Condition::MAX_CONDITIONS)).unwrap_err();
        assert_eq!(error.field(), "where.or[31]");
    }

    #[test]
    fn a_condition_says_whether_it_reads_metadata() {
        for (value, expected) in [
            (json!({"category": "a"}), false),
            (json!({"not": {"and": [{"category": "a"}]}}), false),
            (json!({"not": {"or": [{"category": "a"}, {"metadata": "n"}]}}), true),
        ] {
            assert_eq!(parse(&value).unwrap().reads_metadata(), expected, "{value}");
        }
    }
}
