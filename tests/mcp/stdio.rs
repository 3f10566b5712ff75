//! `memgate mcp`, as a client on the same machine starts it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use memgate_test_kit::deadline::Deadline;
use memgate_test_kit::process::{Server, fail, installation, memgate, run_with_input, succeed, succeed_json};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::MODERN;
use super::doors::blocks;

const DEADLINE: Duration = Duration::from_mins(1);

/// A running session; killed when it is dropped.
struct Session {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    id: u64,
}

impl Session {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = memgate(folder);
        command.arg("mcp").args(arguments);
        Self::of(command, Stdio::null())
    }

    fn of(mut command: Command, log: Stdio) -> Self {
        command.env("MEMGATE_LOG", "debug").env("MEMGATE_LOG_FORMAT", "json");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Self { input: child.stdin.take(), child, lines, id: 0 }
    }

    fn write(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn read(&self) -> Value {
        let line = self.lines.recv_timeout(DEADLINE).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("standard output is for messages alone: {line}"))
    }

    fn request(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}).to_string());
        let answer = self.read();
        assert_eq!(answer["id"], self.id, "{answer}");
        answer
    }

    fn initialize(&mut self) -> Value {
        let client = json!({"name": "editor", "version": "1"});
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
        let answer = self.request("initialize", &params);
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": arguments}));
        assert_ne!(answer["result"]["isError"], true, "{answer}");
        answer["result"]["structuredContent"].clone()
    }

    /// Closes standard input, as a client that ends does.
    fn end(mut self) -> i32 {
        drop(self.input.take());
        // Nothing follows the last answer.
        assert!(self.lines.recv_timeout(DEADLINE).is_err());
        let _deadline = Deadline::of(&self.child);
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// An installation with an application; its client ID.
fn with_application(arguments: &[&str]) -> (TempDir, String) {
    let folder = installation();
    let created = succeed_json(folder.path(), &[&["app", "create", "--name", "Editor"], arguments].concat());
    let id = created["client_id"].as_str().unwrap().to_owned();
    (folder, id)
}

/// What a client of the newest protocol says of itself in every request.
fn modern() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    })
}

fn create_user(folder: &Path, login: &str) {
    assert!(run_with_input(folder, &["user", "create", login], "correct horse battery").status.success());
}

