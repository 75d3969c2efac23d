//! What feeds a fleet.
