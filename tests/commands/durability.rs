//! Nothing that was answered 201 is ever lost, whatever becomes of the process.

use memgate_test_kit::http;
use memgate_test_kit::process::{Server, installation, memgate, succeed_json};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const KILLS: usize = 4;
const WRITERS: usize = 8;
/// How many writes are confirmed before each kill.
const CONFIRMED_BEFORE_A_KILL: usize = 100;

async fn token(http: &reqwest::Client, url: &str, application: &Value) -> String {
    let member = |name: &str| application[name].as_str().unwrap().to_owned();
    let request = http.post(format!("{url}/auth/token"));
    let body = json!({
        "grant_type": "client_credentials",
        "client_id": member("client_id"), "client_secret": member("client_secret"),
    });
    let answer: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_memory_that_was_answered_201_survives_kill_minus_nine() {
    let http = http::client();
    let folder = installation();
    let created = succeed_json(folder.path(), &["app", "create", "--name", "A", "--rate-limit", "1000000"]);
    let mut confirmed: Vec<(String, String)> = Vec::new();
    for kill in 0..KILLS {
        let server = Server::start(memgate(folder.path()));
        let token = token(&http, &server.url, &created).await;
        let (sender, mut answers) = tokio::sync::mpsc::unbounded_channel();
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (http, url, token) = (http.clone(), format!("{}/api/v1/memories", server.url), token.clone());
            let sender = sender.clone();
            writers.spawn(async move {
                for number in 0.. {
                    let content = format!("round {kill} writer {writer} memory {number}");
                    let request = http.post(&url).bearer_auth(&token).json(&json!({ "content": content }));
                    // After the kill the connection breaks: what was not answered may or may not be there.
                    let Ok(answer) = request.send().await else { break };
                    assert_eq!(answer.status(), 201);
                    let Ok(answer) = answer.json::<Value>().await else { break };
                    let id = answer["memory"]["memory_id"].as_str().unwrap().to_owned();
                    sender.send((id, content)).unwrap();
                }
            });
        }
        drop(sender);
        let mut in_this_round = 0;
        while let Some(answer) = answers.recv().await {
            confirmed.push(answer);
            in_this_round += 1;
            if in_this_round == CONFIRMED_BEFORE_A_KILL {
                break;
            }
        }
        server.kill();
        while let Some(ended) = writers.join_next().await {
            ended.unwrap();
        }
        // Answers that arrived between the last one counted and the kill are promises too.
        while let Some(answer) = answers.recv().await {
            confirmed.push(answer);
        }
    }
    let server = Server::start(memgate(folder.path()));
    let token = token(&http, &server.url, &created).await;
    for (id, content) in confirmed {
        let answer = http.get(format!("{}/api/v1/memories/{id}", server.url)).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{content} was answered 201 and is gone");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["memory"]["content"], json!(content));
    }
}
