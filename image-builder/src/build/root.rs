//! The finished tree with its manifest, and the file systems made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, bail};

use super::base::Base;
use super::{Options, key, programs};
use crate::disk::layout;
use crate::finish::{accounts, identity, identity::Identity, lint, packages, skeleton, units};
use crate::initrd;
use crate::lock::Lock;
use crate::manifest::{self, Kind as FileKind, Manifest, Origin};
use crate::parallel;
use crate::progress::Progress;
use crate::recipe::{Place, Recipe};
use crate::store::{StepDir, StepState, Store};
use crate::tools::Tools;
use crate::tree::{Kind, Node, Tree, archive, overlay};
use crate::verity::RootHash;
use crate::{erofs, licence, verity};

/// Bumped when the same manifest would give another root image.
const REVISION: u32 = 1;

/// A finished tree, ready to be made into file systems.
#[derive(Debug)]
pub struct Assembled {
    /// The root, manifest included.
    pub tree: Tree,
    /// The initrd.
    pub initrd: Tree,
    /// What is in the initrd.
    pub initrd_files: Vec<manifest::File>,
    /// What is in the root.
    pub manifest: Manifest,
    /// The manifest as it is in the root.
    pub manifest_bytes: Vec<u8>,
    /// Text of os-release.
    pub os_release: String,
    /// The kernel image.
    pub linux: Vec<u8>,
    /// Time stamp of everything, in seconds since 1970.
    pub epoch: i64,
}

/// Changes the configured root into the finished one.
/// `trusted_root` is the `root.json` by which hosts judge their first update.
pub fn assemble(
    recipe: &Recipe,
    lock: &Lock,
    base: &Base,
    trusted_root: &[u8],
    options: &Options<'_>,
    progress: &Progress,
) -> anyhow::Result<Assembled> {
    let version = options.version;
    let _phase = progress.phase("assembling the root", 0);
    let mut tree = archive::read(&base.archive)?;
    packages::attribute(&mut tree, &base.owners);
    let licences = licences(&tree, lock)?;
    let dropped: BTreeSet<String> = recipe.packages.drop.iter().map(|name| name.value.clone()).collect();
    packages::keep_database(&mut tree, &dropped)?;
    packages::drop_files(&mut tree, &dropped);
    tree.retain(|path, _| !recipe.tree.remove.selects(path));
    for dir in &recipe.tree.add {
        let origin = Origin::RecipeTree { recipe: dir.at.recipe.clone(), line: dir.at.line, tree: dir.value.written.clone() };
        overlay::add(&mut tree, &dir.value.path, &origin).with_context(|| format!("adding the tree {} ({})", dir.value.written, dir.at))?;
    }
    tree.insert(TRUSTED_ROOT, Node::file(trusted_root.to_vec(), 0o644, Origin::Builder));
    programs::add(&mut tree, recipe, options.programs)?;
    accounts::normalise(&mut tree)?;
    accounts::declare(&mut tree)?;
    set_units(&mut tree, recipe)?;
    let identity = Identity {
        id: &recipe.image.id.value,
        name: &recipe.image.name.value,
        variant: &recipe.image.variant.value,
        version,
        suite: recipe.archive.suites.first().map_or("", |suite| suite.value.as_str()),
        arch: &recipe.image.arch.value,
    };
    identity::apply(&mut tree, &identity);
    skeleton::apply(&mut tree);
    let unit_list = units::list(&tree);
    tree.insert(PRESET, Node::file(units::preset(&unit_list), 0o644, Origin::Builder));
    let modules = format!("/usr/lib/modules/{}", base.kernel);
    let linux = take(&mut tree, &format!("{modules}/vmlinuz"))?;
    let config = take(&mut tree, &format!("{modules}/config"))?;
    check_programs(&tree)?;
    let initrd = pick_initrd(recipe, &tree, &base.kernel)?;
    let manifest = Manifest {
        format: manifest::FORMAT,
        image_id: identity.id.to_owned(),
        variant: identity.variant.to_owned(),
        version: version.to_owned(),
        arch: identity.arch.to_owned(),
        kernel: base.kernel.clone(),
        kernel_config: kernel_config(&String::from_utf8_lossy(&config)),
        cmdline: recipe.kernel.cmdline.iter().map(|word| word.value.as_str()).collect::<Vec<_>>().join(" "),
        packages: list_packages(lock, &dropped, &licences),
        files: list_files(&tree)?,
        units: unit_list,
    };
    let manifest_bytes = manifest::write(&manifest)?;
    tree.insert(manifest::PATH_IN_ROOT, Node::file(manifest_bytes.clone(), 0o644, Origin::Builder));
    Ok(Assembled {
        tree,
        initrd_files: list_files(&initrd)?,
        initrd,
        manifest,
        manifest_bytes,
        os_release: identity::os_release(&identity),
        linux,
        epoch: lock.epoch,
    })
}

