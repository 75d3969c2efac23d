use std::fs;

use super::super::test_archive::{Signed, TestArchive};
use super::*;

fn lock(archive: &TestArchive, recipe: &Recipe) -> Result<Lock, ResolveError> {
    resolve_with_tools(recipe, &archive.store, &archive.options(), &archive.progress, &["mtools"])
}

/// The error, with the places of this run of the test replaced.
fn error(archive: &TestArchive, recipe: &Recipe) -> String {
    let dir = archive.path("");
    lock(archive, recipe).unwrap_err().to_string().replace(dir.to_str().unwrap(), "/tmp/")
}

fn lines(packages: &[LockedPackage]) -> Vec<String> {
    let reason = |reason: &Reason| match reason {
        Reason::Asked { recipe, line } => format!("asked at {recipe}:{line}"),
        Reason::Essential => "essential".to_owned(),
        Reason::DependencyOf { package } => format!("for {package}"),
    };
    packages.iter().map(|package| format!("{} {:?} {}", package.name, package.archive, reason(&package.reason))).collect()
}

#[test]
fn a_recipe_resolves_to_exact_packages_with_reasons() {
    let archive = TestArchive::new();
    let recipe = archive.recipe("\"tini\", \"openssh-server\"", "\"initramfs-tools\"");
    let lock = lock(&archive, &recipe).unwrap();
    insta::assert_snapshot!(lines(&lock.packages).join("\n"), @r#"
    bash Debian essential
    libc6 Debian for bash
    linux-image-amd64 Debian asked at vm.toml:13
    mta Debian for tini
    openssh-server DebianSecurity asked at vm.toml:10
    tini Debian asked at vm.toml:10
    "#);
    assert_eq!(lines(&lock.tools), ["libc6 Debian for mtools", "mtools Debian asked at image-builder:0"]);
    let tini = &lock.packages[5];
    let deb = archive.deb("debian", "tini");
    assert_eq!((tini.version.as_str(), tini.path.as_str()), ("1.0+deb13~1", "pool/main/tini_1.0+deb13~1_all.deb"));
    assert_eq!((tini.size, tini.sha256.clone()), (fs::metadata(&deb).unwrap().len(), crate::store::sha256_of(&deb).unwrap()));
    assert_eq!(lock.packages_digest, recipe.packages_digest());
    assert_eq!(fs::read_dir(archive.store.dir().join("tmp")).unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn the_same_archive_gives_the_same_lock() {
    let archive = TestArchive::new();
    let text = |install| lock(&archive, &archive.recipe(install, "")).unwrap().to_text();
    assert_eq!(text("\"tini\", \"openssh-server\""), text("\"openssh-server\", \"tini\""));
}

#[test]
fn a_package_that_does_not_exist_is_shown_in_its_line_with_the_nearest_name() {
    let archive = TestArchive::new();
    insta::assert_snapshot!(error(&archive, &archive.recipe("\"tiny\", \"no-such-thing\", \"bash\", \"mail-agent\"", "")), @r#"
    there is no package `tiny` in trixie, trixie-security
       --> vm.toml:10:12
        |
    10  | install = ["tiny", "no-such-thing", "bash", "mail-agent"]
        |            ^^^^^^ did you mean `tini`?

    error: there is no package `no-such-thing` in trixie, trixie-security
       --> vm.toml:10:20
        |
    10  | install = ["tiny", "no-such-thing", "bash", "mail-agent"]
        |                    ^^^^^^^^^^^^^^^

    error: `mail-agent` is a virtual package
       --> vm.toml:10:45
        |
    10  | install = ["tiny", "no-such-thing", "bash", "mail-agent"]
        |                                             ^^^^^^^^^^^^ name one that provides it: mta
    "#);
}

#[test]
fn a_suite_that_does_not_exist_is_shown_in_its_line() {
    let archive = TestArchive::new();
    insta::assert_snapshot!(error(&archive, &archive.recipe_with(&["trixie", "trixi"], "main", "\"tini\"", "")), @r#"
    the archive file:/tmp/debian has no suite `trixi`
      --> vm.toml:7:21
       |
    7  | suites = ["trixie", "trixi"]
       |                     ^^^^^^^ asked for here
    "#);
}

#[test]
fn a_component_that_does_not_exist_is_shown_in_its_line() {
    let archive = TestArchive::new();
    insta::assert_snapshot!(error(&archive, &archive.recipe_with(&["trixie"], "mian", "\"tini\"", "")), @r#"
    the suites of the recipe have no component `mian`
      --> vm.toml:8:15
       |
    8  | components = ["mian"]
       |               ^^^^^^ asked for here
    "#);
}

#[test]
fn a_list_signed_by_an_unknown_key_is_refused() {
    let archive = TestArchive::new();
    archive.publish("security", "trixie-security", Signed::ByOtherKey);
    let error = error(&archive, &archive.recipe("\"tini\"", ""));
    assert!(
        error.starts_with(
            "the signature of suite `trixie-security` of file:/tmp/security does not verify with the keyring /tmp/keyring.gpg: "
        ),
        "{error}"
    );
    // gpgv of Debian 12 and sqv of Debian 13 say it differently.
    assert!(error.contains("NO_PUBKEY") || error.contains("Missing key"), "{error}");
    assert!(error.ends_with("nothing was changed"), "{error}");
}

#[test]
fn an_unsigned_list_is_refused() {
    let archive = TestArchive::new();
    archive.publish("debian", "trixie", Signed::Not);
    let error = error(&archive, &archive.recipe("\"tini\"", ""));
    assert!(error.contains("suite `trixie` of file:/tmp/debian does not verify") && error.contains("there is no signature"), "{error}");
}

#[test]
fn a_changed_signed_list_is_refused() {
    let archive = TestArchive::new();
    let path = archive.path("debian/dists/trixie/InRelease");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("Suite: stable", "Suite: unstab")).unwrap();
    let error = error(&archive, &archive.recipe("\"tini\"", ""));
    assert!(error.contains("does not verify"), "{error}");
    assert!(error.contains("BADSIG") || error.contains("has been manipulated"), "{error}");
}

#[test]
fn a_package_list_that_is_not_the_signed_one_is_refused() {
    let archive = TestArchive::new();
    let path = archive.path("debian/dists/trixie/main/binary-amd64/Packages");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("Essential: yes", "Essential: nop")).unwrap();
    let error = lock(&archive, &archive.recipe("\"tini\"", "")).unwrap_err();
    assert!(matches!(error, ResolveError::Damaged { .. }), "{error}");
}

#[test]
fn an_archive_that_is_not_there_is_told() {
    let archive = TestArchive::new();
    // Port 9 of this machine: nobody listens, nothing leaves the machine.
    let options = ArchiveOptions { mirror: Some("http://127.0.0.1:9/debian".to_owned()), ..archive.options() };
    let recipe = archive.recipe("\"tini\"", "");
    let error = resolve_with_tools(&recipe, &archive.store, &options, &archive.progress, &[]).unwrap_err();
    assert!(matches!(error, ResolveError::Unreachable { .. }), "{error}");
}

#[test]
fn an_excluded_package_that_is_needed_is_explained() {
    let archive = TestArchive::new();
    let error = error(&archive, &archive.recipe("\"tini\"", "\"mta\""));
    assert!(error.starts_with("the packages cannot be installed together:") && error.contains("tini : Depends: mail-agent"), "{error}");
    let error = super::tests::error(&archive, &archive.recipe("\"tini\"", "\"libc6\""));
    assert!(error.contains("libc6") && error.contains("the recipe excludes it here") && error.contains("vm.toml:11:12"), "{error}");
}

#[test]
fn packages_that_conflict_are_explained() {
    let archive = TestArchive::new();
    archive.package("debian", "angry", "Conflicts: tini");
    archive.publish("debian", "trixie", Signed::ByKnownKey);
    let error = error(&archive, &archive.recipe("\"tini\", \"angry\"", ""));
    assert!(error.contains("angry : Conflicts: tini"), "{error}");
}
