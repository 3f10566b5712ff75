//! A token opens what it was asked for: the REST API, MCP, or both.

use memgate::domain::applications::{NewApplication, Resource};
use memgate_test_kit::gate::new_application;
use serde_json::{Value, json};

use super::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_one_door_does_not_open_the_other_and_says_which_it_is_for() {
    let client = Client::new().await;
    let application = client.gate.application().await;
    let base = client.gate.gate().public_url().to_owned();
    let mcp_uri = format!("{base}/mcp");
    let rest = client.gate.token_for(&application, &[]).await;
    let mcp = client.gate.token_for(&application, &[("resource", &mcp_uri)]).await;
    let both = client.gate.token_for(&application, &[("resource", &base), ("resource", &mcp_uri)]).await;
    for (token, opens_rest, opens_mcp) in [(&rest, true, false), (&mcp, false, true), (&both, true, true)] {
        let me = client.gate.http.get(client.gate.url("/api/v1/me")).bearer_auth(token).send().await.unwrap();
        assert_eq!(me.status() == 200, opens_rest);
        if !opens_rest {
            assert_eq!(me.status(), 401);
            let challenge = me.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.contains("invalid_token"), "{challenge}");
            let detail: Value = me.json().await.unwrap();
            let detail = detail["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(&format!("is for {mcp_uri} and not for {base}")), "{detail}");
            assert!(challenge.contains(&format!("is for {mcp_uri} and not for {base}\"")), "{challenge}");
        }
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let answer = client.post().bearer_auth(token).header("Accept", "*/*").json(&ping).send().await.unwrap();
        assert_eq!(answer.status() == 200, opens_mcp);
        if !opens_mcp {
            assert_eq!(answer.status(), 401);
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.contains("invalid_token") && challenge.contains("resource_metadata="), "{challenge}");
            assert!(challenge.contains(&format!("is for {base} and not for {mcp_uri}\"")), "{challenge}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_resource_is_an_invalid_target() {
    let client = Client::new().await;
    let application = client.gate.application().await;
    for resource in ["https://evil.example/mcp", "x"] {
        let parameters = [("grant_type", "client_credentials"), ("resource", resource)];
        let answer = client.gate.token_request(&application, &parameters).await;
        assert_eq!(answer.status(), 400, "{resource}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"], "invalid_target", "{resource}");
        let base = client.gate.gate().public_url();
        let ours = format!("the resource is not one of this service, which are {base} and {base}/mcp");
        assert_eq!(answer["error_description"], ours, "{resource}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_door_opens_to_a_token_for_the_resource_that_its_metadata_name() {
    let client = Client::new().await;
    let application = client.gate.application().await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let http = &client.gate.http;
    for door in ["/api/v1/me", "/mcp"] {
        let knock = || match door {
            "/mcp" => client.post().json(&ping),
            path => http.get(client.gate.url(path)),
        };
        let refused = knock().send().await.unwrap();
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
        let (_, metadata) = challenge.split_once("resource_metadata=\"").unwrap();
        let metadata = http.get(metadata.trim_end_matches('"')).send().await.unwrap().json::<Value>().await.unwrap();
        let resource = metadata["resource"].as_str().unwrap();
        let token = client.gate.token_for(&application, &[("resource", resource)]).await;
        assert_eq!(knock().bearer_auth(token).send().await.unwrap().status(), 200, "{door}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_for_mcp_need_not_say_so() {
    let client = Client::new().await;
    let new = NewApplication { default_resource: Resource::Mcp, ..new_application() };
    let application = client.gate.register(new).await;
    let token = client.gate.token_for(&application, &[]).await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(client.post().bearer_auth(&token).json(&ping).send().await.unwrap().status(), 200);
    let me = client.gate.http.get(client.gate.url("/api/v1/me")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(me.status(), 401, "for MCP alone");
}
