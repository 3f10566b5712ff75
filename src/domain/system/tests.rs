use proptest::prelude::*;

use super::*;
use crate::testing::{SeededEntropy, now};

#[track_caller]
fn parsed(text: &str) -> Timestamp {
    Timestamp::parse("at", text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn rfc_3339_is_read_to_the_millisecond() {
    for (text, millis) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01T00:00:00.0019999Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1969-12-31T23:59:59.9995Z", -1),
        ("2026-05-08T13:56:00Z", 1_778_248_560_000),
        ("2026-05-08T15:56:00+02:00", 1_778_248_560_000),
        ("2026-05-08T08:26:00-05:30", 1_778_248_560_000),
        ("2026-05-08t13:56:00z", 1_778_248_560_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_000),
        ("9999-12-31T23:59:59-23:59", 253_402_300_799_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("0001-01-01T00:00:00+23:59", -62_135_596_800_000),
        ("0000-01-01T00:00:00Z", -62_135_596_800_000),
    ] {
        assert_eq!(parsed(text).unix_millis(), millis, "{text}");
    }
}

#[test]
fn a_date_alone_is_its_first_moment_in_utc() {
    assert_eq!(parsed("2026-05-08"), parsed("2026-05-08T00:00:00Z"));
}

#[test]
fn a_date_and_time_without_an_offset_are_in_utc() {
    assert_eq!(parsed("2026-05-08T13:56:00"), parsed("2026-05-08T13:56:00Z"));
    assert_eq!(parsed("2026-05-08t13:56:00.25"), parsed("2026-05-08T13:56:00.250Z"));
}

#[test]
fn what_is_no_moment_is_refused_with_an_example() {
    for text in [
        "",
        "now",
        "2026",
        "2026-05",
        "2026-13-01",
        "2026-02-29",
        "2026-05-08T",
        "2026-05-08T13:56",
        "2026-05-08T13:56:00ZZ",
        "2026-05-08T13:56:00+",
        "2026-05-08T13:56:00 ",
        "2026-05-08 13:56:00Z ",
        "2026-05-08T24:00:00Z",
        "2026-05-08T13:60:00Z",
        "2026-05-08T13:56:00+24:00",
        "2026-05-08T13:56:00,5Z",
        "10000-01-01T00:00:00Z",
        "-001-01-01",
        "1778248560",
        "2026/05/08",
        "٢٠٢٦-05-08",
        "éééééé",
        "2026-05-08T13:56:00Z\0",
        " 2026-05-08",
    ] {
        let error = Timestamp::parse("filters.date_range.start", text).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`filters.date_range.start` must be a date and time in RFC 3339, such as 2026-05-08T13:56:00Z",
            "{text:?}"
        );
    }
}

#[test]
fn moments_are_written_in_utc() {
    assert_eq!(now().to_string(), "2033-05-18T03:33:20.123Z");
    assert_eq!(Timestamp::from_unix_seconds(0).to_string(), "1970-01-01T00:00:00Z");
    assert_eq!(Timestamp::from_unix_millis(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
    assert_eq!(Timestamp::from_unix_millis(i64::MIN).to_string(), "0001-01-01T00:00:00Z");
    assert_eq!(now().to_utc().unix_timestamp(), 2_000_000_000);
}

#[test]
fn seconds_are_rounded_down_before_the_epoch_too() {
    for (millis, seconds) in [(0, 0), (999, 0), (1_000, 1), (-1, -1), (-1_000, -1), (-1_001, -2)] {
        let at = Timestamp::from_unix_millis(millis);
        assert_eq!(at.unix_seconds(), seconds, "{millis}");
        assert_eq!(at.truncated_to_seconds(), Timestamp::from_unix_seconds(seconds), "{millis}");
    }
}

#[test]
fn reckoning_ends_at_the_bounds_and_never_overflows() {
    let (earliest, latest) = (Timestamp::from_unix_millis(i64::MIN), Timestamp::from_unix_seconds(i64::MAX));
    assert_eq!(latest.plus(Duration::MAX), latest);
    assert_eq!(earliest.minus(Duration::MAX), earliest);
    assert_eq!(now().plus(Duration::MAX), latest);
    assert_eq!(now().minus(Duration::MAX), earliest);
    assert_eq!(
        now().plus(Duration::from_millis(877)).minus(Duration::from_secs(1)),
        now().minus(Duration::from_millis(123))
    );
}

#[test]
fn a_clock_that_jumped_back_makes_no_time_pass() {
    assert_eq!(now().since(now().minus(Duration::from_millis(5))), Duration::from_millis(5));
    assert_eq!(now().since(now()), Duration::ZERO);
    assert_eq!(now().since(now().plus(Duration::from_millis(5))), Duration::ZERO);
}

#[test]
fn random_values_have_their_form() {
    let entropy: &dyn Entropy = &SeededEntropy::new(1);
    assert_eq!(entropy.uuid().get_version_num(), 4);
    let token = entropy.url_safe_token();
    assert_eq!((token.len(), URL_SAFE_NO_PAD.decode(&token).unwrap().len()), (43, 32));
    let (earlier, later) = (entropy.uuid_at(now()), entropy.uuid_at(now().plus(Duration::from_millis(1))));
    assert_eq!(earlier.get_version_num(), 7);
    assert!(earlier < later);
    assert_eq!(entropy.uuid_at(Timestamp::from_unix_millis(-5)).get_version_num(), 7, "before the epoch");
}

#[test]
fn errors_of_storage_say_where_to_look() {
    let row = StorageError::InconsistentRow { table: "t", key: "k".to_owned(), detail: "d".to_owned() };
    assert_eq!(row.to_string(), "invalid row `k` in `t`: d");
}

#[test]
fn a_chain_names_every_cause_in_its_order() {
    let disk: BoxError = "the disk is full".into();
    let shared = SharedStorageError::new(StorageError::Unavailable(disk));
    let error = shared.to_storage_error();
    assert_eq!(ErrorChain(&error).to_string(), "the database did not respond: the disk is full");
    assert_eq!(causes(&error).last().map(ToString::to_string).as_deref(), Some("the disk is full"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(millis in -62_135_596_800_000_i64..=253_402_300_799_000) {
        let at = Timestamp::from_unix_millis(millis);
        prop_assert_eq!(at.unix_millis(), millis);
        prop_assert_eq!(Timestamp::parse("at", &at.to_string()), Ok(at));
        prop_assert_eq!(at.truncated_to_seconds().unix_seconds(), at.unix_seconds());
        prop_assert!(at.truncated_to_seconds() <= at);
    }

    #[test]
    fn no_text_makes_the_parser_panic(
        any in any::<String>(),
        similar in "[0-9]{4,5}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,30})?(Z|[+-][0-9]{2}:[0-9]{2}))?",
    ) {
        for text in [any, similar] {
            if let Ok(at) = Timestamp::parse("at", &text) {
                prop_assert_eq!(Timestamp::parse("at", &at.to_string()), Ok(at));
            }
        }
    }
}
