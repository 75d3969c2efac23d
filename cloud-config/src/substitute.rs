//! `$private_ipv4` and its three siblings in the text, before anything parses it.
