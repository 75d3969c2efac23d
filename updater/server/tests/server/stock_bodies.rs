//! What the clients of the CoreOS family send, generation by generation: each body through the whole server, judged with the eyes
//! of the strictest client (`omaha::Response::stock`), and what it left behind on the server.
//!
//! Attributes, their order and their odd values are those of the clients' sources; identities are made up.

use omaha::UpdateStatus::{self, NoUpdate, Ok as Offered};

use crate::fixture::{FLATCAR, Server, stock};
use crate::stock::{event, ready};

/// What the server must make of a body.
struct Case {
    name: &'static str,
    body: String,
    /// The id the machine is kept under.
    machine: &'static str,
    /// The answer to the check; `None` when none was asked for.
    check: Option<UpdateStatus>,
    /// Where the machine stands afterwards, and its architecture.
    stands: (&'static str, &'static str),
}

const M1: &str = "00112233445566778899aabbccddee01";
const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
const PING: &str = r#"<ping active="1"></ping>"#;
const ASK: &str = "<updatecheck></updatecheck>";

fn flatcar(version: &str, inside: &[&str]) -> String {
    stock(M1, version, "5b5c9d5e-3f0a-4f0e-9a51-0f6d2c3b4a59", &inside.join("\n        "))
}

/// CoreOS Container Linux: another name of the client, a group by its UUID or name, day counters, and no `hardware_class`.
fn coreos(track: &str, board: &str) -> String {
    format!(
        r#"{HEAD}
<request protocol="3.0" version="CoreOSUpdateEngine-0.1.0.0" updaterversion="CoreOSUpdateEngine-0.1.0.0" installsource="ondemandupdate" ismachine="1">
    <os version="Chateau" platform="CoreOS" sp="4081.2.0_aarch64"></os>
    <app appid="{FLATCAR}" version="4081.2.0" track="{track}" from_track="{track}" bootid="{{0f}}" oem="" oemversion="" alephversion="" machineid="{M1}" lang="en-US" {board} delta_okay="true" >
        <ping active="1" a="-1" r="-1"></ping>
        <updatecheck targetversionprefix=""></updatecheck>
        <event eventtype="3" eventresult="2" previousversion=""></event>
    </app>
</request>
"#
    )
}

