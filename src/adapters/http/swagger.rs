//! The page that displays the document: Swagger UI as poem-openapi bundles it, with a custom initializer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem::http::header;
use poem::{Request, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::server::caching::StaticDocument;

/// The redirect URI of the page. To try the authorization code flow there, an application must register it.
pub(super) const RECEIVER: &str = "/docs/oauth-receiver.html";
/// The script that initializes poem-openapi's page. Its own receiver has a path that changes with each click, does not support
/// PKCE, and a browser prompts for a password when credentials are refused.
const START: &str = r"
    const ui = SwaggerUIBundle({
        dom_id: '#ui',
        spec: SPEC,
        deepLinking: true,
        oauth2RedirectUrl: location.origin + 'RECEIVER',
        requestInterceptor: request => Object.assign(request, { credentials: 'omit' }),
    });
    ui.initOAuth({ usePkceWithAuthorizationCodeGrant: true });
";
/// Passes the authorization response to the page that opened it.
const RECEIVER_HTML: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Back to the documentation</title>
<p id="message">You can close this window.</p>
<script>
'use strict';
const flow = window.opener && window.opener.swaggerUIRedirectOauth2;
const answer = new URLSearchParams(location.search);
if (!flow) {
    document.getElementById('message').textContent = 'This page belongs to the documentation at /docs. Begin there.';
} else {
    const code = answer.get('code');
    if (answer.get('state') === flow.state && code) {
        delete flow.state;
        flow.auth.code = code;
        flow.callback({ auth: flow.auth, redirectUrl: flow.redirectUrl });
    } else {
        const reason = answer.get('error_description') || answer.get('error') || 'the answer is not to this request';
        flow.errCb({ authId: flow.auth.name, source: 'auth', level: 'error', message: reason });
    }
    window.close();
}
</script>
</html>
"#;

/// A page with inline scripts, and a policy that allows only these.
pub(super) struct ScriptPage {
    html: StaticDocument,
    content_security_policy: String,
}

impl ScriptPage {
    /// Swagger UI: poem-openapi's `html`, showing `document`.
    pub(super) fn documentation(html: &str, document: &Value, base: &str) -> Self {
        let start = html.rfind("<script>").map_or(html.len(), |tag| tag + "<script>".len());
        let end = html.rfind("</script>").unwrap_or(html.len());
        // A `<` in the document must not end the script.
        let spec = document.to_string().replace('<', r"\u003c");
        let script = START.replace("RECEIVER", RECEIVER).replace("SPEC", &spec);
        Self::new(format!("{}{script}{}", &html[..start], &html[end.max(start)..]), base)
    }

    /// The page at [`RECEIVER`].
    pub(super) fn receiver() -> Self {
        Self::new(RECEIVER_HTML.to_owned(), "")
    }

    fn new(html: String, connect_to: &str) -> Self {
        let scripts: Vec<String> = inline_scripts(&html).map(|script| format!("'sha256-{}'", hash(script))).collect();
        let content_security_policy = format!(
            "default-src 'none'; script-src {}; style-src 'unsafe-inline'; img-src 'self' data:; \
             connect-src 'self' {connect_to}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            scripts.join(" "),
        );
        Self { html: StaticDocument::new(html), content_security_policy }
    }

    pub(super) fn response(&self, request: &Request) -> Response {
        let response = Response::builder()
            .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, &self.content_security_policy)
            .header(header::REFERRER_POLICY, "no-referrer");
        self.html.respond(request.headers(), response)
    }
}

/// The contents of the scripts in a page, as a browser sees them.
fn inline_scripts(html: &str) -> impl Iterator<Item = &str> {
    let mut rest = html;
    std::iter::from_fn(move || {
        let tag = &rest[rest.find("<script")?..];
        let text = &tag[tag.find('>')? + 1..];
        let end = text.find("</script")?;
        rest = &text[end..];
        Some(&text[..end])
    })
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}
