//! Clients that write down what they were promised, and compare it with what they find at the end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use memgate::domain::applications::Application;
use memgate::domain::people::Session;
use memgate_test_kit::http;
use memgate_test_kit::page::Page;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

pub const PASSWORD: &str = "correct horse battery staple";
pub const PUBLIC_URL: &str = "http://gate.test";

/// Numbers that look random and follow from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound` (`SplitMix64`).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }
}

/// How many requests were made, and what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub requests: usize,
    pub refused: usize,
    pub unanswered: usize,
    pub promises: usize,
}

/// What may be true of a memory: one thing that was promised, or several while an answer is missing.
type Possible = Vec<Option<String>>;

/// An application that does everything, one request after the other, and believes every answer.
pub struct ChaosClient {
    dice: Dice,
    http: Client,
    address: watch::Receiver<String>,
    id: String,
    secret: String,
    login: String,
    token: Option<String>,
    memories: HashMap<String, Possible>,
    accepted: Vec<(String, String)>,
    /// The newest refresh token of a grant of which nothing is uncertain, and those before it.
    refresh_token: Option<String>,
    unused: Vec<String>,
    used: Vec<String>,
    revoked: Vec<String>,
    /// Sessions, each with the number of its attempt.
    signed_in: Vec<(usize, String)>,
    /// Attempts to sign in and to revoke, whatever became of them.
    sign_ins: usize,
    revocations: u32,
    signed_out: Vec<String>,
    created: u64,
    pub tally: Tally,
}

