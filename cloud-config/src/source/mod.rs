//! Where user data and metadata come from.
