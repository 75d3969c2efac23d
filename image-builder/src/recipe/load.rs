//! The chain of recipes: following `extends`, merging, and the checks that need all of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::RecipeError;
use super::diagnostic::{Diagnostic, Mark};
use super::layer::Layer;
use super::model::{Archive, Image, Initrd, Kernel, Located, Packages, Place, Recipe, RecipeFile, Root, Tree, Units};
use super::rules::Rules;

/// How many recipes may extend one another; deeper than this nobody finds a line any more.
const CHAIN_LIMIT: usize = 8;

/// Largest recipe file in bytes; a real one has a few kilobytes.
const RECIPE_BYTES: u64 = 1024 * 1024;

/// Reads the recipe at `path` and everything it extends, merges and checks it.
pub fn load(path: &Path) -> Result<Recipe, RecipeError> {
    let mut chain = Chain::default();
    chain.follow(path)?;
    let merged = chain.merge();
    if !chain.diagnostics.is_empty() {
        return Err(RecipeError::Invalid { diagnostics: chain.diagnostics });
    }
    merged.ok_or_else(|| RecipeError::Invalid { diagnostics: Vec::new() })
}

/// The files from the one asked for down to the base, while they are read.
#[derive(Default)]
struct Chain {
    files: Vec<RecipeFile>,
    layers: Vec<Layer>,
    diagnostics: Vec<Diagnostic>,
}

impl Chain {
    fn follow(&mut self, path: &Path) -> Result<(), RecipeError> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| RecipeError::NotAFile { path: path.to_owned() })?;
        let failed = |source| RecipeError::Read { path: path.to_owned(), source };
        let mut next = Some((path.to_owned(), name.to_owned(), read(path).map_err(failed)?));
        while let Some((path, name, text)) = next.take() {
            let dir = path.parent().unwrap_or(Path::new("")).to_owned();
            let (layer, problems) = Layer::read(&name, &text, &dir);
            self.diagnostics.extend(problems);
            self.files.push(RecipeFile { path, name, text });
            self.check_trees(&layer);
            if let Some(extends) = &layer.extends {
                next = self.base(&dir, extends);
            }
            self.layers.push(layer);
        }
        // From here on the base comes first.
        self.files.reverse();
        self.layers.reverse();
        Ok(())
    }

    /// The file that the last one of the chain extends.
    fn base(&mut self, dir: &Path, extends: &Located<String>) -> Option<(PathBuf, String, String)> {
        let path = dir.join(&extends.value);
        let name = normal(&Path::new(&extends.at.recipe).parent().unwrap_or(Path::new("")).join(&extends.value));
        if self.files.iter().any(|file| same_file(&file.path, &path)) {
            let files: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
            let message = format!("the recipes extend one another in a circle: {} -> {name}", files.join(" -> "));
            self.problem(&extends.at, &extends.value, message, "remove this or one of the others");
            return None;
        }
        if self.files.len() >= CHAIN_LIMIT {
            self.problem(&extends.at, &extends.value, format!("more than {CHAIN_LIMIT} recipes extend one another"), "");
            return None;
        }
        match read(&path) {
            Ok(text) => Some((path, name, text)),
            Err(error) => {
                self.problem(&extends.at, &extends.value, format!("the recipe to extend cannot be read: {error}"), "");
                None
            }
        }
    }

    fn check_trees(&mut self, layer: &Layer) {
        for tree in layer.add.iter().chain(&layer.initrd_add).filter(|tree| !tree.value.path.is_dir()) {
            let message = format!("there is no folder `{}` beside {}", tree.value.written, tree.at.recipe);
            self.problem(&tree.at, &tree.value.written, message, "");
        }
    }

    fn problem(&mut self, at: &Place, needle: &str, message: String, label: &str) {
        let text = self.files.iter().find(|file| file.name == at.recipe).map_or("", |file| file.text.as_str());
        let mark = Some(Mark::of_line(text, at.line, needle));
        self.diagnostics.push(Diagnostic { message, file: at.recipe.clone(), mark, label: label.to_owned() });
    }

    /// Merges the layers; `None` when something required is missing, which is then among the problems.
    fn merge(&mut self) -> Option<Recipe> {
        let layers = std::mem::take(&mut self.layers);
        let mut all = Layer::default();
        for layer in layers {
            merge_into(&mut all, layer);
        }
        self.check(&all);
        let recipe = self.files.last()?.name.clone();
        let complete = self.diagnostics.is_empty();
        let mut missing = |key: &str, example: &str| {
            // A value that is there but wrong has been reported already.
            if complete {
                let message = format!("the recipe has no `{key}`");
                self.diagnostics.push(Diagnostic { message, file: recipe.clone(), mark: None, label: format!("add e.g. {example}") });
            }
        };
        let mut string = |value: Option<Located<String>>, key, example| {
            if value.is_none() {
                missing(key, example);
            }
            value
        };
        let id = string(all.id, "image.id", "`id = \"slipway\"` to [image]");
        let name = string(all.name, "image.name", "`name = \"Slipway\"` to [image]");
        let variant = string(all.variant, "image.variant", "`variant = \"vm\"` to [image]");
        let arch = string(all.arch, "image.arch", "`arch = \"amd64\"` to [image]");
        let package = string(all.kernel, "kernel.package", "`package = \"linux-image-cloud-amd64\"` to [kernel]");
        let compression = string(all.compression, "root.compression", "`compression = \"zstd,level=3\"` to [root]");
        if all.suites.is_empty() {
            missing("archive.suites", "`suites = [\"trixie\"]` to [archive]");
        }
        if all.components.is_empty() {
            missing("archive.components", "`components = [\"main\"]` to [archive]");
        }
        if all.cluster_bytes.is_none() {
            missing("root.cluster-bytes", "`cluster-bytes = 65536` to [root]");
        }
        Some(Recipe {
            files: self.files.clone(),
            image: Image { id: id?, name: name?, variant: variant?, arch: arch? },
            archive: Archive { suites: all.suites, components: all.components },
            packages: Packages { install: all.install, exclude: all.exclude, drop: all.drop },
            programs: all.programs,
            kernel: Kernel {
                package: package?,
                cmdline: all.cmdline,
                modules: Rules { rules: all.modules },
                initrd_modules: all.initrd_modules,
            },
            initrd: Initrd { add: all.initrd_add, files: all.initrd_files },
            tree: Tree { add: all.add, remove: Rules { rules: all.remove } },
            groups: all.groups,
            users: all.users,
            units: Units { enable: all.enable, disable: all.disable, mask: all.mask },
            root: Root { compression: compression?, cluster_bytes: all.cluster_bytes? },
        })
    }

    fn check(&mut self, all: &Layer) {
        self.no_duplicates("suite", [&all.suites]);
        self.no_duplicates("component", [&all.components]);
        self.no_duplicates("package", [&all.install, &all.exclude]);
        self.no_duplicates("program", [&all.programs]);
        self.no_duplicates("module", [&all.initrd_modules]);
        self.no_duplicates("dropped package", [&all.drop]);
        self.no_duplicates("unit", [&all.enable, &all.disable, &all.mask]);
        for (i, user) in all.users.iter().enumerate() {
            if let Some(other) = all.users[..i].iter().find(|other| other.value.uid == user.value.uid) {
                let message = format!("the users {} and {} have the same uid {}", other.value.name, user.value.name, user.value.uid);
                self.problem(&user.at, &user.value.name, message, &format!("the other one is at {}", other.at));
            }
        }
        for (i, group) in all.groups.iter().enumerate() {
            if let Some(other) = all.groups[..i].iter().find(|other| other.value.gid == group.value.gid) {
                let message = format!("the groups {} and {} have the same gid {}", other.value.name, group.value.name, group.value.gid);
                self.problem(&group.at, &group.value.name, message, &format!("the other one is at {}", other.at));
            }
        }
    }

    /// Reports whatever is listed more than once in `lists` taken together.
    fn no_duplicates<const N: usize>(&mut self, kind: &str, lists: [&[Located<String>]; N]) {
        let items: Vec<&Located<String>> = lists.into_iter().flatten().collect();
        for (i, item) in items.iter().enumerate() {
            if let Some(first) = items[..i].iter().find(|first| first.value == item.value) {
                let message = format!("the {kind} `{}` is listed twice", item.value);
                self.problem(&item.at, &item.value, message, &format!("already at {}", first.at));
            }
        }
    }
}

