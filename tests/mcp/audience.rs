//! A token opens what it was asked for: the REST API, MCP, or both.

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
            assert!(me.headers()["www-authenticate"].to_str().unwrap().contains("invalid_token"));
            let detail: Value = me.json().await.unwrap();
            let detail = detail["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(&format!("is for {mcp_uri} and not for {base}")), "{detail}");
        }
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let answer = client.post().bearer_auth(token).header("Accept", "*/*").json(&ping).send().await.unwrap();
        assert_eq!(answer.status() == 200, opens_mcp);
        if !opens_mcp {
            assert_eq!(answer.status(), 401);
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.contains("invalid_token") && challenge.contains("resource_metadata="), "{challenge}");
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
        assert_eq!(answer.json::<Value>().await.unwrap()["error"], "invalid_target", "{resource}");
    }
}
