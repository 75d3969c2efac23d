//! The web server in the containers of the cluster's scenarios. It listens as soon as it starts and answers without starting anything: on
//! emulated machines a server made of shell commands took seconds for the one and a good part of the processor for the other.
//!
//! `web-server [FILE]` answers every request on port 8080 with the content of a file, usually `/etc/hostname`, and so says which container
//! answers. `web-server --ask HOST:PORT` asks one and prints what it answers. As the first process of a container it leaves SIGTERM unheard,
//! as the kernel does for every such process without a handler, and so serves until the grace period of its stop is over.

use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

const PORT: u16 = 8080;
/// How long the other side may say nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest request, or answer, that is read, in bytes.
const LONGEST: usize = 16 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => serve("/etc/hostname"),
        [file] if file.starts_with('/') => serve(file),
        ["--ask", server] => ask(server),
        _ => Err(io::Error::other("usage: web-server [/FILE | --ask HOST:PORT]")),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    let _ = writeln!(io::stderr(), "web-server: {error}");
    ExitCode::FAILURE
}

fn serve(file: &str) -> io::Result<()> {
    // Both families: the mesh comes by IPv4, a neighbour may ask by either.
    for stream in TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT))?.incoming() {
        let file = file.to_owned();
        // Whoever goes away meanwhile is not answered; the next one is.
        let _ = stream.map(|stream| std::thread::spawn(move || answer(stream, &file)));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, file: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // The whole request is read first: a connection that ends with something unread is reset.
    let mut request: Vec<u8> = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < LONGEST {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            count => request.extend(part.iter().take(count)),
        }
    }
    let body = std::fs::read(file)?;
    stream.write_all(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}

fn ask(server: &str) -> io::Result<()> {
    let address = server.to_socket_addrs()?.next().ok_or_else(|| io::Error::other(format!("{server} has no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(LONGEST as u64).read_to_string(&mut answer)?;
    let body = answer.strip_prefix("HTTP/1.0 200 OK\r\n").and_then(|rest| rest.split_once("\r\n\r\n")).map(|(_, body)| body);
    let body = body.ok_or_else(|| io::Error::other(format!("{server} said {answer:?}")))?;
    writeln!(io::stdout(), "{}", body.trim_end())
}
