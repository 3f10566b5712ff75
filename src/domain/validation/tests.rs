use super::*;

fn problem(result: Result<String, InvalidValue>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn text_is_kept_as_it_is() {
    for value in ["a", " a ", "a\nb\t", "\u{202e}🦊", "abcde"] {
        assert_eq!(text("f", value.to_owned(), 5).unwrap(), value);
    }
    assert_eq!(text("f", "🦊".repeat(5), 5).unwrap(), "🦊".repeat(5), "characters are counted, not bytes");
}

#[test]
fn text_that_cannot_be_is_refused_without_being_repeated() {
    for value in ["", " ", "\n\t\u{a0}\u{3000}"] {
        assert_eq!(problem(text("f", value.to_owned(), 5)), "`f` must not be empty", "{value:?}");
    }
    assert_eq!(problem(text("f", "a\0".to_owned(), 5)), "`f` must not contain a NUL character");
    assert_eq!(problem(text("f", "hushhush".to_owned(), 5)), "`f` is 8 characters long; at most 5 are allowed");
}

#[test]
fn a_line_has_no_control_characters() {
    assert_eq!(line("f", "a b".to_owned(), 5).unwrap(), "a b");
    for value in ["a\nb", "a\tb", "a\rb", "a\u{7f}", "a\u{85}", "\u{1b}[1m"] {
        let text = problem(line("f", value.to_owned(), 5));
        assert_eq!(text, "`f` must not contain control characters such as a line break", "{value:?}");
    }
    assert_eq!(problem(line("f", "a\0".to_owned(), 5)), "`f` must not contain a NUL character");
    assert_eq!(problem(line("f", "  ".to_owned(), 5)), "`f` must not be empty");
    assert_eq!(problem(line("f", "abcdef".to_owned(), 5)), "`f` is 6 characters long; at most 5 are allowed");
}

#[test]
fn a_refusal_can_be_seen_from_further_out() {
    let error = InvalidValue::new("start", "is wrong").within("date_range").within("filters");
    assert_eq!((error.field(), error.problem().to_string().as_str()), ("filters.date_range.start", "is wrong"));
    assert_eq!(error.to_string(), "`filters.date_range.start` is wrong");
}
