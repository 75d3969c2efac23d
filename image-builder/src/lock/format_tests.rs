use super::*;

fn lock(packages: Vec<LockedPackage>) -> Lock {
    Lock {
        format: FORMAT,
        packages_digest: "d".to_owned(),
        epoch: 1_763_000_000,
        suites: vec!["trixie".to_owned()],
        packages,
        tools: vec![sample("mtools", "4")],
    }
}

fn recipe(dir: &Path, install: &str) -> Recipe {
    let path = dir.join("vm.toml");
    let text = format!(
        "[image]\nid = \"x\"\nname = \"X\"\nvariant = \"vm\"\narch = \"amd64\"\n[archive]\nsuites = [\"trixie\"]\ncomponents = [\"main\"]\n\
         [packages]\ninstall = [{install}]\n[kernel]\npackage = \"linux-image\"\n[root]\ncompression = \"lz4\"\ncluster-bytes = 4096\n"
    );
    fs::write(&path, text).unwrap();
    crate::recipe::load(&path).unwrap()
}

fn asked(name: &str) -> LockedPackage {
    LockedPackage { reason: Reason::Asked { recipe: String::new(), line: 0 }, ..sample(name, "1") }
}

#[test]
fn a_lock_is_sorted_readable_toml() {
    let essential = LockedPackage { essential: true, reason: Reason::Essential, ..sample("bash", "5.2") };
    insta::assert_snapshot!(lock(vec![sample("zlib1g", "1:1.3"), essential, asked("tini")]).to_text(), @r#"
    # Made by `image-builder lock`; make it anew instead of editing it.

    format = 1
    packages-digest = "d"
    epoch = 1763000000
    suites = ["trixie"]

    [[package]]
    name = "bash"
    version = "5.2"
    arch = "amd64"
    source = "bash"
    source-version = "5.2"
    sha256 = "abababababababababababababababababababababababababababababababab"
    size = 10
    path = "pool/main/bash_5.2_amd64.deb"
    archive = "debian"
    essential = true
    reason = "essential"

    [[package]]
    name = "tini"
    version = "1"
    arch = "amd64"
    source = "tini"
    source-version = "1"
    sha256 = "abababababababababababababababababababababababababababababababab"
    size = 10
    path = "pool/main/tini_1_amd64.deb"
    archive = "debian"
    reason = "asked"

    [[package]]
    name = "zlib1g"
    version = "1:1.3"
    arch = "amd64"
    source = "zlib1g"
    source-version = "1:1.3"
    sha256 = "abababababababababababababababababababababababababababababababab"
    size = 10
    path = "pool/main/zlib1g_1:1.3_amd64.deb"
    archive = "debian"
    reason = "dependency of demo"

    [[tool]]
    name = "mtools"
    version = "4"
    arch = "amd64"
    source = "mtools"
    source-version = "4"
    sha256 = "abababababababababababababababababababababababababababababababab"
    size = 10
    path = "pool/main/mtools_4_amd64.deb"
    archive = "debian"
    reason = "dependency of demo"
    "#);
}

#[test]
fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.lock");
    let lock = lock(vec![asked("bash"), sample("zlib1g", "1:1.3+x~1")]);
    lock.write(&path).unwrap();
    assert_eq!(Lock::read(&path).unwrap(), lock);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn loading_finds_the_line_that_asks() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = recipe(dir.path(), "\n\"tini\",\n");
    let path = lock_path(&dir.path().join("vm.toml"));
    let digest = recipe.packages_digest();
    Lock { packages_digest: digest, ..lock(vec![asked("linux-image"), asked("tini")]) }.write(&path).unwrap();
    let lock = Lock::load(&path, &recipe).unwrap();
    assert_eq!(lock.packages[1].reason, Reason::Asked { recipe: "vm.toml".to_owned(), line: 11 });
}

#[test]
fn a_changed_recipe_makes_the_lock_stale() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.lock");
    let digest = recipe(dir.path(), "\"tini\"").packages_digest();
    Lock { packages_digest: digest, ..lock(vec![asked("linux-image"), asked("tini")]) }.write(&path).unwrap();
    let error = Lock::load(&path, &recipe(dir.path(), "\"tini\", \"curl\"")).unwrap_err();
    assert!(matches!(error, LockError::Stale { .. }));
    assert!(error.to_string().contains("run: image-builder lock "), "{error}");
}

#[test]
fn a_lock_that_claims_to_be_current_but_is_not_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.lock");
    let recipe = recipe(dir.path(), "\"tini\"");
    for packages in [vec![asked("linux-image")], vec![asked("linux-image"), asked("tini"), asked("evil")], vec![]] {
        Lock { packages_digest: recipe.packages_digest(), ..lock(packages) }.write(&path).unwrap();
        assert!(matches!(Lock::load(&path, &recipe), Err(LockError::Stale { .. })));
    }
}

#[test]
fn an_absent_lock_says_how_to_make_it() {
    let error = Lock::read(Path::new("recipes/none.lock")).unwrap_err().to_string();
    assert_eq!(error, "recipes/none.lock does not exist yet; make it with: image-builder lock recipes/none.toml");
}

#[test]
fn wrong_locks_are_refused_with_their_place() {
    let good = lock(vec![sample("bash", "5.2")]).to_text();
    let table = [
        ("format = 1", "format = 2", "this lock has format 2"),
        ("format = 1", "format = ", "vm.lock:3:10"),
        ("format = 1", "form = 1", "unknown field `form`"),
        ("size = 10", "size = \"10\"", "vm.lock:15:8"),
        ("size = 10", "size = -1", "vm.lock:15:8"),
        ("size = 10\n", "", "missing field `size`"),
        ("dependency of demo", "because", "not `because`"),
        ("archive = \"debian\"", "archive = \"elsewhere\"", "unknown variant `elsewhere`"),
        ("path = \"pool/", "path = \"../pool/", "outside of the archive"),
        ("path = \"pool/", "path = \"/pool/", "outside of the archive"),
        ("path = \"pool/", "path = \"pool//", "outside of the archive"),
        ("path = \"pool/", "path = \"po ol/", "outside of the archive"),
        ("sha256 = \"ab", "sha256 = \"AB", "no valid SHA-256"),
        ("sha256 = \"ab", "sha256 = \"b", "no valid SHA-256"),
        ("name = \"bash\"", "name = \"../bash\"", "not the name of a package"),
        ("name = \"bash\"", "name = \"\"", "not the name of a package"),
    ];
    assert!(Lock::parse("vm.lock", &good).is_ok());
    for (from, to, expected) in table {
        let error = Lock::parse("vm.lock", &good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("vm.lock"), "{from} -> {to}\n{error}");
    }
    let twice = Lock { packages: vec![sample("a1", "1"), sample("a1", "2")], ..lock(vec![]) }.to_text();
    assert!(Lock::parse("vm.lock", &twice).unwrap_err().to_string().contains("locked twice"));
}
