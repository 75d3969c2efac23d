//! The command line of the TUF conformance suite over our own client.
