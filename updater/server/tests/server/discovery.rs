//! etcd's v2 discovery, exchange by exchange.

use std::time::Duration;

use serde_json::{Value, json};
use update_server::background;
use update_server::http::Settings;
use update_server::http::discovery::{Access, Settings as Discovery};
use update_server::policy::Span;
use update_server::store::tokens::Role;

use crate::fixture::{Answer, Server};

const ONE: &str = "value=n1%3Dhttp%3A%2F%2F10.0.0.1%3A2380";
const TWO: &str = "value=n2%3Dhttp%3A%2F%2F10.0.0.2%3A2380";
const SECRET: &str = "5f5e7dd1c3b94c0fa9a1e0c6c2e1b7d05f5e7dd1c3b94c0fa9a1e0c6c2e1b7d0";
const OTHER: &str = "00000000000000000000000000000000";
/// Ends a wait soon, and sees other replicas soon.
const QUICK: Duration = Duration::from_millis(20);

fn quick() -> Discovery {
    Discovery { idle: Duration::from_secs(10), look_every: QUICK, ..Discovery::default() }
}

async fn servers() -> Vec<Server> {
    let mut all = Vec::new();
    for mut server in Server::everywhere().await {
        let mut quick = server.beside(Settings { data: server.dir.path().to_owned(), discovery: quick(), ..Settings::default() }).await;
        // The database stays for as long as the server that is used.
        std::mem::swap(&mut quick.dir, &mut server.dir);
        all.push(quick);
    }
    all
}

async fn token(server: &Server, size: usize) -> String {
    let url = server.get(&format!("/discovery/new?size={size}")).await.ok().text();
    url.rsplit('/').next().unwrap().to_owned()
}

async fn put(server: &Server, path: &str, form: &str, secret: Option<&str>) -> Answer {
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
    headers.extend(secret.map(|secret| ("X-Slipway-Secret", secret)));
    server.send("PUT", &format!("/discovery/{path}?prevExist=false"), &headers, form.as_bytes()).await
}

