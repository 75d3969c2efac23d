//! Certificates from a shared secret.
//!
//! HKDF-SHA256 (RFC 5869) makes an Ed25519 key from the secret, and with it every machine makes the very same certificate authority:
//! Ed25519 signatures are deterministic (RFC 8032). The authority's key is never written down. Each machine issues itself one
//! certificate that serves as server, as member and as client. Whoever knows the secret belongs to the cluster, and nobody else.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use hkdf::Hkdf;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, SerialNumber, date_time_ymd,
};
use rustix::fs::{Gid, Mode};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Files;
use crate::etcd::memory::write_whole;
use crate::ground::Ground;

/// Shortest secret, in characters. It protects against guessing from a recorded handshake, so that it should be random.
pub const SECRET_MIN: usize = 16;
/// Largest file of a secret that is read, in bytes.
const SECRET_MAX: u64 = 64 << 10;
/// Separates our use of the secret from all others. Changing it or any other constant of the authority splits clusters.
const SALT: &[u8] = b"slipway cluster tls 1";
/// PKCS #8 version 1 of an Ed25519 key (RFC 8410), up to the key itself.
const PKCS8: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// First and last year of the authority: a machine whose clock is wrong at first must not be locked out.
const YEARS: (i32, i32) = (1975, 4096);
/// For how many days a machine's certificate holds.
const DAYS: i64 = 365;
/// With so many days left it is made anew: a third of its life.
const RENEW_DAYS: i64 = DAYS / 3;
/// The group that etcd runs as.
const GROUP: &str = "etcd";

