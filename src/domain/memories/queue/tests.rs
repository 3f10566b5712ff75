use super::*;

#[test]
fn an_idempotency_key_is_one_line_of_up_to_255_characters() {
    for text in ["a", " a b ", "é🦊", &"k".repeat(255)] {
        assert_eq!(IdempotencyKey::try_from(text.to_owned()).unwrap().as_str(), text);
    }
    for text in ["", "  ", "a\nb", "a\0", &"k".repeat(256)] {
        let error = IdempotencyKey::try_from(text.to_owned()).unwrap_err();
        assert_eq!(error.field(), "idempotency_key", "{text:?}");
    }
}
