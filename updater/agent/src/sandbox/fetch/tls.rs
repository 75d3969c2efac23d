//! What an operator can do about a TLS connection that failed.

use std::error::Error;
use std::io;

use rustls::CertificateError as Certificate;
use rustls::Error as Tls;

/// The next step, if `error` or one of its causes is TLS saying no.
pub(super) fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = of(error) {
            return advise(tls);
        }
        cause = error.source();
    }
    None
}

/// TLS errors travel as the content of I/O errors, sometimes of two, and those do not name it as their source.
fn of<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Tls> {
    match error.downcast_ref() {
        Some(tls) => Some(tls),
        None => of(error.downcast_ref::<io::Error>()?.get_ref()?),
    }
}

fn advise(tls: &Tls) -> Option<&'static str> {
    Some(match tls {
        Tls::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "renew the server's certificate, or set this machine's clock if it is ahead"
        }
        Tls::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "set this machine's clock, which seems to be behind"
        }
        Tls::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
            "use the name in `server` that the certificate is for; if it is right there, somebody else answers in the server's place"
        }
        Tls::InvalidCertificate(Certificate::UnknownIssuer) => {
            "name the authority that signed the server's certificate in `ca-file`; if it is there, somebody else answers in the server's place"
        }
        Tls::InvalidCertificate(_) => "the server's certificate cannot be used; `openssl s_client -connect HOST:443` shows it",
        Tls::InvalidMessage(_) => "the server does not speak TLS there; does `server` name the right port?",
        _ => return None,
    })
}
