//! Whether something answers: a TCP connection, or a page.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer that takes longer is none.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// How to find out whether a service works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// Its port accepts connections.
    Tcp,
    /// A GET of this path is answered with a status below 400.
    Http(String),
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// No connection.
    #[error("connecting to {address}: {source}")]
    Connect {
        /// Where to.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Not HTTP, or not to its end.
    #[error("asking http://{address}{path}: {source}")]
    Http {
        /// Where.
        address: SocketAddr,
        /// For what.
        path: String,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The page says no.
    #[error("http://{address}{path} answers {status}")]
    Status {
        /// Where.
        address: SocketAddr,
        /// For what.
        path: String,
        /// Status code of the answer.
        status: u16,
    },
    /// Too slow.
    #[error("{address} did not answer in {} s", TIMEOUT.as_secs())]
    Slow {
        /// Where.
        address: SocketAddr,
    },
}

impl FromStr for Check {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A path goes into the first line of a request, so it must stay in that line.
        let path = |path: &str| path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
        match text.strip_prefix("http:") {
            None if text == "tcp" => Ok(Self::Tcp),
            Some(rest) if path(rest) => Ok(Self::Http(rest.to_owned())),
            _ => Err("write `tcp`, or `http:/path`".to_owned()),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Http(path) => write!(f, "http:{path}"),
        }
    }
}

impl Check {
    /// Asks once.
    ///
    /// # Errors
    /// There is no good answer within [`TIMEOUT`].
    pub async fn ask(&self, address: SocketAddr) -> Result<(), CheckError> {
        match tokio::time::timeout(TIMEOUT, self.ask_patiently(address)).await {
            Ok(answer) => answer,
            Err(_) => Err(CheckError::Slow { address }),
        }
    }

    async fn ask_patiently(&self, address: SocketAddr) -> Result<(), CheckError> {
        let stream = TcpStream::connect(address).await.map_err(|source| CheckError::Connect { address, source })?;
        let Self::Http(path) = self else { return Ok(()) };
        let failed = |source| CheckError::Http { address, path: path.clone(), source };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let request = Request::get(path.as_str()).header("host", address.to_string()).header("user-agent", "cluster-agent");
        let request = request.body(Empty::<Bytes>::new()).expect("the path was looked at when the check was read");
        let answer = async {
            let answer = sender.send_request(request).await.map_err(failed)?;
            let status = answer.status().as_u16();
            if status < 400 { Ok(()) } else { Err(CheckError::Status { address, path: path.clone(), status }) }
        };
        tokio::pin!(answer);
        // The connection only moves while it is looked at; when it ends first, the answer knows why.
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            _ = connection => answer.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn checks_are_written_as_words() {
        for good in ["tcp", "http:/", "http:/health?deep=1"] {
            assert_eq!(good.parse::<Check>().unwrap().to_string(), good);
        }
        for wrong in ["", "udp", "http", "http:", "http:health", "http:/a b", "http:/\r\nhost: x", "https:/x"] {
            assert!(wrong.parse::<Check>().is_err(), "{wrong}");
        }
    }

    async fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn a_page_that_says_no_fails_the_check() {
        let table = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", false),
            ("SSH-2.0-x\r\n", false),
            ("", false),
        ];
        for (answer, good) in table {
            let address = answering(answer).await;
            let told = Check::Http("/health".to_owned()).ask(address).await;
            assert_eq!(told.is_ok(), good, "{answer:?}: {told:?}");
            assert!(Check::Tcp.ask(address).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens_fails_the_check() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(Check::Tcp.ask(address).await, Err(CheckError::Connect { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let told = Check::Http("/".to_owned()).ask(listener.local_addr().unwrap()).await;
        assert!(matches!(told, Err(CheckError::Slow { .. })), "{told:?}");
    }
}
