//! Addresses in `/etc/environment`: `COREOS_PRIVATE_IPV4` and its kin.

use std::str::FromStr;

use crate::metadata::Metadata;

/// The addresses that lines of `KEY=value` name; of two lines with one key the last counts, as for whoever reads the file
/// at a login. What is no address says nothing: it is not the document that is wrong.
#[must_use]
pub fn addresses(text: &str) -> Metadata {
    let mut found = Metadata::default();
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let value = unquoted(value.trim());
        match key.trim_end() {
            "COREOS_PRIVATE_IPV4" => found.private_ipv4 = address(value),
            "COREOS_PUBLIC_IPV4" => found.public_ipv4 = address(value),
            "COREOS_PRIVATE_IPV6" => found.private_ipv6 = address(value),
            "COREOS_PUBLIC_IPV6" => found.public_ipv6 = address(value),
            _ => {}
        }
    }
    found
}

fn address<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let text = "# COREOS_PUBLIC_IPV4=192.0.2.9\r\nA=b\nCOREOS_PRIVATE_IPV4=10.0.0.4\nCOREOS_PRIVATE_IPV4=10.0.0.5\r\n\
            COREOS_PUBLIC_IPV4=\"192.0.2.1\"\n COREOS_PRIVATE_IPV6 = 'fd00::1' \nCOREOS_PUBLIC_IPV6=2001:db8::1";
        let expected = Metadata {
            private_ipv4: "10.0.0.5".parse().ok(),
            public_ipv4: "192.0.2.1".parse().ok(),
            private_ipv6: "fd00::1".parse().ok(),
            public_ipv6: "2001:db8::1".parse().ok(),
            ..Metadata::default()
        };
        assert_eq!(addresses(text), expected);
    }

    #[test]
    fn what_is_no_address_says_nothing() {
        for text in [
            "",
            "COREOS_PRIVATE_IPV4",
            "COREOS_PRIVATE_IPV4=",
            "COREOS_PRIVATE_IPV4=10.0.0.5/24",
            "COREOS_PRIVATE_IPV4=\"10.0.0.5",
            "COREOS_PRIVATE_IPV4=fd00::1",
            "COREOS_PUBLIC_IPV6=10.0.0.5",
            "XCOREOS_PRIVATE_IPV4=10.0.0.5",
            "export COREOS_PRIVATE_IPV4=10.0.0.5",
            "coreos_private_ipv4=10.0.0.5",
            "PRIVATE_IPV4=10.0.0.5",
        ] {
            assert_eq!(addresses(text), Metadata::default(), "{text}");
        }
    }
}
