use super::*;

const BASE: &str = r#"[image]
id = "slipway"
name = "Slipway"
variant = "common"
arch = "amd64"
[archive]
suites = ["trixie"]
components = ["main"]
[packages]
install = [
    "docker.io",
    "systemd",
]
exclude = ["initramfs-tools"]
[kernel]
package = "linux-image-cloud-amd64"
cmdline = ["panic=5"]
modules = ["kernel/net/**"]
initrd-modules = ["erofs"]
[tree]
remove = ["/usr/share/doc/**"]
[[group]]
name = "docker"
gid = 990
[[user]]
name = "core"
uid = 1000
gid = 1000
groups = ["sudo", "docker"]
home = "/home/core"
shell = "/bin/bash"
[units]
enable = ["docker.service"]
[root]
compression = "zstd,level=3"
cluster-bytes = 65536
"#;

/// Loads `vm.toml` from a folder with these files; a name that ends in `/` makes a folder.
fn load_files(files: &[(&str, &str)]) -> Result<Recipe, RecipeError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
        } else {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
    load(&dir.path().join("vm.toml"))
}

/// The error text for a `vm.toml` that extends [`BASE`] and says `text`.
fn error(text: &str) -> String {
    let text = format!("extends = \"common.toml\"\n{text}");
    load_files(&[("common.toml", BASE), ("vm.toml", &text)]).unwrap_err().to_string()
}

fn values(list: &[Located<String>]) -> Vec<String> {
    list.iter().map(|item| format!("{} {}", item.value, item.at)).collect()
}

#[test]
fn a_recipe_is_read_with_the_place_of_every_value() {
    let recipe = load_files(&[("vm.toml", BASE)]).unwrap();
    assert_eq!(values(&recipe.packages.install), ["docker.io vm.toml:11", "systemd vm.toml:12"]);
    assert_eq!(recipe.image.variant.at, Place { recipe: "vm.toml".to_owned(), line: 4 });
    assert_eq!(recipe.users[0].at.line, 26);
    assert_eq!(recipe.users[0].value.groups, ["sudo", "docker"]);
    assert_eq!(recipe.root.cluster_bytes.value, 65536);
    assert_eq!(recipe.asked().count(), 3);
    assert!(recipe.kernel.modules.selects("kernel/net/a.ko"));
}

#[test]
fn an_extending_recipe_overrides_single_values_and_appends_lists() {
    let vm = r#"extends = "base/common.toml"
[image]
variant = "vm"
[packages]
install = ["tini"]
[kernel]
modules = ["!kernel/net/bluetooth/**"]
[tree]
add = ["tree/vm"]
[[user]]
name = "core"
uid = 1001
gid = 1001
home = "/var/home/core"
shell = "/bin/sh"
[[group]]
name = "extra"
gid = 991
"#;
    let recipe = load_files(&[("base/common.toml", BASE), ("vm.toml", vm), ("tree/vm/", "")]).unwrap();
    assert_eq!(recipe.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["base/common.toml", "vm.toml"]);
    assert_eq!((recipe.image.variant.value.as_str(), recipe.image.id.value.as_str()), ("vm", "slipway"));
    assert_eq!(values(&recipe.packages.install), ["docker.io base/common.toml:11", "systemd base/common.toml:12", "tini vm.toml:5"]);
    assert!(!recipe.kernel.modules.selects("kernel/net/bluetooth/b.ko"));
    assert_eq!(recipe.users.len(), 1);
    assert_eq!(recipe.users[0].value.uid, 1001);
    assert_eq!(recipe.groups.len(), 2);
    assert_eq!(recipe.tree.add[0].value.written, "tree/vm");
    assert!(recipe.tree.add[0].value.path.ends_with("tree/vm"));
}

