//! The static files of the pages: a stylesheet, a script for passkeys, and an icon. Their names change with their content, so browsers may cache
//! them forever.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem::http::header;
use poem::{Request, Response, Route};
use sha2::{Digest, Sha256};

use crate::adapters::http::server::table::DocumentEndpoint;

const FOREVER: &str = "public, max-age=31536000, immutable";

static STYLESHEET: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("assets/style.css")));
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("passkeys", "js", "text/javascript; charset=utf-8", include_str!("assets/passkeys.js"))
});
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("assets/icon.svg")));

/// The path of the stylesheet.
pub(crate) fn stylesheet_path() -> &'static str {
    &STYLESHEET.path
}

/// The path of the script for passkeys.
pub(crate) fn script_path() -> &'static str {
    &SCRIPT.path
}

/// The path of the icon.
pub(crate) fn icon_path() -> &'static str {
    &ICON.path
}

pub(crate) fn add_to(route: Route) -> Route {
    [&STYLESHEET, &SCRIPT, &ICON]
        .into_iter()
        .fold(route, |route, asset| route.at(&asset.path, DocumentEndpoint(|_: &Request| asset.response())))
}

struct Asset {
    path: String,
    content_type: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, content: &'static str) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(content)[..12]);
        Self { path: format!("/assets/{name}-{hash}.{extension}"), content_type, content }
    }

    fn response(&self) -> Response {
        Response::builder()
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::CACHE_CONTROL, FOREVER)
            .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox")
            .header("cross-origin-resource-policy", "same-origin")
            .body(self.content)
    }
}
