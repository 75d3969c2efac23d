//! One recipe file: the keys there are and what they hold. Nothing is required here; the chain as a whole must be complete.

use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use super::diagnostic::Diagnostic;
use super::model::{Group, Located, TreeDir, User};
use super::rules::Rule;
use super::table::{Check, Places, Reader};
use super::value;

/// The largest id: Debian's `nogroup`. The one above it means "no change" to the kernel.
const MAX_ID: u32 = 65_534;

/// Cluster sizes of mkfs.erofs, in bytes.
const CLUSTER_BYTES: std::ops::RangeInclusive<u32> = 4096..=1_048_576;

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) extends: Option<Located<String>>,
    pub(super) id: Option<Located<String>>,
    pub(super) name: Option<Located<String>>,
    pub(super) variant: Option<Located<String>>,
    pub(super) arch: Option<Located<String>>,
    pub(super) suites: Vec<Located<String>>,
    pub(super) components: Vec<Located<String>>,
    pub(super) programs: Vec<Located<String>>,
    pub(super) install: Vec<Located<String>>,
    pub(super) exclude: Vec<Located<String>>,
    pub(super) drop: Vec<Located<String>>,
    pub(super) kernel: Option<Located<String>>,
    pub(super) cmdline: Vec<Located<String>>,
    pub(super) modules: Vec<Located<Rule>>,
    pub(super) initrd_modules: Vec<Located<String>>,
    pub(super) initrd_add: Vec<Located<TreeDir>>,
    pub(super) initrd_files: Vec<Located<String>>,
    pub(super) add: Vec<Located<TreeDir>>,
    pub(super) remove: Vec<Located<Rule>>,
    pub(super) groups: Vec<Located<Group>>,
    pub(super) users: Vec<Located<User>>,
    pub(super) enable: Vec<Located<String>>,
    pub(super) disable: Vec<Located<String>>,
    pub(super) mask: Vec<Located<String>>,
    pub(super) compression: Option<Located<String>>,
    pub(super) cluster_bytes: Option<Located<u32>>,
}

impl Layer {
    /// Reads the file called `name`; its trees are looked for below `dir`.
    pub(super) fn read(name: &str, text: &str, dir: &Path) -> (Self, Vec<Diagnostic>) {
        let mut reader = Reader::new(name, text);
        let document = reader.parse();
        let mut layer = Self::default();
        layer.fill(&mut reader, &document, dir);
        reader.diagnostics.sort_by_key(|problem| problem.mark.as_ref().map(|mark| (mark.line, mark.column)));
        (layer, reader.diagnostics)
    }

    fn fill<'t>(&mut self, reader: &mut Reader<'t>, document: &DeTable<'t>, dir: &Path) {
        let sections =
            ["extends", "image", "archive", "packages", "programs", "kernel", "initrd", "tree", "group", "user", "units", "root"];
        reader.check_keys(document, "at the top", &sections);
        self.extends = reader.checked(document, "extends", value::recipe_path);
        if let Some(table) = section(reader, document, "image", &["id", "name", "variant", "arch"]) {
            self.id = reader.checked(table, "id", value::identifier);
            self.name = reader.checked(table, "name", value::name_for_people);
            self.variant = reader.checked(table, "variant", value::identifier);
            self.arch = reader.checked(table, "arch", value::architecture);
        }
        if let Some(table) = section(reader, document, "archive", &["suites", "components"]) {
            self.suites = reader.all_checked(table, "suites", value::suite);
            self.components = reader.all_checked(table, "components", value::component);
        }
        if let Some(table) = section(reader, document, "packages", &["install", "exclude", "drop"]) {
            self.install = reader.all_checked(table, "install", value::package);
            self.exclude = reader.all_checked(table, "exclude", value::package);
            self.drop = reader.all_checked(table, "drop", value::package);
        }
        if let Some(table) = section(reader, document, "programs", &["install"]) {
            self.programs = reader.all_checked(table, "install", value::identifier);
        }
        if let Some(table) = section(reader, document, "kernel", &["package", "cmdline", "modules", "initrd-modules"]) {
            self.kernel = reader.checked(table, "package", value::package);
            self.cmdline = reader.all_checked(table, "cmdline", value::kernel_argument);
            self.modules = globs(reader, table, "modules", value::module_glob);
            self.initrd_modules = reader.all_checked(table, "initrd-modules", value::module);
        }
        if let Some(table) = section(reader, document, "initrd", &["add", "files"]) {
            self.initrd_add = trees(reader, table, dir);
            self.initrd_files = reader.all_checked(table, "files", value::absolute_glob);
        }
        if let Some(table) = section(reader, document, "tree", &["add", "remove"]) {
            self.add = trees(reader, table, dir);
            self.remove = globs(reader, table, "remove", value::absolute_glob);
        }
        self.groups =
            reader.tables(document, "group").into_iter().flatten().filter_map(|(span, table)| group(reader, &span, table)).collect();
        self.users = reader.tables(document, "user").into_iter().flatten().filter_map(|(span, table)| user(reader, &span, table)).collect();
        if let Some(table) = section(reader, document, "units", &["enable", "disable", "mask"]) {
            self.enable = reader.all_checked(table, "enable", value::unit);
            self.disable = reader.all_checked(table, "disable", value::unit);
            self.mask = reader.all_checked(table, "mask", value::unit);
        }
        if let Some(table) = section(reader, document, "root", &["compression", "cluster-bytes"]) {
            self.compression = reader.checked(table, "compression", value::compression);
            self.cluster_bytes = cluster_bytes(reader, table);
        }
    }
}