fn index(answer: &Answer) -> u64 {
    answer.header("x-etcd-index").unwrap_or_else(|| panic!("no index: {answer:?}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_etcd_asks_is_answered_as_etcd_answers() {
    for server in servers().await {
        let token = token(&server, 2).await;
        let (base, key) = (format!("/discovery/{token}"), format!("/_etcd/registry/{token}"));
        let entry = |id: &str, value: &str, index: u64| json!({ "key": format!("{key}/{id}"), "value": value, "modifiedIndex": index, "createdIndex": index });
        let (one, two) = (entry("1f", "n1=http://10.0.0.1:2380", 2), entry("2f", "n2=http://10.0.0.2:2380", 3));
        let folder = |nodes: &[&Value]| {
            let mut folder = json!({ "key": key, "dir": true, "modifiedIndex": 1, "createdIndex": 1 });
            if !nodes.is_empty() {
                folder["nodes"] = json!(nodes);
            }
            json!({ "action": "get", "node": folder })
        };
        let usual = "?quorum=false&recursive=false&sorted=false";
        for (method, path, form, status, at, body) in [
            ("GET", format!("/_config/size{usual}"), "", 200, 1, json!({ "action": "get", "node": entry("_config/size", "2", 1) })),
            ("GET", usual.to_owned(), "", 200, 1, folder(&[])),
            ("PUT", "/1f?prevExist=false".to_owned(), ONE, 201, 2, json!({ "action": "create", "node": one })),
            ("GET", "/1f?recursive=false&wait=true&waitIndex=2".to_owned(), "", 200, 2, json!({ "action": "create", "node": one })),
            (
                "PUT",
                "/1f?prevExist=false".to_owned(),
                ONE,
                412,
                2,
                json!({ "errorCode": 105, "message": "Key already exists", "cause": format!("{key}/1f"), "index": 2 }),
            ),
            ("GET", usual.to_owned(), "", 200, 2, folder(&[&one])),
            ("PUT", "/2f?prevExist=false".to_owned(), TWO, 201, 3, json!({ "action": "create", "node": two })),
            ("GET", "?recursive=true&wait=true&waitIndex=3".to_owned(), "", 200, 3, json!({ "action": "create", "node": two })),
            ("GET", "?recursive=true&wait=true&waitIndex=1".to_owned(), "", 200, 3, json!({ "action": "create", "node": one })),
            ("GET", usual.to_owned(), "", 200, 3, folder(&[&one, &two])),
            ("GET", "/2f".to_owned(), "", 200, 3, json!({ "action": "get", "node": two })),
            (
                "DELETE",
                "/2f".to_owned(),
                "",
                200,
                4,
                json!({ "action": "delete", "node": { "key": format!("{key}/2f"), "modifiedIndex": 4, "createdIndex": 3 }, "prevNode": two }),
            ),
            (
                "GET",
                "?recursive=true&wait=true&waitIndex=4".to_owned(),
                "",
                200,
                4,
                json!({ "action": "delete", "node": { "key": format!("{key}/2f"), "modifiedIndex": 4, "createdIndex": 3 } }),
            ),
            (
                "PUT",
                "/2f?prevExist=false".to_owned(),
                TWO,
                201,
                5,
                json!({ "action": "create", "node": entry("2f", "n2=http://10.0.0.2:2380", 5) }),
            ),
        ] {
            let answer = server.send(method, &format!("{base}{path}"), &[], form.as_bytes()).await;
            assert_eq!((answer.status, index(&answer), answer.json()), (status, at, body), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_etcds_words() {
    for server in servers().await {
        let token = token(&server, 3).await;
        let long = format!("value={}", "a".repeat(20_000));
        let unknown = "0".repeat(32);
        for (method, path, form, status, code) in [
            ("GET", format!("{unknown}/_config/size"), "", 404, 100),
            ("GET", unknown.clone(), "", 404, 100),
            ("GET", format!("{unknown}?wait=true&waitIndex=1"), "", 404, 100),
            ("GET", format!("{unknown}/1f?wait=true"), "", 404, 100),
            ("PUT", format!("{unknown}/1f"), ONE, 404, 100),
            ("DELETE", format!("{unknown}/1f"), "", 404, 100),
            ("GET", format!("{token}/1f"), "", 404, 100),
            ("DELETE", format!("{token}/1f"), "", 404, 100),
            ("PUT", format!("{token}/1f?prevExist=true"), ONE, 404, 100),
            ("PUT", format!("{token}/1f?prevExist=maybe"), ONE, 400, 209),
            ("PUT", format!("{token}/1f?ttl=60"), ONE, 400, 209),
            ("PUT", format!("{token}/1f?dir=true"), "", 400, 209),
            ("PUT", format!("{token}/1f"), "", 400, 209),
            ("PUT", format!("{token}/1f"), "value=", 400, 209),
            ("PUT", format!("{token}/1f"), "value=n1", 400, 209),
            ("PUT", format!("{token}/1f"), "value=n1%3Dhttp%3A%2F%2Fh%3A1%2Cn2%3Dhttp%3A%2F%2Fh%3A2", 400, 209),
            ("PUT", format!("{token}/_config"), ONE, 400, 209),
            ("PUT", format!("{token}/a%2Fb"), ONE, 400, 209),
            ("PUT", format!("{token}/{}", "a".repeat(65)), ONE, 400, 209),
            ("PUT", format!("{token}/1f"), &long, 400, 210),
            ("GET", format!("{token}?wait=maybe"), "", 400, 209),
            ("GET", format!("{token}?wait=true&waitIndex=x"), "", 400, 203),
        ] {
            let answer = server.send(method, &format!("/discovery/{path}"), &[], form.as_bytes()).await;
            assert_eq!(
                (answer.status, answer.json()["errorCode"].as_u64()),
                (status, Some(code)),
                "{method} {path} {form:.40}: {}",
                answer.text()
            );
            assert!(index(&answer) >= 1);
        }
        for (method, path) in [("DELETE", token.clone()), ("PUT", format!("{token}/_config/size")), ("POST", format!("{token}/1f"))] {
            assert_eq!(server.send(method, &format!("/discovery/{path}"), &[], b"").await.status, 405, "{method}");
        }
        let none = server.get(&format!("/discovery/{token}")).await.ok();
        assert!(none.json()["node"].get("nodes").is_none(), "nothing of it was written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_is_what_was_asked_for_and_leads_here() {
    let server = Server::start().await;
    for (method, path, body, size) in [
        ("GET", "", "", "3"),
        ("GET", "?size=1", "", "1"),
        ("POST", "?size=5", "", "5"),
        ("PUT", "?size=31", "", "31"),
        ("POST", "", "size=7", "7"),
    ] {
        let answer = server.send(method, &format!("/discovery/new{path}"), &[], body.as_bytes()).await.ok();
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
        let start = format!("http://{}/discovery/", server.address);
        let token = answer.text().strip_prefix(&start).unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
        assert!(token.len() == 32 && token.chars().all(|c| c.is_ascii_hexdigit()), "{token}");
        let asked = server.get(&format!("/discovery/{token}/_config/size")).await.ok();
        assert_eq!(asked.json()["node"]["value"], size);
    }
    for (method, path, status) in [
        ("GET", "?size=0", 400),
        ("GET", "?size=32", 400),
        ("GET", "?size=three", 400),
        ("GET", "?size=", 400),
        ("HEAD", "", 405),
        ("DELETE", "", 405),
    ] {
        assert_eq!(server.send(method, &format!("/discovery/new{path}"), &[], b"").await.status, status, "{method} {path}");
    }
    for host in ["", "a b", "evil.example/path", "user@evil.example", "a\"b", "h:99999"] {
        let answer = server.raw(format!("GET /discovery/new HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(answer.status, 400, "{host}: {}", answer.text());
    }
    for (settings, start) in [
        (
            Settings { base_url: Some("https://updates.example.com/prefix/".into()), ..Settings::default() },
            "https://updates.example.com/prefix/discovery/",
        ),
        (
            Settings {
                base_url: Some("https://cdn.example.com".into()),
                discovery: Discovery { url: Some("https://meet.example.com/d/".into()), ..quick() },
                ..Settings::default()
            },
            "https://meet.example.com/d/",
        ),
    ] {
        let text = server.beside(settings).await.get("/discovery/new").await.ok().text();
        assert_eq!(text.strip_prefix(start).map(str::len), Some(32), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_addresses_can_be_for_operators_or_for_nobody() {
    let open = Server::start().await;
    let with = |access| Settings { discovery: Discovery { access, ..quick() }, ..Settings::default() };
    let (guarded, off) = (open.beside(with(Access::Token)).await, open.beside(with(Access::Off)).await);
    for (role, status) in [(Role::Viewer, 403), (Role::Publisher, 403), (Role::Operator, 200), (Role::Admin, 200)] {
        let bearer = format!("Bearer {}", guarded.token(role).await);
        let answer = guarded.send("GET", "/discovery/new", &[("Authorization", &bearer)], b"").await;
        assert_eq!(answer.status, status, "{role:?}");
    }
    assert_eq!(guarded.get("/discovery/new").await.status, 401);
    let audit = guarded.api("GET", "/audit?limit=1", None).await.ok().json();
    assert_eq!((audit[0]["action"].as_str(), audit[0]["after"]["size"].as_u64()), (Some("discovery.new"), Some(3)));
    assert!(audit[0]["object"].as_str().unwrap().len() < 20, "whoever reads the log must not be able to join");
    // Machines need no token to meet there.
    let token = token(&open, 3).await;
    guarded.get(&format!("/discovery/{token}")).await.ok();
    for path in ["/discovery/new".to_owned(), format!("/discovery/{token}"), format!("/discovery/{token}/_config/size")] {
        assert_eq!(off.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(put(&off, &format!("{token}/1f"), ONE, None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_machine_writes_an_entry_again() {
    for server in servers().await {
        let token = token(&server, 3).await;
        let path = format!("{token}/1f");
        assert_eq!(put(&server, &path, ONE, Some(SECRET)).await.status, 201);
        for (what, form, secret, status, code) in [
            ("the same again", ONE, Some(SECRET), 200, None),
            ("etcd itself", ONE, None, 412, Some(105)),
            ("somebody else", TWO, Some(OTHER), 412, Some(105)),
            ("no secret", TWO, None, 412, Some(105)),
            ("a short secret", TWO, Some("x"), 400, Some(209)),
            ("an odd secret", TWO, Some("0123456789abcdef0123456789abcdef;"), 400, Some(209)),
            ("after an installation anew", TWO, Some(SECRET), 200, None),
        ] {
            let answer = put(&server, &path, form, secret).await;
            assert_eq!((answer.status, answer.json()["errorCode"].as_u64()), (status, code), "{what}: {}", answer.text());
        }
        let now = server.get(&format!("/discovery/{path}")).await.ok().json();
        assert_eq!(
            (&now["node"]["value"], &now["node"]["createdIndex"], &now["node"]["modifiedIndex"]),
            (&json!("n2=http://10.0.0.2:2380"), &json!(2), &json!(3))
        );
        // One that was written without a secret stays whose it is, whatever is sent.
        let plain = format!("{token}/2f");
        assert_eq!(put(&server, &plain, ONE, None).await.status, 201);
        assert_eq!(put(&server, &plain, TWO, Some(SECRET)).await.status, 412);
        let rows = server.app.db.rows("SELECT secret FROM discovery_members WHERE secret IS NOT NULL", &[]).await.unwrap();
        assert!(rows.len() == 1 && !format!("{rows:?}").contains(SECRET), "kept as a hash alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_with_a_secret_is_removed_with_it_or_by_an_operator() {
    for server in servers().await {
        let token = token(&server, 3).await;
        let (operator, viewer) = (server.token(Role::Operator).await, server.token(Role::Viewer).await);
        for (name, value, status) in [
            ("X-None", "", 403),
            ("X-Slipway-Secret", OTHER, 403),
            ("Authorization", &format!("Bearer {viewer}"), 403),
            ("X-Slipway-Secret", SECRET, 200),
            ("Authorization", &format!("Bearer {operator}"), 200),
        ] {
            put(&server, &format!("{token}/1f"), ONE, Some(SECRET)).await.ok();
            let answer = server.send("DELETE", &format!("/discovery/{token}/1f"), &[(name, value)], b"").await;
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
        }
        let audit = server.api("GET", "/audit?limit=1", None).await.ok().json();
        assert_eq!((audit[0]["action"].as_str(), audit[0]["who"].as_str()), (Some("discovery.remove"), Some("operator")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_hears_what_was_written_through_any_replica() {
    for server in servers().await {
        let other = server.beside(Settings { discovery: quick(), ..Settings::default() }).await;
        let token = token(&server, 3).await;
        for (number, writer) in [&server, &other].into_iter().enumerate() {
            let wait = format!("/discovery/{token}?recursive=true&wait=true&waitIndex={}", number + 2);
            let (heard, ()) = tokio::join!(server.get(&wait), async {
                while server.app.waiting.count() == 0 {
                    tokio::task::yield_now().await;
                }
                put(writer, &format!("{token}/{number}"), ONE, None).await.ok();
            });
            assert_eq!(heard.json()["node"]["key"], format!("/_etcd/registry/{token}/{number}"));
        }
        // Without an index: whatever comes next, and nothing of before.
        let wait = format!("/discovery/{token}?recursive=true&wait=true");
        let (heard, ()) = tokio::join!(other.get(&wait), async {
            while other.app.waiting.count() == 0 {
                tokio::task::yield_now().await;
            }
            // Its first question may still be on the way; what is written before it is not heard.
            for id in 7..40 {
                put(&server, &format!("{token}/{id}"), TWO, None).await.ok();
            }
        });
        assert!(heard.json()["node"]["createdIndex"].as_u64().unwrap() >= 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_wait_ends_with_nothing_and_so_does_every_wait_when_the_server_ends() {
    for server in Server::everywhere().await {
        let idle = Discovery { idle: QUICK, ..quick() };
        let idle = server.beside(Settings { discovery: idle, ..Settings::default() }).await;
        let token = token(&idle, 3).await;
        for path in ["?wait=true&recursive=true", "?wait=true&recursive=true&waitIndex=99", "/1f?wait=true&waitIndex=2"] {
            let answer = idle.get(&format!("/discovery/{token}{path}")).await;
            assert_eq!((answer.status, answer.body.len(), index(&answer)), (200, 0, 1), "{path}");
        }
        let path = format!("/discovery/{token}?wait=true");
        let (answer, ()) = tokio::join!(server.get(&path), async {
            while server.app.waiting.count() == 0 {
                tokio::task::yield_now().await;
            }
            server.app.waiting.close();
        });
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(server.get(&format!("/discovery/{token}?wait=true")).await.status, 503, "a server that ends takes nobody");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_end_unless_they_are_used() {
    for server in servers().await {
        let (unused, used) = (token(&server, 3).await, token(&server, 3).await);
        put(&server, &format!("{used}/1f"), ONE, None).await.ok();
        let days = |days: u64| Span::hours(24 * days);
        for (wait, path, status) in [(days(6), &used, 200), (days(2), &unused, 404), (days(2), &used, 200), (days(8), &used, 404)] {
            server.clock.advance(wait);
            assert_eq!(server.get(&format!("/discovery/{path}")).await.status, status, "{wait}");
        }
        assert_eq!(put(&server, &format!("{used}/2f"), TWO, None).await.status, 404);
        assert_eq!(server.get(&format!("/discovery/{used}?wait=true&waitIndex=1")).await.status, 404);
        assert_eq!(server.get(&format!("/discovery/{used}/_config/size")).await.status, 404);
        background::round(&server.app.db, &server.clock).await.unwrap();
        for table in ["discovery", "discovery_members", "discovery_events"] {
            let rows = server.app.db.row(format!("SELECT COUNT(*) FROM {table}"), &[]).await.unwrap().unwrap();
            assert_eq!(rows.int(0).unwrap(), 0, "{table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_follower_on_every_replica_sees_the_same_order_and_misses_nothing() {
    const MACHINES: usize = 12;
    for server in servers().await {
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(server.beside(Settings { discovery: quick(), ..Settings::default() }).await);
        }
        let token = token(&server, 5).await;
        let follow = async |server: &Server| {
            let (mut seen, mut next) = (Vec::new(), 1);
            while seen.len() < MACHINES {
                let answer = server.get(&format!("/discovery/{token}?recursive=true&wait=true&waitIndex={next}")).await.ok();
                if answer.body.is_empty() {
                    continue;
                }
                let event = answer.json();
                next = event["node"]["modifiedIndex"].as_u64().unwrap() + 1;
                seen.push(event["node"]["key"].as_str().unwrap().to_owned());
            }
            seen
        };
        let write = futures_util::future::join_all((0..MACHINES).map(|number| {
            let (server, path) = (&replicas[number % 3], format!("{token}/{number}"));
            async move { put(server, &path, ONE, None).await.ok() }
        }));
        let (_, one, two, three) = tokio::join!(write, follow(&replicas[0]), follow(&replicas[1]), follow(&replicas[2]));
        let list = server.get(&format!("/discovery/{token}")).await.ok();
        let listed = list.json();
        let keys: Vec<String> =
            listed["node"]["nodes"].as_array().unwrap().iter().map(|node| node["key"].as_str().unwrap().to_owned()).collect();
        assert_eq!(index(&list), 1 + MACHINES as u64);
        assert!([&one, &two, &three].into_iter().all(|seen| *seen == keys), "{keys:?} {one:?} {two:?} {three:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_go_on_rising_after_a_restart() {
    let outer = tempfile::tempdir().unwrap();
    for database in crate::fixture::databases(outer.path()).await {
        let first = Server::serving(crate::fixture::open(&database).await, Settings::default()).await;
        let token = token(&first, 3).await;
        put(&first, &format!("{token}/1"), ONE, None).await.ok();
        first.send("DELETE", &format!("/discovery/{token}/1"), &[], b"").await.ok();
        first.app.db.close().await;
        drop(first);
        let second = Server::serving(crate::fixture::open(&database).await, Settings::default()).await;
        assert_eq!(index(&put(&second, &format!("{token}/2"), TWO, None).await.ok()), 4);
        let old = second.get(&format!("/discovery/{token}?wait=true&recursive=true&waitIndex=2")).await.ok().json();
        assert_eq!((old["action"].as_str(), old["node"]["modifiedIndex"].as_u64()), (Some("create"), Some(2)), "events are kept");
    }
}
