//! S03, S04, S07, S08: what strangers send.

use serde_json::json;

use crate::fixture::{CHECK, Server, stock};

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_are_none_are_refused() {
    let server = Server::start().await;
    let large = format!("<request>{}</request>", "x".repeat(omaha::limits::MAX_BYTES));
    let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><request protocol="3.0">&b;</request>"#;
    let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
    let wide = format!("<request {}></request>", (0..3000).map(|i| format!("a{i}=\"x\" ")).collect::<String>());
    for (what, body, status) in [
        ("too large", large.as_str(), 413),
        ("entities", bomb, 400),
        ("deep", &deep, 400),
        ("wide", &wide, 400),
        ("empty", "", 400),
        ("not xml", "hello", 400),
        ("json", r#"{"request":{"protocol":"3.0"}}"#, 415),
        ("another document", "<html/>", 400),
    ] {
        let answer = server.omaha(body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
    for (method, status) in [("GET", 405), ("PUT", 405), ("DELETE", 405)] {
        assert_eq!(server.send(method, "/v1/update", &[], b"").await.status, status, "{method}");
    }
    let json = server.send("POST", "/v1/update", &[("Content-Type", "application/json")], b"{}").await;
    assert!(json.json()["message"].as_str().unwrap().contains("XML"));
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_requests_end() {
    let server = Server::start().await;
    let chunk = format!("{:x}\r\n{}\r\n", 30_000, "x".repeat(30_000));
    let endless = format!("POST /v1/update HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(20));
    assert_eq!(server.raw(endless.as_bytes()).await.status, 413);
    let header = format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    assert!([0, 400, 431].contains(&server.raw(header.as_bytes()).await.status));
    let many = format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", (0..500).map(|i| format!("X{i}: y\r\n")).collect::<String>());
    assert!([0, 400, 431].contains(&server.raw(many.as_bytes()).await.status));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_machines_say_of_themselves_is_harmless_everywhere() {
    let server = Server::start().await;
    server.stock_release("2.0.0", b"x").await;
    let hostile = "&lt;script&gt;'; DROP TABLE machines; --";
    let request = stock("good-id", "1.0.0", "b", CHECK)
        .replace("machinealias=\"\"", &format!("machinealias=\"{hostile}\""))
        .replace("oem=\"qemu\"", &format!("oem=\"{hostile}\""));
    server.omaha(&request).await.ok();
    let machine = server.api("GET", "/machines/good-id", None).await.ok();
    for wrong in ["<", "'", ";"] {
        assert!(!machine.text().contains(wrong), "{wrong} in {}", machine.text());
    }
    for id in ["", "a b", "&lt;x&gt;", "a'b", &"z".repeat(100)] {
        let answer = server.omaha(&stock(id, "1.0.0", "b", CHECK)).await.ok();
        assert!(answer.text().contains("error-invalidMachineId"), "{id}: {}", answer.text());
    }
    let all = server.api("GET", "/machines", None).await.json();
    assert_eq!(all["machines"].as_array().unwrap().len(), 1);
    let odd = server.api("GET", "/machines?search=%27%20OR%201%3D1", None).await.ok().json();
    assert_eq!(odd["machines"].as_array().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn inventing_groups_fills_no_disk() {
    use update_server::checkin::batch::{Engine, MAX_MACHINES_WITHOUT_GROUP};
    use update_server::checkin::{CheckIn, Reply};
    let server = Server::start().await;
    server.stock_release("2.0.0", b"x").await;
    let mut engine = Engine::new(server.app.db.clone(), server.clock.clone());
    let machine = |number: u64| CheckIn {
        group: format!("invented-{number}"),
        ..update_server::cli::fill::machine(number, crate::fixture::FLATCAR, "", "1.0.0")
    };
    let batch: Vec<CheckIn> = (0..MAX_MACHINES_WITHOUT_GROUP + 500).map(machine).collect();
    let mut full = 0;
    for batch in batch.chunks(2_000) {
        full += engine.run(batch).await.unwrap().0.iter().filter(|reply| **reply == Reply::GroupFull).count();
    }
    assert_eq!(full, 500);
    // Machines of a group that somebody made still find room.
    server.api("PUT", "/groups/stable", Some(json!({ "channel": "stable" }))).await.ok();
    server.omaha(&stock("good-id", "1.0.0", "b", CHECK)).await.ok();
    server.api("GET", "/machines/good-id", None).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_disk_is_noticed() {
    let server = Server::start().await;
    server.stock_release("2.0.0", b"x").await;
    for boot in ["b1", "b2", "b1", "b2"] {
        server.omaha(&stock("clone", "1.0.0", boot, CHECK)).await.ok();
    }
    assert_eq!(server.api("GET", "/machines/clone", None).await.json()["machine"]["duplicates"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_handed_over_before_the_end_is_committed() {
    use update_server::checkin::batch::Engine;
    use update_server::checkin::writer::Writer;
    use update_server::metrics::Metrics;
    let server = Server::start().await;
    server.stock_release("2.0.0", b"x").await;
    let (writer, task) = Writer::start(Engine::new(server.app.db.clone(), server.clock.clone()), Metrics::new());
    let mut waiting = Vec::new();
    for number in 0..300 {
        let (writer, said) = (writer.clone(), update_server::cli::fill::machine(number, crate::fixture::FLATCAR, "stable", "1.0.0"));
        waiting.push(tokio::spawn(async move { writer.check_in(vec![said]).await }));
    }
    drop(writer);
    task.await.unwrap();
    let answered = {
        let mut answered = 0;
        for one in waiting {
            answered += u64::from(one.await.unwrap().is_ok());
        }
        answered
    };
    let stored = server.app.db.row("SELECT COUNT(*) FROM machines", &[]).await.unwrap().unwrap().count(0).unwrap();
    assert_eq!((answered, stored), (300, 300));
}
