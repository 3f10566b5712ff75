//! A person in a browser, who signs in and connects an application.

use std::time::{Duration, Instant};

use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::servers::{Credentials, Gate, Server};

/// Where the benchmark's application says that a browser returns to. Nobody listens there.
pub const REDIRECT_URI: &str = "http://127.0.0.1/callback";
const PASSWORD: &str = "correct horse battery";

/// A person who is signed in.
pub struct Person {
    http: Client,
    origin: String,
    /// The header with which the browser proves that.
    pub cookies: String,
}

/// A download, read to its end and thrown away.
pub struct Download {
    pub first_byte: Duration,
    pub elapsed: Duration,
    pub bytes: u64,
    pub lines: usize,
}

impl Person {
    /// Creates an account.
    pub fn create(gate: &Gate, login: &str) -> Result<(), String> {
        gate.run_with_input(&["user", "create", login, "--json"], PASSWORD).map(drop)
    }

    /// Signs in, allows the application what it asks for, and returns the token that it gets for that.
    pub async fn connect(server: &Server, login: &str, application: &Credentials) -> Result<(Self, String), String> {
        // An error means that it is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().map_err(|error| error.to_string())?;
        let mut person = Self { http, origin: Gate::public_url(server), cookies: String::new() };
        let Credentials { client_id, client_secret } = application;
        let asked = [("response_type", "code"), ("client_id", client_id), ("redirect_uri", REDIRECT_URI)];
        let request = format!("/auth/authorize?{}", form(&asked));

        let page = person.get(&request).await?;
        let (form_token, return_to) = (hidden(&page, "form_token")?, hidden(&page, "return_to")?);
        let fields =
            [("form_token", &*form_token), ("return_to", &*return_to), ("login", login), ("password", PASSWORD)];
        let consent = person.submit("/auth/sign-in", &fields).await?;

        let page = person.get(&consent).await?;
        let (form_token, return_to) = (hidden(&page, "form_token")?, hidden(&page, "return_to")?);
        let mut fields = vec![("form_token", &*form_token), ("return_to", &*return_to), ("decision", "allow")];
        fields.extend(["memory:read", "memory:write"].map(|permission| ("permission", permission)));
        let back = person.submit("/auth/consent", &fields).await?;
        let back = Url::parse(&back).map_err(|error| error.to_string())?;
        let code = back.query_pairs().find(|(name, _)| name == "code").ok_or("the consent led to no code")?.1;

        let redeemed = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", REDIRECT_URI),
            ("client_id", client_id),
            ("client_secret", client_secret),
        ];
        let answer = person.send("/auth/token", &redeemed).await?.text().await.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
        let token = answer["access_token"].as_str().ok_or_else(|| format!("no token for a code: {answer}"))?;
        Ok((person, token.to_owned()))
    }

    async fn get(&mut self, path: &str) -> Result<String, String> {
        let request = self.http.get(format!("{}{path}", self.origin)).header(COOKIE, &self.cookies);
        let response = request.send().await.map_err(|error| error.to_string())?;
        self.keep_cookies(&response);
        response.text().await.map_err(|error| error.to_string())
    }

    /// Sends a form, and returns where the answer leads.
    async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        let response = self.send(path, fields).await?;
        self.keep_cookies(&response);
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        location.map(str::to_owned).ok_or_else(|| format!("{path} was answered with {}", response.status()))
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Result<Response, String> {
        let request = self.http.post(format!("{}{path}", self.origin)).body(form(fields));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.header(ORIGIN, &self.origin).header(COOKIE, &self.cookies);
        request.send().await.map_err(|error| error.to_string())
    }

    fn keep_cookies(&mut self, response: &Response) {
        for cookie in response.headers().get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            let pair = cookie.split(';').next().unwrap_or_default();
            let name = pair.split('=').next().unwrap_or_default();
            let mut kept: Vec<&str> = self.cookies.split("; ").filter(|kept| !kept.is_empty()).collect();
            kept.retain(|kept| kept.split('=').next() != Some(name));
            if !cookie.contains("Max-Age=0") {
                kept.push(pair);
            }
            self.cookies = kept.join("; ");
        }
    }

    /// Downloads what is at `path`, with a token or as the person.
    pub async fn download(&self, path: &str, token: Option<&str>) -> Result<Download, String> {
        let request = self.http.get(format!("{}{path}", self.origin));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request.header(COOKIE, &self.cookies),
        };
        let began = Instant::now();
        let mut response = request.send().await.map_err(|error| error.to_string())?;
        if response.status() != 200 {
            return Err(format!("{path} was answered with {}", response.status()));
        }
        let (mut first_byte, mut bytes, mut lines) = (None, 0, 0);
        while let Some(piece) = response.chunk().await.map_err(|error| error.to_string())? {
            first_byte.get_or_insert_with(|| began.elapsed());
            bytes += piece.len() as u64;
            lines += piece.split(|byte| *byte == b'\n').count() - 1;
        }
        let elapsed = began.elapsed();
        Ok(Download { first_byte: first_byte.unwrap_or(elapsed), elapsed, bytes, lines })
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The value of a hidden field of a form.
fn hidden(page: &str, name: &str) -> Result<String, String> {
    let (_, rest) = page
        .split_once(&format!("name=\"{name}\" value=\""))
        .ok_or_else(|| format!("a page has no {name}: {}", &page[..page.len().min(500)]))?;
    let value = rest.split('"').next().unwrap_or_default();
    Ok(value.replace("&#38;", "&").replace("&amp;", "&"))
}
