//! The three paths that every request of a healthy day takes, against the floor.

use super::{Bench, CLIENT_CREDENTIALS, REFRESH_TOKEN, TOKEN, fetch_access_token, fetch_token, token_request};
use crate::compare::{Side, alternate, ratio};
use crate::load::{Repeat, get, post_form};
use crate::report::{Report, Row};
use crate::servers::Server;

const FLOOR_FORM: &str = "grant_type=client_credentials&client_id=019b0a53-5f0c-7c1e-9a6e-1f0f4f1f7b11&\
                          client_secret=mgs_0123456789012345678901234567890123456789012345678";

pub async fn noise(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let servers = [Server::floor()?, Server::floor()?];
    let client = Repeat::new(post_form("/auth/token", FLOOR_FORM), TOKEN);
    let mut one = Side::new(&servers[0], vec![client.clone(); bench.plan.connections]);
    let mut other = Side::new(&servers[1], vec![client; bench.plan.connections]);
    alternate(&bench.plan, &mut one, &mut other).await?;
    report.row(one.row("noise: floor"));
    report.row(Row { ratio: Some(ratio(&one, &other)), ..other.row("noise: the same floor again") });
    Ok(())
}

pub async fn token(bench: &Bench, report: &mut Report) -> Result<(), String> {
    tokens(bench, report, "token", "token", &[CLIENT_CREDENTIALS]).await
}

pub async fn token_with_refresh(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let grants = [CLIENT_CREDENTIALS, REFRESH_TOKEN];
    tokens(bench, report, "token-with-refresh", "token with refresh token", &grants).await
}

async fn tokens(bench: &Bench, report: &mut Report, dir: &str, what: &str, grants: &[&str]) -> Result<(), String> {
    let gate = bench.gate(dir)?;
    let (server, _) = gate.start().await?;
    let application = gate.create_app("bench", grants)?;
    let answer = fetch_token(&server, &application).await?;
    if answer["refresh_token"].is_string() != grants.contains(&REFRESH_TOKEN) {
        return Err(
            "the answer has a refresh token where there should be none, or none where there should be one".into()
        );
    }
    let floor = Repeat::new(post_form("/auth/token", FLOOR_FORM), TOKEN);
    let gate = Repeat::new(token_request(&application), TOKEN);
    let aim = if grants.contains(&REFRESH_TOKEN) { 0.9 } else { 0.7 };
    pair(bench, report, what, aim, &server, floor, gate).await
}

pub async fn me(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let gate = bench.gate("me")?;
    let (server, _) = gate.start().await?;
    let application = gate.create_app("bench", &[CLIENT_CREDENTIALS])?;
    let token = fetch_access_token(&server, &application).await?;
    let floor = Repeat::new(get("/fixed", None), "\"status\":\"success\"");
    let gate = Repeat::new(get("/api/v1/me", Some(&token)), "\"client_id\"");
    pair(bench, report, "GET /api/v1/me", 0.5, &server, floor, gate).await
}

async fn pair(
    bench: &Bench,
    report: &mut Report,
    what: &str,
    aim: f64,
    server: &Server,
    floor_client: Repeat,
    gate_client: Repeat,
) -> Result<(), String> {
    let plan = &bench.plan;
    let floor_server = Server::floor()?;
    let mut floor = Side::new(&floor_server, vec![floor_client; plan.connections]);
    let mut gate = Side::new(server, vec![gate_client; plan.connections]);
    alternate(plan, &mut floor, &mut gate).await?;
    let ratio = ratio(&floor, &gate);
    report.row(floor.row(&format!("{what}: floor")));
    let row = Row { ratio: Some(ratio), ..gate.row(&format!("{what}: memgate")) };
    let resident = row.resident_mb.unwrap_or(f64::INFINITY);
    report.row(row.aim(format!("ratio ≥ {aim}, resident < 60 MB"), ratio[1] >= aim && resident < 60.0));
    Ok(())
}
