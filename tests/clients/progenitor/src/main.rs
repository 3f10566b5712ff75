//! Runs the client that progenitor generated: token, create, search, delete.

use std::error::Error;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

mod memgate {
    progenitor::generate_api!(spec = "../../../openapi/openapi.json", interface = Builder);
}

use memgate::Client;
use memgate::types::{GrantType, Priority};

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("{name} is not set"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = variable("GATE_URL")?;
    let (id, secret) = (variable("CLIENT_ID")?, variable("CLIENT_SECRET")?);
    let open = Client::new(&url);
    let token_request = async |secret: &str| {
        let (id, secret) = (id.clone(), secret.to_owned());
        let request = open.issue_token();
        let request = request.body_map(|body| {
            body.grant_type(GrantType::ClientCredentials).client_id(Some(id)).client_secret(Some(secret))
        });
        request.send().await
    };
    let refused = token_request("wrong").await.expect_err("a wrong secret is refused");
    assert_eq!(refused.status().map(|status| status.as_u16()), Some(401));
    let token = token_request(&secret).await?.into_inner();

    let authorization = HeaderValue::try_from(format!("Bearer {}", token.access_token))?;
    let http = reqwest::Client::builder().default_headers(HeaderMap::from_iter([(AUTHORIZATION, authorization)]));
    let client = Client::new_with_client(&url, http.build()?);

    let created = client.create_memory().body_map(|body| {
        let body = body.content("Marta is allergic to hazelnuts.").priority(Some(Priority::High));
        body.expires_at(Some("2099-01-01".parse().expect("it is a moment")))
    });
    let created = created.send().await?.into_inner();
    let memory = created.memory.ok_or("it is not stored")?;
    assert!(memory.expires_at.is_some());

    let found = client.search_memories().body_map(|body| body.query("Which nuts must Marta not eat?"));
    let found = found.send().await?.into_inner();
    assert_eq!(found.results.first().map(|result| &result.memory_id), Some(&memory.memory_id));

    let deleted = client.delete_memory().memory_id(memory.memory_id.clone()).send().await?.into_inner();
    assert_eq!(deleted.memory_id, memory.memory_id);
    let gone = client.get_memory().memory_id(memory.memory_id).send().await.expect_err("it is gone");
    assert_eq!(gone.status().map(|status| status.as_u16()), Some(404));
    Ok(())
}
