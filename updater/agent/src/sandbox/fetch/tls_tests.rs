//! T23: certificates of all the wrong kinds, against a TLS server on loopback.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Network, Small, Trouble, small};
use crate::daemon::host::Access;
use crate::sandbox::messages::Reach;
use crate::sandbox::testing::QUICK;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, valid in these years, signed by `issuer` or by itself.
fn certified(name: &str, years: std::ops::Range<i32>, issuer: Option<&Authority>) -> ServerConfig {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.start, 1, 1);
    params.not_after = date_time_ymd(years.end, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, &**issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap()
}

/// Serves one answer to whoever gets through, until the test ends.
fn serve(config: Option<ServerConfig>, answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = config.map(Arc::new);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            match &config {
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                    let mut tls = StreamOwned::new(connection, stream);
                    answer_one(&mut tls, answer);
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
                None => answer_one(stream, answer),
            }
        }
    });
    port
}

fn answer_one(mut stream: impl Read + Write, answer: &str) {
    let mut buffer = [0; 4096];
    // Who does not like the certificate hangs up here.
    if stream.read(&mut buffer).is_ok_and(|count| count > 0) {
        let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const DOWN: &str = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

async fn get(port: u16, authority: &Authority) -> Result<Small, Trouble> {
    let server = format!("https://127.0.0.1:{port}");
    let access = Access { server: server.clone(), ..Access::default() };
    let network = Network::new(&Reach { access, ca_pem: Some(authority.pem()) }, QUICK).unwrap();
    small(&network, &[format!("{server}/x")], 100).await
}

#[tokio::test]
async fn t23_only_the_right_certificate_is_talked_to_and_the_text_says_what_to_do() {
    let (ours, strange) = (authority("ours"), authority("strange"));
    let good = certified("127.0.0.1", 2000..2200, Some(&ours));
    assert_eq!(get(serve(Some(good), OK), &ours).await, Ok(Small::Bytes(b"ok".to_vec())));
    let cases = [
        ("expired", serve(Some(certified("127.0.0.1", 2000..2001, Some(&ours))), OK), "renew the server's certificate"),
        ("not yet valid", serve(Some(certified("127.0.0.1", 2199..2200, Some(&ours))), OK), "set this machine's clock"),
        ("wrong name", serve(Some(certified("other.example.org", 2000..2200, Some(&ours))), OK), "use the name in `server`"),
        ("self-signed", serve(Some(certified("127.0.0.1", 2000..2200, None)), OK), "in `ca-file`"),
        ("unknown authority", serve(Some(certified("127.0.0.1", 2000..2200, Some(&strange))), OK), "in `ca-file`"),
        ("no TLS at all", serve(None, OK), "does not speak TLS"),
        ("down to plain HTTP", serve(Some(certified("127.0.0.1", 2000..2200, Some(&ours))), DOWN), "HTTPS"),
    ];
    for (name, port, advice) in cases {
        let trouble = get(port, &ours).await.expect_err(name);
        assert!(trouble.text.to_lowercase().contains(&advice.to_lowercase()), "{name}: {}", trouble.text);
    }
}
