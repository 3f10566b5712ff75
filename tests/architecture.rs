//! The dependency rule: `domain` ← `adapters` ← `app` and `cli`; and what may import what within them.

use std::collections::{BTreeMap, BTreeSet};
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

/// The folders of the domain: each may import those before it.
const DOMAIN: [&str; 10] =
    ["validation", "system", "ids", "audit", "applications", "limits", "people", "oauth", "memories", "testing"];

/// Functions and types that draw randomness.
const RANDOMNESS: [&str; 5] = ["getrandom::", "new_random", "non_truncating_hash(", "OsRng", "rand::"];

/// Where randomness is drawn: the adapter of the port; libraries, for the salts of bcrypt, for key pairs and for the noise in their
/// signatures, since they take no source of it; and the database, for what nothing depends on.
const DRAW_RANDOMNESS: [&str; 8] = [
    "src/adapters/bcrypt/cost.rs",
    "src/adapters/bcrypt/passwords.rs",
    "src/adapters/bcrypt/secrets.rs",
    "src/adapters/database/handle.rs",
    "src/adapters/database/sqlite.rs",
    "src/adapters/jwt/ring.rs",
    "src/adapters/jwt/vault.rs",
    "src/adapters/system.rs",
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
    let adapter = |module: &ModulePath| match &module[..] {
        [name, adapters, adapter, ..] if name == "memgate" && adapters == "adapters" => Some(adapter.clone()),
        _ => None,
    };
    let mut seen = 0;
    for (importer, imported) in Imports::of_all_source().edges() {
        if let (Some(own), Some(other)) = (adapter(importer), adapter(imported)) {
            let names = [importer, imported].map(|module| module.join("::"));
            assert!(own == other, "{} imports {}: only src/app may connect adapters", names[0], names[1]);
            seen += 1;
        }
    }
    assert!(seen > 500, "the imports were not found");
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
fn durations_are_measured_by_a_clock_that_tests_can_pause() {
    for (file, text) in sources("src") {
        let measures = Source::of(&text).measures_by_the_systems_clock();
        assert!(!measures, "{file} measures by the system's clock: use `tokio::time::Instant`");
    }
}

#[test]
fn the_systems_clock_is_noticed_however_it_is_imported() {
    for code in [
        "fn f() { std::time::Instant::now(); }",
        "use std::time::{Duration, Instant};",
        "use std::{\n    io,\n    time::{\n        Duration,\n        Instant as Moment,\n    },\n};",
        "use std::time::*;",
        "use std::time as clock;\nfn f() { clock::Instant::now(); }",
    ] {
        assert!(Source::of(code).measures_by_the_systems_clock(), "{code}");
    }
    for code in ["use std::time::Duration;\nuse tokio::time::Instant;\nfn f() { Instant::now(); }", "use std::time;"] {
        assert!(!Source::of(code).measures_by_the_systems_clock(), "{code}");
    }
}

#[test]
fn randomness_comes_from_its_port_but_for_keys_and_salts_of_libraries() {
    let draws = |line: &str| {
        // What we generate ourselves is given the port.
        let of_a_library = line.contains("::generate(") && !line.contains("ntropy");
        of_a_library || RANDOMNESS.iter().any(|source| line.contains(source))
    };
    let drawing = sources("src").into_iter().filter(|(_, text)| code(text).any(|(_, line)| draws(line)));
    let found: BTreeSet<String> = drawing.map(|(file, _)| file).collect();
    let known: BTreeSet<String> = DRAW_RANDOMNESS.map(str::to_owned).into();
    assert_eq!(found, known, "take it from the port `Entropy`, or say in this file why not");
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

#[test]
fn the_folders_of_the_domain_import_in_one_direction() {
    let place = |module: &ModulePath| module.get(1).map(|folder| DOMAIN.iter().position(|known| known == folder));
    for (importer, imported) in Imports::of_all_source().edges() {
        if let (Some(above), Some(below)) = (place(importer), place(imported))
            && importer[0] == "memgate_domain"
            && imported[0] == "memgate_domain"
        {
            let names = [importer, imported].map(|module| module.join("::"));
            let (above, below) = (above.expect(&names[0]), below.expect(&names[1]));
            assert!(below <= above, "{} imports {}: the order is {}", names[0], names[1], DOMAIN.join(" < "));
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = Imports::of_all_source();
    let edges: BTreeSet<_> = imports.edges().map(|(a, b)| (a.clone(), b.clone())).collect();
    assert!(edges.len() > 1_000, "the imports were not found");
    assert_eq!(circle(edges), None, "move what they share into a file of its own");
}

#[test]
fn no_folders_import_each_other_in_a_circle() {
    let imports = Imports::of_all_source();
    // Below each folder, its files and subfolders: what a file of one imports of another, that one does.
    let mut folders: BTreeMap<ModulePath, BTreeSet<(ModulePath, ModulePath)>> = BTreeMap::new();
    for (importer, imported) in imports.edges() {
        let shared = importer.iter().zip(imported).take_while(|(a, b)| a == b).count();
        // A folder may import what is in it, and the other way round; `mod.rs` is no child of it.
        if shared > 0 && shared < importer.len().min(imported.len()) {
            let children = (importer[..=shared].to_vec(), imported[..=shared].to_vec());
            folders.entry(importer[..shared].to_vec()).or_default().insert(children);
        }
    }
    assert!(folders.len() > 30, "the imports were not found");
    let circles: Vec<String> = folders.into_values().filter_map(circle).collect();
    assert!(circles.is_empty(), "move what they share to one of them, or below: {circles:#?}");
}

/// A circle among imports, if there is one.
fn circle(mut left: BTreeSet<(ModulePath, ModulePath)>) -> Option<String> {
    loop {
        // What imports nothing that is left, or is imported by nothing that is left, is in no circle.
        let importers: BTreeSet<_> = left.iter().map(|(importer, _)| importer.clone()).collect();
        let imported: BTreeSet<_> = left.iter().map(|(_, imported)| imported.clone()).collect();
        let before = left.len();
        left.retain(|(a, b)| importers.contains(b) && imported.contains(a));
        if left.len() == before {
            break;
        }
    }
    // Every module that is left imports another one that is left.
    let mut path = vec![&left.first()?.0];
    loop {
        let last = path[path.len() - 1];
        let next = left.iter().find(|(importer, _)| importer == last).map(|(_, imported)| imported)?;
        if let Some(start) = path.iter().position(|module| *module == next) {
            let names: Vec<String> = path[start..].iter().chain([&next]).map(|module| module.join("::")).collect();
            return Some(names.join(" -> "));
        }
        path.push(next);
    }
}

#[test]
fn no_name_of_a_type_is_given_twice_in_a_crate() {
    // Every entity of the object mapper has a `Model` and a `Relation`.
    const ENTITIES: [&str; 4] = ["memgate", "adapters", "database", "entities"];
    let mut named: BTreeMap<(&str, &str), &ModulePath> = BTreeMap::new();
    let imports = Imports::of_all_source();
    for (module, source) in imports.0.iter().filter(|(module, _)| !module.starts_with(&ENTITIES.map(str::to_owned))) {
        for name in &source.types {
            let other = named.insert((&module[0], name), module);
            assert!(
                other.is_none_or(|other| other == module),
                "`{name}` is a type in {} and another one in {}",
                other.map_or_else(String::new, |other| other.join("::")),
                module.join("::")
            );
        }
    }
    assert!(named.len() > 500, "the types were not found");
}

/// The crate and the modules that lead to a module.
type ModulePath = Vec<String>;

/// The modules that have files of their own, with what each says.
struct Imports(BTreeMap<ModulePath, Source>);

/// The code of a module, as far as it matters here.
#[derive(Default)]
struct Source {
    /// Every `use`, with the name that it gives, and whether it is public.
    uses: Vec<(Vec<String>, String, bool)>,
    /// Every other path.
    paths: Vec<Vec<String>>,
    items: BTreeSet<String>,
    /// The items that are types.
    types: Vec<String>,
    modules: Vec<String>,
}

impl Imports {
    fn of_all_source() -> Self {
        let mut modules = BTreeMap::new();
        for (name, folder) in [("memgate", "src"), ("memgate_domain", "src/domain")] {
            let mut open = vec![(vec![name.to_owned()], root().join(folder).join("lib.rs"))];
            while let Some((module, file)) = open.pop() {
                let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                let source = Source::of(&text);
                let is_folder = matches!(file.file_stem().and_then(|stem| stem.to_str()), Some("lib" | "mod"));
                let folder = if is_folder { file.parent().unwrap().to_owned() } else { file.with_extension("") };
                for child in &source.modules {
                    let file = folder.join(format!("{child}.rs"));
                    let file = if file.exists() { file } else { folder.join(child).join("mod.rs") };
                    open.push(([&module[..], std::slice::from_ref(child)].concat(), file));
                }
                modules.insert(module, source);
            }
        }
        Self(modules)
    }

    /// Which module imports which, by any path. What a module makes public of the modules below it is no import.
    fn edges(&self) -> impl Iterator<Item = (&ModulePath, &ModulePath)> {
        self.0.iter().flat_map(move |(importer, source)| {
            let uses = source.uses.iter().map(|(path, _, public)| (path.clone(), *public));
            let paths = source.full_paths().map(|path| (path, false));
            let imported = uses.chain(paths).filter_map(move |(path, public)| {
                let (module, _) = self.0.get_key_value(&self.definer(importer, &path, 0)?)?;
                (module != importer && !(public && module.starts_with(importer))).then_some((importer, module))
            });
            imported.collect::<BTreeSet<_>>()
        })
    }

    /// The module that defines what `path` means in `module`; `None` if that is in another crate.
    fn definer(&self, module: &ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        let (start, rest) = match path.first()?.as_str() {
            "crate" => (module[..1].to_vec(), &path[1..]),
            "memgate_domain" => (vec!["memgate_domain".to_owned()], &path[1..]),
            "self" => (module.clone(), &path[1..]),
            "super" => (module[..module.len() - supers].to_vec(), &path[supers..]),
            child if self.0.get(module)?.modules.iter().any(|known| known == child) => (module.clone(), path),
            _ => return None,
        };
        self.walk(start, rest, depth)
    }

    fn walk(&self, module: ModulePath, path: &[String], depth: usize) -> Option<ModulePath> {
        let Some(name) = path.first().filter(|name| *name != "*") else { return Some(module) };
        let source = self.0.get(&module)?;
        if source.modules.contains(name) && !(path.len() == 1 && source.items.contains(name)) {
            return self.walk([&module[..], std::slice::from_ref(name)].concat(), &path[1..], depth);
        }
        // A name that is imported, perhaps with all others, stands for what it was imported from.
        let is_named = |known: &&(Vec<String>, String, bool)| known.1 == *name;
        if !source.items.contains(name)
            && depth < 8
            && let Some((start, ..)) = source.uses.iter().find(is_named)
        {
            return self.definer(&module, &[start, &path[1..]].concat(), depth + 1);
        }
        Some(module)
    }
}

impl Source {
    /// The code of a file.
    fn of(text: &str) -> Self {
        Self::read(&code(text).map(|(_, line)| line).collect::<Vec<_>>().join("\n"))
    }

    /// Every path that is not a `use`, from where its first name is imported from.
    fn full_paths(&self) -> impl Iterator<Item = Vec<String>> {
        self.paths.iter().map(|path| {
            let alias = self.uses.iter().find(|(_, name, _)| *name == path[0]);
            alias.map_or_else(|| path.clone(), |(start, ..)| [start, &path[1..]].concat())
        })
    }

    /// Whether `std::time::Instant` is named or imported.
    fn measures_by_the_systems_clock(&self) -> bool {
        let uses = self.uses.iter().map(|(path, ..)| path.clone());
        uses.chain(self.full_paths()).any(|path| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            matches!(path[..], ["std", "time", "Instant" | "*", ..])
        })
    }

    fn read(code: &str) -> Self {
        let tokens = tokens(code);
        let mut source = Self::default();
        let (mut depth, mut at) = (0, 0);
        let is_name = |token: &str| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
        while at < tokens.len() {
            match tokens[at] {
                "use" => {
                    let public = at > 0 && matches!(tokens[at - 1], "pub" | ")");
                    at += 1;
                    source.read_use(&tokens, &mut at, &[], public);
                    continue;
                }
                "{" => depth += 1,
                "}" => depth -= 1,
                // A visibility is no import.
                "pub" if tokens.get(at + 1..at + 3) == Some(&["(", "in"]) => {
                    at += tokens[at..].iter().position(|token| *token == ")").unwrap();
                }
                "mod" if tokens.get(at + 2) == Some(&";") => source.modules.push(tokens[at + 1].to_owned()),
                kind @ ("struct" | "enum" | "trait" | "type" | "fn" | "const" | "static") if depth == 0 => {
                    let name = tokens.get(at + 1).map(|name| (*name).to_owned());
                    if matches!(kind, "struct" | "enum" | "trait" | "type") {
                        source.types.extend(name.clone());
                    }
                    source.items.extend(name);
                }
                token if is_name(token) && (at == 0 || tokens[at - 1] != "::") => {
                    let mut path = vec![token.to_owned()];
                    while tokens.get(at + 1) == Some(&"::") && tokens.get(at + 2).is_some_and(|next| is_name(next)) {
                        path.push(tokens[at + 2].to_owned());
                        at += 2;
                    }
                    if path.len() > 1 {
                        source.paths.push(path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        source
    }

    /// Reads a tree of imports, up to what ends it.
    fn read_use(&mut self, tokens: &[&str], at: &mut usize, before: &[String], public: bool) {
        let mut path = before.to_vec();
        let mut name = None;
        loop {
            match tokens[*at] {
                "::" => {}
                "as" => {
                    *at += 1;
                    name = Some(tokens[*at].to_owned());
                }
                "{" => {
                    while tokens[*at] != "}" {
                        *at += 1;
                        self.read_use(tokens, at, &path, public);
                    }
                    *at += 1;
                    return;
                }
                "," | "}" | ";" => break,
                // The module itself, within braces.
                "self" if !path.is_empty() => {}
                token => path.push(token.to_owned()),
            }
            *at += 1;
        }
        if path.len() > before.len() || tokens[*at - 1] == "self" {
            let name = name.unwrap_or_else(|| path.last().unwrap().clone());
            self.uses.push((path, name, public));
        }
    }
}

/// Names, `::` and punctuation; no literals, no comments and no lifetimes.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = if name > 0 {
            if !first.is_ascii_digit() && !rest[name..].starts_with(['"', '#']) {
                tokens.push(&rest[..name]);
            }
            let hashes = rest[name..].bytes().take_while(|byte| *byte == b'#').count();
            if rest[..name].ends_with('r') && rest[name + hashes..].starts_with('"') {
                let end = format!("\"{}", "#".repeat(hashes));
                let begin = name + hashes + 1;
                begin + rest[begin..].find(&end).unwrap() + end.len()
            } else {
                name
            }
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            tokens.push("::");
            2
        } else if first == '"' || first == '\'' {
            literal(rest)
        } else {
            tokens.push(&rest[..first.len_utf8()]);
            first.len_utf8()
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

/// The length of the text or character that `rest` begins with; 1 if it is a lifetime.
fn literal(rest: &str) -> usize {
    let quote = rest.chars().next().unwrap();
    let mut characters = rest.char_indices().skip(1);
    if quote == '\'' && !rest.starts_with("'\\") && rest.chars().nth(2) != Some('\'') {
        return 1;
    }
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    rest.len()
}