impl ChaosClient {
    pub fn new(seed: u64, application: &Value, login: &str, address: watch::Receiver<String>) -> Self {
        let member = |name: &str| application[name].as_str().unwrap().to_owned();
        let http = http::client_builder().redirect(Policy::none()).timeout(Duration::from_secs(30)).build();
        Self {
            dice: Dice::new(seed),
            http: http.unwrap(),
            address,
            id: member("client_id"),
            secret: member("client_secret"),
            login: login.to_owned(),
            token: None,
            memories: HashMap::new(),
            accepted: Vec::new(),
            refresh_token: None,
            unused: Vec::new(),
            used: Vec::new(),
            revoked: Vec::new(),
            signed_in: Vec::new(),
            sign_ins: 0,
            revocations: 0,
            signed_out: Vec::new(),
            created: 0,
            tally: Tally::default(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", *self.address.borrow())
    }

    /// The status and the body; `None` if there was no answer, or one that promises nothing.
    async fn send(&mut self, request: RequestBuilder) -> Option<(u16, Response)> {
        self.tally.requests += 1;
        let Ok(answer) = request.send().await else {
            self.tally.unanswered += 1;
            // The service was killed; the next one needs a moment.
            tokio::time::sleep(Duration::from_millis(20)).await;
            return None;
        };
        let status = answer.status().as_u16();
        if status >= 500 {
            self.tally.refused += 1;
            assert_eq!(status, 503, "{}", answer.url());
            return None;
        }
        Some((status, answer))
    }

    async fn send_json(&mut self, request: RequestBuilder) -> Option<(u16, Value)> {
        let (status, answer) = self.send(request).await?;
        let body = answer.json().await.ok()?;
        Some((status, body))
    }

    fn oauth(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        with_form(self.http.post(self.url(path)).basic_auth(&self.id, Some(&self.secret)), fields)
    }

    /// Does something, in most cases something that writes.
    pub async fn act(&mut self) {
        let Some(token) = self.token.clone() else {
            if let Some((200, answer)) = self.send_json(self.oauth("/auth/token", &[GRANT])).await {
                self.token = Some(text(&answer["access_token"]));
            }
            return;
        };
        match self.dice.below(20) {
            0..=6 => self.create(&token).await,
            7..=9 => self.change(&token).await,
            10..=11 => self.delete(&token).await,
            12 => _ = self.check_some(&token).await,
            13..=15 => self.refresh().await,
            16..=17 => self.revoke().await,
            18 => _ = self.sign_in().await,
            _ => _ = self.sign_out().await,
        }
    }

    fn next_content(&mut self) -> String {
        self.created += 1;
        let filler = "and more ".repeat(self.dice.index(200));
        format!("memory {} of {} {filler}", self.created, self.id)
    }

    async fn create(&mut self, token: &str) {
        let content = self.next_content().trim().to_owned();
        let request =
            self.http.post(self.url("/api/v1/memories")).bearer_auth(token).json(&json!({"content": content}));
        match self.send_json(request).await {
            Some((201, answer)) => {
                self.tally.promises += 1;
                self.memories.insert(text(&answer["memory"]["memory_id"]), vec![Some(content)]);
            }
            Some((202, answer)) => {
                self.tally.promises += 1;
                self.accepted.push((text(&answer["request_id"]), content));
            }
            Some((status, answer)) => panic!("a create was answered {status}: {answer}"),
            None => {}
        }
    }

    fn pick(&mut self) -> Option<String> {
        let certain = |possible: &Possible| matches!(&possible[..], [Some(_)]);
        let mut ids: Vec<_> =
            self.memories.iter().filter(|(_, possible)| certain(possible)).map(|(id, _)| id).collect();
        ids.sort_unstable();
        if ids.is_empty() { None } else { Some(ids[self.dice.index(ids.len())].clone()) }
    }

    async fn change(&mut self, token: &str) {
        let Some(id) = self.pick() else { return };
        let content = self.next_content().trim().to_owned();
        let url = self.url(&format!("/api/v1/memories/{id}"));
        let request = self.http.patch(url).bearer_auth(token).json(&json!({"content": content}));
        let possible = self.memories[&id].clone();
        let possible = match self.send_json(request).await {
            Some((200, _)) => {
                self.tally.promises += 1;
                vec![Some(content)]
            }
            Some((status, answer)) => panic!("{possible:?} is kept, and its change was answered {status}: {answer}"),
            None => vec![possible[0].clone(), Some(content)],
        };
        self.memories.insert(id, possible);
    }

    async fn delete(&mut self, token: &str) {
        let Some(id) = self.pick() else { return };
        let request = self.http.delete(self.url(&format!("/api/v1/memories/{id}"))).bearer_auth(token);
        let possible = self.memories[&id].clone();
        let possible = match self.send(request).await {
            Some((200 | 204, _)) => {
                self.tally.promises += 1;
                vec![None]
            }
            Some((status, _)) => panic!("{possible:?} is kept, and its deletion was answered {status}"),
            None => vec![possible[0].clone(), None],
        };
        self.memories.insert(id, possible);
    }

    /// Compares a memory with what was promised; `None` if there is no answer.
    async fn check(&mut self, token: &str, id: &str) -> Option<()> {
        let request = self.http.get(self.url(&format!("/api/v1/memories/{id}"))).bearer_auth(token);
        let found = match self.send_json(request).await? {
            (200, answer) => Some(text(&answer["memory"]["content"])),
            (404, _) => None,
            (status, answer) => panic!("a memory was answered {status}: {answer}"),
        };
        let possible = &self.memories[id];
        // What was answered 503 stays uncertain: a commit of which the sync failed can still appear after a crash.
        assert!(possible.contains(&found), "LOST: {id} is {found:?}, and was promised to be {possible:?}");
        Some(())
    }

    async fn check_some(&mut self, token: &str) -> Option<()> {
        let mut ids: Vec<_> = self.memories.keys().cloned().collect();
        ids.sort_unstable();
        if ids.is_empty() {
            return None;
        }
        let id = ids[self.dice.index(ids.len())].clone();
        self.check(token, &id).await
    }

    async fn refresh(&mut self) {
        let Some(old) = self.refresh_token.take() else {
            if let Some((200, answer)) = self.send_json(self.oauth("/auth/token", &[GRANT])).await {
                self.refresh_token = Some(text(&answer["refresh_token"]));
            }
            return;
        };
        if self.dice.below(10) == 0 {
            // Stays as it is until the end.
            self.unused.push(old);
            return;
        }
        let fields = [("grant_type", "refresh_token"), ("refresh_token", old.as_str())];
        match self.send_json(self.oauth("/auth/token", &fields)).await {
            Some((200, answer)) => {
                self.tally.promises += 1;
                self.used.push(old);
                self.refresh_token = Some(text(&answer["refresh_token"]));
            }
            Some((status, answer)) => panic!("an unused refresh token was answered {status}: {answer}"),
            None => {}
        }
    }

    async fn revoke(&mut self) {
        // One more, and every token of the application ends, the one in use too.
        if self.revocations == REVOCATIONS {
            return;
        }
        let Some((200, answer)) = self.send_json(self.oauth("/auth/token", &[GRANT])).await else { return };
        let token = text(&answer["access_token"]);
        self.revocations += 1;
        if let Some((status, _)) = self.send(self.oauth("/auth/revoke", &[("token", &token)])).await {
            assert_eq!(status, 200);
            self.tally.promises += 1;
            self.revoked.push(token);
        }
    }

    /// A page and the cookies that belong to it.
    async fn page(&mut self, path: &str, cookies: &str) -> Option<(u16, Page, String)> {
        let (status, answer) = self.send(self.http.get(self.url(path)).header("cookie", cookies)).await?;
        let set = cookies_of(&answer);
        Some((status, Page(answer.text().await.ok()?), set))
    }

    async fn submit(&mut self, path: &str, cookies: &str, fields: &[(&str, &str)]) -> Option<(u16, String)> {
        let request = with_form(self.http.post(self.url(path)).header("cookie", cookies), fields);
        let request = request.header("origin", PUBLIC_URL).header("sec-fetch-site", "same-origin");
        let (status, answer) = self.send(request).await?;
        Some((status, cookies_of(&answer)))
    }

    async fn sign_in(&mut self) -> Option<()> {
        let (_, page, cookies) = self.page("/auth/sign-in", "").await?;
        let (token, return_to) = (page.hidden("form_token"), page.hidden("return_to"));
        let login = self.login.clone();
        let fields = [("form_token", &*token), ("return_to", &return_to), ("login", &login), ("password", PASSWORD)];
        self.sign_ins += 1;
        let (status, cookies) = self.submit("/auth/sign-in", &cookies, &fields).await?;
        assert_eq!(status, 303, "the password is right");
        self.tally.promises += 1;
        self.signed_in.push((self.sign_ins, cookies));
        Some(())
    }

    /// The sessions that there must be. A person has so many, and the oldest makes room, also for one that was never answered.
    fn still_signed_in(&self) -> Vec<String> {
        let oldest = (self.sign_ins + 1).saturating_sub(SESSIONS);
        self.signed_in.iter().filter(|(attempt, _)| *attempt >= oldest).map(|(_, cookies)| cookies.clone()).collect()
    }

    async fn sign_out(&mut self) -> Option<()> {
        // Whatever becomes of it, the session is not certain any more.
        let cookies = self.still_signed_in().pop()?;
        self.signed_in.retain(|(_, one)| *one != cookies);
        let (status, page, _) = self.page(CONNECTIONS, &cookies).await?;
        assert_eq!(status, 200);
        assert!(is_signed_in(&page), "LOST: a session that was answered 303");
        let token = page.hidden("form_token");
        let (status, _) = self.submit("/auth/sign-out", &cookies, &[("form_token", &token)]).await?;
        assert_eq!(status, 303);
        self.tally.promises += 1;
        self.signed_out.push(cookies);
        Some(())
    }

    /// Compares all memories with what was promised. Returns an access token.
    ///
    /// A service that went on through the last fault may refuse for so long: it learns only from a timeout that a
    /// connection died silently.
    pub async fn verify_memories(&mut self, refuses_for: Duration) -> String {
        let deadline = Instant::now() + refuses_for;
        let answer = loop {
            let answer = self.send_json(self.oauth("/auth/token", &[GRANT])).await;
            if let Some((_, answer)) = answer_by(deadline, answer) {
                break answer;
            }
        };
        let token = text(&answer["access_token"]);
        for id in self.memories.keys().cloned().collect::<Vec<_>>() {
            while answer_by(deadline, self.check(&token, &id).await).is_none() {}
        }
        token
    }

    /// Compares everything with what was promised, which uses up the refresh tokens.
    pub async fn verify(&mut self) {
        let token = self.verify_memories(Duration::ZERO).await;
        let deadline = Instant::now() + DELIVERY;
        for (request, content) in self.accepted.clone() {
            let stored = loop {
                assert!(Instant::now() < deadline, "{content:?} was accepted, and is still pending");
                let url = self.url(&format!("/api/v1/requests/{request}"));
                let (status, answer) = self.send_json(self.http.get(url).bearer_auth(&token)).await.expect(ANSWER);
                assert_eq!(status, 200, "LOST: {content:?} was accepted: {answer}");
                if answer["status"] != "pending" {
                    break answer;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            assert_eq!(stored["memory"]["content"], json!(content), "LOST: {stored}");
        }
        for token in self.revoked.clone() {
            let answer = self.send_json(self.oauth("/auth/introspect", &[("token", &token)])).await.expect(ANSWER).1;
            assert_eq!(answer["active"], false, "LOST: a revocation that was answered 200");
        }
        for (tokens, expected) in [(self.unused.clone(), 200), (self.used.clone(), 400)] {
            for token in tokens {
                let fields = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
                let (status, answer) = self.send_json(self.oauth("/auth/token", &fields)).await.expect(ANSWER);
                assert_eq!(status, expected, "LOST: the use of a refresh token, or an unused one: {answer}");
            }
        }
        for (sessions, expected) in [(self.still_signed_in(), true), (self.signed_out.clone(), false)] {
            for cookies in sessions {
                let (_, page, _) = self.page(CONNECTIONS, &cookies).await.expect(ANSWER);
                assert_eq!(is_signed_in(&page), expected, "LOST: a session, or its end");
            }
        }
    }
}

/// In which everything that was accepted is delivered when nothing fails any more.
const DELIVERY: Duration = Duration::from_secs(90);
const ANSWER: &str = "nothing is broken any more";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const CONNECTIONS: &str = "/account/connections";
const SESSIONS: usize = Session::MAX_PER_PERSON as usize;
const REVOCATIONS: u32 = Application::MAX_REVOCATIONS;

/// The answer, which may be missing until the deadline.
fn answer_by<T>(deadline: Instant, answer: Option<T>) -> Option<T> {
    assert!(answer.is_some() || Instant::now() < deadline, "{ANSWER}");
    answer
}

fn with_form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is a text")).to_owned()
}

fn is_signed_in(page: &Page) -> bool {
    !page.0.contains(r#"name="password""#)
}

fn cookies_of(answer: &Response) -> String {
    let set = answer.headers().get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let kept = set.filter(|cookie| !cookie.contains("Max-Age=0"));
    kept.map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
}
