//! Rules a document must keep, and lints for what is legal and still wrong.
