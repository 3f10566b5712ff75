//! The doors to the same memories, by the documents that lead to them: a Custom GPT's action stores a memory, an MCP client
//! finds it, a program corrects it by REST.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memgate_test_kit::http;
use memgate_test_kit::page::Page;
use memgate_test_kit::process::{
    Server, fail, finish, installation, memgate, run_with_input, succeed_json, with_environment_of,
};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use url::Url;

const PUBLIC_URL: &str = "https://memory.example.com";
const PASSWORD: &str = "correct horse battery staple";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const GPT_CALLBACK: &str = "https://chatgpt.com/aip/g-0123456789abcdef/oauth/callback";
const CONNECTOR_CALLBACK: &str = "https://chatgpt.com/connector/oauth/abc123";
const PROGRAM_CALLBACK: &str = "http://127.0.0.1:7777/callback";

/// The one command of a document that begins like this, as it is pasted into a shell.
fn documented(document: &str, start: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document)).unwrap();
    let mut commands =
        text.split("\n```").filter_map(|block| block.split_once('\n')).flat_map(|(_, block)| block.lines());
    let command = commands.find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{document}: {start}"));
    command.to_owned()
}

/// Runs what a document says, in a shell. Returns what it prints.
fn paste(folder: &Path, line: &str) -> String {
    let memgate = memgate(folder);
    let bin = PathBuf::from(memgate.get_program());
    let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = with_environment_of(&memgate, "sh");
    let output = finish(shell.args(["-euc", line]).env("PATH", path));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Registers a client as the document says. Nothing answers at the public URL here.
fn registered(folder: &Path, line: &str) -> Value {
    serde_json::from_str(&paste(folder, &format!("{line} --skip-check --json"))).unwrap()
}

/// Creates Marta's account as the document says.
fn create_marta(folder: &Path) {
    let create = documented("gpt-actions.md", "memgate user create");
    let created = run_with_input(folder, &create.split(' ').skip(1).collect::<Vec<_>>(), PASSWORD);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text"))
}

/// The world outside: clients, and a person's browser. It reaches the service as if a proxy were before it.
struct World {
    server: Server,
    http: Client,
    cookies: Vec<String>,
}

/// A client that asks a person.
struct Asking<'a> {
    client_id: &'a str,
    secret: Option<&'a str>,
    redirect_uri: &'a str,
    scope: &'a str,
    resource: &'a str,
    authorization_url: &'a str,
    token_url: &'a str,
}

/// What a client of MCP learns from the first refusal.
struct Discovered {
    scope: String,
    issuer: Value,
}

impl Discovered {
    /// A client without a secret that asks for everything that it was told to.
    fn asking<'a>(&'a self, client_id: &'a str, redirect_uri: &'a str, resource: &'a str) -> Asking<'a> {
        Asking {
            client_id,
            secret: None,
            redirect_uri,
            scope: &self.scope,
            resource,
            authorization_url: text(&self.issuer["authorization_endpoint"]),
            token_url: text(&self.issuer["token_endpoint"]),
        }
    }
}

impl World {
    /// The service behind [`PUBLIC_URL`], where Marta has an account as the document says.
    fn of(folder: &Path) -> Self {
        let world = Self::configured(folder, &[]);
        create_marta(folder);
        world
    }

    /// The service behind [`PUBLIC_URL`] with these settings.
    fn configured(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = memgate(folder);
        command.env("MEMGATE_PUBLIC_URL", PUBLIC_URL).envs(settings.iter().copied());
        Self::new(Server::start(command))
    }

