//! A few files over HTTP on this machine's loopback, for a guest that fetches its configuration.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use image_builder::qemu::machine::{Forward, SERVICE_ADDRESS};

/// Where the guest finds it.
const GUEST_PORT: u16 = 8081;
/// How long a client may take with its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest request that is read, in bytes.
const REQUEST_BYTES: u64 = 16 << 10;

/// The server; dropping it ends it.
#[derive(Debug)]
pub struct FileServer {
    port: u16,
    ended: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FileServer {
    /// Serves `files`, by their path with a slash before it.
    pub fn start(files: &[(&str, &[u8])]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("opening a port for files")?;
        let port = listener.local_addr().context("asking for the port of the files")?.port();
        let files: BTreeMap<String, Vec<u8>> = files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect();
        let (ended, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let server = Self { port, ended: Arc::clone(&ended), asked: Arc::clone(&asked) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is its own business.
                let _ = stream.map(|stream| answer(stream, &files, &asked));
            }
        });
        Ok(server)
    }

    /// What leads a guest to it.
    #[must_use]
    pub fn service(&self) -> Forward {
        Forward { host: self.port, guest: GUEST_PORT }
    }

    /// The address of a file as the guest sees it.
    #[must_use]
    pub fn guest_url(path: &str) -> String {
        format!("http://{SERVICE_ADDRESS}:{GUEST_PORT}{path}")
    }

    /// The paths that were asked for so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread, which then sees that it is over.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn answer(mut stream: TcpStream, files: &BTreeMap<String, Vec<u8>>, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new((&stream).take(REQUEST_BYTES)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    // The rest of the request has to be read: a connection that is closed over unread bytes loses the answer.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
    let (status, content) = files.get(path).map_or(("404 Not Found", &[][..]), |content| ("200 OK", content.as_slice()));
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len())?;
    stream.write_all(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_served_and_others_are_not_there() {
        let server = FileServer::start(&[("/a", b"content")]).unwrap();
        let get = |path: &str| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        assert!(get("/a").starts_with("HTTP/1.1 200 OK") && get("/a").ends_with("\r\n\r\ncontent"));
        assert!(get("/b").starts_with("HTTP/1.1 404 "));
        assert_eq!(server.asked(), ["/a", "/a", "/b"]);
        assert_eq!(FileServer::guest_url("/a"), "http://10.0.2.100:8081/a");
    }
}
