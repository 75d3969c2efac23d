use image_builder::slot::Slot;

use super::super::efi_vars::Choices;
use super::super::facts::{Entry, Esp, Uki};
use super::super::gpt::{Partition, Tables};
use super::*;

fn entry(slot: Slot, version: &str) -> Entry {
    let uki = Uki { digest: format!("digest of {version}"), version: version.into(), root_hash: String::new() };
    Entry { name: slot.entry().into(), uki: Ok(uki), opens: Ok(slot), slot_verifies: true }
}

fn partitions() -> Vec<Partition> {
    vec![Partition::made_up("esp", 1 << 20, 2 << 20), Partition::made_up("root-a", 2 << 20, 3 << 20)]
}

fn expected() -> Expected {
    let loaders = BTreeMap::from([("efi/boot/bootx64.efi".to_owned(), "l".to_owned())]);
    Expected { versions: vec!["1.0.0".into(), "1.0.1".into()], partitions: partitions(), loaders }
}

/// A machine in the middle of an update: staged, flipped, not yet booted.
fn good() -> Facts {
    let esp = Esp {
        entries: vec![entry(Slot::B, "1.0.1"), entry(Slot::A, "1.0.0")],
        loader_conf: Some("default slipway-a.efi\n".into()),
        loaders: expected().loaders,
        others: vec![("loader/loader.conf".into(), 22)],
        ..Esp::default()
    };
    let choices = Choices { one_shot: Some("slipway-b.efi".into()), default: Some("slipway-a.efi".into()) };
    Facts { tables: Tables { primary: Some(partitions()), backup: Some(partitions()) }, esp, choices: Ok(choices) }
}

/// Which rules a good machine breaks when `damage` is done to it.
fn breaks(damage: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    let mut facts = good();
    damage(&mut facts);
    broken(&facts, &expected()).into_iter().map(|(rule, _)| rule).collect()
}

#[test]
fn a_good_machine_breaks_no_rule() {
    assert!(breaks(|_| {}).is_empty());
    // One damaged copy of the table, a temporary file and a firmware that forgot are no harm.
    assert!(breaks(|facts| facts.tables.primary = None).is_empty());
    assert!(breaks(|facts| facts.tables.backup = None).is_empty());
    assert!(breaks(|facts| facts.esp.others.push(("efi/linux/slipway-b.efi.new".into(), 22 << 20))).is_empty());
    assert!(breaks(|facts| facts.choices = Ok(Choices::default())).is_empty());
}

#[test]
fn i1_tables() {
    assert_eq!(breaks(|facts| (facts.tables.primary, facts.tables.backup) = (None, None)), ["I1"]);
    assert_eq!(breaks(|facts| facts.tables.backup = Some(partitions()[..1].to_vec())), ["I1"]);
    let moved = || vec![Partition::made_up("esp", 1 << 20, 2 << 20), Partition::made_up("root-a", 2 << 20, 4 << 20)];
    assert_eq!(breaks(|facts| (facts.tables.primary, facts.tables.backup) = (Some(moved()), Some(moved()))), ["I1"]);
}

#[test]
fn i2_someone_boots() {
    assert!(breaks(|facts| facts.esp.entries[0].slot_verifies = false).contains(&"I2"));
    assert!(breaks(|facts| facts.esp.entries[0].uki = Err("not a PE32+ file".into())).contains(&"I2"));
    assert!(breaks(|facts| facts.esp.entries[0].opens = Err("no addon".into())).contains(&"I2"));
    assert!(breaks(|facts| facts.esp.entries.clear()).contains(&"I2"));
    assert!(breaks(|facts| facts.esp.unreadable = Some("no boot sector".into())).contains(&"I2"));
    assert_eq!(breaks(|facts| facts.choices = Err("not whole".into())), ["I2"]);
    assert_eq!(breaks(|facts| facts.esp.entries[0] = entry(Slot::B, "0.9.0")), ["I2"]);
    // The trial is fine, the way back is not.
    assert!(breaks(|facts| facts.esp.entries[1].slot_verifies = false).contains(&"I2"));
}

#[test]
fn i5_entries() {
    // Nobody would start it, and it is still there.
    let not_chosen = |facts: &mut Facts| {
        facts.choices = Ok(Choices::default());
        facts.esp.entries[0].slot_verifies = false;
    };
    assert_eq!(breaks(not_chosen), ["I5"]);
    assert_eq!(breaks(|facts| facts.esp.entries[0] = entry(Slot::B, "1.0.0")), ["I5"]);
    assert_eq!(breaks(|facts| facts.esp.entries[0].opens = Ok(Slot::A)), ["I5"]);
    assert!(breaks(|facts| facts.esp.entries.push(Entry { name: "slipway-b+2.efi".into(), ..entry(Slot::B, "1.0.1") })).contains(&"I5"));
}

#[test]
fn i7_file_system() {
    assert_eq!(breaks(|facts| facts.esp.faults.push("cluster 9 belongs to two files".into())), ["I7"]);
    assert_eq!(breaks(|facts| facts.esp.loader_conf = None), ["I7"]);
    assert_eq!(breaks(|facts| facts.esp.loader_conf = Some(String::new())), ["I7"]);
}

#[test]
fn i10_leftovers() {
    assert_eq!(breaks(|facts| facts.esp.loaders.clear()), ["I10"]);
    assert_eq!(breaks(|facts| facts.esp.others.push(("efi/linux/x/new.efi".into(), 1))), ["I10"]);
    assert_eq!(breaks(|facts| facts.esp.others.push(("efi/linux/slipway-b.efi.new".into(), 1 << 30))), ["I10"]);
    let many = |facts: &mut Facts| facts.esp.others.extend((0..3).map(|number| (format!("loader/.new-{number}"), 1)));
    assert_eq!(breaks(many), ["I10"]);
}
