//! HTTP/1.0 for one question to a local service: no keep-alive, no chunks, nothing to parse but the first line.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// Most of an answer that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

/// Asks a service on a Unix socket; answers with status and body.
pub(super) async fn unix(socket: &std::path::Path, path: &str, patience: Duration) -> Result<(u16, String), String> {
    let ask = async {
        let stream = UnixStream::connect(socket).await.map_err(|error| format!("{}: {error}", socket.display()))?;
        get(stream, "localhost", path).await
    };
    timeout(patience, ask).await.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs())))
}

/// Asks a service at `host:port`.
pub(super) async fn tcp(address: &str, path: &str, patience: Duration) -> Result<(u16, String), String> {
    let ask = async {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
        get(stream, address, path).await
    };
    timeout(patience, ask).await.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs())))
}

async fn get(stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> Result<(u16, String), String> {
    exchange(stream, &format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")).await
}

/// Sends `request` as it is; answers with status and body.
pub(crate) async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Result<(u16, String), String> {
    let broken = |error: std::io::Error| format!("the connection broke: {error}");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut bytes).await.map_err(broken)?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| "an answer that is not HTTP".to_owned())
}

fn parse(text: &str) -> Option<(u16, String)> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split(' ');
    let version = words.next()?;
    let status = words.next()?.parse().ok()?;
    version.starts_with("HTTP/1.").then(|| (status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_split_into_status_and_body() {
        assert_eq!(parse("HTTP/1.0 200 OK\r\nA: b\r\n\r\nOK"), Some((200, "OK".to_owned())));
        assert_eq!(parse("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some((503, String::new())));
        for wrong in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 x\r\n\r\n"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
