//! A browser without a screen: it keeps cookies, and follows no redirect by itself.

use std::collections::BTreeMap;

use memgate_test_kit::gate::TestGate;
use memgate_test_kit::http;
use memgate_test_kit::page::Page;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};

pub struct Browser<'a> {
    gate: &'a TestGate,
    http: Client,
    pub cookies: BTreeMap<String, String>,
    /// The languages that it asks for.
    pub languages: Option<&'static str>,
}

/// An answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub page: Page,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Where the browser is sent.
    #[track_caller]
    pub fn location(&self) -> String {
        assert_eq!(self.status, 303, "{}", self.page.0);
        self.header("location").unwrap().to_owned()
    }

    /// That this is a page of that status, and sends nobody anywhere.
    #[track_caller]
    pub fn assert_page(&self, status: u16) -> &Page {
        assert_eq!(self.status, status, "{}", self.page.0);
        assert_eq!(self.header("location"), None);
        assert_eq!(self.header("content-type"), Some("text/html; charset=utf-8"));
        self.page.assert_sound();
        &self.page
    }
}

impl<'a> Browser<'a> {
    pub fn of(gate: &'a TestGate) -> Self {
        // The client of the gate has installed what reqwest needs.
        let http = http::client_builder().redirect(Policy::none()).build().unwrap();
        Self { gate, http, cookies: BTreeMap::new(), languages: None }
    }

    /// The name of a cookie: the gate of a test is on http, and has a port of its own.
    pub fn cookie(&self, what: &str) -> String {
        format!("memgate-{what}-{}", self.gate.gate().address().port())
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let request = self.http.get(self.gate.url(path));
        self.send(request).await
    }

    /// What is downloaded from `path`.
    pub async fn get_bytes(&mut self, path: &str) -> Vec<u8> {
        self.download(path).await.unwrap()
    }

    /// What is downloaded from `path`, or why it breaks off.
    pub async fn download(&self, path: &str) -> reqwest::Result<Vec<u8>> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.get(self.gate.url(path)).header("cookie", cookies.join("; "));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Ok(response.bytes().await?.into())
    }

    /// Sends a form as a browser does from a page of the same site.
    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let origin = self.gate.gate().public_url().to_owned();
        self.submit_with(path, fields, &[("origin", &origin), ("sec-fetch-site", "same-origin")]).await
    }

    /// Sends a form with these headers.
    pub async fn submit_with(&mut self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(self.gate.url(path)).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// Sends a form with a file, as a browser does from a page of the same site.
    pub async fn upload(&mut self, path: &str, fields: &[(&str, &str)], name: &str, file: impl AsRef<[u8]>) -> Answer {
        let body = multipart(fields, name, file.as_ref());
        self.upload_body(path, body).await
    }

    /// Sends the body of a form with a file.
    pub async fn upload_body(&mut self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.http.post(self.gate.url(path)).body(body);
        let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        let origin = self.gate.gate().public_url();
        self.send(request.header("origin", origin).header("sec-fetch-site", "same-origin")).await
    }

    async fn send(&mut self, request: RequestBuilder) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = reqwest::header::HeaderValue::from_bytes(cookies.join("; ").as_bytes()).unwrap();
        let request = request.header("cookie", cookies);
        let request = match self.languages {
            Some(languages) => request.header("accept-language", languages),
            None => request,
        };
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
            }
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, page: Page(response.text().await.unwrap()) }
    }

    /// Opens the sign-in page at `path`, and signs in as `login` with this password.
    pub async fn sign_in(&mut self, path: &str, login: &str, password: &str) -> Answer {
        let page = self.get(path).await.page;
        let (token, return_to) = (page.hidden("form_token"), page.hidden("return_to"));
        let fields = [("form_token", &*token), ("return_to", &return_to), ("login", login), ("password", password)];
        self.submit("/auth/sign-in", &fields).await
    }
}

pub const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/// What a browser sends for a form with these fields and this file.
pub fn multipart(fields: &[(&str, &str)], name: &str, file: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, value) in fields {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n").as_bytes(),
        );
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}
