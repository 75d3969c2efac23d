//! S06: requests that a proxy in front and this server could end at different places.

use crate::fixture::{CHECK, Server, stock};

/// A machine that is only known if the request behind the mistake was handled.
fn smuggled(server: &Server) -> String {
    let body = stock("smuggled", "1.0.0", "b", CHECK);
    format!("POST /v1/update HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}", server.address, body.len())
}

async fn known(server: &Server) -> Vec<String> {
    let rows = server.app.db.rows("SELECT machine_id FROM machines ORDER BY machine_id", &[]).await.unwrap();
    rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_could_end_elsewhere_is_refused_and_nothing_behind_it_is_handled() {
    let server = Server::start().await;
    server.stock_release("2.0.0", b"x").await;
    let ours = stock("first", "1.0.0", "b", CHECK);
    let (length, size) = (ours.len(), format!("{:x}", ours.len()));
    let chunked = format!("{size}\r\n{ours}\r\n0\r\n\r\n");
    for (what, fields, body) in [
        ("a length, then chunks", format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"), chunked.clone()),
        ("chunks, then a length", format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"), chunked.clone()),
        ("a length of nothing, and chunks", "Content-Length: 0\r\nTransfer-Encoding: chunked".into(), chunked.clone()),
        ("the same length twice", format!("Content-Length: {length}\r\nContent-Length: {length}"), ours.clone()),
        ("two lengths", format!("Content-Length: {length}\r\nContent-Length: 0"), ours.clone()),
        ("two lengths in one line", format!("Content-Length: {length}, {length}"), ours.clone()),
        ("a length with a sign", format!("Content-Length: +{length}"), ours.clone()),
        ("a negative length", "Content-Length: -1".into(), ours.clone()),
        ("a length in hex", "Content-Length: 0x10".into(), ours.clone()),
        ("a length beyond all numbers", "Content-Length: 18446744073709551617".into(), ours.clone()),
        ("no length in the line of one", "Content-Length:".into(), ours.clone()),
        ("another coding", "Transfer-Encoding: gzip".into(), chunked.clone()),
        ("another coding before chunks", "Transfer-Encoding: gzip, chunked".into(), chunked.clone()),
        ("a coding almost of chunks", "Transfer-Encoding: xchunked".into(), chunked.clone()),
        ("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked".into(), chunked.clone()),
        ("chunks that are no chunks, and a length", format!("Transfer-Encoding: identity\r\nContent-Length: {length}"), ours.clone()),
        ("a blank before the colon", "Transfer-Encoding : chunked".into(), chunked.clone()),
        ("an underscore is another field, a tab is none", format!("Content-Length\t: {length}"), ours.clone()),
        ("a folded line", format!("X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: {length}"), ours.clone()),
        ("a folded length", format!("Content-Length:\r\n {length}"), ours.clone()),
        ("a bare line feed", format!("X: y\nContent-Length: {length}"), ours.clone()),
        ("a bare carriage return", format!("X: y\rContent-Length: {length}"), ours.clone()),
        ("a NUL", format!("X: \0\r\nContent-Length: {length}"), ours.clone()),
        ("a chunk with an extension", "Transfer-Encoding: chunked".into(), format!("{size};a=b\r\n{ours}\r\n0\r\n\r\n")),
        ("a chunk with a blank", "Transfer-Encoding: chunked".into(), format!("{size} \r\n{ours}\r\n0\r\n\r\n")),
        ("a chunk in other digits", "Transfer-Encoding: chunked".into(), format!("0x{size}\r\n{ours}\r\n0\r\n\r\n")),
        ("a chunk whose size overflows", "Transfer-Encoding: chunked".into(), format!("1{size:0>16}\r\n{ours}\r\n0\r\n\r\n")),
        ("a negative chunk", "Transfer-Encoding: chunked".into(), format!("-{size}\r\n{ours}\r\n0\r\n\r\n")),
        ("a chunk behind a bare line feed", "Transfer-Encoding: chunked".into(), format!("{size}\n{ours}\r\n0\r\n\r\n")),
        ("a chunk that is longer than it says", "Transfer-Encoding: chunked".into(), format!("5\r\n{ours}\r\n0\r\n\r\n")),
        ("trailers", "Transfer-Encoding: chunked".into(), format!("{size}\r\n{ours}\r\n0\r\nContent-Length: 3\r\n\r\n")),
    ] {
        let request = format!("POST /v1/update HTTP/1.1\r\nHost: {}\r\n{fields}\r\n\r\n{body}{}", server.address, smuggled(&server));
        let answer = server.raw(request.as_bytes()).await;
        let all = format!("{}\r\n\r\n{}", answer.head, answer.text());
        assert_eq!((answer.status, all.matches("HTTP/1.1").count()), (400, 1), "{what}: one answer, then the end: {all}");
        assert_eq!(known(&server).await, [""; 0], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_does_not_take_back_what_came_before_it() {
    let server = Server::start().await;
    server.stock_release("2.0.0", b"x").await;
    let first = stock("first", "1.0.0", "b", CHECK);
    let mut requests = format!("POST /v1/update HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{first}", first.len());
    requests.push_str("POST /v1/update HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n");
    requests.push_str(&smuggled(&server));
    let answer = server.raw(requests.as_bytes()).await;
    let rest = answer.text();
    assert_eq!((answer.status, rest.matches("HTTP/1.1 400").count(), rest.matches("HTTP/1.1").count()), (200, 1, 1), "{rest}");
    assert_eq!(known(&server).await, ["first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_requests_in_one_stretch_are_all_answered() {
    let server = Server::start().await;
    server.stock_release("2.0.0", b"x").await;
    let body = stock("in-chunks", "1.0.0", "b", CHECK);
    let (one, two) = body.split_at(100);
    let mut requests = smuggled(&server);
    requests.push_str("\r\nPOST /v1/update HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    requests.push_str(&format!("{:x}\r\n{one}\r\n{:X}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len()));
    requests.push_str("GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = server.raw(requests.as_bytes()).await;
    let statuses: Vec<String> =
        format!("{}\r\n\r\n{}", answer.head, answer.text()).split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].to_owned()).collect();
    assert_eq!(statuses, ["200", "200", "404"]);
    assert_eq!(known(&server).await, ["in-chunks", "smuggled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_http_1_is_spoken() {
    let server = Server::start().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert!([0, 400, 505].contains(&server.raw(preface).await.status));
    let upgrade = "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    assert_eq!(server.raw(upgrade.as_bytes()).await.status, 404, "an offer to upgrade is not taken");
}
