//! What the documentation shows is true: its commands run, its links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use memgate_test_kit::process::{Server, finish, memgate, with_environment_of};
use memgate_test_kit::skip::there_is;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The shell blocks of a page.
fn shell_blocks(page: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (line, blocks.last_mut()) {
            ("```sh", _) => {
                inside = true;
                blocks.push(String::new());
            }
            ("```", _) => inside = false,
            (_, Some(block)) if inside => {
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
}

/// Runs commands as they are pasted, except that an error status is an error of the command. Returns what they print.
async fn paste(mut bash: Command, commands: &str) -> String {
    let script = format!(
        "set -euo pipefail\ncurl() {{ command curl --fail-with-body --max-time 120 \"$@\"; echo; }}\n{commands}"
    );
    bash.args(["-c", &script]).env("no_proxy", "127.0.0.1");
    let output = tokio::task::spawn_blocking(move || finish(&mut bash)).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_readme_shows_works_when_it_is_pasted_into_two_terminals() {
    if !there_is("curl", "REQUIRE_CURL") {
        return;
    }
    let blocks = shell_blocks(&fs::read_to_string(root().join("README.md")).unwrap());
    let [trial, first, second @ ..] = &*blocks else { panic!("README.md shows a trial, and two terminals") };
    assert!(trial.contains("-- demo"), "the first block has a test of its own, and builds: {trial}");
    let first = first.replace("memgate serve", "exec memgate serve");
    assert!(first.contains("exec memgate serve") && !second.is_empty());

    // The clone, with what `cargo build --release` would have made.
    let folder = tempfile::tempdir().unwrap();
    let memgate = memgate(folder.path());
    fs::create_dir_all(folder.path().join("target/release")).unwrap();
    std::os::unix::fs::symlink(memgate.get_program(), folder.path().join("target/release/memgate")).unwrap();
    let mut terminal = with_environment_of(&memgate, "bash");
    terminal.args(["-c", &format!("cargo() {{ [ \"$*\" = 'build --release' ]; }}\n{first}")]);
    let server = Server::start(terminal);

    let second = second.concat().replace("http://127.0.0.1:8080", &server.url);
    let out = paste(with_environment_of(&memgate, "bash"), &second).await;
    assert_eq!(out.matches("Marta is allergic").count(), 2, "stored and found: {out}");
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_api_page_succeeds() {
    if !there_is("curl", "REQUIRE_CURL") {
        return;
    }
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let application = gate.application().await;
    let page = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let script = shell_blocks(&page).concat().replace("http://127.0.0.1:8080", &gate.url(""));
    assert!(script.matches("curl").count() > 10, "the page shows commands");
    let mut bash = Command::new("bash");
    bash.env("CLIENT_ID", &application.client_id).env("CLIENT_SECRET", &application.secret);
    let out = paste(bash, &script).await;
    assert!(out.contains(r#""active":false"#), "the revoked token is inactive: {out}");
    assert_eq!(out.matches("Marta is allergic").count(), 3, "stored, found and listed: {out}");
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut pages = vec![root().join("README.md"), root().join("samples/README.md")];
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let linked = page.parent().unwrap_or(Path::new("")).join(file);
            assert!(linked.exists(), "{} links to {target}, which is not there", page.display());
        }
    }
}