/// Lets `layer` have its say over what is below it: single values override, lists append, users and groups by name.
fn merge_into(all: &mut Layer, layer: Layer) {
    fn set<T>(below: &mut Option<T>, above: Option<T>) {
        if above.is_some() {
            *below = above;
        }
    }
    fn by_name<T>(below: &mut Vec<Located<T>>, above: Vec<Located<T>>, name: impl Fn(&T) -> &str) {
        for item in above {
            match below.iter_mut().find(|other| name(&other.value) == name(&item.value)) {
                Some(other) => *other = item,
                None => below.push(item),
            }
        }
    }
    set(&mut all.id, layer.id);
    set(&mut all.name, layer.name);
    set(&mut all.variant, layer.variant);
    set(&mut all.arch, layer.arch);
    set(&mut all.kernel, layer.kernel);
    set(&mut all.compression, layer.compression);
    set(&mut all.cluster_bytes, layer.cluster_bytes);
    all.suites.extend(layer.suites);
    all.components.extend(layer.components);
    all.programs.extend(layer.programs);
    all.install.extend(layer.install);
    all.exclude.extend(layer.exclude);
    all.drop.extend(layer.drop);
    all.cmdline.extend(layer.cmdline);
    all.modules.extend(layer.modules);
    all.initrd_modules.extend(layer.initrd_modules);
    all.initrd_add.extend(layer.initrd_add);
    all.initrd_files.extend(layer.initrd_files);
    all.add.extend(layer.add);
    all.remove.extend(layer.remove);
    // What a recipe says of a unit replaces what the recipes below it said.
    let said: Vec<String> = [&layer.enable, &layer.disable, &layer.mask].into_iter().flatten().map(|unit| unit.value.clone()).collect();
    for below in [&mut all.enable, &mut all.disable, &mut all.mask] {
        below.retain(|unit| !said.contains(&unit.value));
    }
    all.enable.extend(layer.enable);
    all.disable.extend(layer.disable);
    all.mask.extend(layer.mask);
    by_name(&mut all.groups, layer.groups, |group| &group.name);
    by_name(&mut all.users, layer.users, |user| &user.name);
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(RECIPE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > RECIPE_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {RECIPE_BYTES} bytes")));
    }
    Ok(text)
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// `a/../b` as `b`, by the words alone: names of recipes are compared and shown, not opened.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.to_str().unwrap_or_default().split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
