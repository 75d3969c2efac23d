//! The helper processes and the messages between them.
