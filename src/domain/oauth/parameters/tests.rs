use proptest::prelude::*;

use super::*;

fn form(body: &str) -> Parameters {
    Parameters::from_form(body.as_bytes()).unwrap()
}

fn json(body: &str) -> Parameters {
    Parameters::from_json(body.as_bytes()).unwrap()
}

/// The text of the refusal, which must be an `invalid_request`.
fn refusal<T: std::fmt::Debug>(result: Result<T, OAuthError>) -> String {
    match result {
        Err(OAuthError::InvalidRequest(text)) => text,
        other => panic!("not an invalid_request: {other:?}"),
    }
}

#[test]
fn the_examples_of_rfc_6749_are_read() {
    // §4.4.2 and §6.
    assert_eq!(form("grant_type=client_credentials").get("grant_type"), Some("client_credentials"));
    let refresh = form("grant_type=refresh_token&refresh_token=tGzv3JOkF0XG5Qx2TlKWIA");
    assert_eq!(refresh.get("grant_type"), Some("refresh_token"));
    assert_eq!(refresh.get("refresh_token"), Some("tGzv3JOkF0XG5Qx2TlKWIA"));
    // §2.3.1.
    let credentials = form("client_id=s6BhdRkqt3&client_secret=7Fjfp0ZBr1KtDRbnfVdmIw");
    assert_eq!(credentials.get("client_id"), Some("s6BhdRkqt3"));
    assert_eq!(credentials.get("client_secret"), Some("7Fjfp0ZBr1KtDRbnfVdmIw"));
    // Appendix B: space, percent, ampersand, plus, pound sign, euro sign.
    assert_eq!(form("scope=+%25%26%2B%C2%A3%E2%82%AC").get("scope"), Some(" %&+£€"));
}

#[test]
fn an_empty_parameter_counts_as_absent_and_an_unknown_one_is_ignored() {
    for body in ["", "&&&", "scope=", "scope", "=x", "=", "unknown=1&other"] {
        assert_eq!(form(body).get("scope"), None, "{body:?}");
    }
    assert_eq!(form("x=1&scope=a&y=2").get("scope"), Some("a"));
    assert_eq!(form("scope=a=b=c").get("scope"), Some("a=b=c"));
    assert_eq!(form("sc%6Fpe=%61").get("scope"), Some("a"));
    assert_eq!(form("scope=a&").get("scope"), Some("a"));
}

#[test]
fn a_missing_parameter_is_named() {
    assert_eq!(refusal(form("scope=").require("scope").map(str::to_owned)), "the parameter `scope` is missing");
    assert_eq!(form("scope=a").require("scope").unwrap(), "a");
}

