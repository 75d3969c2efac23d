//! Slipway's own programs in the image: compiled before, checked and installed here.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use object::Architecture;
use object::read::{File, Object};

use crate::elf;
use crate::manifest::Origin;
use crate::recipe::{Located, Recipe};
use crate::tree::{Node, Tree};

/// Where they go.
const DIR: &str = "/usr/bin";

/// The largest program, in bytes; ours have a few megabytes, and a larger one is a build with debug information.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Installs the programs that the recipe asks for, from the folder `compiled`.
pub(super) fn add(tree: &mut Tree, recipe: &Recipe, compiled: Option<&Path>) -> anyhow::Result<()> {
    for program in &recipe.programs {
        let bytes = read(program, compiled).map_err(|error| {
            let excerpt = recipe.excerpt(&program.at, &program.value, "asked for here");
            anyhow::anyhow!("{error:#}\n{excerpt}")
        })?;
        let origin = Origin::RecipeSetting { recipe: program.at.recipe.clone(), line: program.at.line };
        tree.insert(format!("{DIR}/{}", program.value), Node::file(bytes, 0o755, origin));
    }
    Ok(())
}

fn read(program: &Located<String>, compiled: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    let name = &program.value;
    let Some(dir) = compiled else {
        bail!(
            "the recipe asks for the program `{name}`; compile Slipway's programs with `make programs` and give their folder with --programs"
        );
    };
    let path = dir.join(name);
    let size =
        fs::metadata(&path).with_context(|| format!("there is no program {}; compile it with `make programs`", path.display()))?.len();
    if size > MAX_BYTES {
        bail!("{} has {size} bytes, more than {MAX_BYTES}; was it compiled with debug information?", path.display());
    }
    let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    check(&bytes).with_context(|| format!("{} cannot go into the image", path.display()))?;
    Ok(bytes)
}

/// A program of the image must run whatever C library the build host and the image have: it is static.
fn check(bytes: &[u8]) -> anyhow::Result<()> {
    let Some(needs) = elf::needs(bytes) else { bail!("it is not a 64-bit ELF program") };
    if let Some(interpreter) = needs.interpreter {
        bail!("it needs the loader {interpreter}; compile it with `-C target-feature=+crt-static`");
    }
    if let Some(library) = needs.libraries.first() {
        bail!("it needs the library {library}; compile it with `-C target-feature=+crt-static`");
    }
    let architecture = File::parse(bytes).context("reading the ELF header")?.architecture();
    if architecture != Architecture::X86_64 {
        bail!("it is for {architecture:?}, the image is for amd64");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_static_is_refused() {
        let own = fs::read(std::env::current_exe().unwrap()).unwrap();
        let error = check(&own).unwrap_err().to_string();
        assert!(error.contains("crt-static"), "{error}");
        assert!(check(b"#!/bin/sh\n").unwrap_err().to_string().contains("not a 64-bit ELF"));
        assert!(check(b"").is_err());
    }
}
