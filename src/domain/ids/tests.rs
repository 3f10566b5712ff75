use super::*;
use crate::testing::{SeededEntropy, now};

#[test]
fn a_uuid_is_read_as_it_is_written() {
    let id = ApplicationId::generate(&SeededEntropy::new(1));
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(ApplicationId::from_uuid(id.as_uuid()), id);
    assert_eq!(id.to_string().len(), 36);
}

#[test]
fn what_is_no_uuid_is_refused_under_the_name_of_its_field() {
    for text in ["", "1", "67e55044-10b1-426f-9247-bb680e5fe0c", "67e55044-10b1-426f-9247-bb680e5fe0cg", "../x", "\0"] {
        assert_eq!(text.parse::<ApplicationId>().unwrap_err().field(), "application_id");
        assert_eq!(text.parse::<SecretId>().unwrap_err().field(), "secret_id");
        assert_eq!(text.parse::<GrantId>().unwrap_err().field(), "grant_id");
        assert_eq!(text.parse::<TokenId>().unwrap_err().field(), "token_id");
        assert_eq!(text.parse::<UserId>().unwrap_err().field(), "user_id");
        assert_eq!(text.parse::<RequestId>().unwrap_err().field(), "request_id");
    }
}

#[test]
fn ids_of_requests_follow_time() {
    let entropy = SeededEntropy::new(1);
    let ids: Vec<RequestId> =
        (0..5).map(|n| RequestId::generate_at(&entropy, now().plus(std::time::Duration::from_millis(n)))).collect();
    assert!(ids.is_sorted());
    let id = MemoryId::for_request(ids[0]);
    assert_eq!(id.as_str(), ids[0].to_string());
    assert_eq!(id.to_string().parse(), Ok(id.clone()));
    assert_eq!(id.as_request(), Some(ids[0]));
    for text in ["m-1", &id.as_str().replace('-', ""), &id.as_str().to_uppercase()] {
        assert_eq!(text.parse::<MemoryId>().unwrap().as_request(), None, "{text}");
    }
}

#[test]
fn a_client_id_is_1_to_255_visible_characters() {
    for text in ["a", "https://client.example/m?a=b", "!~", &"c".repeat(255)] {
        let id: ClientId = text.parse().unwrap();
        assert_eq!((id.as_str(), id.to_string().as_str()), (text, text));
    }
    for text in ["", " ", "a b", "é", "a\0", "a\n", "\u{7f}", &"c".repeat(256)] {
        assert_eq!(text.parse::<ClientId>().unwrap_err().field(), "client_id", "{text:?}");
    }
    let id = ApplicationId::generate(&SeededEntropy::new(1));
    assert_eq!(ClientId::from(id).as_str(), id.to_string());
}

#[test]
fn a_memory_id_is_1_to_128_plain_characters() {
    for text in ["a", "0", "-_.:", "mem0:AZ.az-09_", &"m".repeat(128)] {
        assert_eq!(text.parse::<MemoryId>().unwrap().as_str(), text);
    }
    for text in ["", "a/b", "a b", "a%2f", "é", "a\0", "*", "a,b", &"m".repeat(129)] {
        assert_eq!(text.parse::<MemoryId>().unwrap_err().field(), "memory_id", "{text:?}");
    }
}
