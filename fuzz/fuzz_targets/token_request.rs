//! Whatever stands in the header and in the body, the token request is read or refused, and the refusal repeats nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use memgate_domain::oauth::{Parameters, RequestedScope, TokenInquiry, TokenRequest};

fuzz_target!(|input: (Option<Vec<u8>>, Vec<u8>)| {
    let (authorization, body) = input;
    for parameters in [Parameters::from_form(&body), Parameters::from_json(&body)] {
        let Ok(parameters) = parameters else { continue };
        let _request = TokenRequest::parse(authorization.as_deref(), &parameters);
        let _inquiry = TokenInquiry::parse(authorization.as_deref(), &parameters);
        let scope = RequestedScope::parse(parameters.get("scope"));
        if let Some(granted) = scope.within(memgate_domain::applications::Permissions::default()) {
            assert!(granted.is_empty(), "nothing is granted out of nothing");
        }
    }
});
