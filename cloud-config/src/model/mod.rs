//! The keys there are, as types; every value knows its place.
