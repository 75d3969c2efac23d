use tokio::sync::{mpsc, watch};
use zbus::object_server::Interface;

use super::authority::Action;
use super::*;
use crate::machine::test_support::Bench;

/// The description that is checked in, for clients that are generated from it.
const CHECKED_IN: &str = include_str!("org.slipway.Updater1.xml");

fn described() -> String {
    let (requests, _) = mpsc::channel(1);
    let (_, status) = watch::channel(Bench::new().machine.status());
    let mut text = String::new();
    Updater::new(requests, status).introspect_to_writer(&mut text, 2);
    format!("<node name=\"{PATH}\">\n{text}</node>\n")
}

#[test]
fn the_description_that_is_checked_in_is_not_stale() {
    if std::env::var_os("UPDATE_INTROSPECTION").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/dbus/org.slipway.Updater1.xml"), described()).unwrap();
        return;
    }
    assert_eq!(described(), CHECKED_IN, "run the tests with UPDATE_INTROSPECTION=1 and look at the difference");
}

#[test]
fn every_action_has_a_name_of_its_own() {
    let mut ids: Vec<&str> = Action::ALL.into_iter().map(Action::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Action::ALL.len());
    assert!(ids.iter().all(|id| id.starts_with("org.slipway.updater1.")));
}

#[test]
fn the_policy_file_names_the_same_actions() {
    let policy = include_str!("../../system/usr/share/polkit-1/actions/org.slipway.updater1.policy");
    let named: Vec<&str> = policy.split("<action id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(named, Action::ALL.map(Action::id));
    assert_eq!(policy.matches("<allow_any>auth_admin</allow_any>").count(), named.len(), "nobody from afar without a password");
}