/// Where the updater finds the root of trust that came with the image.
const TRUSTED_ROOT: &str = "/usr/share/slipway/tuf/root.json";

const PRESET: &str = "/usr/lib/systemd/system-preset/00-slipway.preset";

fn origin_of(place: &Place) -> Origin {
    Origin::RecipeSetting { recipe: place.recipe.clone(), line: place.line }
}

fn set_units(tree: &mut Tree, recipe: &Recipe) -> anyhow::Result<()> {
    for unit in &recipe.units.disable {
        units::disable(tree, &unit.value);
    }
    for unit in &recipe.units.enable {
        units::enable(tree, &unit.value, &origin_of(&unit.at))
            .map_err(|error| anyhow::anyhow!("{error}\n{}", recipe.excerpt(&unit.at, &unit.value, "asked for here")))?;
    }
    for unit in &recipe.units.mask {
        units::mask(tree, &unit.value, &origin_of(&unit.at));
    }
    Ok(())
}

fn take(tree: &mut Tree, path: &str) -> anyhow::Result<Vec<u8>> {
    let bytes = tree.read(path)?;
    tree.remove(path);
    Ok(bytes)
}

fn check_programs(tree: &Tree) -> anyhow::Result<()> {
    let broken = lint::broken_programs(tree)?;
    if !broken.is_empty() {
        bail!("these programs could not run; remove them with [tree] remove, or keep what they need:\n  {}", broken.join("\n  "));
    }
    Ok(())
}

fn pick_initrd(recipe: &Recipe, root: &Tree, kernel: &str) -> anyhow::Result<Tree> {
    let mut extra = Tree::default();
    for path in ["/dev", "/etc", "/proc", "/run", "/sys", "/sysroot", "/tmp", "/var"] {
        extra.insert(path, Node::directory(Origin::Builder));
    }
    extra.insert("/init", Node::symlink("usr/lib/systemd/systemd", Origin::Builder));
    // systemd knows by this file that it is in an initrd.
    extra.insert("/etc/initrd-release", Node::symlink("../usr/lib/os-release", Origin::Builder));
    extra.insert("/usr/lib/os-release", Node::file(root.read("/usr/lib/os-release")?, 0o644, Origin::Builder));
    for dir in &recipe.initrd.add {
        overlay::add(&mut extra, &dir.value.path, &Origin::Builder)
            .with_context(|| format!("adding the tree {} ({})", dir.value.written, dir.at))?;
    }
    let files: Vec<String> = recipe.initrd.files.iter().map(|file| file.value.clone()).collect();
    let modules: Vec<String> = recipe.kernel.initrd_modules.iter().map(|module| module.value.clone()).collect();
    Ok(initrd::pick(&initrd::Spec { root, kernel, files: &files, modules: &modules, extra: &extra })?)
}

fn kernel_config(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with("CONFIG_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn licences(tree: &Tree, lock: &Lock) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for package in &lock.packages {
        // Packages of one source often link to each other's documentation, hence through the tree's symlinks.
        let path = format!("/usr/share/doc/{}/copyright", package.name);
        let text = if tree.resolve(&path).is_some() { tree.read_text(&path)? } else { String::new() };
        found.insert(package.name.clone(), licence::from_copyright(&text));
    }
    Ok(found)
}

fn list_packages(lock: &Lock, dropped: &BTreeSet<String>, licences: &BTreeMap<String, String>) -> Vec<manifest::Package> {
    let kept = lock.packages.iter().filter(|package| !dropped.contains(&package.name));
    kept.map(|package| manifest::Package {
        name: package.name.clone(),
        version: package.version.clone(),
        arch: package.arch.clone(),
        source: package.source.clone(),
        source_version: package.source_version.clone(),
        sha256: package.sha256.clone(),
        licence: licences.get(&package.name).cloned().unwrap_or_else(|| "NOASSERTION".into()),
        reason: package.reason.clone(),
    })
    .collect()
}

