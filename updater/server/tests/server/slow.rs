//! S05: clients that are slow on purpose, and sources that want every connection for themselves.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use update_server::http::pace::Pace;
use update_server::http::places::{Loopback, Room};
use update_server::http::serve::{Limits, Patience};

use crate::fixture::{CHECK, PATIENCE, Server, stock};

/// Short, so that tests need not wait; honest clients of these tests need a millisecond.
const SHORT: Duration = Duration::from_millis(150);
/// How long a busy machine may take to notice the end of such a time.
const SOON: Duration = Duration::from_secs(10);
/// One that never comes in a test.
const NEVER: Duration = Duration::from_secs(600);

fn strict(patience: Patience) -> Limits {
    Limits { patience, room: Room::default() }
}

/// Sends `first`, then one byte of `trickle` after another, and says what came back before the server hung up.
async fn trickle(server: &Server, first: &str, trickle: &str) -> String {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(first.as_bytes()).await.unwrap();
    let bytes = trickle.as_bytes().to_vec();
    let sending = tokio::spawn(async move {
        for byte in bytes.iter().cycle() {
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(SOON, reader.read_to_end(&mut answer)).await;
    sending.abort();
    assert!(ended.is_ok(), "it is thrown out by itself");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_trickles_a_request_is_thrown_out() {
    let body = "POST /v1/update HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: 60000\r\n\r\n";
    let chunks = "POST /v1/update HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
    let slow = Pace { patience: SHORT, rate: 5_000 };
    let endless = Pace { patience: NEVER, rate: 1 };
    let base = Patience { headers: NEVER, request: NEVER, body: endless, ..PATIENCE };
    for (what, patience, first, bytes, status) in [
        ("a request line", Patience { headers: SHORT, ..base }, "", "G", ""),
        ("headers", Patience { headers: SHORT, ..base }, "GET /health HTTP/1.1\r\n", "X: y\r\n", ""),
        ("the time between two requests", Patience { headers: SHORT, ..base }, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n", "404"),
        ("a body, below the rate", Patience { body: slow, ..base }, body, "x", "400"),
        ("chunks, below the rate", Patience { body: slow, ..base }, chunks, "1\r\nx\r\n", "400"),
        ("a body that takes too long altogether", Patience { request: SHORT, ..base }, body, "x", "408"),
    ] {
        let server = Server::strict(strict(patience)).await;
        let answer = trickle(&server, first, bytes).await;
        assert_eq!(answer.split(' ').nth(1).unwrap_or_default(), status, "{what}: {answer}");
        server.get("/api/v1/openapi.json").await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_trickles_ends_and_leaves_nothing() {
    let slow = Pace { patience: SHORT, rate: 5_000 };
    let server = Server::strict(strict(Patience { body: slow, upload: NEVER, ..PATIENCE })).await;
    let head = format!(
        "PUT /api/v1/files/targets/a/file HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nX-Content-SHA256: {}\r\nContent-Length: 100000\r\n\r\n",
        server.admin,
        "0".repeat(64)
    );
    let answer = trickle(&server, &head, "x").await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("broke off"), "{answer}");
    assert_eq!(std::fs::read_dir(server.app.layout.staging.join("targets/a")).unwrap().count(), 0);
    // Nobody without a token gets as far as the body.
    let answer = trickle(&server, &head.replace("Bearer ", "Bearer x"), "x").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

/// Asks for a file over a connection with small buffers.
async fn ask_for(server: &Server, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

/// Takes `piece` bytes every ten milliseconds until the server hangs up; how many came.
async fn take(mut stream: TcpStream, piece: usize) -> usize {
    let (mut got, mut buffer, begun) = (0, vec![0; piece], Instant::now());
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        got += length;
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(begun.elapsed() < SOON, "still served after {got} bytes");
        if begun.elapsed() > 3 * SHORT {
            // The rest of what the kernel holds says nothing more.
            buffer.resize(1 << 20, 0);
        }
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_trickles_an_answer_is_thrown_out() {
    /// More than the kernel holds between the two.
    const LARGE: usize = 64 << 20;
    let slow = Pace { patience: SHORT, rate: 50_000_000 };
    let never = Pace { patience: NEVER, rate: 1 };
    for (what, patience, piece) in [
        ("one byte at a time", Patience { answer: slow, ..PATIENCE }, 1),
        ("below the rate", Patience { answer: slow, ..PATIENCE }, 4096),
        ("for too long altogether", Patience { answer: never, age: SHORT / 3, last: SHORT, ..PATIENCE }, 4096),
    ] {
        let server = Server::strict(strict(patience)).await;
        let folder = server.app.layout.repository.join("targets/large");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::File::create(folder.join("file")).unwrap().set_len(LARGE as u64).unwrap();
        let stream = ask_for(&server, "/targets/large/file").await;
        let got = take(stream, piece).await;
        assert!(got < LARGE, "{what}: all {got} bytes came");
        // Honest readers of the same server get all of it.
        if what != "for too long altogether" {
            assert_eq!(server.get("/targets/large/file").await.ok().body.len(), LARGE, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_ends_after_its_request() {
    let server = Server::strict(strict(Patience { age: SHORT, ..PATIENCE })).await;
    server.stock_release("2.0.0", b"x").await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut answers = Vec::new();
    let begun = Instant::now();
    // It asks again and again, as a machine would that never lets go.
    while begun.elapsed() < SOON {
        if stream.write_all(b"GET /targets/flatcar-2.0.0/update.gz HTTP/1.1\r\nHost: x\r\n\r\n").await.is_err() {
            break;
        }
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(length @ 1..) => answers.extend_from_slice(&piece[..length]),
            _ => break,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() < SOON, "it lives on");
    assert!(String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count() >= 2, "it was kept for more than one request");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_have_every_place() {
    let room = Room { connections: 20, per_address: 5, loopback: Loopback::Counted };
    let server = Server::strict(Limits { patience: PATIENCE, room }).await;
    let from = async |address: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        socket.connect(server.address).await.unwrap()
    };
    /// Whether the server talks to whoever holds this connection.
    async fn served(stream: &mut TcpStream) -> bool {
        let _ = stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.is_ok()
    }
    let mut greedy = Vec::new();
    for number in 0..8 {
        let mut stream = from("127.0.0.2").await;
        assert_eq!(served(&mut stream).await, number < 5, "connection {number}");
        greedy.push(stream);
    }
    assert!(served(&mut from("127.0.0.3").await).await, "others are served meanwhile");
    // What it gives back it may have again.
    drop(greedy);
    let begun = Instant::now();
    while !served(&mut from("127.0.0.2").await).await {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = server.app.metrics.render();
    assert!(refused.contains(r#"requests_total{kind="connections"}"#), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_trickling_clients_holds_up_nobody() {
    let room = Room { connections: 30, ..Room::default() };
    let server = Server::strict(Limits { patience: Patience { headers: SHORT, ..PATIENCE }, room }).await;
    server.stock_release("2.0.0", b"x").await;
    let mut crowd = Vec::new();
    // Three times as many as there are places.
    for _ in 0..90 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"POST /v1/update HTTP/1.1\r\nHost:").await.unwrap();
        crowd.push(stream);
    }
    let answer = tokio::time::timeout(SOON, server.omaha(&stock("m1", "1.0.0", "b", CHECK))).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}
