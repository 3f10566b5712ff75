use super::*;
use crate::testing::database_unavailable;

#[test]
fn only_a_bank_that_is_unavailable_is_worth_a_retry() {
    let source = Box::new(database_unavailable());
    assert!(MemoryBankError::Unavailable { retry_after: None, reached: false, source }.is_retryable());
    for error in [
        MemoryBankError::Rejected("no".to_owned()),
        MemoryBankError::Unsupported(Capability::List),
        MemoryBankError::Misconfigured("x".into()),
        MemoryBankError::Inconsistent("x".into()),
    ] {
        assert!(!error.is_retryable(), "{error}");
    }
}

#[test]
fn capabilities_have_the_names_of_the_api() {
    for (capability, name) in [
        (Capability::Update, "update"),
        (Capability::List, "list"),
        (Capability::DateFilter, "date_filter"),
        (Capability::MetadataFilter, "metadata_filter"),
        (Capability::Expiry, "expiry"),
    ] {
        assert_eq!(capability.as_str(), name);
        let text = MemoryBankError::Unsupported(capability).to_string();
        assert_eq!(text, format!("the memory bank does not support `{name}`"));
    }
}
