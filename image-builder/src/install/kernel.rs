//! Trimming the kernel package: only the modules the recipe asks for, stored uncompressed, with fresh indexes.
//!
//! EROFS compresses the modules; as `.ko.xz` a kernel update would look all new to a delta.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use liblzma::read::XzDecoder;

use super::path_str;
use crate::cmd::Cmd;
use crate::parallel;
use crate::recipe::Rules;

/// Keeps the modules that `patterns` match, decompresses them, moves the kernel beside them and returns its release.
pub(super) fn trim(root: &Path, patterns: &[String]) -> anyhow::Result<String> {
    let modules = root.join("usr/lib/modules");
    let mut releases: Vec<String> = fs::read_dir(&modules)
        .with_context(|| "no kernel modules were installed: is [kernel] package a kernel?")?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let (Some(release), None) = (releases.pop(), releases.pop()) else { bail!("the packages must install exactly one kernel") };
    let dir = modules.join(&release);
    let keep = Rules::parse(patterns)?;
    let mut files = Vec::new();
    collect(&dir.join("kernel"), &mut files)?;
    let wanted = resolve_dependencies(&dir, &keep)?;
    let (kept, dropped): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|file| file.strip_prefix(&dir).is_ok_and(|path| wanted.contains(&bare_name(path))));
    for file in &dropped {
        fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
    }
    decompress(kept)?;
    remove_empty(&dir.join("kernel"))?;
    for (from, to) in [(format!("boot/vmlinuz-{release}"), "vmlinuz"), (format!("boot/config-{release}"), "config")] {
        fs::rename(root.join(&from), dir.join(to)).with_context(|| format!("moving /{from}"))?;
    }
    Cmd::new("chroot").arg(root).args(["depmod", "--all", &release]).run()?;
    Ok(release)
}

/// `kernel/fs/erofs/erofs.ko` for every spelling of that module.
fn bare_name(path: &Path) -> String {
    path_str(path).trim_end_matches(".xz").to_owned()
}

/// The modules that `keep` matches and every module these need, by `modules.dep`.
fn resolve_dependencies(dir: &Path, keep: &Rules) -> anyhow::Result<std::collections::BTreeSet<String>> {
    let text = fs::read_to_string(dir.join("modules.dep")).context("reading modules.dep")?;
    Ok(parse_dependencies(&text)
        .filter(|(module, _)| keep.selects(module))
        // modules.dep lists dependencies transitively.
        .flat_map(|(module, needs)| std::iter::once(module).chain(needs))
        .collect())
}

fn parse_dependencies(text: &str) -> impl Iterator<Item = (String, Vec<String>)> {
    text.lines().filter_map(|line| {
        let (module, needs) = line.split_once(':')?;
        Some((bare_name(Path::new(module)), needs.split_whitespace().map(|need| bare_name(Path::new(need))).collect()))
    })
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn decompress(files: Vec<PathBuf>) -> anyhow::Result<()> {
    let packed = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "xz"));
    parallel::for_each(packed, |file| {
        let mut source = XzDecoder::new(File::open(&file)?);
        io::copy(&mut source, &mut File::create(file.with_extension(""))?).with_context(|| format!("decompressing {}", file.display()))?;
        Ok(fs::remove_file(&file)?)
    })
}

/// Removes directories that hold nothing; true when `dir` itself went.
fn remove_empty(dir: &Path) -> io::Result<bool> {
    let mut empty = true;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        empty &= path.is_dir() && remove_empty(&path)?;
    }
    if empty {
        fs::remove_dir(dir)?;
    }
    Ok(empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kept_module_needs_is_kept_too() {
        let dir = tempfile::tempdir().unwrap();
        let dep = "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz\nkernel/fs/jbd2/jbd2.ko.xz:\n\
                   kernel/lib/crc16.ko.xz:\nkernel/sound/pcm.ko.xz: kernel/lib/crc16.ko.xz\n";
        fs::write(dir.path().join("modules.dep"), dep).unwrap();
        let keep = Rules::parse(&["kernel/fs/ext4/**".to_owned()]).unwrap();
        let kept: Vec<String> = resolve_dependencies(dir.path(), &keep).unwrap().into_iter().collect();
        assert_eq!(kept, ["kernel/fs/ext4/ext4.ko", "kernel/fs/jbd2/jbd2.ko", "kernel/lib/crc16.ko"]);
    }

    #[test]
    fn empty_directories_go_and_full_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        fs::create_dir_all(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/file"), b"").unwrap();
        assert!(!remove_empty(dir.path()).unwrap());
        assert!(!dir.path().join("a").exists() && dir.path().join("d/file").exists());
    }
}
