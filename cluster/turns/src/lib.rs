//! Reboots take turns: who may reboot now, and when the turn is over.
