//! The D-Bus interface `org.slipway.Updater1`.
