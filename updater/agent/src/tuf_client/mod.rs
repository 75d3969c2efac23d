//! The metadata client as a command.