#[test]
fn a_repeated_parameter_is_refused_and_named_if_it_is_known() {
    assert_eq!(refusal(Parameters::from_form(b"scope=a&scope=a")), "a parameter `scope` is given more than once");
    assert_eq!(refusal(Parameters::from_form(b"scope=&scope=a")), "a parameter `scope` is given more than once");
    assert_eq!(refusal(Parameters::from_form(b"s%63ope=a&scope=b")), "a parameter `scope` is given more than once");
    assert_eq!(
        refusal(Parameters::from_form(b"evil=a&evil=b")),
        "a parameter that is not known is given more than once"
    );
    let text = refusal(Parameters::from_json(br#"{"scope":"a","scope":"b"}"#));
    assert_eq!(text, "a parameter `scope` is given more than once");
    let text = refusal(Parameters::from_json(br#"{"scope":null,"scope":"b"}"#));
    assert_eq!(text, "a parameter `scope` is given more than once");
}

#[test]
fn a_resource_and_an_audience_may_be_repeated() {
    for name in ["resource", "audience"] {
        let parameters = form(&format!("{name}=a&{name}=&{name}=b"));
        assert_eq!(parameters.all(name).collect::<Vec<_>>(), ["a", "b"]);
        let (parameters, fault) = Parameters::from_query(format!("{name}=a&{name}=b").as_bytes());
        assert!(fault.is_none());
        assert_eq!(parameters.all(name).count(), 2);
        let parameters = json(&format!(r#"{{"{name}":["a","b"]}}"#));
        assert_eq!(parameters.all(name).collect::<Vec<_>>(), ["a", "b"]);
        for bad in ["[1]", "[[\"a\"]]", "[null]", "1", "{}"] {
            let text = refusal(Parameters::from_json(format!(r#"{{"{name}":{bad}}}"#).as_bytes()));
            assert!(text.contains(&format!("`{name}` must be a string")), "{text}");
        }
        refusal(Parameters::from_form(format!("{name}=a&").repeat(65).as_bytes()));
    }
}

#[test]
fn an_unknown_parameter_of_a_query_is_ignored_however_it_is_written() {
    for unknown in ["x=1&x=2", "x=%zz", "%zz=1", "%ff=%ff", "x=%00", "token_=%"] {
        let (parameters, fault) = Parameters::from_query(format!("{unknown}&state=a").as_bytes());
        assert!(fault.is_none(), "{unknown}: {fault:?}");
        assert_eq!(parameters.get("state"), Some("a"));
    }
}

#[test]
fn control_characters_are_refused_in_every_parameter() {
    for code in (0..32).chain([127]) {
        for (name, shown) in [
            ("grant_type", "`grant_type`"),
            ("client_id", "`client_id`"),
            ("client_secret", "`client_secret`"),
            ("scope", "`scope`"),
            ("refresh_token", "`refresh_token`"),
            ("token", "`token`"),
            ("token_type_hint", "`token_type_hint`"),
            ("unknown", "that is not known"),
        ] {
            let text = refusal(Parameters::from_form(format!("{name}=a%{code:02x}b").as_bytes()));
            assert_eq!(text, format!("a parameter {shown} contains a control character"));
        }
        refusal(Parameters::from_form(format!("sc%{code:02X}ope=a").as_bytes()));
        refusal(Parameters::from_json(format!(r#"{{"scope":"a\u{code:04x}b"}}"#).as_bytes()));
    }
    refusal(Parameters::from_form("scope=a\u{85}b".as_bytes()));
    refusal(Parameters::from_form(b"scope=a\nb"));
}

#[test]
fn there_are_at_most_64_parameters() {
    let body = |count: usize| (0..count).map(|n| format!("p{n}=x")).collect::<Vec<_>>().join("&");
    form(&body(64));
    assert_eq!(refusal(Parameters::from_form(body(65).as_bytes())), "there are more than 64 parameters");
    refusal(Parameters::from_form(body(10_000).as_bytes()));
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"p{n}\":{n}")).collect();
        format!("{{{}}}", members.join(","))
    };
    json(&object(64));
    for count in [65, 20_000] {
        assert_eq!(refusal(Parameters::from_json(object(count).as_bytes())), "there are more than 64 parameters");
    }
    let kept: JsonObject = serde_json::from_str(&object(20_000)).unwrap();
    assert_eq!(kept.0.len(), 65);
    let unfinished = object(20_000).replace('}', "");
    assert_eq!(refusal(Parameters::from_json(unfinished.as_bytes())), "the body is not a well-formed JSON object");
}

#[test]
fn of_a_query_only_the_first_64_parameters_are_read() {
    let query = |count: usize| (0..count).map(|n| format!("p{n}=x")).collect::<Vec<_>>().join("&");
    let (parameters, fault) = Parameters::from_query(query(64).as_bytes());
    assert!(fault.is_none() && parameters.get("p63") == Some("x"));
    for query in [query(65), query(15_800), format!("{}&p0=y", query(64))] {
        let (parameters, fault) = Parameters::from_query(query.as_bytes());
        let fault = fault.unwrap();
        assert_eq!(fault.to_string(), "there are more than 64 parameters");
        assert!(fault.names.is_empty() && parameters.0.len() == 64 && parameters.get("p0") == Some("x"));
    }
    let repeated = "state=1&".repeat(16_000);
    let (parameters, fault) = Parameters::from_query(repeated.as_bytes());
    assert!(parameters.0.is_empty() && fault.unwrap().names.len() <= 64, "what is noted has a bound");
}

#[test]
fn a_form_that_is_none_is_refused() {
    for body in
        [&b"scope=%"[..], b"scope=%4", b"scope=%zz", b"scope=%4g", b"%=a", b"scope=%ff", b"scope=\xff", b"\xc3=a"]
    {
        let text = refusal(Parameters::from_form(body));
        assert_eq!(text, "the request is not a well-formed UTF-8 form", "{body:?}");
    }
}

#[test]
fn json_has_the_members_of_the_form() {
    let parameters =
        json(r#"{"grant_type":"client_credentials","client_id":"a","scope":null,"client_secret":"","n":{"a":[1]}}"#);
    assert_eq!(parameters.get("grant_type"), Some("client_credentials"));
    assert_eq!(parameters.get("client_id"), Some("a"));
    for absent in ["scope", "client_secret", "n", "token"] {
        assert_eq!(parameters.get(absent), None, "{absent}");
    }
    assert_eq!(json(r#"{"scope":"a+b%20c"}"#).get("scope"), Some("a+b%20c"), "JSON has an encoding of its own");
}

#[test]
fn a_known_member_that_is_no_string_is_refused_by_name() {
    for value in ["1", "true", "[]", "{}", "[\"a\"]", "{\"a\":\"b\"}"] {
        for name in KNOWN.into_iter().filter(|name| !may_repeat(name)) {
            let text = refusal(Parameters::from_json(format!("{{\"{name}\":{value}}}").as_bytes()));
            assert_eq!(text, format!("the member `{name}` must be a string"));
        }
        json(&format!("{{\"unknown\":{value}}}"));
    }
}

#[test]
fn json_that_is_no_object_is_refused() {
    let nested = format!("{}{}", "{\"a\":".repeat(1000), "1");
    for body in
        ["", "null", "1", "\"a\"", "[]", "[{}]", "{", "{}{}", "{\"a\"}", "{\"a\":\"\u{0}\"}", "\u{feff}{}", &nested]
    {
        let text = refusal(Parameters::from_json(body.as_bytes()));
        assert_eq!(text, "the body is not a well-formed JSON object", "{body:?}");
    }
    let error = serde_json::from_str::<JsonObject>("1").map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("expected an object"), "{error}");
    refusal(Parameters::from_json(b"{\"scope\":\"\xff\"}"));
    refusal(Parameters::from_json(br#"{"scope":"\ud800"}"#));
    assert!(json("{}").get("scope").is_none());
}

#[test]
fn the_debug_form_shows_no_values() {
    let shown = format!("{:?}", form("client_id=public&client_secret=hush"));
    assert_eq!(shown, r#"["client_id", "client_secret"]"#);
}

fn basic(text: &str) -> Vec<u8> {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text)).into_bytes()
}

fn pair(id: &str, secret: &str) -> (String, String) {
    (id.to_owned(), secret.to_owned())
}

#[test]
fn the_examples_of_the_rfcs_for_basic_are_read() {
    // RFC 6749 §2.3.1.
    let header = b"Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3";
    assert_eq!(parse_basic(header), Some(pair("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw")));
    // RFC 7617 §2: a space that is not form-encoded is taken as it is.
    assert_eq!(parse_basic(b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Some(pair("Aladdin", "open sesame")));
    // RFC 7617 §2.1: UTF-8.
    assert_eq!(parse_basic(b"Basic dGVzdDoxMjPCow=="), Some(pair("test", "123£")));
}

#[test]
fn the_scheme_has_no_case_and_padding_and_spaces_do_not_matter() {
    for header in ["basic YTpi", "BASIC YTpi", "bAsIc   YTpi  ", "Basic YTpi\t"] {
        assert_eq!(parse_basic(header.as_bytes()), Some(pair("a", "b")), "{header:?}");
    }
    assert_eq!(parse_basic(b"Basic YTpiYw"), Some(pair("a", "bc")), "padding left out");
    assert_eq!(parse_basic(b"Basic YTpiYw=="), Some(pair("a", "bc")));
}

#[test]
fn id_and_secret_are_form_encoded_each() {
    assert_eq!(parse_basic(&basic("my%2Did:a%2Bb+c%25")), Some(pair("my-id", "a+b c%")));
    assert_eq!(parse_basic(&basic("id%3A1:x:y")), Some(pair("id:1", "x:y")), "only the first colon divides");
    assert_eq!(parse_basic(&basic(":")), Some(pair("", "")));
    assert_eq!(parse_basic(&basic("a:")), Some(pair("a", "")));
    assert_eq!(parse_basic(&basic("a%c3%A9:b")), Some(pair("aé", "b")));
}

#[test]
fn anything_but_a_basic_header_is_none() {
    for header in [
        &b""[..],
        b"Basic",
        b"Basic ",
        b"BasicYTpi",
        b"Bearer YTpi",
        b"Basic\tYTpi",
        b"Basic YTpi=",
        b"Basic YT pi",
        b"Basic YTpi,",
        b"Basic _-__",
        b"Basic \xff\xfe",
        b"\xff\xff\xff\xff\xff\xff\xff",
        &basic("no colon"),
        &basic("a%zz:b"),
        &basic("a:b%"),
        &basic("a:b%f"),
        &basic("a:%ff"),
    ] {
        assert_eq!(parse_basic(header), None, "{}", String::from_utf8_lossy(header));
    }
    assert_eq!(parse_basic(b"Basic gDpi"), None, "an id that is not UTF-8");
}

/// The form encoding of RFC 6749, appendix B, with every byte escaped that may be.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02x}"))
}

proptest! {
    #[test]
    fn no_body_makes_the_parsers_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Parameters::from_form(&body);
        let _ = Parameters::from_json(&body);
        let _ = parse_basic(&body);
        let _ = parse_basic(&[b"Basic ", &body[..]].concat());
    }

    #[test]
    fn a_query_says_what_is_wrong_and_keeps_nothing_twice(query in "((scope|state)=[1%]{0,2}&?){0,6}") {
        let (parameters, fault) = Parameters::from_query(query.as_bytes());
        let names: Vec<&String> = parameters.0.iter().map(|(name, _)| name).collect();
        prop_assert!(names.len() < 2 || names[0] != names[1]);
        prop_assert_eq!(fault.is_none(), Parameters::from_form(query.as_bytes()).is_ok());
        for name in ["scope", "state"] {
            let at_fault = fault.as_ref().is_some_and(|fault| fault.concerns(&[name]));
            prop_assert!(!at_fault || parameters.get(name).is_none(), "{} is at fault and kept", name);
        }
    }

    #[test]
    fn no_text_that_looks_like_a_form_makes_the_parser_panic(body in "[a-c=&%+0-9A-F\\x00é]{0,60}") {
        let _ = Parameters::from_form(body.as_bytes());
    }

    #[test]
    fn a_form_round_trips(name in "[^\\p{Cc}]{1,20}", value in "[^\\p{Cc}]{1,40}") {
        let read = form(&format!("{}={}", encoded(&name), encoded(&value)));
        prop_assert_eq!(read.get(&name), Some(value.as_str()));
        let standard: String = url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
        let read = form(&standard);
        prop_assert_eq!(read.get(&name), Some(value.as_str()));
    }

    #[test]
    fn json_round_trips(name in "[^\\p{Cc}]{1,20}", value in "[^\\p{Cc}]{1,40}") {
        let body = serde_json::json!({ name.clone(): value.clone() }).to_string();
        let read = json(&body);
        prop_assert_eq!(read.get(&name), Some(value.as_str()));
    }

    #[test]
    fn basic_round_trips(id in any::<String>(), secret in any::<String>()) {
        let header = basic(&format!("{}:{}", encoded(&id), encoded(&secret)));
        prop_assert_eq!(parse_basic(&header), Some((id, secret)));
    }
}
