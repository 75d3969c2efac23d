//! The real server on a free port, with the small fleet, and machines that check in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use tokio::runtime::Runtime;
use tokio::sync::watch;
use update_server::http::{App, Settings, routes, serve};
use update_server::publish::online;
use update_server::store::tokens::Role;

use crate::fleet::{APP, Fleet};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) secret: String,
    runtime: Runtime,
    fleet: Fleet,
    _data: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let data = tempfile::tempdir().unwrap();
        let (stop, stopped) = watch::channel(false);
        let (fleet, secret, address) = runtime.block_on(async {
            let fleet = Fleet::small().await;
            let secret = fleet.token("anna", Role::Operator).await;
            let settings = Settings { data: data.path().to_owned(), ..Settings::default() };
            let (app, _) = App::new(fleet.db.clone(), fleet.clock.clone(), online::Keys::default(), settings);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let metrics = app.metrics.clone();
            tokio::spawn(serve::serve(listener, routes::router(app), serve::Limits::default(), metrics, stopped));
            (fleet, secret, address)
        });
        Self { address, secret, runtime, fleet, _data: data, _stop: stop }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A machine asks for updates, as Omaha has it; answers what the server said.
    pub(crate) fn check_in(&self, machine: &str, version: &str) -> String {
        let body = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?><request protocol="3.0" version="test" ismachine="1"><os platform="Slipway" version="1" sp="{version}_x86_64" arch="x86_64"/><app appid="{{{APP}}}" version="{version}" track="stable" bootid="{{b-{machine}}}" machineid="{machine}" oem="qemu"><ping active="1"/><updatecheck/></app></request>"#
        );
        let mut stream = TcpStream::connect(self.address).unwrap();
        let (host, length) = (self.address, body.len());
        write!(stream, "POST /v1/update HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: text/xml\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    pub(crate) fn state(&self, rollout: i64) -> update_server::policy::State {
        self.runtime.block_on(self.fleet.state(rollout))
    }
}