/// Every path with the hash of its content; hashing uses all cores.
fn list_files(tree: &Tree) -> anyhow::Result<Vec<manifest::File>> {
    let nodes: Vec<(&str, &Node)> = tree.iter().collect();
    let hashes: Mutex<BTreeMap<&str, [u8; 32]>> = Mutex::new(BTreeMap::new());
    parallel::for_each(&nodes, |(path, node)| {
        let Kind::File(content) = &node.kind else { return Ok(()) };
        let hash = content.sha256().with_context(|| format!("reading {path}"))?;
        hashes.lock().map_err(|_| anyhow::anyhow!("another thread panicked"))?.insert(path, hash);
        Ok(())
    })?;
    let hashes = hashes.into_inner().unwrap_or_default();
    let file = |(path, node): &(&str, &Node)| {
        let (kind, size, content) = match &node.kind {
            Kind::Directory => (FileKind::Directory, 0, String::new()),
            Kind::Symlink(target) => (FileKind::Symlink, 0, target.clone()),
            Kind::Hardlink(target) => (FileKind::Hardlink, 0, target.clone()),
            Kind::File(content) => (FileKind::File, content.len(), hashes.get(path).map(hex::encode).unwrap_or_default()),
        };
        manifest::File {
            path: (*path).to_owned(),
            kind,
            mode: node.mode,
            uid: node.uid,
            gid: node.gid,
            size,
            content,
            origin: node.origin.clone(),
        }
    };
    Ok(nodes.iter().map(file).collect())
}

/// The file systems of one release.
#[derive(Debug)]
pub struct Root {
    /// EROFS image.
    pub image: PathBuf,
    /// dm-verity tree of it.
    pub verity: PathBuf,
    /// Root hash of the tree.
    pub hash: RootHash,
    /// The packed initrd.
    pub initrd: PathBuf,
    _dir: StepDir,
}

/// Makes the EROFS image, the verity tree and the initrd; the two compressors run side by side.
pub fn root(
    recipe: &Recipe,
    assembled: &Assembled,
    tools: &Tools,
    store: &Store,
    options: &Options<'_>,
    progress: &Progress,
) -> anyhow::Result<Root> {
    let settings = (&recipe.root.compression.value, recipe.root.cluster_bytes.value, assembled.epoch);
    let key = key::of(REVISION, &(&assembled.manifest, &assembled.initrd_files, settings));
    let dir = match store.step("root", &key)? {
        StepState::Done(dir) => dir,
        StepState::Missing => {
            let step = store.begin_step("root", &key)?;
            let image = step.dir().join(ROOT);
            let (made, packed) = std::thread::scope(|scope| {
                let packing = scope.spawn(|| initrd::pack(&assembled.initrd));
                let _phase = progress.phase("compressing the root", 0);
                (make_image(assembled, tools, recipe, options, &step.dir().join("root.tar"), &image), packing.join())
            });
            made?;
            let packed = packed.map_err(|_| anyhow::anyhow!("packing the initrd panicked"))??;
            fs::write(step.dir().join(INITRD), packed).context("writing the initrd")?;
            let _phase = progress.phase("hashing the root for dm-verity", 0);
            let version = options.version;
            let hash = verity::format(&image, &step.dir().join(VERITY), &layout::verity_salt(version), layout::verity_uuid(version))?;
            fs::write(step.dir().join(HASH), hash.to_string())?;
            step.commit()?
        }
    };
    let hash = fs::read_to_string(dir.join(HASH)).context("reading the root hash")?.parse()?;
    Ok(Root { image: dir.join(ROOT), verity: dir.join(VERITY), initrd: dir.join(INITRD), hash, _dir: dir })
}

const ROOT: &str = "root.erofs";
const VERITY: &str = "root.verity";
const HASH: &str = "root.hash";
const INITRD: &str = "initrd.zst";

fn make_image(
    assembled: &Assembled,
    tools: &Tools,
    recipe: &Recipe,
    options: &Options<'_>,
    tar: &Path,
    image: &Path,
) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(tar).with_context(|| format!("creating {}", tar.display()))?);
    archive::write(&assembled.tree, &mut out)?;
    out.flush().with_context(|| format!("writing {}", tar.display()))?;
    let uuid = layout::erofs_uuid(options.version);
    erofs::make(tools, tar, image, &recipe.root.compression.value, recipe.root.cluster_bytes.value, uuid, options.workers)?;
    fs::remove_file(tar)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_options_are_what_is_set() {
        let config = kernel_config("# comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x=y\"\nOTHER=1\n");
        assert_eq!(config, [("CONFIG_A", "y"), ("CONFIG_C", "\"x=y\"")].map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
