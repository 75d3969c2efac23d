//! The style sheet, the script and the icon. Their names carry a hash of their content, so browsers may keep them for ever
//! and never show a new page with an old style.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// Hex digits of the hash that names carry.
const DIGITS: usize = 16;

/// One file that pages refer to.
#[derive(Debug)]
pub struct Asset {
    /// Where it is.
    pub path: String,
    kind: &'static str,
    content: &'static [u8],
}

impl Asset {
    fn new(name: &str, extension: &str, kind: &'static str, content: &'static str) -> Self {
        let mut hash = hex::encode(Sha256::digest(content));
        hash.truncate(DIGITS);
        Self { path: format!("/assets/{name}-{hash}.{extension}"), kind, content: content.as_bytes() }
    }
}

/// How the pages look.
pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("page", "css", "text/css; charset=utf-8", include_str!("../../templates/page.css")));
/// What keeps them fresh.
pub static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("page", "js", "text/javascript; charset=utf-8", include_str!("../../templates/page.js")));
/// What the tab shows.
pub static ICON: LazyLock<Asset> = LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../../templates/icon.svg")));

/// `GET /assets/NAME`; the only pages that need no session, because they say nothing.
pub async fn get(Path(name): Path<String>) -> Response {
    let known = [&*STYLE, &*SCRIPT, &*ICON].into_iter().find(|asset| asset.path.strip_prefix("/assets/") == Some(name.as_str()));
    match known {
        Some(asset) => {
            let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
            (headers, asset.content).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file; reload the page, it may come from another version of the server\n")
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_with_the_content() {
        let (a, b) = (Asset::new("page", "css", "", "a{}"), Asset::new("page", "css", "", "b{}"));
        assert_ne!(a.path, b.path);
        assert_eq!(a.path.len(), "/assets/page-.css".len() + DIGITS);
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        for asset in [&*STYLE, &*SCRIPT, &*ICON] {
            let text = std::str::from_utf8(asset.content).unwrap().replace("http://www.w3.org/2000/svg", "");
            for refused in ["http:", "https:", "//cdn", "@import", "url(", "eval(", "innerHTML", "document.write"] {
                assert!(!text.contains(refused), "{}: {refused}", asset.path);
            }
        }
    }
}