#[test]
fn names_of_extended_recipes_do_not_depend_on_the_machine() {
    let files = [
        ("sub/vm.toml", "extends = \"../x/../common.toml\"\n"),
        ("common.toml", BASE),
        ("x/", ""),
        ("vm.toml", "extends = \"sub/vm.toml\""),
    ];
    let recipe = load_files(&files).unwrap();
    assert_eq!(recipe.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["common.toml", "sub/vm.toml", "vm.toml"]);
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    insta::assert_snapshot!(error("extend = 1\n[packages]\ninstal = [\"tini\"]\n[image]\narch = \"arm64\"\nname = 5\n[units]\nmask = [\"docker\", true]\n"), @r#"
    unknown key `extend` at the top
      --> vm.toml:2:1
       |
    2  | extend = 1
       | ^^^^^^ did you mean `extends`?

    error: unknown key `instal` in [packages]
      --> vm.toml:4:1
       |
    4  | instal = ["tini"]
       | ^^^^^^ did you mean `install`?

    error: "arm64" is not right for `arch`
      --> vm.toml:6:8
       |
    6  | arch = "arm64"
       |        ^^^^^^^ this architecture cannot be built; only amd64 can for now

    error: `name` must be a string
      --> vm.toml:7:8
       |
    7  | name = 5
       |        ^ this is a whole number

    error: "docker" is not right for `mask`
      --> vm.toml:9:9
       |
    9  | mask = ["docker", true]
       |         ^^^^^^^^ expected a unit with its suffix, such as `docker.service`

    error: `mask` must be a list of strings
      --> vm.toml:9:19
       |
    9  | mask = ["docker", true]
       |                   ^^^^ this is true or false
    "#);
}

#[test]
fn syntax_errors_are_shown_like_any_other() {
    insta::assert_snapshot!(error("[packages\ninstall = []\n"), @r#"
    this is not TOML: unclosed table, expected `]`
      --> vm.toml:2:10
       |
    2  | [packages
       |          ^
    "#);
}

#[test]
fn a_duplicate_names_both_places() {
    insta::assert_snapshot!(error("[packages]\ninstall = [\n  \"tini\",\n  \"docker.io\",\n]\n"), @r#"
    the package `docker.io` is listed twice
      --> vm.toml:5:3
       |
    5  |   "docker.io",
       |   ^^^^^^^^^^^ already at common.toml:11
    "#);
}

#[test]
fn a_typing_mistake_in_a_table_name_offers_the_right_one() {
    insta::assert_snapshot!(error("[kernal]\npackage = \"x1\"\n"), @r#"
    unknown key `kernal` at the top
      --> vm.toml:2:2
       |
    2  | [kernal]
       |  ^^^^^^ did you mean `kernel`?
    "#);
}

#[test]
fn wrong_recipes_are_refused() {
    let table = [
        ("packages = 1", "`packages` must be a table"),
        ("[packages]\ninstall = \"tini\"", "must be a list of strings"),
        ("[packages]\ninstall = [1]", "this is a whole number"),
        ("[packages]\ninstall = [\"tini=1.0\"]", "versions belong in the lock"),
        ("[packages]\ninstall = [\"initramfs-tools\"]", "listed twice"),
        ("[packages]\nexclude = [\"systemd\"]", "listed twice"),
        ("[archive]\nsuites = [\"http://mirror/debian\"]", "told by --mirror"),
        ("[kernel]\nmodules = [\"kernel/[\"]", "unclosed character class"),
        ("[kernel]\nmodules = [\"/kernel/**\"]", "expected a path below"),
        ("[kernel]\nmodules = [\"!../x\"]", "expected a path below"),
        ("[kernel]\ncmdline = [\"a b\"]", "one kernel argument per item"),
        ("[tree]\nadd = [\"../secret\"]", "without `..`"),
        ("[tree]\nadd = [\"/etc\"]", "below the one of this file"),
        ("[tree]\nadd = [\"tree/none\"]", "there is no folder `tree/none` beside vm.toml"),
        ("[tree]\nremove = [\"usr/share\"]", "expected an absolute path"),
        ("[[user]]\nname = \"x\"\nuid = 1\ngid = 1\nhome = \"/\"", "this [[user]] has no `shell`"),
        ("[[user]]\nname = \"x\"\nuid = -1\ngid = 1\nhome = \"/\"\nshell = \"/bin/sh\"", "`uid` is out of range"),
        ("[[user]]\nname = \"x\"\nuid = 1000\ngid = 1\nhome = \"/\"\nshell = \"/bin/sh\"", "have the same uid 1000"),
        ("[[group]]\nname = \"x\"\ngid = 990", "have the same gid 990"),
        ("[[group]]\nname = \"x\"\ngid = 99999999999999999999", "out of range"),
        ("[group]\nname = \"x\"\ngid = 9", "written [[group]]"),
        ("[units]\nenable = [\"docker\"]", "with its suffix"),
        ("[units]\nenable = [\"etcd.service\"]\nmask = [\"etcd.service\"]", "listed twice"),
        ("[root]\ncluster-bytes = 65537", "power of two"),
        ("[root]\ncluster-bytes = 512", "out of range"),
        ("[root]\ncompression = \"zstd level=3\"", "mkfs.erofs"),
    ];
    for (text, expected) in table {
        let error = error(text);
        assert!(error.contains(expected), "{text}\n{error}");
        assert!(error.contains(" vm.toml:"), "{text}\n{error}");
    }
}

#[test]
fn an_incomplete_recipe_says_what_is_missing() {
    let error = load_files(&[("vm.toml", "[image]\nid = \"slipway\"\n")]).unwrap_err().to_string();
    for key in [
        "image.name",
        "image.variant",
        "image.arch",
        "archive.suites",
        "archive.components",
        "kernel.package",
        "root.compression",
        "root.cluster-bytes",
    ] {
        assert!(error.contains(&format!("the recipe has no `{key}`")), "{key}\n{error}");
    }
    assert!(!error.contains("image.id"));
}

#[test]
fn chains_that_do_not_end_are_refused() {
    let circle = load_files(&[("vm.toml", "extends = \"a/b.toml\""), ("a/b.toml", "extends = \"../vm.toml\"")]).unwrap_err().to_string();
    assert!(circle.contains("in a circle: vm.toml -> a/b.toml -> vm.toml"), "{circle}");
    let own = load_files(&[("vm.toml", "extends = \"vm.toml\"")]).unwrap_err().to_string();
    assert!(own.contains("in a circle: vm.toml -> vm.toml"), "{own}");
    let names: Vec<String> = (0..9).map(|i| if i == 0 { "vm.toml".to_owned() } else { format!("{i}.toml") }).collect();
    let texts: Vec<String> = (1..=9).map(|i| format!("extends = \"{i}.toml\"")).collect();
    let files: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let deep = load_files(&files).unwrap_err().to_string();
    assert!(deep.contains("more than 8 recipes extend one another"), "{deep}");
}

#[test]
fn a_base_that_is_not_there_is_shown_where_it_is_named() {
    let error = load_files(&[("vm.toml", "extends = \"comon.toml\"\n")]).unwrap_err().to_string();
    assert!(error.contains("cannot be read") && error.contains("vm.toml:1:11"), "{error}");
    let absent = load(Path::new("/nonexistent/vm.toml")).unwrap_err();
    assert!(matches!(absent, RecipeError::Read { .. }));
    assert!(matches!(load(Path::new("..")), Err(RecipeError::NotAFile { .. })));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let large = format!("# {}\n", "x".repeat(1024 * 1024));
    let error = load_files(&[("vm.toml", &large)]).unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
}

#[test]
fn only_what_decides_about_packages_is_in_the_packages_digest() {
    let digest = |text: &str| load_files(&[("vm.toml", text)]).unwrap().packages_digest();
    let base = digest(BASE);
    for same in [
        "# a comment\n".to_owned() + BASE,
        BASE.replace("panic=5", "panic=9"),
        BASE.replace("\"docker.io\",\n    \"systemd\"", "\"systemd\",\n    \"docker.io\""),
    ] {
        assert_eq!(digest(&same), base, "{same}");
    }
    for (from, to) in [
        ("docker.io", "docker.xx"),
        ("\"trixie\"", "\"sid\""),
        ("\"main\"", "\"main\", \"contrib\""),
        ("initramfs-tools", "dracut"),
        ("cloud-amd64", "amd64"),
    ] {
        assert_ne!(digest(&BASE.replace(from, to)), base, "{from}");
    }
}

#[test]
fn the_digest_covers_every_byte_of_the_chain() {
    let digest = |base: &str| load_files(&[("vm.toml", "extends = \"common.toml\""), ("common.toml", base)]).unwrap().digest();
    assert_ne!(digest(BASE), digest(&format!("{BASE}#")));
    assert_eq!(digest(BASE), digest(BASE));
}

#[test]
fn later_errors_can_show_the_line_that_asked() {
    let recipe = load_files(&[("vm.toml", BASE)]).unwrap();
    let item = &recipe.packages.install[0];
    insta::assert_snapshot!(recipe.excerpt(&item.at, &item.value, "no such package"), @r#"
       --> vm.toml:11:5
        |
    11  |     "docker.io",
        |     ^^^^^^^^^^^ no such package
    "#);
}
