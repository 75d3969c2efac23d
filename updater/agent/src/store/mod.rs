//! What survives a reboot.
