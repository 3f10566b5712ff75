//! Detects integers that would not be stored exactly.
//!
//! `serde_json` reads an integer that does not fit into 64 bits as a floating-point number, and the target type cannot
//! distinguish that from an intended one. The text can.

/// The enclosing object or array.
enum JsonContext<'a> {
    /// In an object, after this name.
    Member(&'a [u8]),
    /// In an array, at this index.
    Item(usize),
}

/// The path to the first integer in `json` that fits neither `i64` nor `u64`. Numbers with a fraction or an exponent are
/// floating-point numbers by intention.
///
/// `json` is well-formed.
pub(crate) fn oversized_integer(json: &[u8]) -> Option<String> {
    let mut places = Vec::new();
    let mut string: &[u8] = b"";
    let mut rest = json;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                let end = end_of_string(rest);
                (string, rest) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
            }
            b'{' => places.push(JsonContext::Member(b"")),
            b'[' => places.push(JsonContext::Item(0)),
            b'}' | b']' => drop(places.pop()),
            b':' => places.last_mut().into_iter().for_each(|place| *place = JsonContext::Member(string)),
            b',' => {
                if let Some(JsonContext::Item(index)) = places.last_mut() {
                    *index += 1;
                }
            }
            b'-' | b'0'..=b'9' => {
                let length = after.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
                let (digits, following) = after.split_at(length.count());
                rest = following;
                if digits.len() >= "9223372036854775807".len() - 1 && !fits(*byte, digits) {
                    return Some(path(&places));
                }
            }
            _ => {}
        }
    }
    None
}

/// The length of a string whose opening quote was just passed.
fn end_of_string(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

fn fits(first: u8, digits: &[u8]) -> bool {
    let Ok(digits) = std::str::from_utf8(digits) else { return true };
    if digits.contains(['.', 'e', 'E']) {
        return true;
    }
    let number = format!("{}{digits}", char::from(first));
    number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok()
}

fn path(places: &[JsonContext<'_>]) -> String {
    let steps = places.iter().enumerate().map(|(depth, place)| match place {
        JsonContext::Member(name) if depth == 0 => String::from_utf8_lossy(name).into_owned(),
        JsonContext::Member(name) => format!(".{}", String::from_utf8_lossy(name)),
        JsonContext::Item(index) => format!("[{index}]"),
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_beyond_64_bits_are_found_with_their_place() {
        for (json, place) in [
            (r#"{"a":18446744073709551616}"#, "a"),
            (r#"{"a":-9223372036854775809}"#, "a"),
            (r#"{"a":{"b":[1,"x",{"c":99999999999999999999}]},"d":1}"#, "a.b[2].c"),
            (r#"{"a":[[1,2],[3,18446744073709551616]]}"#, "a[1][1]"),
            (r#"{"x":"\\\"","a":18446744073709551616}"#, "a"),
        ] {
            assert_eq!(oversized_integer(json.as_bytes()).as_deref(), Some(place), "{json}");
        }
    }

    #[test]
    fn what_is_kept_as_it_is_passes() {
        for json in [
            r#"{"a":18446744073709551615,"b":-9223372036854775808}"#,
            r#"{"a":1e30,"b":18446744073709551616.0,"c":-1E400}"#,
            r#"{"a":"18446744073709551616","18446744073709551616":1}"#,
            r#"{"a":"\"18446744073709551616"}"#,
            "[]",
            "",
        ] {
            assert_eq!(oversized_integer(json.as_bytes()), None, "{json}");
        }
    }
}