/// The certificate authority that the secret stands for.
pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes it from the secret in a file; space around the secret does not count.
    ///
    /// # Errors
    /// The file cannot be read, or the secret is too short.
    pub fn from_file(path: &Path) -> Result<Self> {
        let reading =
            || format!("reading the cluster's secret from {}; `tls = \"auto\"` needs the same one on all machines", path.display());
        ensure!(std::fs::metadata(path).with_context(reading)?.len() <= SECRET_MAX, "{} is too large for a secret", path.display());
        let secret = std::fs::read_to_string(path).with_context(reading)?;
        Self::new(secret.trim()).with_context(|| format!("the cluster's secret in {}", path.display()))
    }

    /// Makes it from the secret.
    ///
    /// # Errors
    /// It is shorter than [`SECRET_MIN`] characters.
    pub fn new(secret: &str) -> Result<Self> {
        let length = secret.chars().count();
        ensure!(
            length >= SECRET_MIN,
            "it has {length} characters and needs at least {SECRET_MIN}; `openssl rand -hex 32` makes a good one, the same for all machines"
        );
        let derive = |info: &str, bytes: &mut [u8]| {
            let made = Hkdf::<Sha256>::new(Some(SALT), secret.as_bytes()).expand(info.as_bytes(), bytes);
            made.map_err(|error| anyhow!("deriving a key: {error}"))
        };
        let (mut seed, mut serial) = ([0; 32], [0; 8]);
        derive("authority key", &mut seed)?;
        derive("authority serial", &mut serial)?;
        // A positive number without leading zeros, as X.509 wants it.
        serial[0] = (serial[0] & 0x7f) | 0x40;
        let key = KeyPair::try_from([PKCS8.as_slice(), &seed].concat())?;
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = name(&format!("slipway cluster {}", hex::encode(&serial[..4])));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(YEARS.0, 1, 1);
        params.not_after = date_time_ymd(YEARS.1, 1, 1);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { params, key, pem })
    }

    /// The certificate of the authority.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for this machine: the certificate and its private key.
    fn issue(&self, ground: &Ground, now: Timestamp) -> Result<(String, String)> {
        let day = |days: i64| -> Result<_> {
            let date = now.checked_add((24 * days).hours())?.to_zoned(jiff::tz::TimeZone::UTC).date();
            Ok(date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs()))
        };
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), dns_name(&ground.name)])?;
        // What forwards to a member is reached on the loopback of its own machine.
        let loopback = std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST);
        for address in BTreeSet::from([ground.address, ground.local.ip(), loopback]) {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        params.distinguished_name = name(&ground.name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        // Clocks of machines differ.
        params.not_before = day(-2)?;
        params.not_after = day(DAYS)?;
        let key = KeyPair::generate()?;
        let issuer = Issuer::new(self.params.clone(), &self.key);
        Ok((params.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// A name as it may stand in a certificate.
fn dns_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' }).collect()
}

/// What a certificate was issued for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Issued {
    name: String,
    address: std::net::IpAddr,
    authority: String,
    until: Timestamp,
}

/// This machine's certificate; made anew when it would expire, or is for another name, address or secret.
///
/// etcd reads the files for every connection, so that nothing need be restarted.
///
/// # Errors
/// The files cannot be written.
pub fn renew(authority: &Authority, ground: &Ground, now: Timestamp) -> Result<Files> {
    let folder = ground.state.join("tls");
    let files = Files { ca: folder.join("ca.crt"), cert: folder.join("machine.crt"), key: folder.join("machine.key") };
    let note = folder.join("issued.json");
    let wanted = Issued {
        name: ground.name.clone(),
        address: ground.address,
        authority: authority.pem.clone(),
        until: now.checked_add((24 * DAYS).hours())?,
    };
    let issued: Option<Issued> = std::fs::read(&note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let good = issued.is_some_and(|issued| {
        let left = issued.until.duration_since(now).as_hours();
        let same = Issued { until: wanted.until, ..issued } == wanted;
        // More left than there can be: the clock was wrong when it was issued.
        same && (24 * RENEW_DAYS..=24 * (DAYS + 2)).contains(&left)
    });
    if good && [&files.ca, &files.cert, &files.key].iter().all(|path| path.exists()) {
        return Ok(files);
    }
    let (cert, key) = authority.issue(ground, now)?;
    // etcd's user goes through it, whatever the daemon's umask; the private key guards itself.
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o711)).with_context(|| format!("opening {}", folder.display()))?;
    // The note goes first and comes last: what lies between is made anew after a crash.
    match std::fs::remove_file(&note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context("making room for a certificate"),
        _ => {}
    }
    write_whole(&files.ca, authority.pem.as_bytes(), 0o644)?;
    write_whole(&files.key, key.as_bytes(), 0o600)?;
    for_etcd(&files.key)?;
    write_whole(&files.cert, cert.as_bytes(), 0o644)?;
    write_whole(&note, serde_json::to_string(&wanted)?.as_bytes(), 0o600)?;
    tracing::info!(name = ground.name, address = %ground.address, until = %wanted.until, "issued a certificate for this machine");
    Ok(files)
}

/// Lets etcd's group read a file, where there is such a group.
fn for_etcd(path: &Path) -> Result<()> {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let mut lines = groups.lines().map(|line| line.split(':'));
    let id = lines.find_map(|mut fields| fields.next().filter(|name| *name == GROUP).and_then(|_| fields.nth(1)?.parse().ok()));
    if let Some(id) = id {
        let failed = || format!("giving {} to the group {GROUP}", path.display());
        rustix::fs::chown(path, None, Some(Gid::from_raw(id))).with_context(failed)?;
        rustix::fs::chmod(path, Mode::from_raw_mode(0o640)).with_context(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::tests_support::ground;

    const SECRET: &str = "a secret of the cluster";

    fn day(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + number * 24 * 3600).unwrap()
    }

    #[test]
    fn one_secret_is_one_authority_on_every_machine() {
        let pem = Authority::new(SECRET).unwrap().pem().to_owned();
        assert_eq!(Authority::new(SECRET).unwrap().pem(), pem);
        assert_ne!(Authority::new("another secret of it").unwrap().pem(), pem);
        // Machines of different releases must agree: this never changes.
        use sha2::Digest as _;
        insta::assert_snapshot!(hex::encode(Sha256::digest(pem.as_bytes())), @"d7e3ceedf8425414b9b083e8bf79fcf34e8408b0184db23f4248ac72408adced");
    }

    #[test]
    fn a_short_secret_is_refused_with_what_to_do() {
        for short in ["", "short", "fifteen letters"] {
            let error = Authority::new(short).unwrap_err().to_string();
            assert!(error.contains("at least 16") && error.contains("openssl rand"), "{error}");
        }
        assert!(Authority::new("sixteen letters!").is_ok());
        assert!(Authority::from_file(Path::new("/nonexistent")).unwrap_err().to_string().contains("the same one on all machines"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), format!("  {SECRET}\n")).unwrap();
        assert_eq!(Authority::from_file(&dir.path().join("secret")).unwrap().pem(), Authority::new(SECRET).unwrap().pem());
    }

    #[test]
    fn a_certificate_is_kept_until_a_third_of_its_life_is_left_or_it_fits_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let ground = Ground { state: dir.path().to_owned(), ..ground() };
        let authority = Authority::new(SECRET).unwrap();
        let cert = |ground: &Ground, authority: &Authority, now| std::fs::read(renew(authority, ground, now).unwrap().cert).unwrap();
        let first = cert(&ground, &authority, day(0));
        assert_eq!(cert(&ground, &authority, day(DAYS - RENEW_DAYS)), first);
        let second = cert(&ground, &authority, day(DAYS - RENEW_DAYS + 1));
        assert_ne!(second, first);
        let moved = Ground { address: [10, 0, 0, 9].into(), ..ground };
        let third = cert(&moved, &authority, day(DAYS));
        assert_ne!(third, second);
        let fourth = cert(&moved, &Authority::new("another secret of it").unwrap(), day(DAYS));
        assert_ne!(fourth, third);
        // A clock that was years ahead.
        assert_ne!(cert(&moved, &Authority::new("another secret of it").unwrap(), day(0)), fourth);
        std::fs::remove_file(dir.path().join("tls/machine.key")).unwrap();
        cert(&moved, &authority, day(0));
        assert!(dir.path().join("tls/machine.key").exists());
    }

    #[test]
    fn the_key_is_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let files = renew(&Authority::new(SECRET).unwrap(), &Ground { state: dir.path().to_owned(), ..ground() }, day(0)).unwrap();
        assert_eq!(std::fs::metadata(files.key).unwrap().permissions().mode() & 0o007, 0);
    }
}