fn section<'d, 't>(reader: &mut Reader<'t>, document: &'d DeTable<'t>, name: &str, known: &[&str]) -> Option<&'d DeTable<'t>> {
    let table = reader.table(document, name)?;
    reader.check_keys(table, &format!("in [{name}]"), known);
    Some(table)
}

fn globs<'t>(reader: &mut Reader<'t>, table: &DeTable<'t>, key: &str, check: Check) -> Vec<Located<Rule>> {
    let parsed = |item: Located<String>| Some(Located { value: Rule::parse(&item.value).ok()?, at: item.at });
    reader.all_checked(table, key, check).into_iter().filter_map(parsed).collect()
}

fn trees<'t>(reader: &mut Reader<'t>, table: &DeTable<'t>, dir: &Path) -> Vec<Located<TreeDir>> {
    let at = |item: Located<String>| {
        let path = dir.join(&item.value);
        Located { value: TreeDir { written: item.value, path }, at: item.at }
    };
    reader.all_checked(table, "add", value::tree_path).into_iter().map(at).collect()
}

fn cluster_bytes<'t>(reader: &mut Reader<'t>, table: &DeTable<'t>) -> Option<Located<u32>> {
    let size = reader.small_number(table, "cluster-bytes", CLUSTER_BYTES)?;
    if size.value.is_power_of_two() {
        return Some(size);
    }
    let span = super::table::get(table, "cluster-bytes").map_or(0..0, toml::Spanned::span);
    reader.problem(&span, "`cluster-bytes` must be a power of two".to_owned(), format!("{} is near", size.value.next_power_of_two()));
    None
}

fn group<'t>(reader: &mut Reader<'t>, span: &Range<usize>, table: &DeTable<'t>) -> Option<Located<Group>> {
    reader.check_keys(table, "in [[group]]", &["name", "gid"]);
    let name = required(reader, span, table, "[[group]]", "name", value::user_name);
    let gid = required_id(reader, span, table, "[[group]]", "gid");
    let (name, gid) = (name?, gid?);
    Some(Located { value: Group { name: name.value, gid }, at: name.at })
}

fn user<'t>(reader: &mut Reader<'t>, span: &Range<usize>, table: &DeTable<'t>) -> Option<Located<User>> {
    reader.check_keys(table, "in [[user]]", &["name", "uid", "gid", "groups", "home", "shell", "comment"]);
    let name = required(reader, span, table, "[[user]]", "name", value::user_name);
    let uid = required_id(reader, span, table, "[[user]]", "uid");
    let gid = required_id(reader, span, table, "[[user]]", "gid");
    let groups = reader.all_checked(table, "groups", value::user_name).into_iter().map(|group| group.value).collect();
    let home = required(reader, span, table, "[[user]]", "home", value::absolute_path);
    let shell = required(reader, span, table, "[[user]]", "shell", value::absolute_path);
    let comment = reader.checked(table, "comment", value::comment).map(|comment| comment.value).unwrap_or_default();
    let (name, uid, gid, home, shell) = (name?, uid?, gid?, home?.value, shell?.value);
    Some(Located { value: User { name: name.value, uid, gid, groups, home, shell, comment }, at: name.at })
}

fn required<'t>(
    reader: &mut Reader<'t>,
    span: &Range<usize>,
    table: &DeTable<'t>,
    section: &str,
    key: &str,
    check: Check,
) -> Option<Located<String>> {
    require(reader, span, table, section, key);
    reader.checked(table, key, check)
}

fn required_id<'t>(reader: &mut Reader<'t>, span: &Range<usize>, table: &DeTable<'t>, section: &str, key: &str) -> Option<u32> {
    require(reader, span, table, section, key);
    reader.small_number(table, key, 0..=MAX_ID).map(|id| id.value)
}

fn require<'t>(reader: &mut Reader<'t>, span: &Range<usize>, table: &DeTable<'t>, section: &str, key: &str) {
    if super::table::get(table, key).is_none() {
        reader.problem(span, format!("this {section} has no `{key}`"), format!("add `{key} = ...`"));
    }
}
