//! The dependency rule: `domain` ← `adapters` ← `app` and `cli`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the domain may depend on: small, pure crates. `mockall` only behind the feature `testing`.
const PURE: [&str; 14] = [
    "async-trait",
    "base64",
    "futures-util",
    "mockall",
    "secrecy",
    "serde",
    "serde_json",
    "sha2",
    "subtle",
    "thiserror",
    "time",
    "unicode-normalization",
    "url",
    "uuid",
];

/// What must not be named in the domain's source, whatever its manifest says.
const FRAMEWORKS: [&str; 11] = [
    "poem",
    "sea_orm",
    "reqwest",
    "jwt_simple",
    "bcrypt",
    "tokio",
    "tracing",
    "sqlx",
    "hyper",
    "std::fs",
    "std::process",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below `folder`, relative to the root, with their text.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no source");
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    found.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

/// The code of a file without comments and without its tests: what `#[cfg(test)]` stands before is left out, to the end of
/// that item, and what follows it is not.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut left_out: Option<&str> = None;
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(move |(_, line)| {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(of_item) = left_out {
            let ends = indent == of_item && (line.trim_end().ends_with('}') || line.trim_end().ends_with(';'));
            if ends {
                left_out = None;
            }
            return false;
        }
        if line.trim_start().starts_with("#[cfg(test)]") {
            left_out = Some(indent);
            return false;
        }
        !line.trim_start().starts_with("//")
    })
}

#[test]
fn the_domain_depends_on_small_pure_crates_only() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let domain = packages.iter().find(|package| package["name"] == "memgate-domain").unwrap();
    for dependency in domain["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null()) {
        let name = dependency["name"].as_str().unwrap();
        assert!(PURE.contains(&name), "memgate-domain must not depend on `{name}`: the domain stays pure");
        let optional = dependency["optional"].as_bool().unwrap();
        assert!(name != "mockall" || optional, "mockall belongs behind the feature `testing`");
    }
}

#[test]
fn the_domain_names_no_framework() {
    for (file, text) in sources("src/domain") {
        // What tests share expands to tests of the adapters' runtime.
        if file.contains("/testing/") || file.contains("/tests") {
            continue;
        }
        for (number, line) in code(&text) {
            for framework in FRAMEWORKS {
                let named = line.contains(&format!("{framework}::")) || line.contains(&format!("use {framework}"));
                assert!(
                    !named,
                    "{file}:{number} names `{framework}`: a port leaks a framework, or a rule is in the wrong place"
                );
            }
        }
    }
}

#[test]
fn no_adapter_imports_another() {
    for (file, text) in sources("src/adapters") {
        let own = file.strip_prefix("src/adapters/").unwrap().split('/').next().unwrap();
        let own = own.trim_end_matches(".rs").to_owned();
        for (number, line) in code(&text) {
            let Some((_, rest)) = line.split_once("adapters::") else { continue };
            let other: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(other == own, "{file}:{number} imports the adapter `{other}`: only src/app may connect adapters");
        }
    }
}

#[test]
fn adapters_know_nothing_of_the_application_around_them() {
    for (file, text) in sources("src/adapters") {
        for (number, line) in code(&text) {
            for outer in ["crate::app", "crate::cli", "crate::config", "crate::telemetry"] {
                assert!(!line.contains(outer), "{file}:{number} uses `{outer}`: dependencies point inward");
            }
        }
    }
}

#[test]
fn status_codes_are_known_to_the_adapters_that_speak_http_alone() {
    const SPEAK_HTTP: [&str; 3] =
        ["src/adapters/http/", "src/adapters/remote_bank/", "src/adapters/identity_provider/"];
    for folder in ["src/domain", "src/app", "src/cli", "src/config", "src/adapters"] {
        for (file, text) in sources(folder) {
            if SPEAK_HTTP.iter().any(|folder| file.starts_with(folder)) {
                continue;
            }
            for (number, line) in code(&text) {
                assert!(!line.contains("StatusCode"), "{file}:{number} knows HTTP status codes");
            }
        }
    }
}

#[test]
fn migrations_are_frozen_and_import_nothing_of_the_program() {
    for (file, text) in sources("migrations/src") {
        for (number, line) in code(&text) {
            let named = line.contains("memgate::") || line.contains("memgate_domain");
            assert!(!named, "{file}:{number} imports the program: a released migration must not change with it");
        }
    }
}
