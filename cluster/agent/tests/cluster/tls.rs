//! Members that talk TLS, and strangers that are turned away.

use cluster_agent::config::TlsMode;
use cluster_agent::ground::Ground;
use cluster_agent::tls;
use cluster_store::{Access, Tls};

use crate::lab::{Lab, Machine};

fn with_secret(mut machine: Machine, secret: &str) -> Machine {
    let file = machine.ground.state.with_extension("secret");
    std::fs::write(&file, secret).unwrap();
    machine.config.etcd.tls = TlsMode::Auto;
    machine.config.etcd.secret_file = file;
    machine
}

async fn answer(endpoint: String, tls: Option<Tls>) -> Result<(), String> {
    let mut client = Access { endpoints: vec![endpoint], tls }.connect().await.map_err(|error| error.to_string())?;
    client.get("probe", None).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn machines_of_one_secret_are_a_cluster_and_nobody_else_is_let_in() {
    let Some(lab) = Lab::new(3) else { return };
    let secret = "what all machines of this test know";
    let mut machines: Vec<Machine> = (1..=4).map(|number| with_secret(lab.machine(number), secret)).collect();
    machines[..3].iter_mut().for_each(Machine::boot);
    for machine in &machines[..3] {
        machine.until("member", "all 3 members are well").await;
    }
    machines[3].boot();
    machines[3].until("client", "all 3 seats are taken").await;
    machines[3].put("greeting", "in private").await;
    assert_eq!(machines[0].get("greeting").await.as_deref(), Some("in private"));
    let live = machines[0].live().await.unwrap();
    let urls = live.members.iter().flat_map(|member| member.peer_urls.iter().chain(&member.client_urls));
    assert!(urls.clone().all(|url| url.starts_with("https://")), "{live:?}");

    let stranger = with_secret(lab.machine(9), "what machines of another cluster know");
    let files = tls::prepare(&stranger.config.etcd, &stranger.ground, jiff::Timestamp::now()).unwrap().unwrap();
    let known = machines[0].certificates().unwrap();
    let endpoint = format!("https://{}", machines[0].ground.local);
    answer(endpoint.clone(), Some(known.clone())).await.unwrap();
    let theirs = Tls::from(&files);
    for (who, endpoint, tls) in [
        ("without TLS", format!("http://{}", machines[0].ground.local), None),
        ("without a certificate", endpoint.clone(), None),
        ("of another secret", endpoint.clone(), Some(theirs.clone())),
        // Trusts the right authority, and shows what another one issued.
        ("with a certificate of another secret", endpoint, Some(Tls { ca_file: known.ca_file.clone(), ..theirs })),
    ] {
        assert!(answer(endpoint, tls).await.is_err(), "{who}");
    }
    // The members' own port as well: curl-like, with the right authority and no certificate.
    let peer = format!("https://{}:{}/members", machines[0].ground.address, machines[0].ground.peer_port);
    let authority = reqwest::Certificate::from_pem(&std::fs::read(&known.ca_file).unwrap()).unwrap();
    let browser = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
    assert!(browser.get(peer).send().await.is_err(), "members ask each other for certificates");
    assert_eq!(Ground::scheme(true), "https");
}
