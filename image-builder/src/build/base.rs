//! The steps that depend on the lock: the tools tree and the configured root.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use super::key;
use crate::cmd::Cmd;
use crate::install::{self, Plan, PlannedGroup, PlannedPackage, PlannedUser};
use crate::lock::{Lock, LockedPackage};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::store::{StepDir, StepState, Store};
use crate::tools::Tools;

/// Bumped when the tools tree is made in another way.
const TOOLS_REVISION: u32 = 1;

/// Unpacks the tools of the lock. They are only files that run through their own loader: nothing is configured.
pub fn tools(lock: &Lock, store: &Store, progress: &Progress) -> anyhow::Result<(Tools, StepDir)> {
    let key = key::of(TOOLS_REVISION, &lock.tools.iter().map(|package| &package.sha256).collect::<Vec<_>>());
    let dir = match store.step("tools", &key)? {
        StepState::Done(dir) => dir,
        StepState::Missing => {
            let _phase = progress.phase("unpacking the tools", 0);
            let step = store.begin_step("tools", &key)?;
            for package in &lock.tools {
                let deb = blob(store, package)?;
                Cmd::new("dpkg-deb")
                    .arg("--extract")
                    .arg(&deb)
                    .arg(step.dir())
                    .run()
                    .with_context(|| format!("unpacking {}", package.name))?;
            }
            step.commit()?
        }
    };
    Ok((Tools::at(&*dir), dir))
}

/// A configured root as an archive, and what was learnt while making it.
#[derive(Debug)]
pub struct Base {
    /// Key of the step, which stands for the content.
    pub key: String,
    /// The captured root.
    pub archive: PathBuf,
    /// Which package ships which path.
    pub owners: BTreeMap<String, String>,
    /// Kernel release.
    pub kernel: String,
    _dir: StepDir,
}

/// Installs and configures the packages of the lock.
pub fn base(recipe: &Recipe, lock: &Lock, store: &Store, progress: &Progress) -> anyhow::Result<Base> {
    let users: Vec<PlannedUser> = recipe.users.iter().map(|user| planned_user(&user.value)).collect();
    let groups: Vec<PlannedGroup> =
        recipe.groups.iter().map(|group| PlannedGroup { name: group.value.name.clone(), gid: group.value.gid }).collect();
    let kernel_modules: Vec<String> = recipe.kernel.modules.rules.iter().map(|rule| rule.value.written.clone()).collect();
    let digests: Vec<(&str, &str)> = lock.packages.iter().map(|package| (package.name.as_str(), package.sha256.as_str())).collect();
    let key = key::of(install::REVISION, &(&digests, &users, &groups, &kernel_modules));
    let dir = match store.step("base", &key)? {
        StepState::Done(dir) => dir,
        StepState::Missing => {
            let _phase = progress.phase(format!("installing {} packages", lock.packages.len()), 0);
            let step = store.begin_step("base", &key)?;
            let packages = plan_packages(lock, store)?;
            let work = step.dir().join("work");
            fs::create_dir(&work)?;
            let plan = Plan { packages, users, groups, kernel_modules, work, archive: step.dir().join(ARCHIVE) };
            let installed = install::install(&plan)?;
            fs::write(step.dir().join(INSTALLED), serde_json::to_vec(&installed)?)?;
            step.commit()?
        }
    };
    let installed: install::Installed = serde_json::from_slice(&fs::read(dir.join(INSTALLED)).context("reading the base step")?)?;
    Ok(Base { key, archive: dir.join(ARCHIVE), owners: installed.owners, kernel: installed.kernel, _dir: dir })
}

const ARCHIVE: &str = "base.tar";
const INSTALLED: &str = "installed.json";

/// The packages in the order of the lock; marked are those that maintainer scripts need to run at all.
fn plan_packages(lock: &Lock, store: &Store) -> anyhow::Result<Vec<PlannedPackage>> {
    let mut planned = Vec::new();
    for package in &lock.packages {
        planned.push(PlannedPackage { name: package.name.clone(), deb: blob(store, package)?, first: package.essential });
    }
    let mut queue: Vec<usize> = (0..planned.len()).filter(|&index| planned[index].first).collect();
    while let Some(index) = queue.pop() {
        let fields =
            Cmd::new("dpkg-deb").arg("--show").args(["--showformat", "${Pre-Depends}, ${Depends}"]).arg(&planned[index].deb).text()?;
        for name in package_names(&fields) {
            if let Some(needed) = planned.iter().position(|package| package.name == name && !package.first) {
                planned[needed].first = true;
                queue.push(needed);
            }
        }
    }
    Ok(planned)
}

/// `a`, `b` and `c` of `a (>= 1), b:any | c`.
fn package_names(field: &str) -> impl Iterator<Item = &str> {
    field.split([',', '|']).filter_map(|relation| relation.trim().split([' ', ':', '(']).next()).filter(|name| !name.is_empty())
}

fn planned_user(user: &crate::recipe::User) -> PlannedUser {
    PlannedUser {
        name: user.name.clone(),
        uid: user.uid,
        gid: user.gid,
        home: user.home.clone(),
        shell: user.shell.clone(),
        comment: user.comment.clone(),
        groups: user.groups.clone(),
    }
}

fn blob(store: &Store, package: &LockedPackage) -> anyhow::Result<PathBuf> {
    store.blob(&package.sha256).with_context(|| format!("package {} is not in the cache although it was fetched", package.name))
}

#[cfg(test)]
mod tests {
    use super::package_names;

    #[test]
    fn names_are_read_out_of_dependencies() {
        let names: Vec<&str> = package_names(", libc6 (>= 2.38), mawk | awk:any, perl:any").collect();
        assert_eq!(names, ["libc6", "mawk", "awk", "perl"]);
        assert_eq!(package_names(" , ").count(), 0);
    }
}
