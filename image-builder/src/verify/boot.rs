//! The ESP: everything on it belongs there, is signed or has known content, and fits its slot.

use crate::contents::{self, UkiFacts};
use crate::disk::Disk;
use crate::esp::expected::{self, ENTRIES_SREL_CONTENT, LOADER_CONF, Role};
use crate::esp::{Fat, FatError};
use crate::sign::{SigningCertificate, authenticode};
use crate::slot::Slot;
use crate::uki::Pe;
use crate::verify::{Verdict, VerifyError, table};

/// Checks the ESP; gives what the UKIs found on it say.
pub(super) fn check(disk: &Disk, certificate: &SigningCertificate, verdict: &mut Verdict) -> Result<Vec<(Slot, UkiFacts)>, VerifyError> {
    let mut ukis = Vec::new();
    let Some(esp) = table::partition(disk, "esp") else { return Ok(ukis) };
    let Some(fat) = settle(Fat::open(esp), "esp", verdict)? else { return Ok(ukis) };
    let Some(entries) = settle(fat.list(), "esp", verdict)? else { return Ok(ukis) };
    let (mut signed, before) = (0, verdict.findings.len());
    for path in expected::required() {
        if !entries.iter().any(|entry| !entry.is_folder && entry.path.eq_ignore_ascii_case(&path)) {
            verdict.find(format!("esp: {path}"), "the file is missing");
        }
    }
    for entry in entries.iter().filter(|entry| !entry.is_folder) {
        let place = format!("esp: {}", entry.path);
        let Some(role) = Role::of(&entry.path) else {
            verdict.find(place, "the file does not belong there; it could change how the host boots");
            continue;
        };
        let Some(bytes) = settle(fat.read_entry(entry), &place, verdict)? else { continue };
        if role.is_signed() {
            signed += 1;
        }
        match check_file(role, &bytes, certificate) {
            Ok(facts) => ukis.extend(facts),
            Err(problem) => verdict.find(place, problem),
        }
    }
    if verdict.findings.len() == before {
        let name = certificate.common_name();
        verdict.checked.push(format!("esp: file system readable, {signed} files signed by `{name}`, no others that matter"));
    }
    if let Some(at) = settle(fat.first_nonzero_unused(), "esp", verdict)?.flatten() {
        verdict.notes.push(format!("esp: unused space is not zero, first at byte {at} (harmless: no file uses it)"));
    }
    ukis.sort_by_key(|(slot, _)| *slot);
    Ok(ukis)
}

/// What is wrong with one file, or what it says if it is a UKI.
fn check_file(role: Role, bytes: &[u8], certificate: &SigningCertificate) -> Result<Option<(Slot, UkiFacts)>, String> {
    match role {
        Role::LoaderConf if !Slot::ALL.iter().any(|slot| slot.loader_conf().as_bytes() == bytes) => {
            return Err(format!("{LOADER_CONF} is not one of ours; nothing signs it, so only known content is accepted"));
        }
        Role::EntriesSrel if bytes != ENTRIES_SREL_CONTENT => return Err("it is not the line `type1`".into()),
        Role::LoaderConf | Role::EntriesSrel | Role::Enrolment => return Ok(None),
        Role::Loader | Role::Uki(_) | Role::Addon(_) => {}
    }
    let pe = Pe::parse(bytes).map_err(|error| error.to_string())?;
    authenticode::verify(&pe, certificate).map_err(|error| error.to_string())?;
    match role {
        Role::Uki(slot) => {
            let facts = contents::uki(&pe).map_err(|error| error.to_string())?;
            Ok(Some((slot, facts)))
        }
        Role::Addon(slot) => {
            let cmdline = contents::text(&pe, ".cmdline").map_err(|error| error.to_string())?;
            if cmdline == slot.addon_cmdline() {
                return Ok(None);
            }
            Err(format!("it opens other partitions than those of slot {slot}: `{cmdline}`"))
        }
        _ => Ok(None),
    }
}

/// A fault of the file system is a finding; a failure to read it is not an answer.
fn settle<T>(result: Result<T, FatError>, place: &str, verdict: &mut Verdict) -> Result<Option<T>, VerifyError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(FatError::Io { object, source }) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            Err(VerifyError::Io { object, source })
        }
        Err(error) => {
            verdict.find(place, error.to_string());
            Ok(None)
        }
    }
}