fn cases() -> Vec<Case> {
    let case = |name, body, check, stands| Case { name, body, machine: M1, check, stands };
    vec![
        case(
            "Flatcar, the first check of its life",
            flatcar("4081.2.0", &[PING, ASK, &event(3, 2, r#"previousversion="0.0.0.0""#)]),
            Some(Offered),
            ("granted", "amd64"),
        ),
        case(
            "Flatcar, an ordinary check",
            flatcar("4081.2.0", &[PING, ASK, &event(3, 2, r#"previousversion="""#)]),
            Some(Offered),
            ("granted", "amd64"),
        ),
        case(
            "Flatcar, asked by its owner",
            flatcar("4081.2.0", &[PING, ASK, &event(3, 2, r#"previousversion="""#)]).replace("scheduler", "ondemandupdate"),
            Some(Offered),
            ("granted", "amd64"),
        ),
        case(
            "Flatcar, up to date",
            flatcar("4152.1.0", &[PING, ASK, &event(3, 2, r#"previousversion="""#)]),
            Some(NoUpdate),
            ("idle", "amd64"),
        ),
        case(
            "Flatcar, newer than what is offered here",
            flatcar("9999.0.0", &[PING, ASK, &event(3, 2, r#"previousversion="""#)]),
            Some(NoUpdate),
            ("idle", "amd64"),
        ),
        case(
            "Flatcar, the first check after an update",
            flatcar("4152.1.0", &[PING, ASK, &event(3, 2, r#"previousversion="4081.2.0""#)]),
            Some(NoUpdate),
            ("idle", "amd64"),
        ),
        case("Flatcar, waiting for its reboot", flatcar("4081.2.0", &[PING]), None, ("idle", "amd64")),
        case("Flatcar, download begun", flatcar("4081.2.0", &[&event(13, 1, "")]), None, ("downloading", "amd64")),
        case("Flatcar, download done", flatcar("4081.2.0", &[&event(14, 1, "")]), None, ("downloaded", "amd64")),
        case("Flatcar, written and waiting for its reboot", flatcar("4081.2.0", &[&event(3, 1, "")]), None, ("staged", "amd64")),
        case(
            "Flatcar, download failed at a server of its own, which it says in flag bits",
            flatcar("4081.2.0", &[&event(3, 0, r#"errorcode="268437860""#)]),
            None,
            ("failed", "amd64"),
        ),
        case("Flatcar, put off by its policy", flatcar("4081.2.0", &[&event(3, 9, r#"errorcode="268435492""#)]), None, ("idle", "amd64")),
        case(
            "Flatcar, came back from an update that nobody here gave it: it may have this one",
            flatcar("4081.2.0", &[PING, ASK, &event(3, 0, r#"errorcode="44""#)]),
            Some(Offered),
            // Who is given a release begins anew.
            ("granted", "amd64"),
        ),
        case(
            "Flatcar, an event of a kind nobody knows",
            flatcar("4081.2.0", &[&event(4_000_000_000, 77, r#"errorcode="-2147483604""#)]),
            None,
            ("idle", "amd64"),
        ),
        case("CoreOS, a group by name", coreos("stable", r#"board="amd64-usr""#), Some(Offered), ("granted", "amd64")),
        case("CoreOS for arm64", coreos("stable", r#"board="arm64-usr""#), Some(NoUpdate), ("idle", "arm64")),
        case("CoreOS before boards, with its machine in `sp`", coreos("stable", ""), Some(NoUpdate), ("idle", "arm64")),
        case(
            "CoreOS, a group by an id that nobody made here",
            coreos("9a4c3b2e-0f11-4d25-8a1b-4f0d5e6f7a8b", r#"board="amd64-usr""#),
            Some(NoUpdate),
            ("idle", "amd64"),
        ),
        case(
            "a client that leaves the braces off and orders its attributes otherwise",
            format!(
                r#"<request protocol="3.0"><app track="stable" machineid="{M1}" version="4081.2.0" appid="{}" board="amd64-usr"><updatecheck/></app></request>"#,
                FLATCAR.trim_matches(['{', '}'])
            ),
            Some(Offered),
            ("granted", "amd64"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_generation_of_clients_sends_is_answered_as_it_must_be() {
    for case in cases() {
        let Case { name, body, machine, check, stands } = case;
        let server = Server::start().await;
        ready(&server, b"payload").await;
        let answer = server.omaha(&body).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let response = omaha::Response::parse(&answer.body).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.apps.len(), 1, "{name}: stock clients take the first of everything");
        let app = &response.apps[0];
        assert!(body.contains(&format!(r#"appid="{}""#, app.id)), "{name}: {} was not what it sent", app.id);
        assert_eq!(app.update_check.as_ref().map(|check| check.status.clone()), check, "{name}: {}", answer.text());
        if check.is_some() {
            // Whatever the strictest client calls invalid would come back as error 34.
            response.stock().unwrap_or_else(|error| panic!("{name}: {error}: {}", answer.text()));
        }
        let kept = server.api("GET", &format!("/machines/{machine}"), None).await.ok().json();
        assert_eq!((kept["machine"]["state"].as_str(), kept["machine"]["arch"].as_str()), (Some(stands.0), Some(stands.1)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_broke_off_is_resumed_and_counts_for_nothing() {
    let server = Server::start().await;
    let payload: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    ready(&server, &payload).await;
    let ask = flatcar("4081.2.0", &[PING, ASK, &event(3, 2, r#"previousversion="""#)]);
    let response = omaha::Response::parse(&server.omaha(&ask).await.ok().body).unwrap();
    let check = response.apps[0].update_check.as_ref().unwrap();
    let package = &check.manifest.as_ref().unwrap().packages[0];
    let url = format!("{}{}", check.urls[0], package.name);
    let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
    let half = payload.len() / 2;
    let first = server.send("GET", path, &[("Range", &format!("bytes=0-{}", half - 1))], b"").await;
    assert_eq!((first.status, first.body.as_slice()), (206, &payload[..half]));
    server.omaha(&flatcar("4081.2.0", &[&event(13, 1, "")])).await.ok();
    server.omaha(&flatcar("4081.2.0", &[&event(3, 0, r#"errorcode="268435465""#)])).await.ok();
    let counts = server.api("GET", "/rollouts/1", None).await.json()["progress"]["counts"].clone();
    assert_eq!((&counts["granted"], &counts["failed"]), (&1.into(), &0.into()), "it is tried again");
    // It asks again, is offered the same, and goes on where it stopped.
    let again = omaha::Response::parse(&server.omaha(&ask).await.ok().body).unwrap();
    assert_eq!(again.apps[0].update_check.as_ref().unwrap().urls, check.urls);
    let rest = server.send("GET", path, &[("Range", &format!("bytes={half}-"))], b"").await;
    assert_eq!((rest.status, rest.body.as_slice()), (206, &payload[half..]));
    for kind in [14, 3] {
        server.omaha(&flatcar("4081.2.0", &[&event(kind, 1, "")])).await.ok();
    }
    server.omaha(&flatcar("4152.1.0", &[PING, ASK, &event(3, 2, r#"previousversion="4081.2.0""#)])).await.ok();
    let rollout = server.api("GET", "/rollouts/1", None).await.json();
    assert_eq!(rollout["progress"]["counts"]["completed"], 1);
}
