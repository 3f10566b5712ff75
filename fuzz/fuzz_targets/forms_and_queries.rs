//! Whatever a browser brings in a form or a query, it is read or refused: nothing is kept twice, nothing at fault is used,
//! and what is kept has a bound. A redirect URI that is accepted is one to which an answer can be sent.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use memgate_domain::applications::RedirectUri;
use memgate_domain::oauth::Parameters;
use url::Url;

/// The names that pages and OAuth endpoints read.
const NAMES: [&str; 9] =
    ["client_id", "redirect_uri", "state", "scope", "form_token", "return_to", "login", "password", "code_challenge"];

static REGISTERED: LazyLock<[RedirectUri; 4]> = LazyLock::new(|| {
    ["https://app.example/callback", "http://127.0.0.1/callback", "com.example.app:/back", RedirectUri::GPT_CALLBACK]
        .map(|uri| uri.parse().expect("a redirect URI"))
});

fuzz_target!(|input: &[u8]| {
    let form = Parameters::from_form(input);
    let (query, fault) = Parameters::from_query(input);
    // A query may hold unrecognized parameters that are malformed.
    assert!(form.is_err() || fault.is_none(), "what a form may hold is no fault of a query");
    for name in NAMES {
        let value = query.get(name);
        if let Ok(form) = &form {
            assert_eq!(form.get(name), value);
        }
        assert!(value.is_none_or(|value| !value.is_empty() && !value.chars().any(char::is_control)));
        assert!(value.is_none() || !fault.as_ref().is_some_and(|fault| fault.concerns(&[name])));
    }
    let presented = query.get("redirect_uri").or(std::str::from_utf8(input).ok()).unwrap_or_default();
    for registered in &*REGISTERED {
        if registered.accepts(presented) {
            let url = Url::parse(presented).expect("what is accepted is a URL");
            assert!(url.fragment().is_none(), "an answer would end in the fragment");
        }
    }
});
