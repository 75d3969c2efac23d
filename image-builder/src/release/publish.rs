//! Sending a repository to an update server.
//!
//! Files that the server has already are not sent again, so an upload that broke off is simply repeated. Nothing is visible to
//! machines until the server has verified all of it and switched.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::repository::{METADATA, TARGETS};
use crate::progress::Progress;

/// How long the server may take to take a connection.
const CONNECT: Duration = Duration::from_secs(30);
/// How long it may take to read and verify everything before it answers.
const VERIFY: Duration = Duration::from_secs(15 * 60);
/// Header with the digest of what is sent, in hex.
const DIGEST_HEADER: &str = "x-content-sha256";
/// The longest answer that is read, in bytes.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// What the server says of a published repository.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Published {
    /// The releases it holds now.
    pub releases: Vec<PublishedRelease>,
}

/// One release on the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PublishedRelease {
    /// Application id.
    pub app_id: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub arch: String,
    /// Its folder below `targets/`.
    pub folder: String,
}

/// Where to send it, and who we are.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// Base URL of the server.
    pub server: &'a str,
    /// A token with the role publisher.
    pub token: &'a str,
}

/// Sends the repository in `dir` and asks the server to switch to it.
pub fn publish(dir: &Path, to: Destination<'_>, progress: &Progress) -> anyhow::Result<Published> {
    let files = files(dir)?;
    // Only this crate's commands talk to the network, so nobody else has chosen a provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the network code")?;
    runtime.block_on(async {
        let client = Client::builder().connect_timeout(CONNECT).build().context("setting up the network code")?;
        let upload = Upload { client, to };
        let total = files.iter().map(|file| file.size).sum();
        let phase = progress.phase(format!("sending {} files to {}", files.len(), to.server), total);
        for file in &files {
            upload.send(file).await.with_context(|| format!("sending {}", file.name))?;
            phase.advance(file.size);
        }
        drop(phase);
        let _phase = progress.phase("the server verifies all of it", 0);
        upload.switch().await
    })
}

#[derive(Debug)]
struct LocalFile {
    /// Path below the repository, with slashes.
    name: String,
    path: PathBuf,
    size: u64,
    sha256: String,
}

/// Everything to send: releases first, then metadata.
fn files(dir: &Path) -> anyhow::Result<Vec<LocalFile>> {
    let mut found = Vec::new();
    for entry in list(&dir.join(TARGETS))? {
        let folder = name_of(&entry);
        // Folders under construction begin with a dot.
        if entry.is_dir() && !folder.starts_with('.') {
            for path in list(&entry)? {
                found.push(local(format!("{TARGETS}/{folder}/{}", name_of(&path)), path)?);
            }
        }
    }
    for path in list(&dir.join(METADATA))? {
        if path.extension().is_some_and(|end| end == "json") {
            found.push(local(format!("{METADATA}/{}", name_of(&path)), path)?);
        }
    }
    if found.is_empty() {
        bail!("{} holds no releases; make some with: image-builder release", dir.display());
    }
    Ok(found)
}

fn list(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("{} is not a repository's folder", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn local(name: String, path: PathBuf) -> anyhow::Result<LocalFile> {
    let (size, sha256) = super::digest_of(&path)?;
    Ok(LocalFile { name, path, size, sha256: hex::encode(sha256) })
}

struct Upload<'a> {
    client: Client,
    to: Destination<'a>,
}

impl Upload<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/api/v1/{path}", self.to.server.trim_end_matches('/'));
        self.client.request(method, url).bearer_auth(self.to.token)
    }

    async fn send(&self, file: &LocalFile) -> anyhow::Result<()> {
        let path = format!("files/{}", file.name);
        let there = self.request(Method::HEAD, &path).header(DIGEST_HEADER, &file.sha256).send().await?;
        if there.status() == StatusCode::OK
            && there.headers().get(DIGEST_HEADER).is_some_and(|digest| digest.as_bytes() == file.sha256.as_bytes())
        {
            return Ok(());
        }
        let content = tokio::fs::File::open(&file.path).await.with_context(|| format!("opening {}", file.path.display()))?;
        let request = self.request(Method::PUT, &path).header(DIGEST_HEADER, &file.sha256).header("content-length", file.size);
        said_yes(request.body(Body::from(content)).send().await?).await.map(drop)
    }

    async fn switch(&self) -> anyhow::Result<Published> {
        let answer = self.request(Method::POST, "publish").timeout(VERIFY).send().await.context("asking the server to publish")?;
        let bytes = said_yes(answer).await.context("asking the server to publish")?;
        serde_json::from_slice(&bytes).context("reading the server's answer")
    }
}

/// What the server refuses with.
#[derive(Debug, Deserialize)]
struct Refusal {
    message: String,
    #[serde(default)]
    hint: String,
}

async fn said_yes(mut answer: Response) -> anyhow::Result<Vec<u8>> {
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_MAX_BYTES {
            bail!("the server answers {status} with more than {ANSWER_MAX_BYTES} bytes");
        }
    }
    if status.is_success() {
        return Ok(bytes);
    }
    match serde_json::from_slice::<Refusal>(&bytes) {
        Ok(refusal) if refusal.hint.is_empty() => bail!("the server refuses ({status}): {}", refusal.message),
        Ok(refusal) => bail!("the server refuses ({status}): {}; {}", refusal.message, refusal.hint),
        Err(_) => bail!("the server refuses: {status}"),
    }
}
