//! What the documentation shows is true: its commands run, its links lead somewhere.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::database::TestDatabase;
use support::gate::TestGate;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The shell blocks of a page, one after the other.
fn shell_blocks(page: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_api_page_succeeds() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: there is no curl on this machine, so the commands of docs/api.md were not run");
        return;
    }
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let application = gate.application().await;
    let page = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let script = shell_blocks(&page).replace("http://127.0.0.1:8080", &gate.url(""));
    assert!(script.matches("curl").count() > 10, "the page shows commands");
    // `--fail-with-body` makes an error status an error of the command.
    let script = format!("set -euo pipefail\ncurl() {{ command curl --fail-with-body \"$@\"; echo; }}\n{script}");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).env("no_proxy", "127.0.0.1");
    bash.env("CLIENT_ID", &application.client_id).env("CLIENT_SECRET", &application.secret);
    let output = tokio::task::spawn_blocking(move || bash.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
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
