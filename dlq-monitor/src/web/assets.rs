//! The style and the script, which are part of the binary.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};
use service_kit::{NOT_FOUND, Problem};
use sha2::{Digest, Sha256};

/// A file that pages refer to.
pub(super) struct Asset {
    /// With the hash of what is in it: whatever is kept of this name is right for ever.
    pub(super) path: String,
    media_type: &'static str,
    content: String,
}

const PATH: &str = "/assets/";

pub(super) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let parts = [
        include_str!("style/base.css"),
        include_str!("style/parts.css"),
        include_str!("style/facts.css"),
        include_str!("style/controls.css"),
    ];
    Asset::new("css", "text/css; charset=utf-8", parts.concat())
});

pub(super) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let script = include_str!("console.js").to_owned();
    Asset::new("js", "text/javascript; charset=utf-8", script)
});

impl Asset {
    fn new(extension: &str, media_type: &'static str, content: String) -> Self {
        let hash = Sha256::digest(&content);
        let hash = hash.iter().take(8).fold(String::new(), |mut hash, byte| {
            // Writing to a string does not fail.
            _ = write!(hash, "{byte:02x}");
            hash
        });
        Self { path: format!("{PATH}console-{hash}.{extension}"), media_type, content }
    }
}

/// `GET /assets/{name}`.
pub(super) async fn serve(Path(name): Path<String>) -> Result<Response, Problem> {
    let named = |asset: &&Asset| asset.path.strip_prefix(PATH) == Some(&*name);
    let assets: [&'static Asset; 2] = [&STYLE, &SCRIPT];
    let asset = assets.into_iter().find(named).ok_or_else(|| {
        Problem::of(NOT_FOUND)
            .detail("there is no such file; a page says what its files are called")
    })?;
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.content.as_str()).into_response())
}
