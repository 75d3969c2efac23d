//! The protocol by which machines that know one address find each other.