    /// The way from the first 401 to the authorization server.
    async fn discover(&self, mcp: &str) -> Discovered {
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": super::LEGACY, "capabilities": {}, "clientInfo": {"name": "ChatGPT", "version": "1"},
        }});
        let request = self.post(mcp).header("accept", "application/json, text/event-stream").json(&hello);
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), 401);
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
        let quoted =
            |name: &str| challenge.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap().to_owned();
        let resource = self.json(self.get(&quoted("resource_metadata")), 200).await;
        assert_eq!(resource["resource"], mcp);
        let issuer = text(&resource["authorization_servers"][0]);
        let issuer = self.json(self.get(&format!("{issuer}/.well-known/oauth-authorization-server")), 200).await;
        Discovered { scope: quoted("scope"), issuer }
    }

    fn new(server: Server) -> Self {
        let http = http::client_builder().redirect(Policy::none()).timeout(Duration::from_secs(30)).build();
        Self { server, http: http.unwrap(), cookies: Vec::new() }
    }

    fn inside(&self, url: &str) -> String {
        let path = url.strip_prefix(PUBLIC_URL).unwrap_or(url);
        assert!(path.starts_with('/'), "{url} is not of this service");
        format!("{}{path}", self.server.url)
    }

    fn get(&self, url: &str) -> RequestBuilder {
        self.http.get(self.inside(url))
    }

    fn post(&self, url: &str) -> RequestBuilder {
        self.http.post(self.inside(url))
    }

    async fn json(&self, request: RequestBuilder, status: u16) -> Value {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{}", answer.url());
        answer.json().await.unwrap()
    }

    fn keep_cookies(&mut self, answer: &Response) {
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = cookie.split_once('=').unwrap();
            self.cookies.retain(|kept| !kept.starts_with(&format!("{name}=")));
            if !value.is_empty() {
                self.cookies.push(cookie.to_owned());
            }
        }
    }

    /// What the browser shows at this address.
    async fn browse(&mut self, url: &str) -> Page {
        let answer = self.get(url).header("cookie", self.cookies.join("; ")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        self.keep_cookies(&answer);
        Page(answer.text().await.unwrap())
    }

    /// Sends a form of a page. Returns where it leads.
    async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> String {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.post(path).header("content-type", "application/x-www-form-urlencoded").body(body);
        let request = request.header("origin", PUBLIC_URL).header("sec-fetch-site", "same-origin");
        let answer = request.header("cookie", self.cookies.join("; ")).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{path}");
        self.keep_cookies(&answer);
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    /// Marta allows what a client asks, and signs in first if need be. Returns the client's tokens.
    async fn connect(&mut self, asking: &Asking<'_>) -> Value {
        let mut url = Url::parse(asking.authorization_url).unwrap();
        let mut parameters = url.query_pairs_mut();
        let mut pairs = vec![("response_type", "code"), ("client_id", asking.client_id), ("state", "s")];
        pairs.extend([("redirect_uri", asking.redirect_uri), ("scope", asking.scope)]);
        if asking.secret.is_none() {
            pairs.extend([("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]);
        }
        if !asking.resource.is_empty() {
            pairs.push(("resource", asking.resource));
        }
        parameters.extend_pairs(&pairs);
        drop(parameters);
        let mut page = self.browse(url.as_str()).await;
        if page.0.contains(r#"name="password""#) {
            let (token, return_to) = (page.hidden("form_token"), page.hidden("return_to"));
            let fields =
                [("form_token", &*token), ("return_to", &return_to), ("login", "marta"), ("password", PASSWORD)];
            let onward = self.submit("/auth/sign-in", &fields).await;
            page = self.browse(&onward).await;
        }
        let (token, return_to) = (page.hidden("form_token"), page.hidden("return_to"));
        let permissions = page.ticked("permission");
        let mut fields = vec![("form_token", &*token), ("return_to", &return_to), ("decision", "allow")];
        fields.extend(permissions.iter().map(|permission| ("permission", &**permission)));
        let back = self.submit("/auth/consent", &fields).await;
        assert!(back.starts_with(asking.redirect_uri), "{back}");
        let back = Url::parse(&back).unwrap();
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
        let mut fields = vec![("grant_type", "authorization_code"), ("code", &*code)];
        fields.extend([("redirect_uri", asking.redirect_uri), ("client_id", asking.client_id)]);
        match asking.secret {
            Some(secret) => fields.push(("client_secret", secret)),
            None => fields.push(("code_verifier", VERIFIER)),
        }
        if !asking.resource.is_empty() {
            fields.push(("resource", asking.resource));
        }
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let request = self.post(asking.token_url).header("content-type", "application/x-www-form-urlencoded");
        self.json(request.body(body), 200).await
    }

    /// Marta allows what a GPT asks that was registered by `connect gpt`. Returns its access token.
    async fn connect_gpt(&mut self, gpt: &Value) -> String {
        let asking = Asking {
            client_id: text(&gpt["client_id"]),
            secret: Some(text(&gpt["client_secret"])),
            redirect_uri: GPT_CALLBACK,
            scope: text(&gpt["scope"]),
            resource: "",
            authorization_url: text(&gpt["authorization_url"]),
            token_url: text(&gpt["token_url"]),
        };
        text(&self.connect(&asking).await["access_token"]).to_owned()
    }

    /// The value of an MCP tool.
    async fn call(&self, url: &str, token: &str, tool: &str, arguments: Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = self.post(url).bearer_auth(token).header("accept", "application/json, text/event-stream");
        let answer = self.json(request.header("mcp-protocol-version", super::LEGACY).json(&message), 200).await;
        assert_ne!(answer["result"]["isError"], true, "{answer}");
        answer["result"]["structuredContent"].clone()
    }
}

/// The method and path of an action, as ChatGPT reads them in the document that it imported.
fn action(document: &Value, operation: &str) -> (String, String) {
    let base = text(&document["servers"][0]["url"]);
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            if described["operationId"] == operation {
                return (method.to_uppercase(), format!("{base}{path}"));
            }
        }
    }
    panic!("{operation} is described");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_gpt_stores_mcp_finds_and_rest_corrects_as_the_documents_say() {
    let folder = installation();
    let folder = folder.path();
    let mut world = World::of(folder);

    // docs/gpt-actions.md: what the command prints is what the editor asks for.
    let connect = documented("gpt-actions.md", "memgate connect gpt");
    let gpt = registered(folder, &format!("MEMGATE_PUBLIC_URL={PUBLIC_URL} {connect}"));
    let document = world.json(world.get(text(&gpt["schema_url"])), 200).await;
    let gpt_token = world.connect_gpt(&gpt).await;
    let (method, url) = action(&document, "createMemory");
    assert_eq!(method, "POST");
    let by_gpt = |request: RequestBuilder| {
        request.bearer_auth(&gpt_token).header("openai-gpt-id", "g-1").header("openai-conversation-id", "c-1")
    };
    let content = json!({"content": "Marta is allergic to hazelnuts."});
    let stored = world.json(by_gpt(world.post(&url)).json(&content), 201).await;
    let id = text(&stored["memory"]["memory_id"]).to_owned();

    // docs/mcp.md, "From a Custom GPT to MCP".
    let connect = documented("mcp.md", "memgate connect mcp --client chatgpt --same-memories-as");
    let connector = registered(folder, &connect.replace("GPT_CLIENT_ID", text(&gpt["client_id"])));
    let mcp = text(&connector["url"]);
    let found = world.discover(mcp).await;
    let mut asking = found.asking(text(&connector["client_id"]), CONNECTOR_CALLBACK, mcp);
    let tokens = world.connect(&asking).await;
    let mcp_token = text(&tokens["access_token"]).to_owned();
    let found = world.call(mcp, &mcp_token, "search", json!({"query": "Which nuts must Marta not eat?"})).await;
    assert_eq!((text(&found["results"][0]["id"]), found["results"].as_array().unwrap().len()), (&*id, 1));
    let page = text(&found["results"][0]["url"]).to_owned();

    // A program in the same space.
    let space = text(&connector["space"]);
    let program: Value = serde_json::from_str(&paste(
        folder,
        &format!(
            "memgate app create --json --name Notes --public --grant authorization_code --grant refresh_token \
             --permission memory:read --permission memory:write --redirect-uri {PROGRAM_CALLBACK} --space {space}"
        ),
    ))
    .unwrap();
    (asking.client_id, asking.redirect_uri) = (text(&program["client_id"]), PROGRAM_CALLBACK);
    (asking.scope, asking.resource) = ("memory:read memory:write", PUBLIC_URL);
    let tokens = world.connect(&asking).await;
    let request = world.http.patch(world.inside(&format!("/api/v1/memories/{id}")));
    let correction = json!({"content": "Marta may eat hazelnuts, but no walnuts."});
    let request = request.bearer_auth(text(&tokens["access_token"])).json(&correction);
    world.json(request, 200).await;

    // Every door shows the correction, and so does the page that the assistant cites.
    let fetched = world.call(mcp, &mcp_token, "fetch", json!({"id": id})).await;
    assert_eq!(fetched["text"], correction["content"]);
    let (_, url) = action(&document, "getMemory");
    let by_action = world.json(by_gpt(world.get(&url.replace("{memory_id}", &id))), 200).await;
    assert_eq!(by_action["memory"]["content"], correction["content"]);
    assert!(world.browse(&page).await.says("Marta may eat hazelnuts, but no walnuts."));

    // The skill says it for the tools, and the old grant ends.
    let skill = documented("mcp.md", "memgate connect skill");
    paste(folder, &skill);
    let skill = std::fs::read_to_string(folder.join("SKILL.md")).unwrap();
    assert!(skill.starts_with("---\nname: memgate\ndescription: "), "{skill}");
    assert!(skill.contains("call add_memory") && !skill.contains("Memories"), "{skill}");
    paste(folder, &documented("mcp.md", "memgate app disable").replace("GPT_CLIENT_ID", text(&gpt["client_id"])));
    let deadline = Instant::now() + Duration::from_secs(20);
    while by_gpt(world.get("/api/v1/memories")).send().await.unwrap().status() != 401 {
        assert!(Instant::now() < deadline, "the GPT is disabled");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = world.call(mcp, &mcp_token, "search", json!({"query": "hazelnuts"})).await;
    assert_eq!(text(&found["results"][0]["id"]), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_may_only_read_and_names_no_resource_gets_in_by_what_the_challenge_says() {
    let folder = installation();
    let folder = folder.path();
    let mut world = World::of(folder);
    let connect = documented("mcp.md", "memgate connect mcp --client claude");
    let client = registered(folder, &format!("{connect} --permission memory:read"));
    let mcp = text(&client["url"]);
    let found = world.discover(mcp).await;
    assert_eq!(found.scope, "memory:read memory:write memory:delete");
    let asking = found.asking(text(&client["client_id"]), "http://localhost:49152/callback", "");
    let tokens = world.connect(&asking).await;
    assert_eq!(tokens["scope"], "memory:read", "the answer says what is left");
    let found = world.call(mcp, text(&tokens["access_token"]), "search", json!({"query": "tea"})).await;
    assert_eq!(found, json!({"results": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_nobody_registered_finds_the_memories_of_a_gpt_whose_space_it_is_given() {
    let folder = installation();
    let folder = folder.path();
    create_marta(folder);
    let connect = documented("gpt-actions.md", "memgate connect gpt");
    let gpt = registered(folder, &format!("MEMGATE_PUBLIC_URL={PUBLIC_URL} {connect}"));
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mcp.md")).unwrap();
    let (setting, value) = ("MEMGATE_SELF_REGISTERED_SPACE", "app-GPT_CLIENT_ID");
    assert!(page.contains(&format!("`{setting}={value}`")), "the page names the setting");
    let space = value.replace("GPT_CLIENT_ID", text(&gpt["client_id"]));
    for (space, finds) in [(space.as_str(), true), ("people", false)] {
        let mut world = World::configured(folder, &[(setting, space), ("MEMGATE_DYNAMIC_REGISTRATION", "true")]);
        let gpt_token = world.connect_gpt(&gpt).await;
        let content = json!({"content": "Marta is allergic to hazelnuts."});
        let create = world.post("/api/v1/memories").bearer_auth(&gpt_token).header("idempotency-key", "k");
        assert!(create.json(&content).send().await.unwrap().status().is_success());

        let mcp = format!("{PUBLIC_URL}/mcp");
        let found = world.discover(&mcp).await;
        let register = world.post(text(&found.issuer["registration_endpoint"]));
        let editor = world.json(register.json(&json!({"redirect_uris": [PROGRAM_CALLBACK]})), 201).await;
        let tokens = world.connect(&found.asking(text(&editor["client_id"]), PROGRAM_CALLBACK, &mcp)).await;
        let found = world.call(&mcp, text(&tokens["access_token"]), "search", json!({"query": "hazelnuts"})).await;
        assert_eq!(found["results"].as_array().unwrap().len(), usize::from(finds), "{space}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_registered_if_its_public_url_reaches_the_service_and_not_otherwise() {
    let folder = installation();
    let folder = folder.path();
    let server = Server::start(memgate(folder));
    let here = server.url.clone();
    let connect = ["connect", "mcp", "--client", "vscode", "--public-url", &here];
    let client = succeed_json(folder, &connect);
    assert_eq!(client["url"], format!("{here}/mcp"));
    let applications = || succeed_json(folder, &["app", "list"]);
    let before = applications();
    server.kill();
    let said = fail(folder, &connect, 1);
    assert!(said.contains(&format!("{here} does not reach this service")), "{said}");
    assert_eq!(applications(), before, "nothing was registered");
}

/// The blocks of a page in this language.
pub(super) fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(document)).unwrap();
    let start = format!("```{language}\n");
    text.split(&start).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_page_can_be_pasted_and_what_it_says_of_programs_is_true() {
    let folder = installation();
    let folder = folder.path();
    let world = World::of(folder);
    let gpt = registered(folder, &format!("MEMGATE_PUBLIC_URL={PUBLIC_URL} memgate connect gpt --name GPT"));
    let commands = blocks("mcp.md", "sh");
    assert_eq!(commands.len(), 5);
    let mut printed = String::new();
    for command in commands {
        let mut command = command.trim_end().replace("GPT_CLIENT_ID", text(&gpt["client_id"]));
        if command.contains("connect mcp") {
            // Nothing answers at that address here.
            command.push_str(" --skip-check");
        }
        printed.push_str(&paste(folder, &command));
    }
    for said in [
        "claude mcp add --transport http --client-id",
        &format!("MCP Server URL  {PUBLIC_URL}/mcp"),
        "Registered My client.",
        "client_id",
        "memgate user create",
    ] {
        assert!(printed.contains(said), "{said}: {printed}");
    }

    // "A program of your own needs no person".
    let create = "memgate app create --json --name Program --grant client_credentials --permission memory:read \
                  --permission memory:write";
    let program: Value = serde_json::from_str(&paste(folder, create)).unwrap();
    let mcp = format!("{PUBLIC_URL}/mcp");
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", text(&program["client_id"])),
        ("client_secret", text(&program["client_secret"])),
        ("resource", &*mcp),
    ];
    let form: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = world.post("/auth/token").header("content-type", "application/x-www-form-urlencoded").body(form);
    let tokens = world.json(request, 200).await;
    let token = text(&tokens["access_token"]);
    world.call(&mcp, token, "add_memory", json!({"content": "Programs need no person."})).await;
    let found = world.call(&mcp, token, "search", json!({"query": "programs"})).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
}

/// What the clients of `connect mcp` send people back to, and where they keep their settings.
const CLIENTS: [(&str, &[&str], Option<&str>); 6] = [
    (
        "claude",
        &[
            "https://claude.ai/api/mcp/auth_callback",
            "https://claude.com/api/mcp/auth_callback",
            "http://localhost:54321/callback",
        ],
        None,
    ),
    ("chatgpt", &[CONNECTOR_CALLBACK, "https://chatgpt.com/connector_platform_oauth_redirect"], None),
    ("vscode", &["http://127.0.0.1:33418/", "https://vscode.dev/redirect"], Some(".vscode/mcp.json")),
    ("cursor", &["cursor://anysphere.cursor-mcp/oauth/callback"], Some("~/.cursor/mcp.json")),
    ("codex", &["http://127.0.0.1:1455/callback"], Some("~/.codex/config.toml")),
    ("gemini", &["http://localhost:7777/oauth/callback"], Some("~/.gemini/settings.json")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_client_is_registered_for_its_callbacks_and_its_file_names_the_endpoint_and_the_client() {
    let folder = installation();
    let folder = folder.path();
    let world = World::of(folder);
    for (name, callbacks, file) in CLIENTS {
        let client = registered(folder, &format!("memgate connect mcp --client {name} --public-url {PUBLIC_URL}"));
        let id = text(&client["client_id"]);
        assert_eq!(client["url"], format!("{PUBLIC_URL}/mcp"), "{name}");
        let stored: Value = serde_json::from_str(&paste(folder, &format!("memgate app show {id} --json"))).unwrap();
        assert_eq!((&stored["kind"], &stored["default_resource"]), (&json!("public"), &json!("mcp")), "{name}");
        for callback in callbacks.iter().chain(&["https://evil.example/callback"]) {
            let query = [
                ("response_type", "code"),
                ("client_id", id),
                ("redirect_uri", callback),
                ("code_challenge", CHALLENGE),
                ("code_challenge_method", "S256"),
            ];
            let url = Url::parse_with_params(&format!("{PUBLIC_URL}/auth/authorize"), query).unwrap();
            let answer = world.get(url.as_str()).send().await.unwrap();
            assert_eq!(answer.status() == 200, callbacks.contains(callback), "{name}: {callback}");
        }
        assert_eq!(client.get("file").and_then(Value::as_str), file, "{name}");
        let instructions = text(&client["instructions"]);
        let Some(file) = file else {
            assert!(instructions.contains(id) && instructions.contains(&format!("{PUBLIC_URL}/mcp")), "{instructions}");
            continue;
        };
        let content = text(&client["content"]);
        let settings: Value = match file.rsplit_once('.').unwrap().1 {
            "toml" => toml::from_str(content).unwrap(),
            _ => serde_json::from_str(content).unwrap(),
        };
        let (server, known_by) = match name {
            "vscode" => (&settings["servers"]["memgate"], &client["client_id"]),
            "cursor" => (&settings["mcpServers"]["memgate"], &settings["mcpServers"]["memgate"]["auth"]["CLIENT_ID"]),
            "codex" => {
                let server = &settings["mcp_servers"]["memgate"];
                (server, &server["oauth"]["client_id"])
            }
            _ => {
                let server = &settings["mcpServers"]["memgate"];
                (server, &server["oauth"]["clientId"])
            }
        };
        let url = server.get("url").or(server.get("httpUrl"));
        assert_eq!(url, Some(&client["url"]), "{name}: {content}");
        assert_eq!(known_by, id, "{name}: {content}");
        assert!(name != "vscode" || instructions.contains(id), "VS Code asks for it: {instructions}");
    }
}