#[test]
fn a_client_starts_it_stores_and_finds() {
    let every = ["memory:read", "memory:write", "memory:delete"].map(|permission| ["--permission", permission]);
    let (folder, id) = with_application(every.as_flattened());
    let mut session = Session::start(folder.path(), &["--application", &id]);
    let started = session.initialize();
    assert_eq!(started["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(started["result"]["serverInfo"]["name"], "memgate");
    let tools = session.request("tools/list", &json!({}));
    let names: Vec<&str> =
        tools["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["search", "fetch", "add_memory", "update_memory", "delete_memory", "list_memories", "list_categories"]
    );
    let added = session.call("add_memory", &json!({"content": "Marta is allergic to hazelnuts."}));
    assert_eq!(added["status"], "stored");
    let found = session.call("search", &json!({"query": "What is Marta allergic to?"}));
    assert_eq!(found["results"][0]["title"], "Marta is allergic to hazelnuts.");
    assert_eq!(session.end(), 0);

    // What one session stored, the next one finds.
    let mut session = Session::start(folder.path(), &["--application", &id]);
    // Some shells write a byte order mark at the start of a pipe.
    session.input.as_mut().unwrap().write_all("\u{feff}".as_bytes()).unwrap();
    session.initialize();
    assert_eq!(session.call("list_memories", &json!({}))["memories"][0]["id"], found["results"][0]["id"]);
    let categories = session.call("list_categories", &json!({}));
    assert!(categories["categories"].is_array() && categories["total"].is_u64(), "{categories}");
    assert_eq!(session.end(), 0);
}

#[test]
fn a_client_of_the_newest_protocol_needs_no_handshake() {
    let (folder, id) = with_application(&[]);
    let mut session = Session::start(folder.path(), &["--application", &id]);
    let meta = modern();
    let discovered = session.request("server/discover", &json!({"_meta": meta}));
    let server = &discovered["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(server["name"], "memgate", "{discovered}");
    let arguments = json!({"content": "Nils prefers green tea."});
    let added = session.request("tools/call", &json!({"name": "add_memory", "arguments": arguments, "_meta": meta}));
    assert_eq!(added["result"]["structuredContent"]["status"], "stored", "{added}");
    assert_eq!(session.end(), 0);
}

#[test]
fn the_entry_that_the_page_shows_starts_it_and_its_log_names_client_version_and_tool() {
    let (folder, id) = with_application(&[]);
    let folder = folder.path();
    create_user(folder, "marta");
    let [page] = blocks("mcp.md", "json").try_into().unwrap();
    let entry: Value = serde_json::from_str(&page).unwrap();
    let server = &entry["mcpServers"]["memgate"];
    assert_eq!(server["command"], "memgate");
    let fill = |text: &Value| match text.as_str().unwrap() {
        "CLIENT_ID" => id.clone(),
        "LOGIN" => "marta".to_owned(),
        text => text.replace("/var/lib/memgate", folder.to_str().unwrap()),
    };
    let mut command = memgate(folder);
    command.args(server["args"].as_array().unwrap().iter().map(fill));
    for (name, value) in server["env"].as_object().unwrap() {
        command.env(name, fill(value));
    }
    let log = folder.join("log");
    let mut session = Session::of(command, std::fs::File::create(&log).unwrap().into());
    session.initialize();
    session.call("add_memory", &json!({"content": "Marta likes rye bread."}));
    let params = json!({"name": "list_memories", "arguments": {}, "_meta": modern()});
    assert_ne!(session.request("tools/call", &params)["result"]["isError"], true);
    assert_eq!(session.end(), 0);
    let log = std::fs::read_to_string(log).unwrap();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let called: Vec<Value> = events.filter(|event| event["kind"] == "tool_called").collect();
    assert_eq!(called.len(), 2, "{log}");
    for (called, client, version, tool) in
        [(&called[0], "editor 1", "2025-11-25", "add_memory"), (&called[1], "test 1", MODERN, "list_memories")]
    {
        assert_eq!(
            (&called["client.name"], &called["protocol.version"], &called["tool"], &called["application.id"]),
            (&json!(client), &json!(version), &json!(tool), &json!(id))
        );
    }
    assert!(!log.contains("rye bread"), "no content is logged");
}

#[test]
fn it_works_beside_a_service_and_each_person_has_their_own() {
    let (folder, id) = with_application(&[]);
    for login in ["marta", "nils"] {
        create_user(folder.path(), login);
    }
    let server = Server::start(memgate(folder.path()));
    let mut sessions: Vec<Session> = ["marta", "nils"]
        .into_iter()
        .map(|login| Session::start(folder.path(), &["--application", &id, "--user", login]))
        .collect();
    for (session, text) in sessions.iter_mut().zip(["Marta likes rye bread.", "Nils likes oat bread."]) {
        session.initialize();
        session.call("add_memory", &json!({"content": text}));
    }
    for (session, text) in sessions.iter_mut().zip(["Marta likes rye bread.", "Nils likes oat bread."]) {
        let found = session.call("search", &json!({"query": "bread"}));
        assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
        assert_eq!(found["results"][0]["title"], text);
    }
    drop(sessions);
    let exported = succeed(folder.path(), &["export", "--user", "marta"]);
    assert!(exported.contains("rye bread") && !exported.contains("oat bread"), "{exported}");
    assert!(server.terminate().success());
}

#[test]
fn every_call_is_checked_against_what_the_operator_says_now() {
    let (folder, id) = with_application(&[]);
    create_user(folder.path(), "marta");
    let mut session = Session::start(folder.path(), &["--application", &id, "--user", "marta"]);
    session.initialize();
    session.call("add_memory", &json!({"content": "Marta likes rye bread."}));
    succeed(folder.path(), &["user", "disable", "marta"]);
    let refused = session.request("tools/call", &json!({"name": "list_memories", "arguments": {}}));
    assert!(refused["error"]["message"].as_str().unwrap().contains("user does not exist or is disabled"), "{refused}");
    succeed(folder.path(), &["user", "enable", "marta"]);
    session.call("list_memories", &json!({}));
    succeed(folder.path(), &["app", "disable", &id]);
    let refused = session.request("tools/list", &json!({}));
    assert!(refused["error"]["message"].as_str().unwrap().contains("is disabled"), "{refused}");
    assert_eq!(session.end(), 0);
}

#[test]
fn the_permissions_of_the_application_decide() {
    let (folder, id) = with_application(&["--permission", "memory:read"]);
    let mut session = Session::start(folder.path(), &["--application", &id]);
    session.initialize();
    let tools = session.request("tools/list", &json!({}));
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 4, "search, fetch, list_memories, list_categories");
    let refused = session.request("tools/call", &json!({"name": "add_memory", "arguments": {"content": "a"}}));
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(refused["result"]["content"][0]["text"].as_str().unwrap().contains("memory:write"), "{refused}");
}

#[test]
fn what_is_no_message_does_not_end_the_session() {
    let (folder, id) = with_application(&[]);
    let mut session = Session::start(folder.path(), &["--application", &id]);
    session.initialize();
    session.write("this is no JSON");
    session.write("");
    session.write(r#"{"neither":"request","nor":"answer"}"#);
    let answer = session.read();
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
    session.write(&format!(r#"{{"jsonrpc":"2.0","id":7,"method":"ping","padding":"{}"}}"#, "x".repeat(2_000_000)));
    let unknown = session.request("tools/call", &json!({"name": "forget_everything", "arguments": {}}));
    assert!(unknown["error"]["message"].as_str().unwrap().contains("no tool of this name"), "{unknown}");
    session.call("list_memories", &json!({}));
    assert_eq!(session.end(), 0);
}

#[test]
fn whom_it_cannot_serve_it_names_before_a_client_waits() {
    let (folder, id) = with_application(&[]);
    let said = fail(folder.path(), &["mcp", "--application", &id, "--user", "nobody"], 1);
    assert!(said.contains("nobody"), "{said}");
    succeed(folder.path(), &["app", "disable", &id]);
    let said = fail(folder.path(), &["mcp", "--application", &id], 1);
    assert!(said.contains("is disabled"), "{said}");
    let elsewhere = tempfile::tempdir().unwrap();
    let said = fail(elsewhere.path(), &["mcp", "--application", &id], 1);
    assert!(said.contains("memgate serve") || said.contains("migrate up"), "{said}");
}

#[test]
fn a_signal_ends_it() {
    let (folder, id) = with_application(&[]);
    let mut session = Session::start(folder.path(), &["--application", &id]);
    session.initialize();
    let told = std::process::Command::new("kill").args(["-TERM", &session.child.id().to_string()]).status().unwrap();
    assert!(told.success());
    let _deadline = Deadline::of(&session.child);
    assert!(session.child.wait().unwrap().success());
}
